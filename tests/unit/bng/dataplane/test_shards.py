"""Where the classes of slots are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bng.dataplane import shards, tc
from bng.dataplane.base import MAX_SLOTS
from bng.dataplane.netlink import Connection, Message, Replies
from bng.dataplane.port import Port
from bng.dataplane.shards import FLAT, SHARDED, Layout

layouts = st.sampled_from([FLAT, SHARDED, Layout(16, 16, 3), Layout(64, 4096, 15)])


def test_there_are_classes_for_all_slots() -> None:
    assert SHARDED.end == MAX_SLOTS


@given(layouts, st.data())
def test_slots_and_classes_are_one_to_one(layout: Layout, data: st.DataObject) -> None:
    slot = data.draw(st.integers(0, layout.end - 1))
    class_id = layout.class_id(slot)
    assert layout.slot_of(class_id) == slot
    assert shards.FIRST_MINOR <= class_id & 0xFFFF <= 0xFFFF
    assert class_id & 0xFFFF0000 == shards.handle(layout.shard_of(slot))


@given(layouts, st.lists(st.integers(0, (1 << 32) - 1)))
def test_arrays_tell_what_single_classes_do(layout: Layout, class_ids: list[int]) -> None:
    ids = [*class_ids, layout.class_id(0), layout.class_id(layout.end - 1)]
    assert layout.slots(np.array(ids, np.uint64)).tolist() == [layout.slot_of(each) for each in ids]


@pytest.mark.parametrize("class_id", [0, 0x1000F, 0x10000, 0x10, 0x11810, 0x1FF01, 0x30810, 0xFFFF0010])
def test_other_classes_have_no_slot(class_id: int) -> None:
    assert SHARDED.slot_of(class_id) < 0


def test_no_handle_is_where_the_queues_without_a_handle_are() -> None:
    handles = [shards.handle(shard) for shard in range(1 + SHARDED.shards)]
    assert len(set(handles)) == len(handles)
    assert all((0x61C88647 * handle & 0xFFFFFFFF) >> 28 for handle in handles[1:])


def test_the_classes_of_the_shards_are_nobodys() -> None:
    ways = [shards.way_in(shard) for shard in range(1, 1 + SHARDED.shards)]
    assert len(set(ways)) == SHARDED.shards
    assert all(SHARDED.slot_of(way) < 0 and shards.slot_before(way) < 0 for way in ways)


def test_classes_of_versions_without_shards_are_known() -> None:
    assert shards.slot_before(0x10010 + 9000) == 9000
    assert shards.slot_before(0x20010) < 0


def test_packets_of_a_shard_are_marked_with_its_way() -> None:
    text = shards.marking(Layout(16, 16, 2))
    assert "{ 2:0 : 0x1ff01, 3:0 : 0x1ff02 }" not in text  # 2 is where the queues without a handle are
    assert "{ 3:0 : 0x1ff01, 4:0 : 0x1ff02 }" in text


class Kernel:
    """Notes which HTBs were taken away: (interface, handle)."""

    def __init__(self) -> None:
        self.removed: list[tuple[int, int]] = []

    def request(self, requests: Sequence[Message]) -> Replies:
        for each in requests:
            assert each.kind == tc.DELQDISC
            self.removed.append(tc.TCMSG.unpack_from(each.payload)[1:3])
        return Replies()


def test_shards_that_were_made_last_go_first_on_all_interfaces() -> None:
    ports = [Port("acc0", 7, SHARDED), Port("wan0", 8, SHARDED)]
    ports[0].shards |= {1, 2, 3}
    ports[1].shards |= {1, 3}
    kernel = Kernel()
    shards.unmake(cast(Connection, kernel), ports)
    order = [(7, 3), (8, 3), (7, 2), (7, 1), (8, 1)]
    assert kernel.removed == [(index, shards.handle(shard)) for index, shard in order]
    assert [port.shards for port in ports] == [{0}, {0}]

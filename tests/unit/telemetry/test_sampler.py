"""Messages of a tick are shared between readers, and kept no longer than somebody may ask for them."""

import numpy as np
import pytest

from telemetry.encoder import BLOCK_ENTRIES, ColumnEncoder
from telemetry.packing import Entry, elements
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.reader import Look
from telemetry.rows import ColumnShape
from telemetry.sampler import ColumnTick, ReadTick, with_duplicates

TIME = 1_790_000_000_123_456_789


def column_tick(entries=2 * BLOCK_ENTRIES):
    encoder = ColumnEncoder(ColumnShape(pb.Path(), "session", ("id",), (("tick",),)))
    layout = encoder.layout([(f"{number:04}",) for number in range(entries)], 1)
    return ColumnTick(layout, np.ones((entries, 1), np.uint64), TIME)


def read_tick(entries=3):
    made = (
        Entry(elements([("entry", {"id": "x" * 60_000 + str(number)})]), [(("leaf",), b"\x18\x01")])
        for number in range(entries)
    )
    return ReadTick(made, Look(None, None, pb.PROTO))


def test_the_readers_of_a_tick_get_the_same_octets():
    tick = column_tick()
    tick.expect(3, 2)  # one of them has not read the tick before
    assert tick.message(0, 0) is tick.message(0, 0)
    late = tick.message(0, 5)
    assert with_duplicates(tick.message(0, 0), 5) == pb.SubscribeResponse.FromString(late).SerializeToString()
    first = tick.message(1, 0)
    tick.retire()
    assert tick.message(1, 0) is not first
    assert tick.message(2, 0) is None


@pytest.mark.parametrize("make", [column_tick, read_tick])
def test_nothing_is_kept_when_all_have_read(make):
    tick = make()
    tick.expect(2, 2)
    number = 0
    while (made := tick.message(number, 0)) is not None:
        assert tick.message(number, 0) is made
        number += 1
    assert number >= 2
    assert not tick._shared._kept


def test_readers_of_what_is_read_once_may_be_apart():
    tick = read_tick()
    tick.expect(2, 1)
    ahead = []
    while (made := tick.message(len(ahead), 0)) is not None:
        ahead.append(made)
    tick.retire()
    behind = [tick.message(number, 2) for number in range(len(ahead))]
    assert behind == [with_duplicates(message, 2) for message in ahead]
    assert tick.message(len(ahead), 2) is None

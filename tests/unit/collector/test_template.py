"""The learnt layout reads what protobuf reads."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector import decode
from collector.template import COLUMNS, SESSION_ID, Reader, Samples, newest
from telemetry.encoder import ColumnEncoder
from telemetry.protocol import gnmi_pb2
from telemetry.protocol.wire import delimited, padded_varint, tag, varint
from telemetry.rows import ColumnShape

SESSION = "0" * 16
LEAVES = tuple(("counters", name.replace("_", "-")) for name in COLUMNS)


def ordinary(rows: dict[str, tuple[int, ...]], time_ns: int) -> bytes:
    """As any gNMI server would encode it."""
    response = gnmi_pb2.SubscribeResponse(update=gnmi_pb2.Notification(timestamp=time_ns))
    response.update.prefix.elem.add(name="aether-subscriber:sessions")
    for session, values in rows.items():
        for leaf, value in zip(LEAVES, values, strict=True):
            update = response.update.update.add(val=gnmi_pb2.TypedValue(uint_val=value))
            update.path.elem.add(name="session", key={"id": session})
            for name in leaf:
                update.path.elem.add(name=name)
    return response.SerializeToString()


def same(found: Samples | None, rows: dict[str, tuple[int, ...]], time_ns: int) -> None:
    assert found is not None
    assert found.time_ns == time_ns
    got = dict(zip(found.sessions.astype(str), map(tuple, found.values.tolist()), strict=True))
    assert got == rows


numbers = st.one_of(st.integers(0, 300), st.integers(0, 2**63 - 1))
tables = st.lists(st.tuples(*[numbers] * 7), min_size=1, max_size=4)


@settings(deadline=None)
@given(st.lists(tables, min_size=1, max_size=6))
def test_every_message_of_an_ordinary_server_is_read_rightly(ticks: list[list[tuple[int, ...]]]) -> None:
    reader = Reader()
    for number, table in enumerate(ticks):
        rows = {f"{session:016x}": values for session, values in enumerate(table)}
        time_ns = 1_790_000_000_000_000_000 + number
        same(reader.read(ordinary(rows, time_ns)), rows, time_ns)


@settings(deadline=None)
@given(st.lists(st.tuples(*[numbers] * 7), min_size=2, max_size=20))
def test_the_fixed_layout_is_learnt_anew_only_when_a_column_grows(ticks: list[tuple[int, ...]]) -> None:
    prefix = gnmi_pb2.Path(elem=[gnmi_pb2.PathElem(name="aether-subscriber:sessions")])
    shape = ColumnShape(prefix, "session", ("id",), LEAVES)
    keys = [(f"{session:016x}",) for session in range(3)]
    ((block, _),) = ColumnEncoder(shape).layout(keys, membership=1).blocks
    reader = Reader()
    lengths = set()
    for number, values in enumerate(ticks):
        time_ns = 1_790_000_000_000_000_000 + number
        message = block.message(np.array([values] * 3, np.uint64), time_ns)
        assert reader.knows(message) is (len(message) in lengths)
        lengths.add(len(message))
        same(reader.read(message), {key[0]: values for key in keys}, time_ns)
    assert reader.learnt == len(lengths) <= 1 + 3 * len(LEAVES)


def test_duplicates_are_another_layout() -> None:
    shape = ColumnShape(gnmi_pb2.Path(), "session", ("id",), LEAVES)
    ((block, _),) = ColumnEncoder(shape).layout([(f"{1:016x}",)], membership=1).blocks
    reader = Reader()
    for duplicates in (0, 1, 0, 2):
        message = block.message(np.array([range(7)], np.uint64), 1_790_000_000_000_000_000, duplicates)
        same(reader.read(message), {f"{1:016x}": tuple(range(7))}, 1_790_000_000_000_000_000)
    assert reader.learnt == 2


def test_what_the_target_left_out_is_told() -> None:
    shape = ColumnShape(gnmi_pb2.Path(), "session", ("id",), LEAVES)
    ((block, _),) = ColumnEncoder(shape).layout([(SESSION,)], membership=1).blocks
    reader, values = Reader(), np.array([[9] * 7], np.uint64)
    for skipped in (0, 1, 3, 200, 0):
        octets = block.message(values, 7, skipped)
        for way in (reader.read, Reader._slow):
            found = way(octets)
            assert found
            assert found.skipped == skipped
    assert reader.learnt == 2


def test_what_carries_no_samples_is_none() -> None:
    reader = Reader()
    for _ in range(2):
        assert reader.read(gnmi_pb2.SubscribeResponse(sync_response=True).SerializeToString()) is None


def test_a_counter_that_no_bigint_holds_is_refused() -> None:
    with pytest.raises(decode.DecodeError, match="bigint"):
        Reader().read(ordinary({"0" * 16: (2**64 - 1,) * 7}, 1))


@given(st.binary(max_size=200))
def test_garbage_is_an_error_or_nothing(garbage: bytes) -> None:
    reader = Reader()
    good = ordinary({"0" * 16: (1,) * 7}, 1)
    reader.read(good)
    for message in (garbage, good[: len(garbage)] + garbage):
        with contextlib.suppress(decode.DecodeError):
            reader.read(message)


def samples(time_ns: int, **totals: int) -> Samples:
    """A tick in which all counters of a session are the same."""
    sessions = np.array([name * 16 for name in totals], SESSION_ID)
    return Samples(time_ns, sessions, np.array([[time_ns, *[n] * 6] for n in totals.values()], np.int64))


def test_the_newest_row_of_each_session_whatever_tick_it_is_in() -> None:
    ticks = [samples(1, a=1, b=1, c=1), samples(2, a=2, b=2), samples(3, b=3, a=3, d=3), samples(4, b=4, a=4)]
    found = newest(ticks)
    rows = [(name[:1], piece.time_ns) for piece in found for name in piece.sessions.astype(str).tolist()]
    assert rows == [("b", 4), ("a", 4), ("d", 3), ("c", 1)]
    assert [piece.values[0, 1] for piece in found] == [4, 3, 1]


@pytest.mark.parametrize("number", [0, 1, 127, 128, 2**35 - 1, 2**56 - 1, 2**56, 2**62 + 5, 2**63 - 1])
@pytest.mark.parametrize("padded", [0, 8, 9, 10])
def test_varints_of_any_width(number: int, padded: int) -> None:
    rows = {SESSION: (number, *[number] * 6)}
    plain = ordinary(rows, 1)
    if padded and number < 1 << 7 * padded:
        plain = relaid(padded_varint(number, padded))
    reader = Reader()
    for _ in range(2):
        same(reader.read(plain), rows, 1)
    assert reader.learnt == 1


def relaid(octets: bytes) -> bytes:
    """A message whose values are these octets."""
    value = delimited(3, tag(3, 0) + octets)
    updates = b""
    for name in COLUMNS:
        path = gnmi_pb2.Path()
        path.elem.add(name="session", key={"id": SESSION})
        path.elem.add(name="counters")
        path.elem.add(name=name.replace("_", "-"))
        updates += delimited(4, delimited(1, path.SerializeToString()) + value)
    return delimited(1, tag(1, 0) + varint(1) + updates)


@pytest.mark.parametrize("leaf", [2, 6])
def test_a_number_that_is_there_twice_stands_for_no_other(leaf: int) -> None:
    """Seven numbers of a session, but not those of a sample: nothing is made up."""
    response = gnmi_pb2.SubscribeResponse.FromString(ordinary({SESSION: (1, 2, 3, 4, 5, 6, 7)}, 1))
    response.update.update[leaf].path.CopyFrom(response.update.update[0].path)
    assert Reader().read(response.SerializeToString()) is None


def test_an_update_that_protobuf_does_not_see_is_none() -> None:
    full = gnmi_pb2.SubscribeResponse.FromString(ordinary({SESSION: (1, 2, 3, 4, 5, 6, 7)}, 1))
    del full.update.update[6]
    # field 4 as a varint is unknown to protobuf; what follows at its value looks like an update's value
    notification = full.update.SerializeToString() + tag(4, 0) + b"\x1a" + delimited(9, b"\x18\x01")
    with contextlib.suppress(decode.DecodeError):
        assert Reader().read(delimited(1, notification)) is None


def test_broken_messages_cost_neither_time_nor_what_was_learnt() -> None:
    reader = Reader()
    good = ordinary({SESSION: (1, 2, 3, 4, 5, 6, 7)}, 1)
    reader.read(good)
    endless = b"\x0a" + b"\xff" * (4 << 20)  # one number of 28 million bits
    for _ in range(20):
        with pytest.raises(decode.DecodeError):
            reader.read(endless)
    reader.read(ordinary({SESSION: (1, 2, 3, 4, 5, 6, 700)}, 1))
    reader.read(good)
    assert (reader.learnt, reader.known) == (2, True)

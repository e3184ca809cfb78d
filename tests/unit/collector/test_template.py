"""The learnt layout reads what protobuf reads."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector import decode
from collector.template import COLUMNS, Reader, Samples
from telemetry.encoder import ColumnEncoder
from telemetry.protocol import gnmi_pb2
from telemetry.rows import ColumnShape

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
    got = dict(zip(found.sessions, map(tuple, found.values.tolist()), strict=True))
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

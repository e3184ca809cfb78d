"""Sessions as the servers see them: records, columns, changes, counts."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bng.northbound.changes import ChangeLog
from bng.northbound.sessions import ProfilesProvider, SessionsProvider, SummaryProvider
from bng.seam.matrix import Matrix, MatrixReader
from yang.provider import ColumnProvider, StateProvider, WatchableProvider

INSTANCE = "6f1f1b5e-8f8e-4a55-9a37-0a4a3b2d4c11"


def event(number: int, kind: str = "session-start", **more: object) -> dict:
    return {
        "seq": 1,
        "time": "2026-01-01T00:00:00.000000001Z",
        "_time_ns": 7,
        "instance-id": INSTANCE,
        "type": kind,
        "session-id": f"{number:016x}",
        "access-line": {"remote-id": "node-1", "circuit-id": f"1/0/{number}"},
        "username": f"bng-01/node-1/1/0/{number}",
        "status": "active",
        "_slot": number,
        "_generation": 100 + number,
        "_last_change": 1_000_000_000,
        **more,
    }


@pytest.fixture
def matrix(tmp_path: Path) -> Matrix:
    made = Matrix(tmp_path / "matrix", INSTANCE, slots=8)
    with made.writing() as rows:
        for slot in range(8):
            rows[slot, 0] = 100 + slot
            rows[slot, 1:7] = slot * 10 + np.arange(6)
        made.finish_sweep()
    return made


@pytest.fixture
def sessions(matrix: Matrix) -> SessionsProvider:
    return SessionsProvider(MatrixReader(matrix.path))


def test_is_all_that_it_should_be(sessions: SessionsProvider) -> None:
    assert isinstance(sessions, StateProvider)
    assert isinstance(sessions, ColumnProvider)
    assert isinstance(sessions, WatchableProvider)


def test_record_reads_the_last_sweep(sessions: SessionsProvider, matrix: Matrix) -> None:
    sessions.put(event(2, profile="gold"))
    record = sessions.get((f"{2:016x}",))
    assert record is not None
    assert (record.access_line.remote_id, record.access_line.circuit_id) == ("node-1", "1/0/2")
    assert record.last_change == "1970-01-01T00:00:01.000000000Z"
    assert (record.counters.in_octets, record.counters.out_discards, record.counters.tick) == (20, 25, 1)
    with matrix.writing() as rows:
        rows[2, 1] = 999
        matrix.finish_sweep()
    assert (record.counters.in_octets, record.counters.tick) == (999, 2)
    assert sessions.get(("f" * 16,)) is None


@pytest.mark.parametrize("changed", [{"_generation": 1}, {"_slot": 700}, {"_slot": -1}])
def test_a_row_of_somebody_else_counts_zero(sessions: SessionsProvider, changed: dict) -> None:
    sessions.put(event(2, **changed))
    record = sessions.get((f"{2:016x}",))
    assert record is not None
    assert record.counters.in_octets == 0
    assert sessions.columns().values[0, :6].tolist() == [0] * 6


def test_columns_say_what_records_say(sessions: SessionsProvider) -> None:
    sessions.reset(event(number) for number in (3, 1, 5))
    columns = sessions.columns()
    assert columns.keys == [(record.id,) for record in sessions.iter()]
    assert columns.leaves[0] == ("counters", "in-octets")
    assert columns.values.dtype == np.uint64
    for row, record in zip(columns.values.tolist(), sessions.iter(), strict=True):
        counters = record.counters
        assert row == [getattr(counters, leaf[1].replace("-", "_")) for leaf in columns.leaves]


def test_membership_changes_only_with_the_keys(sessions: SessionsProvider) -> None:
    sessions.put(event(1))
    first = sessions.columns().membership
    sessions.put(event(1, status="idle"))
    assert sessions.columns().membership == first
    sessions.put(event(2))
    second = sessions.columns().membership
    assert second != first
    sessions.remove(f"{1:016x}", 9)
    assert sessions.columns().membership not in (first, second)
    assert sessions.columns().keys == [(f"{2:016x}",)]


def test_before_the_first_sweep_the_time_is_now(tmp_path: Path) -> None:
    before = time.time_ns()
    columns = SessionsProvider(MatrixReader(tmp_path / "none")).columns()
    assert before <= columns.time_ns <= time.time_ns()


def test_an_empty_matrix_gives_empty_columns(tmp_path: Path) -> None:
    columns = SessionsProvider(MatrixReader(tmp_path / "none")).columns()
    assert columns.keys == []
    assert columns.values.shape == (0, 7)


def test_changes_are_coalesced_and_bounded(sessions: SessionsProvider) -> None:
    start = sessions.version
    sessions.put(event(1))
    sessions.put(event(1, status="idle", _time_ns=8))
    sessions.put(event(2))
    middle = sessions.version
    sessions.remove(f"{1:016x}", 50)
    changes = sessions.changes(start)
    assert changes is not None
    assert [(change.keys, change.record is None, change.time_ns) for change in changes] == [
        ((f"{2:016x}",), False, 7),
        ((f"{1:016x}",), True, 50),
    ]
    assert len(sessions.changes(middle) or ()) == 1
    assert sessions.changes(sessions.version) == []
    sessions.reset([event(1)])
    assert sessions.changes(middle) is None, "everything must be read again"


def test_counts_follow(sessions: SessionsProvider) -> None:
    summary, profiles = SummaryProvider(sessions), ProfilesProvider(sessions)
    sessions.put(event(1, profile="gold"))
    sessions.put(event(2, profile="gold"))
    sessions.put(event(3, status="rejected"))
    sessions.put(event(2, profile="iron", status="idle"))
    assert profiles.get(("gold",)).sessions_using == 1
    assert profiles.get(("none",)).sessions_using == 0
    record = summary.get(())
    assert record.total == 3
    assert [tuple(entry) for entry in record.by_status] == [("active", 1), ("idle", 1), ("rejected", 1)]
    sessions.remove(f"{1:016x}", 1)
    assert [entry.name for entry in profiles.iter()] == ["iron"]
    assert summary.get(()).total == 2


def test_change_log_forgets_the_oldest() -> None:
    log = ChangeLog(limit=3)
    for number in range(5):
        log.note((number,))
    assert log.since(1) is None
    assert log.since(2) == [(2,), (3,), (4,)]
    assert log.since(4) == [(4,)]
    log.note((2,))
    assert log.since(2) == [(3,), (4,), (2,)]


changes = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(["put", "remove", "reset"]),
        st.sampled_from(["active", "idle", "rejected"]),
        st.sampled_from([None, "gold", "silver"]),
        st.sampled_from([None, "node-1", "node-2"]),
    ),
    max_size=30,
)


@given(changes)
def test_counts_kept_while_sessions_change_are_those_of_a_recount(made: list[tuple]) -> None:
    provider = SessionsProvider(None)  # type: ignore[arg-type] - no counter is read
    for number, what, status, profile, router in made:
        line = {"circuit-id": "1"} | ({"remote-id": router} if router else {})
        told = event(number, status=status, profile=profile, **{"access-line": line})
        if what == "put":
            provider.put(told)
        elif what == "remove":
            provider.remove(told["session-id"], 1)
        else:
            provider.reset([told])
    sessions = list(provider.iter())
    assert provider.by_status == Counter(session.status for session in sessions)
    assert provider.by_profile == Counter(session.profile for session in sessions if session.profile)
    routers = [session.access_line.remote_id for session in sessions]
    assert provider.by_router == Counter(router for router in routers if router)
    assert 0 not in (*provider.by_status.values(), *provider.by_router.values())


async def test_a_walk_looks_at_the_matrix_once_and_sees_the_next_sweep_when_the_loop_had_its_turn(
    sessions: SessionsProvider, matrix: Matrix
) -> None:
    for number in range(4):
        sessions.put(event(number))
    reader = sessions._matrix
    looks = 0
    snapshot = reader.snapshot

    def counted() -> tuple:
        nonlocal looks
        looks += 1
        return snapshot()

    reader.snapshot = counted  # type: ignore[method-assign]
    walk = sessions.iter()
    first = [next(walk).counters.tick, next(walk).counters.tick]
    with matrix.writing() as rows:
        rows[2, 1] = 999
        matrix.finish_sweep()
    await asyncio.sleep(0)
    third = next(walk)
    assert first == [1, 1]
    assert (third.counters.in_octets, third.counters.tick) == (999, 2)
    assert looks == 2
    await asyncio.sleep(0)
    with matrix.writing():
        matrix.finish_sweep()
    assert third.counters.tick == 3, "outside of a walk, a record shows what is now"

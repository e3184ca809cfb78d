"""The backlog of accounting records: order, what survives a kill, and what is in memory."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bng.aaa.accounting import Backlog, Record
from bng.aaa.interims import Interim
from bng.aaa.spool import Spool
from bng.codec.radius import Attribute
from bng.session.effects import Account, AccountKind
from bng.session.events import Counters

START, INTERIM, STOP = AccountKind.START, AccountKind.INTERIM, AccountKind.STOP
HOUR = 3600 * 1_000_000_000


def name_of(number: int) -> str:
    return f"{number:016x}"


def record(number: int, kind: AccountKind | None, time: int = 0, seq: int = 0) -> Record:
    if kind is None:
        return Record("", None, time, (Attribute(0, 40, b"\0\0\0\7"),), given=seq)
    if kind is INTERIM:
        account = Account(
            INTERIM, name_of(number), number, 1, "u", "m", "i", "p", (), time, Counters(time), None, time
        )
        return Record(name_of(number), INTERIM, time, account=account)
    return Record(name_of(number), kind, time, (Attribute(0, 44, name_of(number).encode()),), given=seq)


class Life:
    """A backlog over a folder, the journal that it follows, and the server; `kill` begins the next life."""

    def __init__(self, folder: Path, window: int = 4) -> None:
        self.folder, self.window = folder, window
        self.time = self.seq = 0
        self.journal: list[tuple[int, int, AccountKind]] = []
        self.live: set[int] = set()
        self.stopped: set[int] = set()
        self.newest_interim: dict[int, int] = {}
        self.flying: list[Record] = []
        self.taken: list[tuple[int, AccountKind | None, int]] = []
        self._open()

    def _open(self) -> None:
        self.spool = Spool(self.folder, self.seq, segment_bytes=200)
        self.backlog = Backlog(self.window, 1000, HOUR, self.spool)

    def kill(self) -> None:
        self.spool.close()  # what a kill does to descriptors, and no more
        self.flying.clear()
        self._open()
        for seq, number, kind in self.journal:
            if seq > self.spool.given:
                self.backlog.add(record(number, kind, seq, seq))
        for number in sorted(self.live):
            kept = self.spool.interims.get(number)
            if kept is not None and kept.session_id == name_of(number):
                self.backlog.restore(record(number, INTERIM, kept.time))

    def begin(self, number: int) -> None:
        if number not in self.live and number not in self.stopped:
            self.live.add(number)
            self._event(number, START)

    def interim(self, number: int) -> None:
        if number in self.live:
            self.time += 1
            self.newest_interim[number] = self.time
            self.backlog.add(record(number, INTERIM, self.time))

    def end(self, number: int) -> None:
        if number in self.live:
            self.live.discard(number)
            self.stopped.add(number)
            self.newest_interim.pop(number, None)
            self._event(number, STOP)

    def _event(self, number: int, kind: AccountKind, *, lost_on_the_way: bool = False) -> None:
        self.seq += 1
        self.journal.append((self.seq, number, kind))
        if not lost_on_the_way:
            self.backlog.add(record(number, kind, self.seq, self.seq))

    def send(self) -> None:
        taken = self.backlog.take(self.time)
        if taken is not None:
            assert taken.chain not in {other.chain for other in self.flying}
            self.flying.append(taken)

    def acknowledge(self, which: int) -> None:
        if self.flying:
            done = self.flying.pop(which % len(self.flying))
            number = int(done.chain, 16) if done.chain else -1
            self.taken.append((number, done.kind, done.time))
            self.backlog.delivered(done)

    def lose(self, which: int) -> None:
        if self.flying:
            self.backlog.undelivered(self.flying.pop(which % len(self.flying)))

    def finish(self) -> None:
        for _ in range(1000):
            if not len(self.backlog):
                return
            self.send()
            self.acknowledge(0)
        raise AssertionError("something is never delivered")


OPERATIONS = st.one_of(
    st.tuples(st.sampled_from(["begin", "interim", "end"]), st.integers(0, 7)),
    st.tuples(st.sampled_from(["acknowledge", "lose"]), st.integers(0, 7)),
    st.tuples(st.sampled_from(["send"]), st.just(0)),
    st.tuples(st.sampled_from(["kill", "note"]), st.just(0)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(OPERATIONS, max_size=80))
def test_whatever_happens_each_session_has_one_start_and_one_stop_in_order(
    operations: list[tuple[str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        life = Life(Path(folder))
        for operation, number in operations:
            if operation == "note":
                life.spool.note(life.seq)
            elif operation in ("send", "kill"):
                getattr(life, operation)()
            else:
                getattr(life, operation)(number)
        life.kill()
        life.finish()
        stories: dict[int, list[tuple[AccountKind | None, int]]] = defaultdict(list)
        for number, kind, time in life.taken:
            stories[number].append((kind, time))
        for number in life.live | life.stopped:
            kinds = [kind for kind, _ in stories[number]]
            middle = kinds[1 : -1 if number in life.stopped else None]
            assert kinds[0] is START
            assert set(middle) <= {INTERIM}
            assert (kinds[-1] is STOP) == (number in life.stopped)
            times = [time for kind, time in stories[number] if kind is INTERIM]
            assert times == sorted(times)
            if number in life.newest_interim:
                assert times[-1] == life.newest_interim[number], "the newest arrives"
        life.kill()
        assert len(life.backlog) == 0, "what was acknowledged is not sent again"
        life.spool.close()


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path)


def test_an_event_that_did_not_come_to_the_spool_is_made_again(life: Life) -> None:
    life.begin(1)
    life._event(1, STOP, lost_on_the_way=True)
    life.kill()
    life.finish()
    assert [kind for _, kind, _ in life.taken] == [START, STOP]


def test_memory_holds_a_window_only(life: Life) -> None:
    for number in range(100):
        life.begin(number)
        life.interim(number)
        life.interim(number)
    for number in range(50):
        life.end(number)
    assert len(life.backlog) == 100 + 50 + 50, "the newest interim of those that live"
    assert life.spool.unread == 150 - 4
    assert sum(map(len, life.backlog._chains.values())) <= 4 + 4
    life.finish()
    assert life.spool.unread == 0
    assert [kind for number, kind, _ in life.taken if number == 3] == [START, STOP]
    assert [kind for number, kind, _ in life.taken if number == 70] == [START, INTERIM]


def test_starts_and_stops_go_before_interims(life: Life) -> None:
    life.begin(1)
    life.finish()
    life.interim(1)
    life.begin(2)
    life.finish()
    assert [(number, kind) for number, kind, _ in life.taken[1:]] == [(2, START), (1, INTERIM)]
    life.interim(1)
    life.send()
    life.lose(0)
    life.begin(3)
    life.end(1)
    life.finish()
    assert [(number, kind) for number, kind, _ in life.taken[3:]] == [(3, START), (1, STOP)]


def test_an_interim_in_flight_is_not_overtaken(life: Life) -> None:
    life.begin(1)
    life.finish()
    life.interim(1)
    life.send()
    life.interim(1)
    life.interim(1)
    life.acknowledge(0)
    kept = life.spool.interims.get(1)
    assert kept == Interim(name_of(1), 3, 3, Counters(3))
    life.finish()
    assert [time for _, kind, time in life.taken if kind is INTERIM] == [1, 3]
    assert life.spool.interims.get(1) is None


class TestBarrier:
    def test_what_came_before_goes_before_and_what_came_after_waits(self, life: Life) -> None:
        life.begin(1)
        life.begin(2)
        life.send()
        life.backlog.add(record(0, None))
        life.begin(3)
        life.interim(1)
        life.interim(3)
        life.end(1)
        for _ in range(9):
            life.send()
        assert [one.chain for one in life.flying] == [name_of(1), name_of(2)]
        life.acknowledge(0)
        life.send()
        life.acknowledge(0)
        for _ in range(3):
            life.send()
            assert [one.kind for one in life.flying] == [None]
        life.lose(0)
        assert life.backlog.flying == 0
        life.finish()
        kinds = [(number, kind) for number, kind, _ in life.taken]
        assert kinds == [(1, START), (2, START), (-1, None), (3, START), (1, STOP), (3, INTERIM)]

    def test_two(self, life: Life) -> None:
        life.backlog.add(record(0, None))
        life.begin(1)
        life.backlog.add(record(0, None))
        life.begin(2)
        life.kill()
        life.finish()
        assert [number for number, _, _ in life.taken] == [-1, 1, -1, 2]

    def test_one_that_is_too_old_holds_nobody_up(self, life: Life) -> None:
        life.backlog.add(record(0, None))
        life.backlog.add(record(1, START, 2 * HOUR))
        life.time = 2 * HOUR
        life.send()
        assert [one.chain for one in life.flying] == [name_of(1)]
        assert life.backlog.lost == 1


def test_what_is_too_old_is_given_up_and_stays_so(life: Life) -> None:
    for number in range(9):
        life.begin(number)
    life.interim(1)
    life.time = 2 * HOUR
    life.interim(2)
    life.finish()
    assert life.backlog.lost == 9 + 1
    assert [(number, kind) for number, kind, _ in life.taken] == [(2, INTERIM)]
    life.kill()
    assert len(life.backlog) == 0


class TestWithoutDisk:
    def test_records_are_in_memory_and_bounded(self) -> None:
        backlog = Backlog(2, 3, HOUR)
        for number in range(9):
            backlog.add(record(number, START))
        backlog.add(record(0, INTERIM))
        backlog.add(record(0, STOP))
        assert backlog.lost == 5
        assert len(backlog) == 5
        came = []
        while (taken := backlog.take(0)) is not None:
            came.append((int(taken.chain, 16), taken.kind))
            backlog.delivered(taken)
        assert came == [(0, START), (1, START), (7, START), (8, START), (0, STOP)]
        assert len(backlog) == 0

    def test_an_interim_alone(self) -> None:
        backlog = Backlog(2, 3, HOUR)
        backlog.add(record(1, INTERIM))
        backlog.add(record(1, STOP))
        taken = backlog.take(0)
        assert taken is not None
        assert taken.kind is STOP
        backlog.delivered(taken)
        assert backlog.take(0) is None


class Refusing(Spool):
    """A spool whose disk is full while `full`."""

    full = False

    def _write(self, data: bytes) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        super()._write(data)


FULL_OPERATIONS = st.one_of(
    st.tuples(st.sampled_from(["begin", "interim", "end"]), st.integers(0, 9)),
    st.tuples(st.sampled_from(["acknowledge", "lose"]), st.integers(0, 7)),
    st.tuples(st.sampled_from(["send", "full", "room"]), st.just(0)),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(FULL_OPERATIONS, max_size=80))
def test_a_disk_that_is_full_now_and_then_changes_nothing(operations: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        life: Any = Life(Path(folder))
        life.spool.close()
        life.spool = Refusing(Path(folder), 0, segment_bytes=200)
        life.backlog = Backlog(3, 1000, HOUR, life.spool)
        for operation, number in operations:
            if operation in ("full", "room"):
                life.spool.full = operation == "full"
            elif operation == "send":
                life.send()
            else:
                getattr(life, operation)(number)
        for one in list(life.flying):
            life.acknowledge(life.flying.index(one))
        life.finish()
        for number in life.live | life.stopped:
            kinds = [kind for one, kind, _ in life.taken if one == number and kind is not INTERIM]
            assert kinds == [START, STOP][: 1 + (number in life.stopped)]
        assert (life.backlog.unplaced, life.backlog.lost) == (0, 0)
        life.spool.full = False
        life.begin(100)
        assert life.spool.given == life.seq
        life.spool.close()
        again = Spool(Path(folder), life.seq)
        again.close()
        assert again.unread == 1


class TestFullDisk:
    def open(self, folder: Path, seq: int = 0) -> tuple[Refusing, Backlog]:
        spool = Refusing(folder, seq)
        return spool, Backlog(2, 5, HOUR, spool)

    def drain(self, backlog: Backlog) -> list[tuple[int, AccountKind | None]]:
        came = []
        while (taken := backlog.take(0)) is not None:
            came.append((int(taken.chain, 16), taken.kind))
            backlog.delivered(taken)
        return came

    def test_service_goes_on_from_memory(self, tmp_path: Path) -> None:
        spool, backlog = self.open(tmp_path)
        backlog.add(record(1, START, 0, 1))
        spool.full = True
        backlog.add(record(2, START, 0, 2))
        for number in range(3, 6):
            backlog.add(record(number, START, 0, number))
        assert (backlog.unplaced, spool.given) == (4, 1)
        assert spool.alarm is not None
        assert self.drain(backlog) == [(number, START) for number in range(1, 6)]
        assert backlog.unplaced == 0
        assert len(backlog) == 0

    def test_the_order_is_kept_when_there_is_room_again(self, tmp_path: Path) -> None:
        spool, backlog = self.open(tmp_path)
        backlog.add(record(1, START, 0, 1))
        backlog.add(record(2, START, 0, 2))
        spool.full = True
        backlog.add(record(3, START, 0, 3))
        backlog.add(record(4, START, 0, 4))
        spool.full = False
        backlog.add(record(3, STOP, 0, 5))
        assert (backlog.unplaced, spool.given, spool.unread) == (0, 5, 3)
        assert spool.alarm is None
        _, again = self.open(tmp_path, 5)
        assert self.drain(again) == [(1, START), (2, START), (3, START), (4, START), (3, STOP)]

    def test_what_the_disk_never_had_is_found_in_the_journal(self, tmp_path: Path) -> None:
        spool, backlog = self.open(tmp_path)
        spool.full = True
        backlog.add(record(1, START, 0, 1))
        spool.full = False
        backlog.add(record(2, START, 0, 2))
        assert (backlog.unplaced, spool.given) == (1, 0), "1 is in flight from memory only"
        assert self.drain(backlog) == [(1, START), (2, START)]
        backlog.add(record(3, START, 0, 3))
        assert spool.given == 3

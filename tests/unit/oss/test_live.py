"""The board of live sessions, and what a browser's queue does when it is full."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oss.domain.sessions import SessionBase
from oss.live import QUEUE_LIMIT, Board, Session, Subscriber, encode

START = datetime(2026, 11, 21, 12, tzinfo=UTC)


def session(number: str = "1", bng: str = "bng-01", **more: Any) -> Session:
    fields: dict[str, Any] = dict.fromkeys(SessionBase.model_fields)
    fields.update(dict.fromkeys(("in_octets", "out_octets", "in_packets", "out_packets"), 0))
    fields.update(in_discards=0, out_discards=0, bng_id=bng, session_id=number, status="active")
    return Session(**{**fields, **more})


def row(
    seconds: float,
    in_octets: int,
    out_octets: int,
    number: str = "1",
    in_discards: int = 0,
    out_discards: int = 0,
) -> dict[str, Any]:
    return {
        "session_id": number,
        "in_octets": in_octets,
        "out_octets": out_octets,
        "in_discards": in_discards,
        "out_discards": out_discards,
        "sampled_at": START + timedelta(seconds=seconds),
    }


def test_rates_come_from_two_samples() -> None:
    board = Board()
    board.put(session())
    assert board.sample("bng-01", [row(0, 1000, 2000)]) == [["1", None, None, 1000, 2000, 0, 0]]
    assert board.sample("bng-01", [row(5, 1625, 8250)]) == [["1", 1000.0, 10000.0, 1625, 8250, 0, 0]]


def test_drops_are_told_even_when_nothing_else_moves() -> None:
    board = Board()
    board.put(session())
    for seconds in (0, 5):
        board.sample("bng-01", [row(seconds, 700, 700)])
    dropped = row(10, 700, 700, in_discards=2, out_discards=9)
    assert board.sample("bng-01", [dropped]) == [["1", 0.0, 0.0, 700, 700, 2, 9]]
    assert board.sessions["bng-01", "1"].out_discards == 9


def test_a_missing_sample_makes_the_mean_longer() -> None:
    board = Board()
    board.put(session())
    board.sample("bng-01", [row(0, 0, 0)])
    assert board.sample("bng-01", [row(20, 0, 2500)])[0][2] == 1000.0


def test_a_counter_that_restarted_counts_from_zero() -> None:
    board = Board()
    board.put(session())
    board.sample("bng-01", [row(0, 10**9, 10**9)])
    assert board.sample("bng-01", [row(8, 100, 50)])[0][1:3] == [100.0, 50.0]


def test_the_same_sweep_twice_changes_nothing() -> None:
    board = Board()
    board.put(session())
    board.sample("bng-01", [row(0, 0, 0)])
    board.sample("bng-01", [row(5, 5000, 0)])
    assert board.sample("bng-01", [row(5, 5000, 0)]) == []
    assert board.sessions["bng-01", "1"].in_rate == 8000.0


def test_what_stands_still_is_told_once() -> None:
    board = Board()
    board.put(session())
    for seconds in (0, 5):
        board.sample("bng-01", [row(seconds, 700, 700)])
    assert board.sample("bng-01", [row(10, 700, 700)]) == []


def test_an_event_between_samples_keeps_the_rates_and_their_base() -> None:
    board = Board()
    board.put(session())
    board.sample("bng-01", [row(0, 0, 0)])
    board.sample("bng-01", [row(5, 5000, 0)])
    newer = START + timedelta(seconds=10)
    kept = board.put(session(status="idle", in_octets=9000, sampled_at=newer))
    assert (kept.status, kept.in_rate) == ("idle", 8000.0)
    assert board.sample("bng-01", [row(10, 10000, 0)]) == [["1", 8000.0, 0.0, 10000, 0, 0, 0]]


def test_samples_of_unknown_sessions_and_other_bngs_are_ignored() -> None:
    board = Board()
    board.put(session())
    assert board.sample("bng-01", [row(0, 1, 1, "ghost")]) == []
    assert board.sample("bng-02", [row(0, 1, 1)]) == []


def test_totals_are_per_bng() -> None:
    board = Board()
    for number, bng, rate in (("1", "bng-01", 5.0), ("2", "bng-01", 7.0), ("3", "bng-02", None)):
        board.put(session(number, bng, out_rate=rate))
    board.sessions["bng-01", "1"].out_rate = 5.0
    assert board.totals() == {"bng-01": (0.0, 12.0), "bng-02": (0.0, 0.0)}


def test_removing_tells_whether_it_was_there() -> None:
    board = Board()
    board.put(session())
    assert board.remove("bng-01", "1")
    assert not board.remove("bng-01", "1")
    assert board.of_bng("bng-01") == set()


async def test_a_subscriber_begins_with_a_snapshot_then_gets_messages() -> None:
    subscriber = Subscriber()
    subscriber.offer(("early", 1))
    assert await subscriber.next() is None, "what came before the snapshot is in it"
    subscriber.offer(("late", 2))
    assert await subscriber.next() == ("late", 2)


async def test_an_overflowing_queue_is_replaced_by_a_new_snapshot() -> None:
    subscriber = Subscriber()
    await subscriber.next()
    for number in range(QUEUE_LIMIT + 1):
        subscriber.offer(("event", number))
    assert await subscriber.next() is None
    subscriber.offer(("event", "after"))
    assert await subscriber.next() == ("event", "after")


@pytest.mark.parametrize("text", ["line\nbreak", "\r\n\r\ndata: forged"])
def test_data_cannot_break_out_of_its_event(text: str) -> None:
    assert encode("events", {"reason": text}).count(b"\n") == 3

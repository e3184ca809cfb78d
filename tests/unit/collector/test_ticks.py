"""Messages of samples and what becomes of them."""

from __future__ import annotations

import numpy as np
import pytest

from collector import ticks
from collector.gaps import torn
from collector.template import SESSION_ID, Samples
from collector.ticks import CUT, GOES_ON, Part, Ticks, Written

SECOND = 10**9


def ids(*sessions: str) -> np.ndarray:
    return np.array(sessions, SESSION_ID)


def message(tick: int, *sessions: str) -> Samples:
    return Samples(tick * SECOND, ids(*sessions), np.full((len(sessions), 7), tick, np.int64))


def told(parts: list[Part]) -> list[tuple[int, str, bool, bool]]:
    """Tick, sessions, whether whole and whether first."""
    empty = Samples(0, ids(), np.zeros((0, 7), np.int64))
    found = [(part.samples or empty, part) for part in parts]
    return [
        (samples.time_ns // SECOND, "".join(samples.sessions.astype(str)), part.whole, part.first)
        for samples, part in found
    ]


def test_a_tick_is_whole_when_something_follows() -> None:
    ticks = Ticks(Written())
    assert told(ticks.take([message(1, "a"), message(1, "b"), None], more=False)) == [(1, "ab", True, True)]
    assert told(ticks.take([message(2, "a")], more=False)) == [(2, "a", False, False)]
    assert told(ticks.take([None], more=False)) == [(0, "", True, False)]
    assert told(ticks.take([None], more=False)) == []
    assert told(ticks.take([message(3, "a"), message(4, "a")], more=False)) == [
        (3, "a", True, False),
        (4, "a", False, False),
    ]
    assert told(ticks.take([message(4, "b"), None], more=False)) == [(4, "b", True, False)]


def test_a_full_batch_that_ends_within_a_tick() -> None:
    ticks = Ticks(Written())
    assert told(ticks.take([message(1, "a"), message(2, "a")], more=True)) == [(1, "a", True, True)]
    assert told(ticks.take([message(2, "b"), None], more=False)) == [(2, "ab", True, False)]
    assert told(ticks.take([message(3, "a")], more=True)) == [
        (3, "a", False, False)
    ]  # too much for one batch
    assert told(ticks.take([message(3, "b"), None], more=True)) == [(3, "b", True, False)]


def test_the_same_tick_again_brings_what_was_missing() -> None:
    last = Written(7, 7 * SECOND - 999, False, ids("a", "b"))
    ticks = Ticks(last)
    assert told(ticks.take([message(7, "a", "c"), message(7, "b")], more=False)) == [(7, "c", False, True)]
    assert told(ticks.take([None], more=False)) == [(0, "", True, True)]
    assert told(ticks.take([message(7, "a", "b", "c"), None], more=False)) == []
    assert told(ticks.take([message(8, "a"), None], more=False)) == [(8, "a", True, False)]
    ticks = Ticks(last)
    assert told(ticks.take([message(7, "a"), message(7, "b"), None], more=False)) == [(0, "", True, True)]


def test_another_tick_comes_first() -> None:
    for last in (
        Written(7, 7 * SECOND, False, ids("a")),
        Written(8, 7 * SECOND),
        Written(7, 8 * SECOND),
    ):
        assert told(Ticks(last).take([message(8, "a"), None], more=False)) == [(8, "a", True, True)]


def test_what_is_missing_with_a_torn_tick() -> None:
    assert torn(7, None)[:2] == (7, 7)
    assert torn(7, (8, 11, "no samples for 4.0 s"))[:2] == (7, 11)
    assert torn(7, (8, 11, "no samples for 4.0 s"))[2].endswith("; no samples for 4.0 s")


def test_a_stream_that_goes_on_with_another_reader() -> None:
    last = Written(7, 7 * SECOND, False, ids("a"))
    assert told(Ticks(last, GOES_ON).take([message(7, "b"), None], more=False)) == [(7, "b", True, False)]
    assert told(Ticks(last, GOES_ON).take([None, message(8, "a")], more=False)) == [
        (0, "", True, True),
        (8, "a", False, False),
    ]
    assert told(Ticks(last, GOES_ON).take([message(8, "a")], more=False)) == [(8, "a", False, False)]
    # one that begins without samples says nothing of the tick before
    assert told(Ticks(last).take([None, message(8, "a"), None], more=False)) == [(8, "a", True, True)]


def test_what_comes_behind_a_cut_is_no_whole_tick() -> None:
    last = Written(7, 7 * SECOND, False, ids("a"))
    for begin in (message(7, "c"), message(8, "c")):
        ticks, tick = Ticks(last, CUT), begin.time_ns // SECOND
        assert told(ticks.take([begin], more=False)) == [(tick, "c", False, True)]
        assert told(ticks.take([message(tick, "d")], more=False)) == [(tick, "d", False, True)]
        assert not ticks.settled
        assert told(ticks.take([None], more=False)) == []
        assert not ticks.settled
        assert told(ticks.take([message(9, "a"), None], more=False)) == [(9, "a", True, True)]
        assert ticks.settled
    assert told(Ticks(last, CUT).take([message(8, "c"), message(9, "a"), None], more=False)) == [
        (8, "c", False, True),
        (9, "a", True, True),
    ]
    assert told(Ticks(last, CUT).take([None, message(8, "a")], more=False)) == [(8, "a", False, True)]


def test_a_tick_without_an_end_does_not_take_all_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticks, "MOST_KNOWN", 10)
    cutter = Ticks(Written())
    for number in range(100):
        sessions = np.array([f"{number:016x}"], SESSION_ID)
        cutter.take([Samples(1, sessions, np.ones((1, 7), np.int64))], more=False)
    assert sum(part.size for part in cutter._known) <= 11


def test_a_session_that_is_there_twice_in_a_tick_is_one_row() -> None:
    def values(found: Samples) -> list[tuple[str, int]]:
        return list(zip(found.sessions.astype(str), found.values[:, 1].tolist(), strict=True))

    first, second = ids("a", "b"), ids("c", "a", "d")
    cutter = Ticks(Written())
    for tick in (1, 2, 3):  # again and again, from the same layouts
        parts = [
            Samples(tick * SECOND, sessions, np.full((len(sessions), 7), value, np.int64))
            for value, sessions in ((10 * tick, first), (10 * tick + 1, second))
        ]
        (part,) = (part for part in cutter.take([*parts, None], more=False) if part.samples)
        assert part.samples
        now = 10 * tick
        assert values(part.samples) == [("a", now), ("b", now), ("c", now + 1), ("d", now + 1)]
    # the same layouts, once distinct: not taken for distinct when another one comes between them
    for sessions, told_of in ((ids("e"), "abe"), (second, "abcd"), (ids("f"), "abf"), (first, "ab")):
        tick += 1
        parts = [Samples(tick * SECOND, one, np.zeros((len(one), 7), np.int64)) for one in (first, sessions)]
        (part,) = (part for part in cutter.take([*parts, None], more=False) if part.samples)
        assert part.samples
        assert "".join(part.samples.sessions.astype(str)) == told_of


def test_the_second_part_of_a_tick_brings_no_session_again() -> None:
    cutter = Ticks(Written())
    assert told(cutter.take([message(1, "a"), message(1, "b")], more=False)) == [(1, "ab", False, True)]
    assert told(cutter.take([message(1, "b"), message(1, "c"), None], more=False)) == [(1, "c", True, True)]


def test_ids_that_differ_in_one_half_are_not_taken_for_one() -> None:
    few = [f"{high:08x}{low:08x}" for high in range(64) for low in range(64)]
    assert not ticks.twice(ids(*few))
    assert ticks.twice(ids(*few, few[1234]))

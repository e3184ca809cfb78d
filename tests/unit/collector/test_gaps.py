"""What is missing between two samples."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from collector.gaps import Pace, Told, missed, usual_step

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ticks", "seconds", "interval", "seen", "lost"),
    [
        (1, 5, 5, 0, None),  # as it should be
        (2, 10, 5, 0, (101, 101)),  # one is missing
        (7, 35, 5, 0, (101, 106)),
        (1, 3600, 5, 5, None),  # nobody knows how often it sweeps
        (1, -3600, 5, 5, None),  # the clock was set back
        (4, -3600, 5, 5, (101, 103)),  # and samples are missing
        (4, 0.1, 5, 5, (101, 103)),  # the same, and the clock hides it: ours does not
        (5, 5, 5, 1, None),  # swept each second, sampled each five
        (6, 6, 5, 1, None),
        (10, 10, 5, 1, (101, 109)),
        (0, 0, 5, 0, None),  # the rest of a tick
        (-90, 7, 5, 0, (101, 101)),  # counted anew
    ],
)
def test_missed(
    ticks: int, seconds: float, interval: float, seen: float, lost: tuple[int, int] | None
) -> None:
    this = 100 + ticks, NOON + timedelta(seconds=seconds)
    found = missed((100, NOON), this, interval, Told(seen))
    assert (found and found[:2]) == lost


@pytest.mark.parametrize(
    ("ticks", "seconds", "skipped", "lost"),
    [
        (2, 6.4, 0, None),  # swept twice within 1.3 intervals: on purpose, or late
        (2, 6.4, 1, (101, 101)),  # the element knows
        (9, 6.4, 1, (101, 108)),
        (1, 5, 1, None),  # what it left out were older samples of the same sweep
        (0, 0, 1, None),
        (2, 10, 1, (101, 101)),  # once
    ],
)
def test_what_the_element_left_out(
    ticks: int, seconds: float, skipped: int, lost: tuple[int, int] | None
) -> None:
    found = missed((100, NOON), (100 + ticks, NOON + timedelta(seconds=seconds)), 5, Told(0, skipped))
    assert (found and found[:2]) == lost


def walked(*samples: tuple[int, float]) -> list[tuple[int, int]]:
    """What is missing of ticks that were at these seconds, each sampled every five."""
    last: tuple[int | None, datetime | None] = None, None
    found, usual = [], None
    for tick, seconds in samples:
        this = tick, NOON + timedelta(seconds=seconds)
        gap = missed(last, this, 5, Told(usual=usual))
        usual = usual_step(last, this, 5, usual)
        last = this
        found += [gap[:2]] if gap else []
    return found


def test_a_tick_between_close_neighbours_is_missed_where_there_is_one_tick_to_a_sample() -> None:
    assert walked((1, 0), (2, 5), (3, 14), (5, 20), (6, 25)) == [(4, 4)]
    assert walked((3, 14), (5, 20)) == []  # nobody knows
    assert walked((1, 0), (2, 5), (3, 14), (4, 15.5), (5, 20)) == []  # late, and not missing
    assert walked((5, 0), (10, 5), (15, 10), (20, 16), (30, 22), (35, 27)) == [(21, 29)]


def test_an_element_that_stands_still_is_told_once() -> None:
    assert walked((1, 0), (2, 5), (3, 3600), (4, 3605), (5, 3610)) == [(3, 3)]
    assert walked((1, 0), (2, 5), (3, 20), (4, 35), (5, 50)) == [(3, 3)]  # or sweeps more seldom from now on
    assert walked((1, 0), (2, 30), (3, 60), (5, 120)) == [(4, 4)]


@pytest.mark.parametrize("sweep", [0.5, 0.8, 1, 1.25, 1.4, 2, 2.5, 3, 3.3, 4, 5, 7, 10, 15, 60])
@pytest.mark.parametrize("lost", [0, 1, 7])
def test_samples_need_be_no_multiple_of_sweeps(sweep: float, lost: int) -> None:
    """Nothing is missing where an element samples the first sweep that is due; and what is lost is."""
    sampled, due = list[tuple[int, float]](), 0.0
    for tick in range(1, 1000):
        if tick * sweep >= due:
            sampled.append((tick, tick * sweep))
            due = max(due + 5, tick * sweep)
    gone = sampled[50 : 50 + lost]
    found = walked(*(sample for sample in sampled if sample not in gone))
    if lost == 1 and sweep in (2, 3, 3.3, 4):
        found = found or [gone[0]]  # one alone may look like one that was not due
    assert len(found) == min(lost, 1)
    for first, last in found:
        assert first <= gone[0][0] <= gone[-1][0] <= last


def test_who_sweeps_more_often_from_now_on_misses_one_tick_at_most() -> None:
    assert walked((1, 0), (2, 5), (4, 10), (6, 15)) == []
    assert walked((1, 0), (2, 5), (4, 11), (6, 17), (8, 23), (9, 26), (11, 32)) == [(3, 3)]
    assert walked((2, 0), (4, 5), (5, 10), (6, 15), (7, 20)) == []  # less often


def test_nothing_is_missing_before_the_first() -> None:
    assert missed((None, None), (7, NOON), 5) is None


def test_pace() -> None:
    pace = Pace()
    assert [
        pace.seen(tick, clock) for tick, clock in ((10, 100.0), (12, 103.0), (12, 104.0), (5, 105.0))
    ] == [
        0.0,
        1.5,
        0.0,
        0.0,
    ]

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
        (
            1,
            3600,
            5,
            5,
            (101, 101),
        ),  # the element made none for an hour, or its clock was set: told in any case
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

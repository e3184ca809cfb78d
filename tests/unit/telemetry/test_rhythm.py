"""Samples are taken between two sweeps: none is sampled twice, none is left out."""

import random
from itertools import pairwise

import pytest

from telemetry.sampler import Rhythm
from telemetry.subscribe import Timer

SECOND = 10**9


def sampled(interval, period, phase, jitter=0.02, samples=60):
    """Numbers of the sweeps that a timer with a rhythm samples; all times in seconds."""
    chance = random.Random(phase)
    made = [int((number * period + phase + chance.uniform(0, jitter)) * SECOND) for number in range(2000)]
    timer, rhythm, seen, now = Timer(interval * SECOND, 50 * SECOND), Rhythm(), [], 50 * SECOND
    while len(seen) < samples:
        now = timer.due_at + int(chance.uniform(0, jitter) * SECOND)
        assert timer.expired(now)
        tick = max(number for number, time in enumerate(made) if time <= now)
        rhythm.saw(tick, made[tick], now)
        timer.shift(rhythm.shift(timer.interval))
        seen.append(tick)
    return seen


@pytest.mark.parametrize("phase", [0.0, 0.01, -0.01, -0.03, 2.5, 4.9])
def test_each_sweep_is_sampled_once(phase):
    seen = sampled(5, 5, phase)
    assert {after - before for before, after in pairwise(seen[3:])} == {1}


def test_longer_intervals_leave_out_equally_many():
    seen = sampled(30, 10, 0.0)
    assert {after - before for before, after in pairwise(seen[3:])} == {3}


@pytest.mark.parametrize(
    "saw",
    [
        [],
        [(1, 0, 0)],  # how far sweeps are apart is not known
        [(1, 0, 0), (2, 10 * SECOND, 10 * SECOND)],  # several samples of each sweep
        [(1, 0, 0), (2, 5 * SECOND, 7 * SECOND)],  # between two sweeps
        [(1, 0, 0), (2, 5 * SECOND, 60 * SECOND)],  # no more sweeps
        [(1, 0, 0), (2, 5 * SECOND, 4 * SECOND)],  # the clock was set
        [(5, 0, 0), (1, 5 * SECOND, 5 * SECOND)],  # ticks that began anew
    ],
)
def test_when_samples_stay_where_they_are(saw):
    rhythm = Rhythm()
    for tick, made, now in saw:
        rhythm.saw(tick, made, now)
    assert rhythm.shift(5 * SECOND) == 0


def test_sweeps_that_follow_the_samples_do_not_push_them_on_for_ever():
    timer, rhythm, moves = Timer(5 * SECOND, 0), Rhythm(), []
    for tick in range(20):
        now = timer.due_at
        assert timer.expired(now)
        rhythm.saw(tick, now, now)  # made because it is sampled
        moves.append(rhythm.shift(timer.interval))
        timer.shift(moves[-1])
    assert sum(move != 0 for move in moves) == Rhythm.ATTEMPTS

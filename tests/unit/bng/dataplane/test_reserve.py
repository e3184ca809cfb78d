"""The reserve of class slots follows a rush."""

from __future__ import annotations

from bng.dataplane.reserve import Reserve


def test_in_quiet_times_it_is_what_was_configured() -> None:
    reserve = Reserve(100)
    assert [reserve.target(50, now) for now in (0.0, 0.5, 1.0)] == [150, 150, 150]


def test_in_a_rush_it_lasts_for_two_seconds() -> None:
    reserve = Reserve(100)
    reserve.target(0, 0.0)
    assert reserve.target(150, 0.1) == 150 + 100 + 3000


def test_it_calms_down_slowly() -> None:
    reserve = Reserve(100)
    reserve.target(0, 0.0)
    ahead = [reserve.target(1000, 1.0 + at / 8) - 1000 for at in range(60)]
    assert ahead == sorted(ahead, reverse=True)
    assert ahead[0] == 100 + 2000
    assert ahead[-1] < 110


def test_looks_in_quick_succession_are_no_rush() -> None:
    reserve = Reserve(100)
    reserve.target(0, 0.0)
    assert reserve.target(5, 0.0001) == 105


def test_it_is_bounded() -> None:
    reserve = Reserve(100)
    reserve.target(0, 0.0)
    assert reserve.target(100_000, 0.1) <= 100_000 + 100 + 16_384


def test_sessions_that_end_are_no_rush() -> None:
    reserve = Reserve(100)
    reserve.target(1000, 0.0)
    assert reserve.target(0, 1.0) == 100

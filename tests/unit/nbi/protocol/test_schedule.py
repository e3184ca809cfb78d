"""When updates are due, without a clock."""

from hypothesis import given
from hypothesis import strategies as st

from nbi.protocol.schedule import Dampening, Periodic


def test_the_next_moment_is_a_multiple_of_the_period_from_the_anchor():
    schedule = Periodic(period=60, anchor=1000)
    assert [schedule.after(now) for now in (999, 1000, 1001, 1059, 1060)] == [1000, 1060, 1060, 1060, 1120]
    assert schedule.after(0) == 40, "the anchor may be in the future"


def test_skipped_moments_are_counted():
    schedule = Periodic(period=10, anchor=0)
    assert [schedule.skipped(0, following) for following in (10, 20, 50)] == [0, 1, 4]


@given(st.integers(1, 10**12), st.integers(0, 10**19), st.integers(0, 10**19))
def test_it_is_the_first_one(period, anchor, now):
    following = Periodic(period, anchor).after(now)
    assert now < following <= now + period
    assert (following - anchor) % period == 0


def test_dampening_holds_back_what_comes_too_soon():
    dampening = Dampening(2.0)
    assert dampening.remaining(100.0) == 0.0, "the first change is told of at once"
    dampening.sent(100.0)
    assert dampening.remaining(100.5) == 1.5
    assert dampening.remaining(103.0) == 0.0
    none = Dampening(0.0)
    none.sent(1.0)
    assert none.remaining(1.0) == 0.0

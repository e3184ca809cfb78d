"""When subscriptions are due, and what slow readers get."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.protocol import gnmi_pb2 as pb
from telemetry.subscribe import (
    SECOND,
    Cursor,
    Limits,
    Lost,
    Mailbox,
    Mode,
    TermsError,
    Timer,
    Wheel,
    terms,
)

LIMITS = Limits(fastest=SECOND, chosen=10 * SECOND)


def test_terms_defaults():
    assert terms(pb.Subscription(mode=pb.SAMPLE), LIMITS).interval == SECOND
    chosen = terms(pb.Subscription(), LIMITS)
    assert (chosen.mode, chosen.interval, chosen.heartbeat) == (Mode.TARGET_DEFINED, 10 * SECOND, 0)


def test_suppression_is_for_samples():
    assert terms(pb.Subscription(mode=pb.SAMPLE, suppress_redundant=True), LIMITS).suppress_redundant
    assert not terms(pb.Subscription(mode=pb.ON_CHANGE, suppress_redundant=True), LIMITS).suppress_redundant


@pytest.mark.parametrize(
    "asked",
    [
        pb.Subscription(mode=pb.SAMPLE, sample_interval=1),
        pb.Subscription(mode=pb.SAMPLE, sample_interval=2**64 - 1),
        pb.Subscription(mode=pb.ON_CHANGE, heartbeat_interval=SECOND - 1),
        pb.Subscription(mode=7),
    ],
)
def test_terms_that_cannot_be_kept(asked):
    with pytest.raises(TermsError):
        terms(asked, LIMITS)


@given(st.integers(1, 100), st.lists(st.integers(0, 250), min_size=1, max_size=30))
def test_a_timer_is_due_once_per_interval_and_never_early(interval, steps):
    now = 1000
    timer = Timer(interval, now)
    for step in steps:
        last, now = now, now + step
        crossed = now // interval > last // interval
        assert timer.expired(now) == crossed
        assert not timer.expired(now)
        assert now < timer.due_at <= now + interval


def test_equal_subscribers_share_a_group():
    wheel = Wheel()
    first = wheel.join("10s", 10, "a", now=3)
    assert wheel.join("10s", 10, "b", now=7) is first
    wheel.join("5s", 5, "c", now=7)
    assert wheel.next_due() == 10
    assert {group.key: list(group.members) for group in wheel.due(10)} == {"10s": ["a", "b"], "5s": ["c"]}
    assert wheel.due(10) == []
    assert wheel.next_due() == 15
    wheel.leave("5s", "c")
    wheel.leave("5s", "c")
    wheel.leave("10s", "a")
    assert list(wheel.groups) == ["10s"]
    wheel.leave("10s", "b")
    assert wheel.next_due() is None


def test_a_late_wheel_skips():
    wheel = Wheel()
    wheel.join("g", 10, "a", now=0)
    assert len(wheel.due(57)) == 1
    assert wheel.next_due() == 60


@given(st.lists(st.none() | st.integers()))
def test_a_mailbox_counts_every_item_once(actions):
    mailbox, put, accounted = Mailbox(), 0, 0
    newest = None
    for action in actions:
        if action is not None:
            mailbox.put(action)
            put, newest = put + 1, action
        elif mailbox:
            item, duplicates = mailbox.take()
            assert item == newest
            accounted += 1 + duplicates
            assert not mailbox
    if mailbox:
        accounted += 1 + mailbox.take()[1]
    assert accounted == put


def test_an_empty_mailbox():
    with pytest.raises(LookupError):
        Mailbox().take()


def test_a_cursor_moves_behind_what_it_accepted():
    cursor = Cursor(5)
    assert cursor.pending(5)
    assert not cursor.pending(4)
    assert cursor.accept([(100, 5), (200, 6)], int) == [(100, 5), (200, 6)]
    assert cursor.next == 7


def test_a_cursor_ends_before_its_end():
    cursor = Cursor(5, until=200)
    assert cursor.accept([(100, 5), (200, 6), (300, 7)], int) == [(100, 5)]
    assert cursor.ended
    assert not cursor.pending(1000)


def test_a_cursor_says_what_is_lost():
    Cursor(5).check(5)
    with pytest.raises(Lost, match=r"^oldest-seq=6$"):
        Cursor(5).check(6)


def test_what_is_due_together_is_moved_together():
    wheel = Wheel()
    counters, other = wheel.join("counters", 5, "a", 0), wheel.join("instance", 5, "a", 0)
    wheel.join("health", 10, "a", 0)
    wheel.due(5)
    wheel.shift(5, 2)
    later = wheel.join("routers", 5, "b", 6)
    assert {group.timer.due_at for group in (counters, other)} == {12} and later.timer.due_at == 7
    assert [group.key for group in wheel.due(10)] == ["health", "routers"]
    assert {group.key for group in wheel.due(12)} == {"counters", "instance", "routers"}
    for key in ("counters", "instance", "routers"):
        wheel.leave(key, "b" if key == "routers" else "a")
    assert wheel.join("counters", 5, "a", 12).timer.due_at == 15

"""Events → changes, and the order of events."""

from __future__ import annotations

from typing import Any

import pytest

from collector import gaps
from collector.fold import fold
from collector.schema import EVENT


def event(seq: int, kind: str, **columns: Any) -> dict[str, Any]:
    return {**dict.fromkeys(EVENT), "seq": seq, "time": seq, "type": kind, "session_id": "s", **columns}


def test_updates_of_one_session_are_merged() -> None:
    changes = fold(
        [
            event(1, "session-start", ip_address="10.0.0.1", status="authorizing", instance_id="i"),
            event(2, "policy-apply", profile="gold", download_rate=5, status="active"),
        ]
    )
    live = changes.live["s"]
    assert (live["ip_address"], live["profile"], live["status"]) == ("10.0.0.1", "gold", "active")
    assert (live["started"], live["last_change"]) == (1, 2)
    assert changes.instance_id == "i"
    assert not changes.stopped


def test_a_session_that_ends_in_the_batch_is_both() -> None:
    stop = event(2, "session-stop", terminate_cause="User-Request", in_octets=9)
    changes = fold([event(1, "session-start"), stop])
    assert changes.live["s"]["started"] == 1
    assert changes.stopped["s"]["in_octets"] == 9
    assert changes.stopped["s"]["stopped"] == 2


def test_events_of_the_system_change_no_session() -> None:
    changes = fold([event(1, "system-start", session_id=None, instance_id="i")])
    assert (changes.live, changes.stopped, changes.routers) == ({}, {}, {})


def test_router_updates_are_kept_by_remote_id() -> None:
    router = {"remote_id": "n", "reachability": "up"}
    changes = fold([event(4, "router-update", session_id=None, router=router)])
    assert changes.routers == {"n": {**router, "last_seen": 4}}


@pytest.mark.parametrize(
    ("cursor", "seen", "verdict"),
    [
        ((0, 0), (1, 10), gaps.NEXT),
        ((0, 0), (101, 10), gaps.NEXT),  # the first contact: whatever is oldest begins our record
        ((7, 70), (8, 80), gaps.NEXT),
        ((7, 70), (7, 70), gaps.KNOWN),
        ((7, 70), (3, 30), gaps.KNOWN),
        ((7, 70), (9, 90), gaps.BROKEN),
        ((7, 70), (1, 90), gaps.BROKEN),  # a new journal counts from 1 again
        ((7, 0), (8, 80), gaps.NEXT),
        ((7, 0), (12, 80), gaps.BROKEN),
    ],
)
def test_tracker(cursor: tuple[int, int], seen: tuple[int, int], verdict: str) -> None:
    tracker = gaps.Tracker(*cursor)
    assert tracker.judge(*seen) == verdict
    assert (tracker.seq, tracker.time_ns) == (seen if verdict == gaps.NEXT else cursor)

"""Partial locks: what overlaps, and that many of them cost little."""

from __future__ import annotations

import random
import time

import pytest

from yang.datastore import locks
from yang.datastore.locks import Locks
from yang.provider import OperationError

PATHS = (
    "/a:x",
    "/a:x-y",
    "/a:x/b",
    "/a:x/b[k='1']",
    "/a:x/b[k='1']/c",
    "/a:x/b[k='11']",
    "/a:x/b[k='/['][j='2']",
)


def overlap(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return long == short or long.startswith((f"{short}/", f"{short}["))


@pytest.mark.parametrize("seed", range(20))
def test_what_overlaps(seed: int) -> None:
    chance = random.Random(seed)
    held = Locks()
    mine, theirs = chance.sample(PATHS, 2), chance.sample(PATHS, 2)
    held.lock_paths(1, theirs)
    expected = any(overlap(one, other) for one in mine for other in theirs)
    for attempt in (lambda: held.lock_paths(2, mine), lambda: held.check_paths(2, mine)):
        if expected:
            with pytest.raises(OperationError):
                attempt()
        else:
            attempt()
    held.check_paths(1, theirs)


def test_a_session_leaves_room_for_others_and_all_together_cost_little() -> None:
    held = Locks()
    for session in range(1, 16):
        for number in range(locks.MAX_SESSION_PARTIAL_LOCKS):
            held.lock_paths(session, [f"/a:x/b[k='{session} {number} {node}']" for node in range(64)])
    with pytest.raises(OperationError, match="this session holds 64") as caught:
        held.lock_paths(1, ["/a:y"])
    assert caught.value.tag == "resource-denied"
    began = time.process_time()
    held.lock_paths(99, ["/a:y"])
    held.check_paths(99, [f"/a:x/b[k='{number}']/c/d" for number in range(10_000)])
    assert time.process_time() - began < 10, "each against each of those that are held: minutes"


def test_a_user_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "MAX_USER_PARTIAL_LOCKS", 3)
    held = Locks()
    for session in range(1, 4):
        held.lock_paths(session, [f"/a:x/b[k='{session}']"], "one")
    with pytest.raises(OperationError, match="sessions of this user hold 3") as caught:
        held.lock_paths(4, ["/a:y"], "one")
    assert caught.value.tag == "resource-denied"
    held.lock_paths(5, ["/a:y"], "other")
    held.release(1)
    held.lock_paths(4, ["/a:z"], "one")

"""Queues of the writer: nobody waits for ever, and our own events never behind a flood."""

from __future__ import annotations

from bng import inbox
from bng.inbox import Inbox, Queue
from bng.session.events import SessionTraffic


def event(name: str) -> SessionTraffic:
    return SessionTraffic(name)


def fill(box: Inbox, queue: Queue, count: int) -> None:
    for number in range(count):
        box.put(event(f"{queue.name} {number}"), queue)


def test_order_of_the_queues() -> None:
    box = Inbox()
    for queue in (Queue.STRANGER, Queue.KNOWN, Queue.OWN, Queue.STRANGER):
        box.put(event(queue.name), queue)
    assert [e.session_id for e in box.take()] == ["OWN", "KNOWN", "STRANGER", "STRANGER"]
    assert len(box) == 0
    assert box.take() == []


def test_a_flood_does_not_hold_up_our_own_events() -> None:
    box = Inbox()
    fill(box, Queue.STRANGER, inbox.MAX_WAITING)
    fill(box, Queue.KNOWN, 10)
    box.put(event("answer"))
    turn = box.take()
    assert turn[0] == event("answer")
    assert turn[1:11] == [event(f"KNOWN {number}") for number in range(10)]
    assert len(turn) == inbox.TURN


def test_everybody_gets_on_in_every_turn() -> None:
    box = Inbox()
    for queue in Queue:
        fill(box, queue, 1000)
    turn = [e.session_id.split()[0] for e in box.take()]
    assert len(turn) == inbox.TURN
    assert set(turn) == {"OWN", "KNOWN", "STRANGER"}
    assert turn.count("OWN") > turn.count("KNOWN") > turn.count("STRANGER")


def test_a_turn_is_filled_by_whoever_waits() -> None:
    for queue in Queue:
        box = Inbox()
        fill(box, queue, 300)
        assert [len(box.take()) for _ in range(4)] == [128, 128, 44, 0]


def test_room() -> None:
    box = Inbox()
    fill(box, Queue.STRANGER, inbox.MAX_WAITING)
    assert not box.has_room(Queue.STRANGER)
    assert box.has_room(Queue.KNOWN)

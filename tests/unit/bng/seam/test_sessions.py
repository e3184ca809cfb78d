"""Folding the journal into sessions; the checkpoint gives what the whole journal gives."""

from __future__ import annotations

import random
from pathlib import Path

from bng.seam import segments
from bng.seam.journal import Journal
from bng.seam.reader import JournalReader
from bng.seam.sessions import Checkpoint, Sessions, fold, follow, line_key, load, load_checkpoint

INSTANCE = "6f1f1b5e-8f8e-4a55-9a37-0a4a3b2d4c11"


def session(number: int, kind: str, **more: object) -> dict:
    return {
        "type": kind,
        "session-id": f"{number:016x}",
        "access-line": {"remote-id": "node-1", "circuit-id": f"1/0/{number}"},
        "status": "active",
        **more,
    }


def numbered(*events: dict) -> list[dict]:
    return [{**e, "seq": n, "_time_ns": n * 10, "instance-id": INSTANCE} for n, e in enumerate(events, 1)]


def test_fold_keeps_the_last_event_of_each_session() -> None:
    sessions = Sessions()
    for event in numbered(
        session(1, "session-start", status="authorizing"),
        session(2, "session-start", status="authorizing"),
        session(1, "policy-apply", profile="gold"),
        session(2, "session-rejected", status="rejected"),
        session(1, "session-stop", _tombstone_until=99),
        {"type": "router-update", "router": {"name": "x"}},
    ):
        fold(sessions, event)
    assert set(sessions.by_id) == {f"{2:016x}"}
    assert sessions.by_id[f"{2:016x}"]["status"] == "rejected"
    assert sessions.tombstones == {"node-1 1/0/1": 99}
    assert (sessions.seq, sessions.started, sessions.rejected) == (6, 2, 1)


def test_fold_ignores_what_it_has_seen() -> None:
    sessions = Sessions()
    start, stop = numbered(session(1, "session-start"), session(1, "session-stop"))
    for event in (start, stop, start):
        fold(sessions, event)
    assert not sessions.by_id


def test_tombstones_end_with_a_new_session_or_their_time() -> None:
    sessions = Sessions()
    for event in numbered(
        session(1, "session-stop", _tombstone_until=10**9),
        session(2, "session-stop", _tombstone_until=15),
        session(3, "session-stop", _tombstone_until=10**9),
        session(1, "session-start"),
        {"type": "system-start"},
    ):
        fold(sessions, event)
    assert set(sessions.tombstones) == {"node-1 1/0/3"}


def test_when_a_line_lost_its_session_is_known_until_it_has_one_or_for_a_week() -> None:
    sessions = Sessions()
    week = 7 * 86_400 * 10**9
    for event in numbered(
        session(1, "session-stop"),
        session(2, "session-stop"),
        session(3, "session-stop"),
        session(1, "session-start"),
    ):
        fold(sessions, event)
    assert sessions.ended == {"node-1 1/0/2": 20, "node-1 1/0/3": 30}
    start = {"type": "system-start", "seq": 9, "_time_ns": week + 25, "instance-id": INSTANCE}
    fold(sessions, start)
    assert sessions.ended == {"node-1 1/0/3": 30}


def test_line_key_of_an_event_without_a_line() -> None:
    assert line_key({"type": "system-start"}) == " "


def churn(journal: Journal, chance: random.Random, count: int) -> None:
    kinds = ["session-start", "session-update", "policy-apply", "session-stop", "session-rejected"]
    for _ in range(count):
        kind = chance.choice(kinds)
        more = {"_tombstone_until": chance.randrange(10**9)} if kind == "session-stop" else {}
        journal.append(session(chance.randrange(30), kind, **more))
    journal.sync()


def test_checkpoint_and_tail_give_what_the_whole_journal_gives(tmp_path: Path) -> None:
    chance = random.Random(1)
    checkpoint = Checkpoint(tmp_path / "checkpoint")
    journal = Journal(tmp_path / "journal", INSTANCE, on_append=checkpoint.note)
    for _ in range(5):
        churn(journal, chance, 200)
        seq, records = checkpoint.freeze()
        churn(journal, chance, 37)
        checkpoint.write(records)
        whole = Sessions()
        follow(whole, JournalReader(tmp_path / "journal"))
        assert load_checkpoint(tmp_path / "checkpoint").seq == seq
        assert load(tmp_path / "checkpoint", JournalReader(tmp_path / "journal")) == whole
    # and once more from what was recovered
    journal.close()
    recovered = load(tmp_path / "checkpoint", JournalReader(tmp_path / "journal"))
    again = Checkpoint(tmp_path / "checkpoint")
    again.start_from(recovered)
    journal = Journal(tmp_path / "journal", INSTANCE, on_append=again.note, after=recovered.seq)
    churn(journal, chance, 50)
    again.write(again.freeze()[1])
    whole = Sessions()
    follow(whole, JournalReader(tmp_path / "journal"))
    assert load_checkpoint(tmp_path / "checkpoint") == whole


def test_damaged_checkpoint_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    assert load_checkpoint(path) == Sessions()
    for content in (b"", b"x" * 50, b"\0\0\0\2" + b"\0" * 30):
        path.write_bytes(content)
        assert load_checkpoint(path) == Sessions()
    checkpoint = Checkpoint(path)
    (event,) = numbered(session(1, "session-start"))
    checkpoint.note(event, segments.encode(b'{"session-id":"1"}'))
    checkpoint.write(checkpoint.freeze()[1])
    assert load_checkpoint(path).seq == 1
    path.write_bytes(path.read_bytes()[:-1])
    assert load_checkpoint(path) == Sessions(), "a record is torn"


def test_a_damaged_segment_costs_what_lies_in_it_and_nothing_else(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal", "instance", segment_bytes=1)
    for number in range(6):
        journal.append(session(number, "session-start"))
        if number % 3 == 2:
            journal.sync()
    journal.close()
    first = tmp_path / "journal" / segments.name_of(1)
    content = bytearray(first.read_bytes())
    content[-1] ^= 0xFF  # the third event
    first.write_bytes(content)
    found = load(tmp_path / "checkpoint", JournalReader(tmp_path / "journal"))
    assert [event["seq"] for event in found.by_id.values()] == [1, 2, 4, 5, 6]
    assert found.seq == 6

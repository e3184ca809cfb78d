"""The journal: numbering, durability, torn tails, bounds, reading from another process."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bng.seam import segments
from bng.seam.journal import Journal, JournalError
from bng.seam.reader import JournalReader

INSTANCE = "6f1f1b5e-8f8e-4a55-9a37-0a4a3b2d4c11"


def event(number: int = 0, padding: int = 0) -> dict:
    return {"type": "session-update", "session-id": f"{number:016x}", "reason": "x" * padding}


def fill(journal: Journal, count: int, padding: int = 0) -> None:
    for number in range(count):
        journal.append(event(number, padding))
        if number % 50 == 49:
            journal.sync()
    journal.sync()


def test_numbers_and_times_increase_even_if_the_clock_goes_back(tmp_path: Path) -> None:
    times = iter([100, 100, 50, 200])
    journal = Journal(tmp_path, INSTANCE, clock=lambda: next(times))
    assert [journal.append(event()) for _ in range(4)] == [1, 2, 3, 4]
    journal.sync()
    events = JournalReader(tmp_path).read(1, 10)
    assert [e["_time_ns"] for e in events] == [100, 101, 102, 200]
    assert [e["seq"] for e in events] == [1, 2, 3, 4]
    assert events[3]["time"] == "1970-01-01T00:00:00.000000200Z"
    assert events[0]["instance-id"] == INSTANCE


def test_what_is_not_synced_is_not_published(tmp_path: Path) -> None:
    journal = Journal(tmp_path, INSTANCE)
    journal.append(event())
    assert (journal.newest, journal.durable, journal.pending) == (1, 0, 1)
    reader = JournalReader(tmp_path)
    assert (reader.newest, reader.oldest) == (0, 1)
    assert journal.sync() == 1
    assert reader.refresh(1) == 1


def test_reader_shows_no_more_than_it_was_told_is_durable(tmp_path: Path) -> None:
    journal = Journal(tmp_path, INSTANCE)
    reader = JournalReader(tmp_path)
    fill(journal, 100)
    assert reader.refresh(durable=70) == 70
    assert len(reader.read(1, 1000)) == 70
    assert reader.refresh() == 100


def test_second_writer_is_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path, INSTANCE)
    with pytest.raises(JournalError, match="in use by another process"):
        Journal(tmp_path, INSTANCE)
    journal.close()
    Journal(tmp_path, INSTANCE).close()


def test_goes_on_across_segments_and_restarts(tmp_path: Path) -> None:
    for _ in range(3):
        journal = Journal(tmp_path, INSTANCE, segment_bytes=4000)
        fill(journal, 333)
        journal.close()
    assert len(segments.list_segments(tmp_path)) > 10
    reader = JournalReader(tmp_path)
    assert [e["seq"] for e in reader.read(1, 5000)] == list(range(1, 1000))
    for first in (1, 63, 64, 65, 500, 999):
        assert [e["seq"] for e in reader.read(first, 3)] == list(range(first, min(first + 3, 1000)))
    assert reader.read(1000, 10) == []


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_torn_tail_is_cut(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path, INSTANCE)
    fill(journal, 10)
    journal.close()
    path = tmp_path / segments.name_of(1)
    os.truncate(path, path.stat().st_size - cut)
    journal = Journal(tmp_path, INSTANCE)
    assert journal.newest == 9
    assert journal.append(event()) == 10
    journal.sync()
    assert [e["seq"] for e in JournalReader(tmp_path).read(1, 100)] == list(range(1, 11))


def test_damage_ends_the_segment(tmp_path: Path) -> None:
    journal = Journal(tmp_path, INSTANCE)
    fill(journal, 100)
    journal.close()
    path = tmp_path / segments.name_of(1)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    path.write_bytes(content)
    newest = JournalReader(tmp_path).newest
    assert 40 < newest < 60
    assert Journal(tmp_path, INSTANCE).newest == newest


def test_bounds_hold_but_never_beyond_the_checkpoint(tmp_path: Path) -> None:
    journal = Journal(tmp_path, INSTANCE, max_events=200, segment_bytes=4000)
    fill(journal, 1000)
    reader = JournalReader(tmp_path)
    assert reader.oldest == 1, "no checkpoint covers them yet"
    journal.retain(journal.durable)
    fill(journal, 100)
    reader.refresh()
    assert reader.newest == 1100
    assert 200 <= reader.newest - reader.oldest + 1 < 300
    assert journal.oldest == reader.oldest
    with pytest.raises(LookupError, match="the oldest is"):
        reader.read(1, 10)


def test_reader_notices_that_old_events_went_away(tmp_path: Path) -> None:
    journal = Journal(tmp_path, INSTANCE, max_bytes=20_000, segment_bytes=4000)
    fill(journal, 100)
    reader = JournalReader(tmp_path)
    first = reader.oldest
    journal.retain(10**9)
    fill(journal, 1000)
    with pytest.raises(LookupError):
        reader.read(first, 10)
    assert reader.newest == 1100


def test_seek_finds_each_time(tmp_path: Path) -> None:
    ticks = iter(range(1000, 10**9, 10))
    journal = Journal(tmp_path, INSTANCE, segment_bytes=5000, clock=lambda: next(ticks))
    fill(journal, 300)
    reader = JournalReader(tmp_path)
    for seq in (1, 2, 64, 65, 128, 200, 300):
        at = 1000 + (seq - 1) * 10
        assert reader.seek(at) == seq
        assert reader.seek(at - 9) == seq
    assert reader.seek(0) == 1
    assert reader.seek(10**9) == 301
    journal.retain(300)
    journal._max_events = 100
    fill(journal, 50)
    reader.refresh()
    with pytest.raises(LookupError):
        reader.seek(1000)


def test_goes_on_behind_a_checkpoint_when_files_were_lost(tmp_path: Path) -> None:
    journal = Journal(tmp_path, INSTANCE)
    fill(journal, 5)
    journal.close()
    journal = Journal(tmp_path, INSTANCE, after=50)
    assert journal.append(event()) == 51
    journal.sync()
    reader = JournalReader(tmp_path)
    assert (reader.oldest, reader.newest) == (51, 51)


def test_disk_full_drops_the_oldest_then_alarms_then_recovers(tmp_path: Path, monkeypatch) -> None:
    journal = Journal(tmp_path, INSTANCE, segment_bytes=4000, max_pending=60)
    fill(journal, 100)
    journal.retain(journal.durable)
    oldest, real = journal.oldest, os.write

    def short_then_full(descriptor: int, data: bytes) -> int:
        if len(data) > 100:
            return real(descriptor, data[: len(data) - 100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", short_then_full)
    for number in range(4):
        journal.append(event(number))
    durable = journal.sync()
    assert durable == 103, "the records that are whole count, the torn one does not"
    assert journal.oldest > oldest, "room was made"
    assert journal.alarm is None
    while journal.alarm is None:
        journal.sync()
    assert "No space left" in journal.alarm
    appended = [journal.append(event(number)) for number in range(100)]
    assert appended[-1] == 0
    assert journal.lost == 41
    monkeypatch.setattr(os, "write", real)
    assert journal.sync() == journal.newest == 163
    assert journal.alarm is None
    reader = JournalReader(tmp_path)
    assert [e["seq"] for e in reader.read(reader.oldest, 500)] == list(range(reader.oldest, 164))


def test_a_disk_that_refuses_everything_for_a_while(tmp_path: Path, monkeypatch) -> None:
    journal = Journal(tmp_path, INSTANCE)
    fill(journal, 5)

    def refuse(*_: object) -> int:
        raise OSError(5, "Input/output error")

    for name in ("fdatasync", "ftruncate"):
        monkeypatch.setattr(os, name, refuse)
    journal.append(event(6))
    for _ in range(3):
        assert journal.sync() == 5
    assert "Input/output" in str(journal.alarm)
    monkeypatch.undo()
    journal.append(event(7))
    assert journal.sync() == 7
    reader = JournalReader(tmp_path)
    assert [e["seq"] for e in reader.read(1, 100)] == list(range(1, 8)), "nothing is there twice"


WRITER = """
import sys, pathlib
from bng.seam.journal import Journal
journal = Journal(pathlib.Path(sys.argv[1]), sys.argv[2], segment_bytes=20000)
out = sys.stderr
while True:
    for _ in range(7):
        journal.append({"type": "session-update", "session-id": "0" * 16, "reason": "y" * 80})
    out.write(f"{journal.sync()}\\n")
    out.flush()
"""


def test_kill_nine_at_any_point_keeps_what_was_durable(tmp_path: Path) -> None:
    """A writer is killed again and again while a reader follows; no durable event is ever missing."""
    chance = random.Random(7)
    reader = JournalReader(tmp_path)
    seen: list[int] = []
    durable = 0
    for _ in range(12):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), INSTANCE], stderr=subprocess.PIPE, text=True
        )
        assert writer.stderr
        durable = int(writer.stderr.readline())
        stop = time.monotonic() + chance.random() * 0.1
        while time.monotonic() < stop:
            durable = int(writer.stderr.readline())
            reader.refresh(durable)
            seen += [e["seq"] for e in reader.read(len(seen) + 1, 10_000)]
        writer.send_signal(signal.SIGKILL)
        rest = writer.stderr.read().split("\n")
        writer.wait()
        durable = max([durable, *(int(line) for line in rest[:-1])])
        assert reader.refresh() >= durable
        seen += [e["seq"] for e in reader.read(len(seen) + 1, 100_000)]
        assert seen == list(range(1, len(seen) + 1))
        assert len(seen) >= durable
    times = [e["_time_ns"] for e in reader.read(1, 10**6)]
    assert all(a < b for a, b in itertools.pairwise(times))

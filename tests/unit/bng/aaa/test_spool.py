"""Accounting records on the disk: what is there after a kill, and what is not any more."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from bng.aaa.accounting import Place, Record
from bng.aaa.interims import Interim, InterimRows
from bng.aaa.spool import Spool
from bng.codec.radius import Attribute
from bng.seam import segments
from bng.session.effects import AccountKind
from bng.session.events import Counters


def record(number: int, kind: AccountKind | None = AccountKind.START) -> Record:
    chain = f"{number:016x}" if kind is not None else ""
    return Record(chain, kind, 1000 + number, (Attribute(0, 44, chain.encode()), Attribute(9, 1, b"x=y")))


def chains(records: list[Record]) -> list[int]:
    return [int(one.chain, 16) for one in records]


def put(spool: Spool, *numbers: int, direct: bool = False) -> list[Place]:
    places = []
    for number in numbers:
        place = spool.append(record(number), number, direct=direct)
        assert place is not None
        places.append(place)
    return places


def files(spool: Spool) -> list[str]:
    return sorted(path.name for path in spool.folder.glob("*.*"))


def test_what_was_put_comes_back_after_a_kill(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    first, _, third = put(spool, 1, 2, 3)
    spool.append(record(0, None), 4, direct=False)
    spool.done(third)
    again = Spool(tmp_path, 100)
    assert (again.unread, again.given) == (3, 4)
    found = again.read(10)
    assert [(one.chain, one.kind, one.time) for one in found] == [
        ("0" * 15 + "1", AccountKind.START, 1001),
        ("0" * 15 + "2", AccountKind.START, 1002),
        ("", None, 1000),
    ]
    assert found[0].attributes == record(1).attributes
    assert found[0].place == first
    assert again.unread == 0
    assert again.read(10) == []


def test_what_is_put_while_there_is_something_to_read_comes_behind_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    put(spool, 1, 2, 3)
    assert chains(spool.read(2)) == [1, 2]
    put(spool, 4)
    assert chains(spool.read(1)) == [3]
    put(spool, 5)
    assert chains(spool.read(9)) == [4, 5]
    put(spool, 6, direct=True)
    put(spool, 7)
    assert chains(spool.read(9)) == [7]


def test_a_segment_goes_when_all_its_records_are_acknowledged(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=200)
    places = put(spool, *range(12), direct=True)
    segments_used = sorted({place.segment for place in places})
    assert len(segments_used) > 3
    stuck = places[0]
    for place in places[1:]:
        spool.done(place)
    assert segments.list_segments(tmp_path) == [stuck.segment, segments_used[-1]]
    again = Spool(tmp_path, 100, segment_bytes=200)
    assert again.unread == 1
    (found,) = again.read(9)
    assert found.place == stuck
    assert again.given == 11
    again.done(stuck)
    assert segments.list_segments(tmp_path) == [segments_used[-1]]
    put(again, 12)
    assert chains(again.read(9)) == [12]
    assert Spool(tmp_path, 100).unread == 1


def test_reading_goes_on_over_segments_that_are_gone(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=200)
    places = put(spool, *range(12))
    again = Spool(tmp_path, 100, segment_bytes=200)
    (first,) = again.read(1)
    for place in places:
        if place.segment == places[0].segment:
            again.done(place)
    middle = [place for place in places if place.segment not in (places[0].segment, places[-1].segment)]
    last = Spool(tmp_path, 100, segment_bytes=200)  # killed
    assert first.place == places[0]
    assert last.read(1)[0].place == middle[0]


def test_a_segment_all_of_which_was_acknowledged_is_removed_at_the_start(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=200)
    places = put(spool, *range(6))
    first = [place for place in places if place.segment == places[0].segment]
    ack = (tmp_path / segments.name_of(places[0].segment)).with_suffix(".ack")
    acked = b"".join(place.number.to_bytes(4, "big") for place in first)
    ack.write_bytes(acked + b"\0")  # the end is torn, and who closed it died before saying so
    again = Spool(tmp_path, 100)
    assert again.unread == len(places) - len(first)
    assert segments.list_segments(tmp_path)[0] != places[0].segment
    assert not ack.exists()


def test_acknowledgements_without_their_segment_are_removed(tmp_path: Path) -> None:
    (tmp_path / segments.name_of(7)).with_suffix(".ack").write_bytes(bytes(8))
    Spool(tmp_path)
    assert files(Spool(tmp_path)) == [segments.name_of(1)]


def test_a_torn_tail_is_cut(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    put(spool, 1, 2)
    path = tmp_path / segments.name_of(1)
    path.write_bytes(path.read_bytes()[:-3])
    again = Spool(tmp_path, 100)
    assert again.unread == 1
    put(again, 3)
    assert chains(again.read(9)) == [1, 3]


@pytest.mark.parametrize("first", [1, 3])
def test_damaged_acknowledgements_cost_what_they_say_and_no_more(tmp_path: Path, first: int) -> None:
    spool = Spool(tmp_path, segment_bytes=200)
    put(spool, *range(1, 9))
    name = sorted(path.stem for path in tmp_path.glob("*.log"))[0 if first == 1 else -1]
    spool.close()
    (tmp_path / f"{name}.ack").write_bytes(b"\xff" * 8 + b"\x90\0\0\0" + b"\0")
    again = Spool(tmp_path, 100, segment_bytes=200)
    assert chains(again.read(99)) == list(range(1, 9))
    (place,) = put(again, 9)
    again.done(place)
    again.close()
    assert chains(Spool(tmp_path, 100).read(99)) == list(range(1, 9))


def test_a_part_of_a_note_is_cut(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    first, second = put(spool, 1, 2)
    spool.done(first)
    spool.close()
    with next(tmp_path.glob("*.ack")).open("ab") as file:
        file.write(b"\0\0")  # the disk was full
    again = Spool(tmp_path, 100)
    again.done(second)
    again.close()
    assert Spool(tmp_path, 100).read(9) == []


def test_a_foreign_file_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "notes.ack").write_bytes(b"")
    assert Spool(tmp_path).read(9) == []


def test_given_is_never_more_than_the_journal_has(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 7)
    assert spool.given == 7
    put(spool, 9)
    spool.note(12)
    spool.note(5)
    assert Spool(tmp_path, 100).given == 12
    assert Spool(tmp_path, 10).given == 10


def test_stuck_records_keep_no_files_open(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=200)
    places = put(spool, *range(120), direct=True)
    kept = {place.segment: place for place in places}
    before = len(os.listdir("/proc/self/fd"))
    others = [place for place in places if place not in kept.values()]
    for place in others:
        spool.done(place)
    assert len(kept) > 20
    assert len(os.listdir("/proc/self/fd")) - before <= 16
    assert len(Spool(tmp_path, 1000).read(999)) == len(kept)
    spool.close()


def test_it_lets_go_of_the_folder(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    spool = Spool(tmp_path, segment_bytes=200)
    for place in put(spool, *range(6))[1:]:
        spool.done(place)
    spool.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_files_are_flushed_before_they_are_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (flushed.append(fd), real(fd)))
    spool = Spool(tmp_path, segment_bytes=200)
    put(spool, 1, 2, 3, 4)
    paths = spool.unflushed()
    assert [path.name for path in paths] == [segments.name_of(n) for n in segments.list_segments(tmp_path)]
    spool.flush([*paths, tmp_path / "gone"])
    assert len(flushed) == len(paths)
    assert len(spool.unflushed()) == 1, "the one that is written to"


class TestDamage:
    def test_in_a_closed_segment(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, segment_bytes=200)
        places = put(spool, *range(6))
        path = tmp_path / segments.name_of(places[0].segment)
        content = bytearray(path.read_bytes())
        content[70] ^= 1
        path.write_bytes(bytes(content))
        again = Spool(tmp_path, 100, segment_bytes=200)
        lost = [place for place in places if place.segment == places[0].segment]
        assert len(again.read(99)) == len(places) - len(lost)
        assert again.unread == 0
        assert not path.exists()

    def test_a_segment_that_vanished(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, segment_bytes=200)
        put(spool, *range(3))
        (tmp_path / segments.name_of(1)).unlink()
        assert chains(spool.read(9)) == [2] or len(spool.read(9)) < 3
        assert spool.unread == 0

    def test_behind_what_counts(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path, segment_bytes=200)
        places = put(spool, *range(6))
        last = max(place.number for place in places if place.segment == 1)
        spool.done(Place(1, last))
        path = tmp_path / segments.name_of(1)
        path.write_bytes(path.read_bytes()[:-1])
        again = Spool(tmp_path, 100, segment_bytes=200)
        assert chains(again.read(99)) == [n for n in range(6) if n != last]

    def test_nothing_is_left_of_the_one_that_is_written_to(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path)
        put(spool, 1, 2)
        os.truncate(tmp_path / segments.name_of(1), 0)
        assert spool.read(9) == []
        assert spool.unread == 0

    @pytest.mark.parametrize(
        "payload", [b"P", b"P" + bytes(16) + b"\1\4\xff\xff\xff\xff", b"P" + bytes(16) + b"\1\0\1\1"]
    )
    def test_a_payload_that_is_none(self, tmp_path: Path, payload: bytes) -> None:
        spool = Spool(tmp_path)
        put(spool, 1)
        with (tmp_path / segments.name_of(1)).open("ab") as file:
            file.write(segments.encode(payload))
        again = Spool(tmp_path, 100)
        put(again, 2)
        assert chains(again.read(9)) == [1, 2]
        assert Spool(tmp_path, 100).unread == 2

    def test_a_count_that_is_more_than_there_is(self, tmp_path: Path) -> None:
        spool = Spool(tmp_path)
        put(spool, 1)
        spool.unread += 1
        assert chains(spool.read(9)) == [1]
        assert spool.unread == 0


class TestFullDisk:
    def full(self, monkeypatch: pytest.MonkeyPatch, after: int = 0) -> None:
        real = os.write

        def write(fd: int, data: Any) -> int:
            if after:
                return real(fd, bytes(data)[:after])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("bng.aaa.spool.os.write", write)

    @pytest.mark.parametrize("after", [0, 5])
    def test_it_says_so_and_goes_on_when_there_is_room(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
    ) -> None:
        spool = Spool(tmp_path)
        (place,) = put(spool, 1)
        with monkeypatch.context() as patch:
            self.full(patch, after)
            assert spool.append(record(2), 2, direct=False) is None
            assert spool.alarm == f"No space left on device in {tmp_path}"
            if not after:
                spool.done(place)
        put(spool, 3)
        assert spool.alarm is None
        held = Spool(tmp_path, 100).read(9)
        assert chains(held) == ([1, 3] if after else [3])

    def test_what_was_owed_for_a_segment_that_is_gone(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spool = Spool(tmp_path, segment_bytes=60)
        places = put(spool, 1, 2, 3)
        with monkeypatch.context() as patch:
            self.full(patch)
            spool.done(places[0])
        assert segments.list_segments(tmp_path)[0] != 1
        put(spool, 4)
        assert chains(Spool(tmp_path, 100).read(9)) == [2, 3, 4]

    @pytest.mark.parametrize("after", [0, 5])
    def test_no_room_for_another_segment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
    ) -> None:
        spool = Spool(tmp_path, segment_bytes=60)
        put(spool, 1)
        with monkeypatch.context() as patch:
            self.full(patch, after)
            assert spool.append(record(2), 2, direct=False) is None
        assert segments.list_segments(tmp_path) == [1]
        put(spool, 3)
        assert chains(spool.read(9)) == [1, 3]


class TestInterims:
    def test_rows(self, tmp_path: Path) -> None:
        rows = InterimRows(tmp_path / "interims")
        one = Interim("0" * 15 + "1", 5, 2**40, Counters(1, 2, 3, 4))
        rows.put(3, one)
        assert rows.get(2) is None
        assert rows.get(4) is None
        rows.clear(3, "0" * 15 + "2")
        found = InterimRows(tmp_path / "interims").get(3)
        assert found == Interim(one.session_id, 5, 0xFFFFFFFF, one.counters)
        rows.clear(3, one.session_id)
        assert rows.get(3) is None
        rows.close()

    def test_damage(self, tmp_path: Path) -> None:
        path = tmp_path / "interims"
        rows = InterimRows(path)
        rows.put(0, Interim("0" * 16, 5, 6, Counters()))
        content = bytearray(path.read_bytes())
        content[20] ^= 1
        path.write_bytes(bytes(content))
        assert rows.get(0) is None
        rows.put(0, Interim("\x7fü", 5, 6, Counters()))
        assert rows.get(0) is None

    def test_a_full_disk_is_passed_over(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        rows = InterimRows(tmp_path / "interims")

        def refuse(*_: object) -> int:
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr("bng.aaa.interims.os.pwrite", refuse)
        rows.put(0, Interim("0" * 16, 5, 6, Counters()))


def acks(spool: Spool) -> Path:
    (path,) = sorted(spool.folder.glob("*.log"))
    return path.with_suffix(".ack")


def test_acknowledgements_of_records_that_power_took_do_not_count_for_others(
    tmp_path: Path,
) -> None:
    spool = Spool(tmp_path)
    spool.done(put(spool, 1, 2)[1])
    spool.close()
    log = tmp_path / segments.name_of(1)
    log.write_bytes(log.read_bytes()[:-3])  # the second is torn
    again = Spool(tmp_path)
    assert chains(again.read(9)) == [1]
    put(again, 3)
    again.close()
    assert chains(Spool(tmp_path).read(9)) == [1, 3]


@pytest.mark.parametrize("damage", [b"\0\0", b"\xff\xff\xff\xff", b"\x80\0\0\1", b"\x80\0\0\2"])
def test_a_damaged_file_of_acknowledgements(tmp_path: Path, damage: bytes) -> None:
    """A number that is cut off, and a closed segment that is not, or would hold billions of records."""
    spool = Spool(tmp_path)
    spool.done(put(spool, 1, 2, 3)[0])
    spool.close()
    path = acks(spool)
    path.write_bytes(path.read_bytes() + damage)
    again = Spool(tmp_path)
    second, _ = again.read(9)
    assert second.place is not None
    again.done(second.place)
    put(again, 4)
    again.close()
    assert chains(Spool(tmp_path).read(9)) == [3, 4]


def test_a_closed_segment_whose_records_nobody_can_count(tmp_path: Path) -> None:
    spool = Spool(tmp_path, segment_bytes=100)
    put(spool, 1, 2, 3, 4)
    spool.close()
    first = min(tmp_path.glob("*.ack"))
    first.write_bytes(b"\xff\xff\xff\xff")
    assert chains(Spool(tmp_path).read(9)) == [1, 2, 3, 4]


def test_a_file_that_is_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "old.ack").write_bytes(b"x")
    put(Spool(tmp_path), 1)
    assert files(Spool(tmp_path)) == [segments.name_of(1)]


def test_an_acknowledgement_that_is_written_by_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path)
    places = put(spool, 1, 2, 3)
    spool.done(places[0])
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:2]))
    spool.done(places[1])
    monkeypatch.setattr(os, "write", write)
    assert acks(spool).stat().st_size == 4
    put(spool, 4)  # and what the disk owes is written then
    spool.close()
    assert chains(Spool(tmp_path).read(9)) == [3, 4]

"""What is on disk: the running configuration, what a confirmed commit may revert to, and past commits."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from yang.datastore.document import commit_of, pack

_SUFFIX: Final = ".json.gz"
_UNREADABLE: Final = (OSError, EOFError, zlib.error)
"""What a file that is damaged raises when it is unpacked."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A commit.

    Attributes:
        time: RFC 3339, UTC.
        changed: instance-identifiers of what it changed.
        session: NETCONF session-id of who made it; 0 for none.
        kind: ``commit``, ``rollback``, ``revert`` (of a confirmed commit), ``startup`` or ``migration``.
        restores: the commit whose configuration a rollback or revert made running again.
        confirm_timeout: seconds that a confirmed commit had; None for one that is for good.
    """

    number: int
    time: str
    user: str
    origin: str
    comment: str
    changed: Sequence[str]
    session: int = 0
    kind: str = "commit"
    restores: int | None = None
    confirm_timeout: float | None = None


def stage(path: Path, data: bytes) -> None:
    """Write a file's next content beside it, and have it on the disk. `publish` makes it the content."""
    descriptor = os.open(_staged(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def publish(path: Path) -> None:
    """Make what was staged the content of a file: rename, fsync of the folder."""
    _staged(path).replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file's content at once, or not at all: temporary file, fsync, rename, fsync of the folder."""
    stage(path, data)
    publish(path)


def _staged(path: Path) -> Path:
    return path.with_name(path.name + ".tmp")


class Store:
    """The folder ``config`` of an element: ``running.json``, ``unconfirmed.json``, ``history/``.

    Args:
        limit: commits that are remembered.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._history = folder / "history"
        self._limit = max(limit, 1)
        self.modules: Mapping[str, str] = {}
        """Module → revision of the model, which each file notes (`yang.datastore.document`)."""
        for path in (folder, self._history):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._settle()
        self.entries: list[Entry] = [
            entry
            for path in sorted(self._history.glob(f"*{_SUFFIX}"))
            if (entry := _read_entry(path)) is not None
        ]

    @property
    def next_number(self) -> int:
        """Number of the next commit."""
        return self.entries[-1].number + 1 if self.entries else 0

    @property
    def unconfirmed(self) -> bool:
        """True when the element stopped while a confirmed commit was under way."""
        return (self._folder / "unconfirmed.json").is_file()

    def load(self) -> bytes | None:
        """What running was when the element stopped; a commit that was never confirmed is undone."""
        for name in ("unconfirmed.json", "running.json"):
            path = self._folder / name
            if path.is_file():
                return path.read_bytes()
        return None

    def save(self, members: Mapping[str, Any], entry: Entry) -> None:
        """Make a configuration the one that is loaded next time, and remember the commit."""
        self.stage(members, entry)
        self.publish(entry)

    def stage(self, members: Mapping[str, Any], entry: Entry) -> None:
        """Have all of a commit on the disk, but not in force: `publish` is only two renames, which a full
        disk does not keep from happening. Until then the element starts with what it had before."""
        document = pack(members, self.modules, entry.number)
        head = orjson.dumps(asdict(entry))
        packed = gzip.compress(head + b"\n" + document, compresslevel=1)
        try:
            stage(self._path(entry.number), packed)
            stage(self._folder / "running.json", document)
        except OSError:
            self.discard(entry)
            raise

    def publish(self, entry: Entry) -> None:
        """Make what was staged the configuration that is loaded next time, and part of the history."""
        publish(self._folder / "running.json")
        publish(self._path(entry.number))
        self.entries.append(entry)
        while len(self.entries) > self._limit:
            with suppress(OSError):
                self._path(self.entries.pop(0).number).unlink(missing_ok=True)

    def discard(self, entry: Entry) -> None:
        """Forget what was staged, and what of it was published before that failed."""
        path = self._path(entry.number)
        for leftover in (_staged(path), path, _staged(self._folder / "running.json")):
            with suppress(OSError):
                leftover.unlink(missing_ok=True)

    def write_running(self, members: Mapping[str, Any]) -> None:
        """Write the running configuration anew, without a commit: after one that could not be published."""
        write_durably(self._folder / "running.json", pack(members, self.modules, self.newest_number))

    def _settle(self) -> None:
        """After a start: a commit that running.json has is in the history, even if the element stopped
        between the two renames; one that it does not have is not."""
        running = self._folder / "running.json"
        staged = list(self._history.glob(f"*{_SUFFIX}.tmp"))
        if staged and running.is_file():
            number = commit_of(running.read_bytes())
            if number is not None and _staged(self._path(number)) in staged:
                publish(self._path(number))
                staged.remove(_staged(self._path(number)))
        for path in (*staged, _staged(running)):
            path.unlink(missing_ok=True)

    def keep_backup(self, members: Mapping[str, Any], number: int | None = None) -> None:
        """Remember what a confirmed commit reverts to, should the element stop before it is confirmed.

        Args:
            number: of the commit that made it running.
        """
        write_durably(self._folder / "unconfirmed.json", pack(members, self.modules, number))

    @property
    def backup_number(self) -> int | None:
        """The commit whose configuration a confirmed commit reverts to; None when that is not known."""
        try:
            return commit_of((self._folder / "unconfirmed.json").read_bytes())
        except OSError:
            return None

    @property
    def newest_number(self) -> int | None:
        """Number of the newest commit; None before the first."""
        return self.entries[-1].number if self.entries else None

    def keep_old(self, name: str, data: bytes) -> Path:
        """Keep a file as it was before its migration. Returns where."""
        path = self._folder / "migrated" / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_durably(path, data)
        return path

    def drop_backup(self) -> None:
        """The confirmed commit was confirmed or reverted."""
        (self._folder / "unconfirmed.json").unlink(missing_ok=True)

    def configuration(self, number: int) -> bytes | None:
        """RFC 7951 document of running after a commit; None when it is not remembered, or its file is
        damaged."""
        try:
            return gzip.decompress(self._path(number).read_bytes()).partition(b"\n")[2]
        except _UNREADABLE:
            return None

    def _path(self, number: int) -> Path:
        return self._history / f"{number:010d}{_SUFFIX}"


def _read_entry(path: Path) -> Entry | None:
    """The head of a history file; None for one that cannot be read (it is only history)."""
    try:
        with gzip.open(path) as file:
            entry = Entry(**orjson.loads(file.readline(64 * 1024 * 1024)))
    except (*_UNREADABLE, ValueError, TypeError):
        return None
    # the checksum is behind the document, which is not unpacked here: the name tells as well
    return entry if path.name == f"{entry.number}".zfill(10) + _SUFFIX else None

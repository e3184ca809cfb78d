"""What is on disk: the running configuration, what a confirmed commit may revert to, and past commits."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from yang.sealing import PREFIX

_SUFFIX: Final = ".json.gz"
_UNREADABLE: Final = (OSError, EOFError, zlib.error)
"""What a file that is damaged raises when it is unpacked."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A commit.

    Attributes:
        time: RFC 3339, UTC.
        changed: instance-identifiers of what it changed.
    """

    number: int
    time: str
    user: str
    origin: str
    comment: str
    changed: Sequence[str]


def write_durably(path: Path, data: bytes) -> None:
    """Replace a file's content at once, or not at all: temporary file, fsync, rename, fsync of the folder."""
    temporary = path.with_name(path.name + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Store:
    """The folder ``config`` of an element: ``running.json``, ``unconfirmed.json``, ``history/``.

    Args:
        limit: commits that are remembered.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._history = folder / "history"
        self._limit = max(limit, 1)
        self.seal: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda members: members
        """Makes of members those that are written (`yang.datastore.sealing`)."""
        self.open: Callable[[bytes, str], bytes] = lambda document, _: document
        """The reverse, for documents: content, name of the file."""
        for path in (folder, self._history):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
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
                return self.open(path.read_bytes(), str(path))
        return None

    def save(self, members: Mapping[str, Any], entry: Entry) -> None:
        """Make a configuration the one that is loaded next time, and remember the commit."""
        document = orjson.dumps(self.seal(members))
        head = orjson.dumps(entry)
        packed = gzip.compress(head + b"\n" + document, compresslevel=1)
        write_durably(self._path(entry.number), packed)
        write_durably(self._folder / "running.json", document)
        self.entries.append(entry)
        while len(self.entries) > self._limit:
            self._path(self.entries.pop(0).number).unlink(missing_ok=True)

    def seal_running(self, members: Mapping[str, Any]) -> None:
        """Write the running configuration anew where its file has secrets in cleartext, as older ones had."""
        path = self._folder / "running.json"
        sealed = self.seal(members)
        if sealed is not members and path.is_file() and PREFIX.encode() not in path.read_bytes():
            write_durably(path, orjson.dumps(sealed))

    def keep_backup(self, members: Mapping[str, Any]) -> None:
        """Remember what a confirmed commit reverts to, should the element stop before it is confirmed."""
        write_durably(self._folder / "unconfirmed.json", orjson.dumps(self.seal(members)))

    def drop_backup(self) -> None:
        """The confirmed commit was confirmed or reverted."""
        (self._folder / "unconfirmed.json").unlink(missing_ok=True)

    def configuration(self, number: int) -> bytes | None:
        """RFC 7951 document of running after a commit; None when it is not remembered, or its file is
        damaged."""
        path = self._path(number)
        try:
            document = gzip.decompress(path.read_bytes()).partition(b"\n")[2]
        except _UNREADABLE:
            return None
        return self.open(document, str(path))

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

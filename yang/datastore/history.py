"""What is on disk: the running configuration, what a confirmed commit may revert to, and past commits."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from yang.datastore.confirmation import ConfirmationFile
from yang.datastore.document import commit_of, pack, unpack
from yang.provider import OperationError
from yang.sealing import PREFIX

_SUFFIX: Final = ".json.gz"
_UNREADABLE: Final = (OSError, EOFError, zlib.error)
"""What a file that is damaged raises when it is unpacked."""


BACKUP_FIRST: Final = ("unconfirmed.json", "running.json")


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
    rename(path)
    flush(path.parent)


def rename(path: Path) -> None:
    """The same, but for who need not know that it is on the disk by then."""
    _staged(path).replace(path)


def flush(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
        boot_id: names this boot of the machine; "" when that is not known.

    Attributes:
        confirmation: the file of the confirmed commit that is under way.
    """

    def __init__(self, folder: Path, limit: int, boot_id: str = "") -> None:
        self._folder = folder
        self.confirmation = ConfirmationFile(folder / "confirmation.json", write_durably, boot_id)
        self._history = folder / "history"
        self._limit = max(limit, 1)
        self.modules: Mapping[str, str] = {}
        """Module → revision of the model, which each file notes (`yang.datastore.document`)."""
        self.seal: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda members: members
        """Makes of members those that are written (`yang.datastore.sealing`)."""
        self.open: Callable[[bytes, str], bytes] = lambda document, _: document
        """The reverse, for documents: content, name of the file."""
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

    def load(self, *names: str) -> bytes | None:
        """What running was when the element stopped; a commit that was never confirmed is undone.

        Args:
            names: of the files that may be it, the first that is there; those of `BACKUP_FIRST` without any.
        """
        path = self._loaded(*names)
        return None if path is None else self.open(path.read_bytes(), str(path))

    def _loaded(self, *names: str) -> Path | None:
        paths = (self._folder / name for name in names or BACKUP_FIRST)
        return next((path for path in paths if path.is_file()), None)

    def pack(self, members: Mapping[str, Any], number: int | None) -> bytes:
        """The file of a configuration, with its secrets sealed.

        Args:
            number: of the commit that wrote it.

        Raises:
            OSError: the key of the secrets cannot be read or written.
        """
        return pack(self.seal(members), self.modules, number)

    def save(self, members: Mapping[str, Any], entry: Entry) -> None:
        """Make a configuration the one that is loaded next time, and remember the commit."""
        self.stage(members, entry)
        self.publish(entry)

    def stage(self, members: Mapping[str, Any], entry: Entry) -> None:
        """Have all of a commit on the disk, but not in force: `publish` is only two renames, which a full
        disk does not keep from happening. Until then the element starts with what it had before."""
        document = self.pack(members, entry.number)
        head = orjson.dumps(entry)
        packed = gzip.compress(head + b"\n" + document, compresslevel=1)
        try:
            stage(self._path(entry.number), packed)
            flush(self._history)  # with it, the names of all commits before this one
            stage(self._folder / "running.json", document)
        except OSError:
            self.discard(entry)
            raise

    def publish(self, entry: Entry) -> None:
        """Make what was staged the configuration that is loaded next time, and part of the history.

        The second rename need not be on the disk: `_settle` makes up for it.
        """
        publish(self._folder / "running.json")
        rename(self._path(entry.number))
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
        write_durably(self._folder / "running.json", self.pack(members, self.newest_number))

    def adopt(self, members: Mapping[str, Any]) -> None:
        """After a start without a commit: write running anew where an older software wrote it, which neither
        sealed its secrets nor noted its model, or where it has secrets in cleartext again.

        Args:
            members: the running configuration.
        """
        self.seal_history()
        path = self._folder / "running.json"
        sealed = not path.is_file() or PREFIX.encode() in path.read_bytes()
        if self._is_of_older_software() or (not sealed and self.seal(members) is not members):
            self.write_running(members)

    def seal_history(self) -> None:
        """Seal the secrets in the history, if an older software wrote running. Before it is written anew."""
        if self._is_of_older_software():
            for entry in self.entries:
                self._seal_commit(entry)

    def _is_of_older_software(self) -> bool:
        try:
            document = unpack((self._folder / "running.json").read_bytes(), "")
        except (OSError, OperationError):
            return False  # it is damaged, and was not what was loaded
        return document.modules is None

    def _seal_commit(self, entry: Entry) -> None:
        """Seal the secrets of a file of the history; one that is damaged stays as it is."""
        path = self._path(entry.number)
        try:
            head, _, data = gzip.decompress(path.read_bytes()).partition(b"\n")
            document = unpack(data, str(path))
        except (*_UNREADABLE, OperationError):
            return
        sealed = document.members if PREFIX.encode() in data else self.seal(document.members)
        if sealed is not document.members:
            packed = pack(sealed, document.modules or {}, document.commit)
            write_durably(path, gzip.compress(head + b"\n" + packed, compresslevel=1))

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
        write_durably(self._folder / "unconfirmed.json", self.pack(members, number))

    def backup_of_this_model(self) -> bytes | None:
        """What a confirmed commit reverts to, if it was written for the model that is loaded."""
        try:
            data = (self._folder / "unconfirmed.json").read_bytes()
            if unpack(data, "").modules != self.modules:
                return None
        except (OSError, OperationError):
            return None
        return self.open(data, "unconfirmed.json")

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

    def keep_old(self, name: str) -> Path | None:
        """Keep the file that was loaded as it was before its migration, for the software that wrote it: one
        that did not seal secrets could not open them. Returns where."""
        loaded = self._loaded()
        if loaded is None:
            return None
        path = self._folder / "migrated" / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_durably(path, loaded.read_bytes())
        return path

    def drop_backup(self) -> None:
        """The confirmed commit was confirmed or reverted, whatever happens to the machine from now on."""
        self.confirmation.drop()
        with suppress(FileNotFoundError):
            (self._folder / "unconfirmed.json").unlink()
            flush(self._folder)

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

"""The startup datastore (RFC 6241 section 8.7): what the element loads when its machine is booted.

``config/startup.json`` holds it. Without that file it is whatever running is, but for a confirmed commit that
is not confirmed yet. So an element that saves each commit never writes the file, and needs no second write
for a commit; one that leaves saving to copy-config makes it, as another name of the file of running, before
the first commit that is not to be saved.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from yang.datastore.data import Tree
from yang.datastore.history import Store, write_durably

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_DELETED: Final = b"null"


def this_boot() -> str:
    """The kernel's name of this boot of the machine; "" where it has none."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


class StartupFile:
    """``config/startup.json`` and ``config/boot-id``; used in the worker thread.

    Args:
        store: makes the content of the file, and reads it, as for that of running.
    """

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self._store = store
        self._path = folder / "startup.json"
        self._boot = folder / "boot-id"

    def is_new_boot(self, boot_id: str) -> bool:
        """Whether the machine was booted since `mark_boot`. False when that cannot be told."""
        try:
            return bool(boot_id) and self._boot.read_text().strip() != boot_id
        except OSError:
            return False

    def mark_boot(self, boot_id: str) -> None:
        """What is running now belongs to this boot."""
        if boot_id and (not self._boot.is_file() or self.is_new_boot(boot_id)):
            write_durably(self._boot, boot_id.encode() + b"\n")

    def read(self) -> bytes | None:
        """The RFC 7951 document; None when there is no file. Raises OSError; OperationError when a secret in
        it cannot be opened."""
        return self._store.open(self._path.read_bytes(), "startup.json") if self._path.exists() else None

    @staticmethod
    def is_deleted(document: bytes) -> bool:
        """Whether a document stands for a startup configuration that was deleted."""
        return document.strip() == _DELETED

    def write(self, members: Mapping[str, Any] | None) -> None:
        """Make this the startup configuration; None: it is deleted. Raises OSError."""
        write_durably(self._path, _DELETED if members is None else self._store.pack(members, None))

    def part(self, permanent: Callable[[], Mapping[str, Any]]) -> None:
        """From now on startup is what is permanent in running at this moment. Raises OSError.

        Args:
            permanent: makes the same, for when it is in no file.
        """
        if self._path.exists():
            return
        for name in ("unconfirmed.json", "running.json"):
            with suppress(FileNotFoundError):
                os.link(self._folder / name, self._path)
                self._sync()
                return
        self.write(permanent())

    def follow(self) -> None:
        """From now on startup is what running is. Raises OSError."""
        self._path.unlink(missing_ok=True)
        self._sync()

    def set_aside(self) -> None:
        """Keep a damaged file under another name, and do without. Raises OSError."""
        self._path.replace(self._path.with_suffix(".json.damaged"))
        self._sync()

    def _sync(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Startup:
    """The startup datastore in memory.

    Attributes:
        file: where it is kept.
        own: its content; None while it is running's.
    """

    def __init__(self, file: StartupFile, own: Tree | None) -> None:
        self.file = file
        self.own = own

    def tree(self, permanent: Tree) -> Tree:
        """Its content.

        Args:
            permanent: what running is, without a commit that waits to be confirmed.
        """
        return permanent if self.own is None else self.own

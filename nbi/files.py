"""Files that a ``<url>`` names (RFC 6241 section 8.8): one folder, scheme file, XML.

A name is one step, of letters, digits and ``._-``: there are no folders in the folder, and nothing in it that
is not a regular file is read. So no url leads out of it.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from nbi.protocol.errors import RpcError, invalid_value

SCHEMES: Final = ("file",)
MAX_FILES: Final = 32
MAX_USER_FILES: Final = 16
"""Files that one user wrote last: who may write may often not delete, and would leave no room for others."""
MAX_URL: Final = 1_024
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_TEMPORARY: Final = ".new-"
_OWNERS: Final = ".owners"
"""Who wrote which file last, as JSON; files that are not in it are nobody's."""


class ConfigFiles:
    """The folder; its methods block and are called in a thread.

    Args:
        folder: made, with mode 0700, when it is not there.
        max_size: of a file, in octets.
    """

    def __init__(self, folder: Path, max_size: int) -> None:
        self._folder = folder
        self._max_size = max_size
        self._lock = threading.Lock()
        self._begun: dict[str, str] = {}
        """Temporary file → whose new file it becomes: many that are written at once count, too."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in folder.glob(f"{_TEMPORARY}*"):
            left.unlink(missing_ok=True)

    def name_of(self, url: str) -> str:
        """The file that a url names: ``file:///NAME``, also ``file:NAME`` and the folder's own path.

        Raises:
            RpcError: ``invalid-value``; ``operation-not-supported`` for another scheme.
        """
        if len(url) > MAX_URL:
            raise _bad_url("it is too long")
        try:
            parts = urlsplit(url)
        except ValueError:
            raise _bad_url("it is none") from None
        if parts.scheme and parts.scheme not in SCHEMES:
            raise RpcError(
                "operation-not-supported",
                f"a url of scheme {parts.scheme[:40]} is not supported, only file:",
                info={"bad-element": "url"},
            )
        if not parts.scheme or parts.query or parts.fragment or parts.netloc not in ("", "localhost"):
            raise _bad_url("the form is file:///NAME")
        path = unquote(parts.path).removeprefix(f"{self._folder}/")
        name = path.removeprefix("/")
        if _NAME.fullmatch(name) is None:
            raise _bad_url("a name has letters, digits, '.', '_' and '-', at most 128, and no folders")
        return name

    def exists(self, name: str) -> bool:
        """Whether there is a file, of whatever kind, with this name."""
        return os.path.lexists(self._folder / name)

    def read(self, name: str) -> bytes:
        """What is in a file.

        Raises:
            RpcError: ``data-missing``, ``too-big``, ``operation-failed`` (no regular file, not readable).
        """
        with self._opened() as folder, _explained(name):
            # O_NONBLOCK: the open of a fifo would wait for a writer
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with os.fdopen(os.open(name, flags, dir_fd=folder), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise RpcError("operation-failed", f"{name} is not a regular file", "application")
                content = file.read(self._max_size + 1)
        if len(content) > self._max_size:
            raise self._too_big(name)
        return content

    def write(self, name: str, parts: Iterable[bytes], user: str = "") -> None:
        """Make or replace a file of a user's, at once or not at all.

        Raises:
            RpcError: ``too-big``, ``resource-denied`` (too many files), ``operation-failed``.
        """
        temporary = f"{_TEMPORARY}{secrets.token_hex(8)}"
        with self._opened() as folder, _explained(name):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                with self._lock:
                    self._check_room(folder, name, user)
                    opened = os.open(temporary, flags, 0o600, dir_fd=folder)
                    if not self.exists(name):
                        self._begun[temporary] = user
                with os.fdopen(opened, "wb") as file:
                    size = 0
                    for part in parts:
                        size += len(part)
                        if size > self._max_size:
                            raise self._too_big(name)
                        file.write(part)
                    file.flush()
                    os.fsync(file.fileno())
                with self._lock:
                    # first who it belongs to: a file without owner would count as nobody's
                    self._set_owners({**self._owners(folder), name: user})
                    os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                raise
            finally:
                self._begun.pop(temporary, None)
            os.fsync(folder)

    def delete(self, name: str) -> None:
        """Remove a file. Raises RpcError: ``data-missing``, ``operation-failed``."""
        with self._opened() as folder, _explained(name), self._lock:
            os.unlink(name, dir_fd=folder)
            self._set_owners(self._owners(folder))
            os.fsync(folder)

    # --- whose they are --------------------------------------------------------------------------

    def _check_room(self, folder: int, name: str, user: str) -> None:
        others = [other for other in self._names(folder) if other != name]
        if len(others) >= MAX_FILES:
            raise RpcError(
                "resource-denied", f"there are {MAX_FILES} files already: delete one", "application"
            )
        owners = {**self._owners(folder), **self._begun}
        if user and sum(owners.get(other) == user for other in others) >= MAX_USER_FILES:
            raise RpcError(
                "resource-denied",
                f"there are {MAX_USER_FILES} files of user {user} already: delete one",
                "application",
            )

    @staticmethod
    def _names(folder: int) -> list[str]:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries if not entry.name.startswith(_OWNERS)]

    def _owners(self, folder: int) -> dict[str, str]:
        """Owners of files that are there; of none, where they cannot be told."""
        names = set(self._names(folder))
        try:
            known = json.loads((self._folder / _OWNERS).read_bytes())
            return {name: str(user) for name, user in known.items() if name in names}
        except (OSError, ValueError, AttributeError):
            return {}

    def _set_owners(self, owners: Mapping[str, str]) -> None:
        new = self._folder / f"{_OWNERS}{_TEMPORARY}"
        new.write_text(json.dumps(owners))
        new.replace(self._folder / _OWNERS)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        with _explained("the folder of files"):
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield folder
        finally:
            os.close(folder)

    def _too_big(self, name: str) -> RpcError:
        return RpcError("too-big", f"{name}: a file may have {self._max_size} octets at most", "application")


def _bad_url(why: str) -> RpcError:
    return invalid_value("url", f"the url cannot be used: {why}")


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """OSError as RpcError."""
    try:
        yield
    except FileNotFoundError:
        raise RpcError("data-missing", f"there is no file {name}", "application") from None
    except OSError as error:
        raise RpcError("operation-failed", f"{name}: {error.strerror}", "application") from None

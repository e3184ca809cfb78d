"""The gNMI server's certificate: from the configured files to the server, and again when they change."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from bng.daemon import tls
from telemetry.server import GnmiServer
from yang.provider import ConfigDiff, OperationError
from yang.tree import Tree

log = structlog.get_logger()

PATH = "/aether-bng:bng/management/gnmi"
LOOK_EVERY = 5.0
"""Seconds between looks at the files."""


class Files(NamedTuple):
    """What a configuration says.

    Attributes:
        certificate, key: the server's own; None: those of the state folder, which are made.
        client_ca: authorities of clients; None: clients need no certificate.
        certificate_users: clients' certificates say who they are.
    """

    certificate: str | None = None
    key: str | None = None
    client_ca: str | None = None
    certificate_users: bool = False


def files_of(running: Mapping[str, Any]) -> Files:
    """The files of a configuration with defaults (RFC 7951)."""
    part = running.get("aether-bng:bng", {}).get("management", {}).get("gnmi", {})
    certificate, key = part.get("certificate-file"), part.get("private-key-file")
    if not certificate or not key:
        certificate = key = None
    client_ca = part.get("client-ca-file") or None
    return Files(certificate, key, client_ca, part.get("client-authentication") == "certificate")


class GnmiCertificates:
    """A `yang.provider.ConfigHandler`: puts new files, and what is new in them, in force for new connections.

    Args:
        folder: where certificates are that are made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = Files()
        self._names: list[str] = []
        self._seen: tuple[Any, ...] = ()
        self._server: GnmiServer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, tree: Tree, listen: Sequence[tuple[str, int]]) -> GnmiServer:
        """A server that has been started. Raises OSError: a file cannot be used, or an address be had."""
        self._files = files_of(tree.running_json())
        self._names = [host for host, _ in listen if host not in ("0.0.0.0", "::")]  # noqa: S104
        if self._files.certificate is None:
            tls.load_or_make(self._folder, self._names)
        try:
            key, certificate, client_ca = self._read(self._files)
        except ValueError as error:
            raise OSError(str(error)) from None
        self._seen = self._state(self._files)
        server = GnmiServer(
            tree,
            listen,
            key,
            certificate,
            client_ca=client_ca,
            certificate_users=self._files.certificate_users,
        )
        await server.start()
        self._server = server
        self._task = asyncio.create_task(self._follow(), name="gnmi-certificate")
        return server

    async def stop(self) -> None:
        """Stop the server, if there is one."""
        if self._task is not None:
            self._task.cancel()
        if self._server is not None:
            await self._server.stop()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await self.look()

    async def look(self) -> None:
        """Use what the files hold now, if that is something else and complete."""
        state = self._state(self._files)
        if self._server is None or state == self._seen:
            return
        self._seen = state
        try:
            found = self._read(self._files)
        except (OSError, ValueError) as error:
            log.warning("gnmi.certificate.refused", reason=str(error))
            return
        try:
            await self._server.use(*found, certificate_users=self._files.certificate_users)
        except OSError as error:
            self._seen = ()  # to be tried again
            log.error("gnmi.not-listening", reason=str(error))
            return
        log.info("gnmi.certificate.replaced", certificate=str(self._paths(self._files)[1]))

    def _paths(self, files: Files) -> tuple[Path, Path]:
        if files.certificate is None or files.key is None:
            return self._folder / "key.pem", self._folder / "cert.pem"
        return Path(files.key), Path(files.certificate)

    def _read(self, files: Files) -> tuple[bytes, bytes, bytes | None]:
        """(key, certificate, client authorities). Raises OSError, ValueError: they are not what they should
        be."""
        key, certificate = tls.read_pair(*self._paths(files))
        return key, certificate, tls.read_authorities(files.client_ca) if files.client_ca else None

    def _state(self, files: Files) -> tuple[Any, ...]:
        """What changes when a file does."""
        paths = [*self._paths(files), *([Path(files.client_ca)] if files.client_ca else ())]
        return (files, *(_stamp(path) for path in paths))

    # --- the configuration -----------------------------------------------------------------------

    async def prepare(self, diff: ConfigDiff) -> Files | None:
        """Refuses files that cannot be used."""
        after = files_of(diff.new)
        if after == files_of(diff.old) or self._server is None:
            return None
        try:
            if after.certificate is None:
                tls.load_or_make(self._folder, self._names)
            self._read(after)
        except (OSError, ValueError) as error:
            raise OperationError("invalid-value", str(error), path=PATH) from None
        return after

    async def commit(self, token: Files | None) -> None:
        """Put new files in force."""
        if token is not None:
            self._files = token
            await self.look()

    async def abort(self, token: Files | None) -> None:
        """Nothing has happened."""


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino

"""The only way to a BNG: NETCONF, through `nbi.client`.

The client blocks, so that every call runs in a thread of a small pool. Reads and actions share one session
per BNG, made when it is first needed; a configuration change has a session of its own, because the
candidate and its lock belong to a session.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar
from xml.sax.saxutils import escape

from lxml import etree

from nbi.client import NetconfClient, NetconfConnectionError, NetconfError, connect
from oss.config import BngTarget
from oss.domain.errors import BngRefused, BngUnreachable, NotFound

SUBSCRIBER = "urn:aether:yang:aether-subscriber"
SHAPING = "urn:aether:yang:aether-shaping"
NETCONF = "urn:ietf:params:xml:ns:netconf:base:1.0"

TIMEOUT = 10.0
"""Seconds for connecting and for each answer."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Profile:
    """A shaping profile as a BNG is to hold it: rates in bit/s, bursts in octets (None: the default)."""

    name: str
    download_rate: int
    upload_rate: int
    download_burst: int | None = None
    upload_burst: int | None = None
    description: str = ""

    def xml(self) -> str:
        """The list entry; it replaces what the BNG has under this name."""
        return (
            f'<profile nc:operation="replace"><name>{escape(self.name)}</name>'
            + (f"<description>{escape(self.description)}</description>" if self.description else "")
            + _direction("download", self.download_rate, self.download_burst)
            + _direction("upload", self.upload_rate, self.upload_burst)
            + "</profile>"
        )


def _direction(name: str, rate: int, burst: int | None) -> str:
    depth = "" if burst is None else f"<burst>{burst}</burst>"
    return f"<{name}><rate>{rate}</rate>{depth}</{name}>"


def profiles_edit(wanted: Iterable[Profile], gone: Iterable[str]) -> str:
    """The edit-config content that makes these profiles exist, and those not."""
    entries = [profile.xml() for profile in wanted]
    entries += [f'<profile nc:operation="remove"><name>{escape(name)}</name></profile>' for name in gone]
    return (
        f'<shaping-profiles xmlns="{SHAPING}" xmlns:nc="{NETCONF}">'
        + "".join(entries)
        + "</shaping-profiles>"
    )


class Candidate:
    """A session of one BNG for one configuration change; every method raises `NetconfError`."""

    def __init__(self, target: BngTarget, run: Callable[..., Any]) -> None:
        self.bng_id = target.bng_id
        self._target = target
        self._run = run
        self._client: NetconfClient | None = None

    async def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        def work() -> Any:
            if self._client is None or not self._client.connected:
                self._client = _connect(self._target)
            return getattr(self._client, name)(*args, **kwargs)

        return await self._run(work)

    async def prepare(self, edit: str) -> None:
        """Lock the candidate, change it, and have the BNG check it."""
        await self._call("lock", "candidate")
        await self._call("edit_candidate", edit)
        await self._call("validate")

    async def commit(self) -> None:
        await self._call("commit")

    async def commit_confirmed(self, persist: str, timeout: int) -> None:
        """Commit, to be taken back unless `confirm` comes within so many seconds, from whichever session."""
        await self._call("commit", confirmed=True, confirm_timeout=timeout, persist=persist)

    async def confirm(self, persist: str) -> None:
        await self._call("commit", persist_id=persist)

    async def cancel(self, persist: str) -> None:
        await self._call("cancel_commit", persist)

    async def discard(self) -> None:
        if self._client is not None and self._client.connected:
            await self._call("discard")

    async def close(self) -> None:
        """End the session, and with it its lock; never raises."""
        if self._client is not None:
            await self._run(self._client.close)
            self._client = None


class Devices:
    """All BNGs of the configuration."""

    def __init__(self, targets: Iterable[BngTarget]) -> None:
        self._targets = {target.bng_id: target for target in targets}
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="netconf")
        self._shared: dict[str, NetconfClient] = {}
        self._connecting = {bng_id: threading.Lock() for bng_id in self._targets}

    @property
    def ids(self) -> list[str]:
        return sorted(self._targets)

    def __contains__(self, bng_id: str) -> bool:
        return bng_id in self._targets

    def candidate(self, bng_id: str) -> Candidate:
        return Candidate(self._target(bng_id), self._run)

    async def get(self, bng_id: str, subtree: str) -> etree._Element:
        """A filtered get: the ``data`` element."""
        return await self._with_shared(bng_id, lambda client: client.get(subtree))

    async def session(self, bng_id: str, session_id: str) -> dict[str, Any]:
        """One session as the BNG sees it now: leaves in snake_case.

        Raises:
            NotFound, BngRefused, BngUnreachable
        """
        data = await self.get(
            bng_id,
            f'<sessions xmlns="{SUBSCRIBER}"><session><id>{escape(session_id)}</id></session></sessions>',
        )
        entry = data.find(f"{{{SUBSCRIBER}}}sessions/{{{SUBSCRIBER}}}session")
        if entry is None:
            raise NotFound(f"{bng_id} has no session {session_id} any more.")
        return flatten(entry)

    async def session_action(self, bng_id: str, session_id: str, action: str, **leaves: str) -> None:
        """Run an action of `aether-subscriber:sessions/session`.

        Raises:
            NotFound: the session is gone.
            BngRefused, BngUnreachable
        """
        content = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in leaves.items())
        request = (
            f'<sessions xmlns="{SUBSCRIBER}"><session><id>{escape(session_id)}</id>'
            f"<{action}>{content}</{action}></session></sessions>"
        )
        await self._with_shared(bng_id, lambda client: client.action(request))

    async def close(self) -> None:
        for client in self._shared.values():
            await self._run(client.close)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _target(self, bng_id: str) -> BngTarget:
        if bng_id not in self._targets:
            raise NotFound(f"There is no BNG {bng_id} in this OSS's configuration.")
        return self._targets[bng_id]

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _with_shared(self, bng_id: str, use: Callable[[NetconfClient], T]) -> T:
        target = self._target(bng_id)

        def work() -> T:
            client, fresh = self._shared_client(target)
            try:
                return use(client)
            except NetconfConnectionError:
                if fresh:
                    raise
            # the session had died unnoticed, e.g. with the BNG's management process
            client, _ = self._shared_client(target)
            return use(client)

        try:
            return await self._run(work)
        except NetconfConnectionError as error:
            raise BngUnreachable(f"{bng_id} cannot be reached: {error.message}") from error
        except NetconfError as error:
            if error.tag in ("data-missing", "unknown-element"):
                raise NotFound(f"{bng_id}: {error.message}") from error
            raise BngRefused(f"{bng_id} refused: {error.message}") from error

    def _shared_client(self, target: BngTarget) -> tuple[NetconfClient, bool]:
        with self._connecting[target.bng_id]:
            client = self._shared.get(target.bng_id)
            if client is not None and client.connected:
                return client, False
            client = _connect(target)
            self._shared[target.bng_id] = client
            return client, True


def _connect(target: BngTarget) -> NetconfClient:
    return connect(
        target.host, target.port, username=target.username, password=target.password, timeout=TIMEOUT
    )


def flatten(entry: etree._Element) -> dict[str, Any]:
    """Leaves below an element by name in snake_case; containers (access-line, counters) are opened."""
    leaves: dict[str, Any] = {}
    for child in entry:
        if len(child):
            leaves.update(flatten(child))
        else:
            leaves[etree.QName(child).localname.replace("-", "_")] = child.text or ""
    return leaves

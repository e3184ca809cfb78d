"""A NETCONF server with its element, in this process, and the client's end of its sessions."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import tempfile
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import structlog
from lxml import etree

from nbi.info import Limits
from nbi.link import Link
from nbi.protocol.framing import Deframer
from nbi.protocol.names import BASE_NS
from nbi.server import NetconfServer
from nbi.session import NetconfSession
from tests.contract.netconf import element
from yang.access import User
from yang.datastore.model import Session as DatastoreSession

PATIENCE = 20.0
"""Seconds until an answer that has not come counts as none."""
SETTLE = 150
"""Inputs after which all sessions end, and nothing of them may be left."""
REFRESH = 20_000
"""Inputs after which the element begins anew."""
MAX_GROWTH = 200 << 20
"""Octets by which the process may grow between one element and a later one."""
_REPLY = f"{{{BASE_NS}}}rpc-reply"
_PARSER = etree.XMLParser(huge_tree=True)


class Wire:
    """The client's end: takes what the server writes, and cuts it into messages.

    Attributes:
        replies: of this session, parsed: what is not well-formed is a fault. Notifications are parsed too,
            and forgotten.
    """

    def __init__(self) -> None:
        self.replies: list[etree._Element] = []
        self.closed = False
        self.changed = asyncio.Event()
        self.session: NetconfSession
        self._deframer = Deframer(1 << 30)
        self._greeted = self._chunked = False

    def write(self, data: bytes) -> None:
        if self._greeted and not self._chunked and self.session._connection.framer._chunked:
            self._deframer.use_chunks()
            self._chunked = True
        self._deframer.feed(data)
        while (message := self._deframer.next_message()) is not None:
            root = etree.fromstring(message, _PARSER)
            if root.tag == _REPLY:
                self.replies.append(root)
            self._greeted = True
        self.changed.set()

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.closed:
            self.closed = True
            self.changed.set()
            asyncio.get_running_loop().call_soon(self.session.connection_lost)

    async def replied(self) -> etree._Element | None:
        """The reply; None when the session ended without one."""
        while not self.replies:
            if self.closed:
                return None
            self.changed.clear()
            await self.changed.wait()
        return self.replies.pop(0)


class Server:
    """A server and its element, which begins anew from time to time; what it logs as an error is a fault, and
    what sessions leave behind is one."""

    def __init__(self, user: str) -> None:
        self.user = User(user)
        self.inputs = 0
        self.faults: list[str] = []
        self.server: NetconfServer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._before: frozenset[str] = frozenset()
        self._size = 0

    def _note(self, _logger: object, method: str, event: MutableMapping[str, Any]) -> str:
        if method in ("exception", "error", "critical"):
            self.faults.append(f"{event}")
        raise structlog.DropEvent

    def __call__(self, data: bytes) -> bool:
        before = structlog.get_config()
        structlog.configure(
            processors=[structlog.processors.format_exc_info, self._note],
            wrapper_class=structlog.stdlib.BoundLogger,
            cache_logger_on_first_use=False,
        )
        try:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                atexit.register(self._close)
                self._loop.set_exception_handler(lambda _, what: self.faults.append(f"{what}"))
            self.faults.clear()
            accepted = self._loop.run_until_complete(asyncio.wait_for(self._try(data), PATIENCE))
        finally:
            structlog.configure(**before)
        assert not self.faults, self.faults
        return accepted

    def _close(self) -> None:
        structlog.configure(processors=[self._note])
        if self._loop is not None:
            # threads take no more work by now: a confirmed commit cannot be reverted
            with contextlib.suppress(RuntimeError):
                self._loop.run_until_complete(self.stop())
            self._loop.close()

    async def _try(self, data: bytes) -> bool:
        self.inputs += 1
        if self.inputs % SETTLE == 0 and self.server is not None:
            await self._settle(self.server)
        if self.inputs % REFRESH == 0:
            await self.stop()
            self._check_size()
        return await self.say(data)

    async def say(self, data: bytes) -> bool:
        raise NotImplementedError

    async def hang_up(self) -> None:
        """End the sessions that go on from input to input."""

    async def stop(self) -> None:
        """Forget the element."""
        await self.hang_up()
        if self.server is not None:
            server, self.server = self.server, None
            await server.stop()
            await server.tree.close()
        if self._folder is not None:
            self._folder.cleanup()

    # --- what is left of sessions ----------------------------------------------------------------

    async def _settle(self, server: NetconfServer) -> None:
        """All sessions end: no lock, subscription, candidate or task is left, and what runs is valid."""
        await self.hang_up()
        for session in tuple(server.sessions.values()):
            session.connection_lost()
            await asyncio.wait({session.task})
        datastores = server.tree.datastores
        if not server.tree.has_user(self.user.name):
            await self.stop()  # it has deleted itself
            return
        await datastores.close()  # a confirmed commit outlives its session where it says so
        assert not server.sessions
        assert not server.subscriptions.subscriptions
        assert not server.subscriptions._owners
        assert not datastores._candidates._private
        assert not datastores.partial_locks()
        for name in ("running", "candidate", "startup"):
            assert datastores.lock_holder(name) is None, name
        await datastores.validate(DatastoreSession(0, User("admin"), "fuzz"), "running")
        await asyncio.sleep(0)
        left = self._held(server) - self._before
        assert not left, left

    @staticmethod
    def _held(server: NetconfServer) -> frozenset[str]:
        """Tasks, and what listens to the bus."""
        # that of `wait_for` is ours
        tasks = {
            f"{task.get_name()} {getattr(task.get_coro(), '__qualname__', '')}"
            for task in asyncio.all_tasks()
            if task is not asyncio.current_task() and "wait_for" not in repr(task.get_coro())
        }
        bus = server.tree.bus
        return frozenset(
            {
                *tasks,
                *(f"watch {watch._paths}" for watch in bus._watches),
                f"subscriptions {len(bus._subscriptions)}",
            }
        )

    def _check_size(self) -> None:
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        self._size = self._size or resident
        assert resident < self._size + MAX_GROWTH, f"grown from {self._size} to {resident} octets"

    # --- sessions --------------------------------------------------------------------------------

    async def connect(self) -> Wire:
        """A session that begins; the element begins anew where its user may have none."""
        for _ in range(2):
            if self.server is None:
                self.server = await self._start()
            wire = Wire()
            session = self.server.open_session(Link(wire, 10), self.user, "netconf-ssh", "fuzz")
            if session is not None:
                wire.session = session
                return wire
            await self.stop()
        raise AssertionError("no session can be opened")

    async def _start(self) -> NetconfServer:
        memory = Path("/dev/shm")  # commits are synchronised to disk otherwise
        self._folder = tempfile.TemporaryDirectory(
            prefix="aether-fuzz-", dir=memory if memory.is_dir() else None
        )
        folder = Path(self._folder.name)
        served = await element.open_element(folder, 4)
        server = NetconfServer(
            served.tree,
            [],
            folder / "key",
            replay=served.journal,
            limits=Limits(max_message=1 << 20),
            files_dir=folder / "files",
        )
        await server.start()
        await asyncio.sleep(0)
        self._before = self._held(server)
        return server

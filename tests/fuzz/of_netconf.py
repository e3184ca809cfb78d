"""What clients say to a NETCONF server, said to a real one: session, tree and datastores behind it."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import re
import tempfile
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import structlog

from nbi.info import Limits
from nbi.link import Link
from nbi.protocol.names import BASE_NS, CAP_BASE_11, CAP_PRIVATE_CANDIDATE
from nbi.server import NetconfServer
from nbi.session import NetconfSession
from tests.contract.netconf import element
from tests.fuzz.netconf_requests import REQUESTS, WORDS
from tests.fuzz.runner import Target
from yang.access import User

PATIENCE = 20.0
"""Seconds until an answer that has not come counts as none."""
REFRESH = 20_000
"""Inputs after which the element begins anew."""
_HASHES = re.compile(r"\$[56]\$[./A-Za-z0-9=]{4,}")
_SHARED = (
    f"<hello xmlns='{BASE_NS}'><capabilities><capability>{CAP_BASE_11}</capability></capabilities></hello>"
)
_PRIVATE = _SHARED.replace(
    "</capabilities>", f"<capability>{CAP_PRIVATE_CANDIDATE}</capability></capabilities>"
)


def targets() -> Iterator[Target]:
    framed = [
        _SHARED.encode() + b"]]>]]>" + b"".join(map(_framed, REQUESTS[:3])),
        _PRIVATE.encode() + b"]]>]]>",
    ]
    yield Target("netconf-message", REQUESTS, Messages("admin"), tokens=WORDS, slow=True, xml=True)
    yield Target("netconf-viewer", REQUESTS, Messages("viewer"), tokens=WORDS, slow=True, xml=True)
    yield Target(
        "netconf-stream", framed, Streams("admin"), tokens=[b"]]>]]>", b"\n##\n", b"\n#1\n"], slow=True
    )


def _framed(message: bytes) -> bytes:
    return b"\n#%d\n%b\n##\n" % (len(message), message)


class Wire:
    """The client's end: takes what the server writes."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.closed = False
        self.changed = asyncio.Event()
        self.session: NetconfSession

    def write(self, data: bytes) -> None:
        self.received += data
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

    async def replied(self) -> bytes | None:
        """The reply, framed and with notifications around it; None when the session ended without one."""
        while not (b"</rpc-reply>\n##\n" in self.received or b"</rpc-reply>]]>]]>" in self.received):
            if self.closed:
                return None
            self.changed.clear()
            await self.changed.wait()
        return bytes(self.received)


class Server:
    """A server and its element, which begins anew from time to time; what it logs as an error is a fault."""

    def __init__(self, user: str) -> None:
        self._user = User(user)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._server: NetconfServer | None = None
        self._inputs = 0
        self.faults: list[str] = []

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
        self._inputs += 1
        if self._inputs % REFRESH == 0:
            await self.stop()
        return await self.say(data)

    async def say(self, data: bytes) -> bool:
        raise NotImplementedError

    async def stop(self) -> None:
        """Forget the element."""
        if self._server is not None:
            server, self._server = self._server, None
            await server.stop()
            await server.tree.close()
        if self._folder is not None:
            self._folder.cleanup()

    async def connect(self) -> Wire:
        """A session that begins; the element begins anew where its user may have none."""
        for _ in range(2):
            if self._server is None:
                self._server = await self._start()
            wire = Wire()
            session = self._server.open_session(Link(wire, 10), self._user, "netconf-ssh", "fuzz")
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
        return server


class Messages(Server):
    """One message after the other, in one session while it lasts: each is answered, or ends it."""

    def __init__(self, user: str) -> None:
        super().__init__(user)
        self._wire: Wire | None = None
        self.reply: bytes | None = None

    async def stop(self) -> None:
        self._wire = None
        await super().stop()

    async def say(self, data: bytes) -> bool:
        if not data:
            return False
        if self._wire is None or self._wire.closed or self._wire.session.reason:
            if self._wire is not None:
                await self._wire.session.task
            self._wire = await self.connect()
            hello = _PRIVATE if self._inputs % 2 else _SHARED
            self._wire.session.data_received(hello.encode() + b"]]>]]>")
        wire = self._wire
        wire.received.clear()
        held = next(iter(self._server.subscriptions.subscriptions), 1) if self._server else 1
        data = data.replace(b"<id>1</id>", b"<id>%d</id>" % held)
        wire.session.data_received(_framed(data))
        self.reply = reply = await wire.replied()
        if reply is None:
            return False
        assert b"internal error" not in reply, reply
        if self._user.name != "admin":
            # the reply repeats attributes of the request
            for secret in (element.SECRET, *element.PASSWORDS.values(), *_HASHES.findall(reply.decode())):
                told = secret.encode() in reply and secret.encode() not in data
                assert not told, "a secret was told"
        return b"malformed-message" not in reply


class Streams(Server):
    """Octets of a whole session, from the hello on; the session ends."""

    async def say(self, data: bytes) -> bool:
        wire = await self.connect()
        session = wire.session
        for at in range(0, len(data), 500):
            session.data_received(data[at : at + 500])
            await asyncio.sleep(0)
        session.eof_received()
        with contextlib.suppress(asyncio.CancelledError):
            await session.task
        assert b"internal error" not in wire.received, bytes(wire.received)
        assert session.reason, "the session did not end"
        return session.reason != "bad-hello" and session.reason != "other"

"""A server on a unix socket with the real tree, and a client that shows every octet."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from _libyang import ffi, lib
from lxml import etree

from nbi.hostkeys import load_host_keys
from nbi.info import Limits
from nbi.protocol.framing import Deframer, Framer
from nbi.protocol.names import BASE_NS, CAP_BASE_10, CAP_BASE_11
from nbi.server import MODULES_DIR, NetconfServer
from tests.support.waiting import until
from tests.unit.nbi.subscribing import Subscriber
from yang.access import User
from yang.datastore.context import load_context

TIMEOUT = 20.0
NC = {"nc": BASE_NS}


def _load_element() -> ModuleType:
    path = Path(__file__).parents[2] / "contract" / "netconf" / "element.py"
    spec = importlib.util.spec_from_file_location("netconf_element", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


element_module = _load_element()


class RawClient:
    """A NETCONF client on a unix socket, without any patience for the server's mistakes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.hello: etree._Element | None = None
        self.notifications: list[etree._Element] = []
        self._deframer = Deframer(1 << 30)
        self._framer = Framer()
        self._ids = itertools.count(1)

    @property
    def session_id(self) -> int:
        return int(self.hello.findtext("nc:session-id", None, NC))

    async def say_hello(self, *capabilities: str) -> None:
        listed = "".join(f"<capability>{uri}</capability>" for uri in capabilities)
        self.write(f"<hello xmlns='{BASE_NS}'><capabilities>{listed}</capabilities></hello>")
        self.hello = etree.fromstring(await self.message())
        if CAP_BASE_11 in capabilities:
            self._deframer.use_chunks()
            self._framer.use_chunks()

    def write(self, message: str | bytes) -> None:
        data = message.encode() if isinstance(message, str) else message
        self.writer.write(self._framer.message(data))

    def request(self, operation: str, attributes: str = "") -> str:
        """Send a request and return its message-id."""
        message_id = str(next(self._ids))
        self.write(f"<rpc xmlns='{BASE_NS}' message-id='{message_id}' {attributes}>{operation}</rpc>")
        return message_id

    async def message(self) -> bytes | None:
        """The next message, None at the end of the stream."""
        while (message := self._deframer.next_message()) is None:
            data = await asyncio.wait_for(self.reader.read(1 << 20), TIMEOUT)
            if not data:
                return None
            self._deframer.feed(data)
        return message

    async def reply(self) -> etree._Element:
        """The next reply; notifications that come before it are kept."""
        while True:
            message = await self.message()
            assert message is not None, "the server closed the session"
            root = etree.fromstring(message, etree.XMLParser(huge_tree=True))
            if root.tag == f"{{{BASE_NS}}}rpc-reply":
                return root
            self.notifications.append(root)

    async def notification(self) -> etree._Element:
        """The next notification."""
        if not self.notifications:
            message = await self.message()
            assert message is not None, "the server closed the session"
            self.notifications.append(etree.fromstring(message))
        return self.notifications.pop(0)

    async def rpc(self, operation: str) -> etree._Element:
        message_id = self.request(operation)
        reply = await self.reply()
        assert reply.get("message-id") == message_id
        return reply

    async def ok(self, operation: str) -> None:
        reply = await self.rpc(operation)
        assert reply.find("nc:ok", NC) is not None, etree.tostring(reply).decode()

    async def error(self, operation: str) -> etree._Element:
        """The one rpc-error that an operation is answered with."""
        errors = (await self.rpc(operation)).findall("nc:rpc-error", NC)
        assert len(errors) == 1
        return errors[0]

    async def error_tag(self, operation: str) -> str:
        return (await self.error(operation)).findtext("nc:error-tag", None, NC)

    async def ended(self) -> bool:
        """Whether the server closes without another word."""
        return await self.message() is None

    def close(self) -> None:
        self.writer.close()


class Served:
    """An element, its server, and clients of it."""

    def __init__(self, element, server: NetconfServer, path: Path) -> None:
        self.element = element
        self.server = server
        self.path = path
        self._clients: list[RawClient] = []

    async def connect(self) -> RawClient:
        """A connection, before any hello."""
        client = RawClient(*await asyncio.open_unix_connection(str(self.path)))
        self._clients.append(client)
        return client

    async def client(self, *capabilities: str) -> RawClient:
        client = await self.connect()
        await client.say_hello(*(capabilities or (CAP_BASE_10, CAP_BASE_11)))
        return client

    async def ended(self, session_id: int) -> None:
        """Wait until the server has forgotten a session."""
        await until(lambda: session_id not in self.server.sessions)

    def limit(self, **limits: float) -> None:
        """Change limits: of what is there already only what the server looks up each time."""
        self.server.limits = replace(self.server.limits, **limits)

    def close(self) -> None:
        for client in self._clients:
            client.close()


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture(scope="session")
def host_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File of an Ed25519 host key; the others beside it are made once as well."""
    path = tmp_path_factory.mktemp("host-keys") / "ssh_host_ed25519_key"
    load_host_keys(path)
    return path


async def start_served(
    folder: Path, sessions: int = 20, user: str = "admin", host_key: Path | None = None, **limits: float
) -> Served:
    """An element in this folder with this many sessions, for this user, within these limits; with a host key
    it listens for SSH too."""
    element = await element_module.open_element(folder, sessions)
    server = NetconfServer(
        element.tree,
        [] if host_key is None else [("127.0.0.1", 0)],
        host_key or folder / "key",
        unix_path=folder / "netconf.sock",
        unix_user=User(user),
        replay=element.journal,
        limits=Limits(**limits),
        files_dir=folder / "files",
    )
    await server.start()
    return Served(element, server, folder / "netconf.sock")


async def stop_served(served: Served) -> None:
    """End it, and its clients."""
    served.close()
    await served.server.stop()
    await served.element.tree.close()


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Call it as `start_served`, without a folder."""
    started: list[Served] = []

    async def start(*arguments: Any, **options: Any) -> Served:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        started.append(await start_served(folder, *arguments, **options))
        return started[-1]

    yield start
    for served in started:
        await stop_served(served)


@pytest.fixture(scope="session")
def judge() -> Callable[[etree._Element], None]:
    """Whether libyang takes a notification message."""
    context = load_context([MODULES_DIR])

    def check(message: etree._Element) -> None:
        data = etree.tostring(message) + b"\0"
        source, tree, op = (
            ffi.new("struct ly_in **"),
            ffi.new("struct lyd_node **"),
            ffi.new("struct lyd_node **"),
        )
        text = ffi.new("char[]", data)
        assert lib.ly_in_new_memory(text, source) == lib.LY_SUCCESS
        status = lib.lyd_parse_op(
            context.cdata, ffi.NULL, source[0], lib.LYD_XML, lib.LYD_TYPE_NOTIF_NETCONF, tree, op
        )
        lib.ly_in_free(source[0], 0)
        assert status == lib.LY_SUCCESS, (data.decode(), str(context.error("refused")))
        lib.lyd_free_all(tree[0])
        lib.lyd_free_all(op[0])

    return check


@pytest.fixture
def subscriber(serve, judge):
    async def start(**options) -> Subscriber:
        served = await serve(**{"min_period": 1, **options})
        return Subscriber(served, await served.client(), judge)

    return start

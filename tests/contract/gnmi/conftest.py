"""A gNMI server on the loopback interface with the real tree."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from telemetry.server import GnmiServer
from telemetry.subscribe import SECOND, Limits
from tests.contract.gnmi.client import Client
from tests.contract.gnmi.element import PASSWORDS, Element, Journal, Sessions
from tests.support import certificates

FAST = Limits(fastest=SECOND // 20, chosen=SECOND // 10)


@dataclass
class Target:
    """An element that is being served."""

    element: Element
    server: GnmiServer
    folder: Path
    _clients: list[Client] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.server.ports[0]

    @property
    def certificate(self) -> Path:
        return self.folder / "cert.pem"

    def client(self, username: str = "admin", password: str | None = None) -> Client:
        word = PASSWORDS[username] if password is None else password
        made = Client(self.port, self.certificate.read_bytes(), username, word)
        self._clients.append(made)
        return made

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        await self.server.stop(0.1)
        await self.element.tree.close()


Serve = Callable[..., Awaitable[Target]]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Serves elements: `await serve(sessions=…, events=…, retain=…, **options of GnmiServer)`."""
    async with AsyncExitStack() as stack:

        async def start(sessions: int = 3, events: int = 3, retain: int = 10_000, **options: Any) -> Target:
            key, certificate = certificates.write(tmp_path)
            element = Element(Sessions(sessions), Journal(events, retain))
            await element.open(tmp_path)
            options.setdefault("limits", FAST)
            server = GnmiServer(
                element.tree, [("127.0.0.1", 0)], key.read_bytes(), certificate.read_bytes(), **options
            )
            await server.start()
            target = Target(element, server, tmp_path)
            stack.push_async_callback(target.close)
            return target

        yield start


@pytest.fixture
async def target(serve: Serve) -> Target:
    """Three sessions, three events."""
    return await serve()


@pytest.fixture
def client(target: Target) -> Client:
    """The administrator."""
    return target.client()

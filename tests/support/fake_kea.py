"""A control agent that answers what a test wants, good or bad. For unit tests only."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]
RELAY_ID = "bng-01"
NOW = 1_800_000_000
NS = 1_000_000_000


def option82(line: str = "node-1 1/0/1", relay_id: str = RELAY_ID, link: str = "10.0.0.1") -> str:
    """Option 82 in hexadecimal, as our relay writes it."""
    remote_id, circuit_id = line.split(" ")
    octets = b""
    for code, value in (
        (1, circuit_id.encode()),
        (2, remote_id.encode()),
        (5, bytes(map(int, link.split(".")))),
        (12, relay_id.encode()),
    ):
        octets += bytes((code, len(value))) + value
    return "0x" + octets.hex()


def lease(number: int, *, line: str = "", renewed: int = NOW, lifetime: int = 3600, **more: Any) -> dict:
    """The lease of access line `number`: address 10.0.1.number; `more` are values as they are sent."""
    line = line or f"node-1 1/0/{number}"
    context = {"ISC": {"relay-agent-info": option82(line, more.pop("relay_id", RELAY_ID))}}
    return {
        "ip-address": f"10.0.{1 + number // 256}.{number % 256}",
        "hw-address": f"02:00:00:00:{number // 256:02x}:{number % 256:02x}",
        "cltt": renewed,
        "valid-lft": lifetime,
        "state": 0,
        "subnet-id": 1,
        "user-context": context,
    } | more


def http(body: Any, status: str = "200 OK", *headers: str) -> bytes:
    """An answer of HTTP/1.1."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [
        f"HTTP/1.1 {status}",
        f"Content-Length: {len(content)}",
        "Content-Type: application/json",
        *headers,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + content


class FakeKea:
    """A server with leases; `answers` overrides what it says to the next commands.

    Attributes:
        leases: what it has, in the order of addresses.
        life: (pid, uptime, reload) of status-get.
        commands: what it was asked.
        authorization: value of the last Authorization header.
    """

    def __init__(self) -> None:
        self.leases: list[dict[str, Any]] = []
        self.life: tuple[int, int, int] | None = (1, 1000, 1000)
        self.commands: list[dict[str, Any]] = []
        self.answers: list[Answer] = []
        self.authorization = ""
        self.connections = 0

    async def __aenter__(self) -> FakeKea:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
                self.authorization = fields.get("authorization", "")
                command = json.loads(await reader.readexactly(int(fields["content-length"])))
                self.commands.append(command)
                answer = self.answers.pop(0) if self.answers else self._answer(command)
                if callable(answer):
                    await answer(writer)
                    break
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, command: dict[str, Any]) -> bytes:
        if command["command"] == "status-get":
            if self.life is None:
                return http([{"result": 2, "text": "'status-get' command not supported."}])
            pid, uptime, reload = self.life
            return http([{"result": 0, "arguments": {"pid": pid, "uptime": uptime, "reload": reload}}])
        start, limit = command["arguments"]["from"], command["arguments"]["limit"]
        behind = [
            one for one in self.leases if start == "start" or _number(one) > _number({"ip-address": start})
        ]
        page = behind[:limit]
        arguments = {"count": len(page), "leases": page}
        return http([{"result": 0 if page else 3, "text": "", "arguments": arguments}])


def _number(one: dict[str, Any]) -> tuple[int, ...]:
    return tuple(map(int, one["ip-address"].split(".")))

"""Asking Kea's control agent (kea-ctrl-agent) over HTTP/1.1.

h11 speaks the protocol without I/O and is strict about what comes back; the streams of asyncio carry it. One
connection serves a whole pass, each command has a deadline and a limit of octets.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import h11
import orjson

from bng.config import LeaseApi
from bng.leases import lease as kea
from bng.leases.lease import LeaseError
from bng.seam.clock import NS

DEADLINE = 10.0
"""Seconds that a command may take, from connecting to the last octet."""
MAX_OCTETS = 4 << 20
"""Octets of an answer. A page of 1000 leases has about 0.4 MB."""
_MAX_HEAD = 16 << 10
_CHUNK = _MAX_HEAD  # so that a head which is longer is never there in one piece
_SAME_CLOCK = 2 * NS
"""Clocks that differ by less count as one: ``Date`` tells whole seconds."""


class Page(NamedTuple):
    """Leases of one answer, as they came.

    Attributes:
        ahead: nanoseconds by which our clock is ahead of the server's.
        elapsed: seconds that the server took.
        last: nothing comes behind it.
    """

    leases: Sequence[Any]
    ahead: int
    elapsed: float
    last: bool


class Life(NamedTuple):
    """A server's life: what it has in memory goes back to its start, and to the last time that it read its
    configuration. Seconds of our monotonic clock, rounded."""

    pid: int
    started: int

    def goes_on(self, later: Life) -> bool:
        """Whether a later observation is of the same life."""
        return self.pid == later.pid and abs(self.started - later.started) <= 3


class LeaseClient:
    """The control agent of one DHCP server. Not for several commands at once.

    Attributes:
        latency: microseconds that the last answer took; 0 before the first.
    """

    def __init__(self, api: LeaseApi) -> None:
        self.api = api
        self.latency = 0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)

    async def life(self) -> Life | None:
        """Since when the server lives as it is; None when it cannot tell."""
        try:
            arguments, _, _ = await self._command("status-get", {})
        except LeaseError as error:
            if "not supported" in str(error):
                return None
            raise
        pid, uptime, reload = (arguments.get(name) for name in ("pid", "uptime", "reload"))
        if not (type(pid) is int and type(uptime) is int and type(reload) is int):
            return None
        return Life(pid, round(time.monotonic()) - min(uptime, reload))

    async def page(self, after: str) -> Page:
        """The leases behind an address, ``start`` for the first ones. Raises LeaseError."""
        began = time.monotonic()
        limit = self.api.page_size
        arguments, result, ahead = await self._command("lease4-get-page", {"from": after, "limit": limit})
        leases = kea.leases_of(arguments, limit)
        if result == kea.EMPTY and leases:
            raise LeaseError("leases in an answer that says that there are none")
        return Page(leases, ahead, time.monotonic() - began, len(leases) < limit)

    def close(self) -> None:
        """Let go of the connection; the next command makes another one."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _command(self, name: str, arguments: Mapping[str, Any]) -> tuple[Mapping[str, Any], int, int]:
        began = time.monotonic()
        body: dict[str, Any] = {"command": name, "service": ["dhcp4"]}
        if arguments:
            body["arguments"] = arguments
        try:
            async with asyncio.timeout(DEADLINE):
                await self._connect()
                response, answer = await self._exchange(orjson.dumps(body))
        except TimeoutError:
            self.close()
            raise LeaseError(f"no answer within {DEADLINE:g} seconds") from None
        except OSError as error:
            self.close()
            raise LeaseError(error.strerror or str(error)) from None
        except h11.RemoteProtocolError as error:
            self.close()
            raise LeaseError(f"the answer is not HTTP: {error}") from None
        except BaseException:
            self.close()
            raise
        self._go_on()
        self.latency = round((time.monotonic() - began) * 1e6)
        if response.status_code == 401:
            raise LeaseError("our username or password is refused")
        if response.status_code != 200:
            raise LeaseError(f"HTTP status {response.status_code}")
        result, given = kea.arguments_of(answer)
        return given, result, _ahead(response)

    async def _connect(self) -> None:
        if self._streams is None:
            self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
            self._streams = await asyncio.open_connection(self.api.address, self.api.port)

    async def _exchange(self, body: bytes) -> tuple[h11.Response, bytes]:
        assert self._streams is not None
        reader, writer = self._streams
        for part in (self._request(body), h11.Data(body), h11.EndOfMessage()):
            writer.write(self._http.send(part) or b"")
        await writer.drain()
        received = 0
        response: h11.Response | None = None
        answer = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                data = await reader.read(_CHUNK)
                if not data and response is None:
                    raise LeaseError("the server closed the connection")
                received += len(data)
                if received > MAX_OCTETS:
                    raise LeaseError(f"the answer is longer than {MAX_OCTETS} octets")
                self._http.receive_data(data)
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                answer += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert response is not None
                return response, bytes(answer)
            else:  # nothing else comes before the end of the answer
                assert isinstance(event, h11.InformationalResponse)

    def _request(self, body: bytes) -> h11.Request:
        api = self.api
        headers = [
            ("Host", f"{api.address}:{api.port}"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
        ]
        if api.username:
            token = base64.b64encode(f"{api.username}:{api.password}".encode()).decode("ascii")
            headers.append(("Authorization", f"Basic {token}"))
        return h11.Request(method="POST", target="/", headers=headers)

    def _go_on(self) -> None:
        """Ready the connection for the next command, if the server keeps it open."""
        try:
            self._http.start_next_cycle()
        except h11.LocalProtocolError:
            self.close()


def _ahead(response: h11.Response) -> int:
    """Nanoseconds by which our clock is ahead of the server's, by its ``Date``; 0 when that is not there."""
    for name, value in response.headers:
        if name == b"date":
            with suppress(ValueError, TypeError, OverflowError):
                theirs = parsedate_to_datetime(value.decode("ascii", "replace")).timestamp()
                ahead = time.time_ns() - int(theirs * NS)
                # a second is cut off; a clock that is a day wrong is no clock to reckon by
                return ahead if _SAME_CLOCK < abs(ahead) < 86_400 * NS else 0
    return 0

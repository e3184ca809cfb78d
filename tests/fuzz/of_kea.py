"""What Kea's control agent answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from bng.config import LeaseApi
from bng.leases import http
from bng.leases import lease as kea
from bng.leases.comparison import Comparison
from bng.leases.lease import LeaseError
from bng.leases.places import Place
from bng.session.records import AccessLine, Binding, Session
from bng.session.states import State
from bng.session.store import Store
from tests.fuzz.runner import Target
from tests.fuzz.streams import JSON_TOKENS, Streams, Writer

NS = 1_000_000_000
NOW = 1_800_000_000


def targets() -> Iterator[Target]:
    yield Target("kea-lease", _pages(), Leases(), tokens=JSON_TOKENS)
    yield Target("lease-http", _answers(), LeaseHttp(), tokens=_HTTP_TOKENS)


def _lease(number: int, **more: Any) -> dict[str, Any]:
    return {
        "ip-address": f"10.0.1.{number}",
        "hw-address": f"02:00:00:00:00:{number:02x}",
        "cltt": NOW,
        "valid-lft": 3600,
        "state": 0,
        "user-context": {"ISC": {"relay-agent-info": {"sub-options": "0x0105312f302f3102066e6f64652d31"}}},
        **more,
    }


def _page(*leases: dict[str, Any]) -> bytes:
    return json.dumps([{"result": 0, "text": "", "arguments": {"leases": leases}}]).encode()


def _pages() -> list[bytes]:
    text = {"user-context": {"ISC": {"relay-agent-info": "0x0105312f302f320206" + b"node-1".hex()}}}
    return [_page(_lease(1), _lease(2, **text)), _page(_lease(3, state=1, **{"valid-lft": 2**32 - 1}))]


class Leases:
    """A page, read and compared with sessions."""

    def __init__(self) -> None:
        store = Store(10)
        line = AccessLine("node-1", "1/0/1")
        binding = Binding(line, "02:00:00:00:00:01", "10.0.1.1", "sub0", "0.0.0.0", "s", (NOW + 3600) * NS)
        session = Session("0" * 16, "bng-01", binding, routed=False, now=NOW * NS)
        session.state = State.ACTIVE
        store.add(session)
        self._store = store
        self._comparison = Comparison(store, lambda *_: Place("sub0", "0.0.0.0"))

    def __call__(self, data: bytes) -> bool:
        now = (NOW + 100) * NS
        try:
            _, arguments = kea.arguments_of(data)
            leases = [kea.read(raw) for raw in kea.leases_of(arguments, 10)]
        except LeaseError:
            return False
        self._comparison.begin(now)
        for lease in leases:
            found = self._comparison.lease(lease, "192.0.2.2", 0, now)
            assert found is None or (found.remote_id and found.mac_address and found.ip_address)
        for session in self._store:
            self._comparison.session(session)
        self._comparison.end(complete=True, same_lives=True)
        return True


_HTTP_TOKENS = [
    b"\r\n\r\n",
    b"\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\n\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 18446744073709551616\r\n",
    b"Connection: close\r\n",
    b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n",
    b"Date: Thu, 99 Jan 999999 00:00:00 +9999\r\n",
]


def _answers() -> list[bytes]:
    body = _page(_lease(1))
    head = b"HTTP/1.1 200 OK\r\nDate: Fri, 15 Jan 2027 08:00:00 GMT\r\nContent-Type: application/json\r\n"
    chunked = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return [
        head + b"Content-Length: %d\r\n\r\n" % len(body) + body,
        head + chunked,
        b"HTTP/1.0 200 OK\r\n\r\n" + body,
    ]


class LeaseHttp(Streams):
    """An answer to the first command of a connection."""

    def __call__(self, data: bytes) -> bool:
        return bool(self.run(self._page(data)))

    async def _page(self, data: bytes) -> bool:
        client = http.LeaseClient(LeaseApi("127.0.0.1", 8000, "bng", "secret", 10))
        client._streams = (self.reader(data), Writer())  # type: ignore[assignment]
        try:
            page = await client.page("start")
        except LeaseError:
            return False
        assert len(page.leases) <= 10
        return True

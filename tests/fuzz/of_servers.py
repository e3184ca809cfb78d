"""What RADIUS servers, Kea's control agent, and management on the command socket send to the BNG."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from bng.aaa.coa import Command, DynamicAuthorization, Reply
from bng.aaa.coa_request import Nas
from bng.aaa.coa_settings import CoaClient, CoaSettings
from bng.aaa.dictionary import load
from bng.aaa.grants import GrantReader
from bng.codec import radius
from bng.codec.errors import DecodeError
from bng.codec.radius import Attribute, Code, RadiusPacket
from bng.codec.text import clean_message
from bng.config import LeaseApi
from bng.leases import http
from bng.leases import lease as kea
from bng.leases.comparison import Comparison
from bng.leases.lease import LeaseError
from bng.leases.places import Place
from bng.seam import command
from bng.session import policy
from bng.session.records import AccessLine, Binding, Session
from bng.session.settings import Policy, Profile
from bng.session.states import State
from bng.session.store import Store
from tests.fuzz.runner import Target
from yang.provider import OperationError

SECRET = b"secret-of-radius"
NS = 1_000_000_000
NOW = 1_800_000_000
_JSON_TOKENS = [b"null", b"[]", b"{}", b'"x"', b"-1", b"1e9", b"18446744073709551615"]


def targets() -> Iterator[Target]:
    yield Target("coa", _requests(), Coa(), tokens=_attributes())
    yield Target("grants", [_grants(), _speeds()], Grants(), tokens=_texts())
    yield Target("kea-lease", _pages(), Leases(), tokens=_JSON_TOKENS)
    yield Target("lease-http", _answers(), LeaseHttp(), tokens=_HTTP_TOKENS)
    yield Target("command-frame", _frames(), CommandFrames(), tokens=_JSON_TOKENS)
    yield Target("command-answer", [_told()], CommandAnswers(), tokens=_JSON_TOKENS)


# RADIUS

_DICTIONARY = load()


def _attribute(name: str, value: str | int | bytes) -> Attribute:
    return _DICTIONARY.attribute(name, value)


_SESSION = _attribute("Acct-Session-Id", "0123456789abcdef")


def _requests() -> list[bytes]:
    stamp = _attribute("Event-Timestamp", NOW)
    state = (_attribute("Service-Type", 17), _attribute("State", b"state"))
    return [
        radius.build_request(code, number, (_SESSION, *attributes), SECRET)
        for number, (code, attributes) in enumerate(
            (
                (Code.DISCONNECT_REQUEST, ()),
                (Code.DISCONNECT_REQUEST, (stamp, _attribute("Proxy-State", b"proxy"))),
                (Code.COA_REQUEST, (_attribute("Filter-Id", "gold"), stamp)),
                (Code.COA_REQUEST, _rates()),
                (Code.COA_REQUEST, state),
                (Code.COA_REQUEST, (_attribute("Cisco-AVPair", "subscriber:command=reauthenticate"),)),
            )
        )
    ]


def _rates() -> tuple[Attribute, ...]:
    return (_attribute("OSS-Download-Speed", 50_000), _attribute("OSS-Upload-Speed", 20_000))


def _attributes() -> list[bytes]:
    """Attributes of a request, whole."""
    pairs: tuple[tuple[str, str | int | bytes], ...] = (
        ("User-Name", "bng-01/node-1/1/0/1"),
        ("Framed-IP-Address", bytes((10, 0, 1, 1))),
        ("Calling-Station-Id", "02-00-00-00-00-01"),
        ("NAS-Identifier", "bng-01"),
        ("NAS-Identifier", "bng-02"),
        ("Proxy-State", bytes(250)),
        ("Session-Timeout", 0xFFFFFFFF),
        ("Cisco-AVPair", "ip:sub-qos-policy-out=gold"),
        ("Reply-Message", "überfällig\n"),
    )
    return [radius.encode_attributes((_attribute(name, value),)) for name, value in pairs]


class Coa:
    """A server, which gets each input as it is, and signed anew with the right secret."""

    def __init__(self) -> None:
        self._server = DynamicAuthorization()
        client = CoaClient("radius", "192.0.2.2", SECRET)
        settings = CoaSettings(event_timestamp_window=86_400, rate_limit=1_000_000, clients=(client,))
        self._server.configure(settings, Nas("bng-01", "192.0.2.1"))
        self._now = NOW * NS

    def __call__(self, data: bytes) -> bool:
        self._now += 1000
        what = self._server.receive(data, ("192.0.2.2", 40_000), self._now)
        if what is not None:
            assert _is_signed(data), "an unsigned request was believed"
            self._answer(what, data)
        assert self._server.receive(data, ("192.0.2.66", 40_000), self._now) is None, "a stranger"
        signed = _sign(data)
        if signed is not None:
            again = self._server.receive(signed, ("192.0.2.2", 40_001), self._now)
            if again is not None:
                self._answer(again, signed)
        return what is not None

    def _answer(self, what: Reply | Command, request: bytes) -> None:
        if isinstance(what, Command):
            tag = ("", "data-missing", "invalid-value", "operation-failed")[request[1] % 4]
            what = self._server.answer(what, tag, "a text" if tag else "")
            assert (what.data[0] in (Code.DISCONNECT_ACK, Code.COA_ACK)) <= (not tag)
        answer = radius.verify_response(what.data, request[4:20], SECRET, demand_message_authenticator=True)
        assert answer.code in (request[0] + 1, request[0] + 2)
        assert answer.identifier == request[1]
        assert not self._server.pending


def _is_signed(data: bytes) -> bool:
    """RFC 5176, 2.3 and RFC 3579, 3.2, written once more."""
    (length,) = struct.unpack_from("!H", data, 2)
    packet = bytearray(data[:length])
    given, packet[4:20] = bytes(packet[4:20]), bytes(16)
    if hashlib.md5(packet + SECRET).digest() != given:
        return False
    at = _message_authenticator(packet)
    if at is None:
        return False
    said, packet[at : at + 16] = bytes(packet[at : at + 16]), bytes(16)
    return hmac.digest(SECRET, packet, "md5") == said


def _message_authenticator(packet: bytes | bytearray) -> int | None:
    """Where the value of the Message-Authenticator begins."""
    at = 20
    while at + 2 <= len(packet) and packet[at + 1] >= 2:
        if packet[at] == 80 and packet[at + 1] == 18 and at + 18 <= len(packet):
            return at + 2
        at += packet[at + 1]
    return None


def _sign(data: bytes) -> bytes | None:
    """The packet with the right length and signatures; None when it is too short to have them."""
    if not 20 <= len(data) <= 4096:
        return None
    packet = bytearray(data)
    packet[2:4] = struct.pack("!H", len(packet))
    packet[4:20] = bytes(16)
    at = _message_authenticator(packet)
    if at is not None:
        packet[at : at + 16] = bytes(16)
        packet[at : at + 16] = hmac.digest(SECRET, packet, "md5")
    packet[4:20] = hashlib.md5(packet + SECRET).digest()
    return bytes(packet)


def _grants() -> bytes:
    texts = [("Cisco-AVPair", text.decode()) for text in _texts()[:4]]
    texts += [("Cisco-Account-Info", "QU;20000000;3000;;D;50000000;8000;"), ("Filter-Id", "gold")]
    attributes = [_attribute(name, text) for name, text in texts]
    return radius.encode_attributes((*attributes, _attribute("Class", b"class")))


def _speeds() -> bytes:
    wispr = _attribute("WISPr-Bandwidth-Max-Down", 50_000_000), _attribute("WISPr-Bandwidth-Max-Up", 1)
    bursts = _attribute("OSS-Download-Burst", 4_294_967_295), _attribute("OSS-Upload-Burst", 1)
    times = tuple(
        _attribute(name, 60) for name in ("Session-Timeout", "Idle-Timeout", "Acct-Interim-Interval")
    )
    address = _attribute("Framed-IP-Address", bytes((10, 0, 1, 1)))
    return radius.encode_attributes((*_rates(), *bursts, *wispr, *times, address))


def _texts() -> list[bytes]:
    return [
        b"ip:sub-qos-policy-out=gold",
        b"subscriber:sub-qos-policy-in=silver",
        b"lcp:interface-config#1=rate-limit input 20000000 3000 4000 conform-action transmit",
        b"lcp:interface-config=rate-limit output 999999999999 999999999999",
        b"QU;;1;D;99999999999999",
        b";",
        "٣".encode(),
    ]


class Grants:
    """What comes of any attributes is within what can be kept and enforced."""

    def __init__(self) -> None:
        self._reader = GrantReader()
        self._profiles = {"gold": Profile(10_000_000, 5_000_000)}

    def __call__(self, data: bytes) -> bool:
        try:
            attributes = radius.parse_attributes(data)
        except DecodeError:
            return False
        accept = self._reader.read(RadiusPacket(Code.ACCESS_ACCEPT, 1, bytes(16), tuple(attributes)), "s")
        for name in accept.filter_ids:
            assert clean_message(name.encode()) == name, "unclean"
        for number in (accept.session_timeout, accept.idle_timeout, accept.interim_interval):
            assert number is None or 0 <= number < 1 << 32
        assert sum(map(len, accept.classes)) <= 2048
        granted = policy.of_accept(accept, self._profiles)
        if isinstance(granted, Policy):
            assert min(granted.download_rate, granted.upload_rate) >= policy.MIN_RATE
            assert max(granted.download_rate, granted.upload_rate) <= policy.MAX_RATE
            for burst in (granted.download_burst, granted.upload_burst):
                assert burst is None or policy.MIN_BURST <= burst <= policy.MAX_BURST
        return True


# Kea


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


class _Writer:
    """Takes what is written, and lets no coroutine wait."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.transport = self

    def write(self, data: bytes) -> None:
        self.written += data

    async def drain(self) -> None:
        return

    def close(self) -> None:
        return

    def get_write_buffer_size(self) -> int:
        return 0


class _Streams:
    """A loop that is always the same, and streams that hold an input and end with it."""

    def __init__(self) -> None:
        self.runner: asyncio.Runner | None = None

    def run(self, coroutine: Any) -> Any:
        if self.runner is None:
            self.runner = asyncio.Runner()
        return self.runner.run(coroutine)

    @staticmethod
    def reader(data: bytes) -> asyncio.StreamReader:
        reader = asyncio.StreamReader(1 << 16)
        reader.feed_data(data)
        reader.feed_eof()
        return reader


class LeaseHttp(_Streams):
    """An answer to the first command of a connection."""

    def __call__(self, data: bytes) -> bool:
        return bool(self.run(self._page(data)))

    async def _page(self, data: bytes) -> bool:
        client = http.LeaseClient(LeaseApi("127.0.0.1", 8000, "bng", "secret", 10))
        client._streams = (self.reader(data), _Writer())  # type: ignore[assignment]
        try:
            page = await client.page("start")
        except LeaseError:
            return False
        assert len(page.leases) <= 10
        return True


# the command socket


def _frames() -> list[bytes]:
    asks = [
        {"id": 1, "method": "echo", "params": {"text": "süß"}},
        {"id": 2, "method": "refuse"},
        {"id": 3, "method": "nothing", "params": []},
    ]
    return [command.encode(asks[0]), b"".join(map(command.encode, asks))]


class CommandFrames(_Streams):
    """Control's end: each whole frame with an object gets one answer, the first other one ends it."""

    def __init__(self) -> None:
        super().__init__()

        async def echo(params: dict[str, Any]) -> Any:
            return params

        async def refuse(_: dict[str, Any]) -> Any:
            raise OperationError("invalid-value", "no")

        self._methods = {"echo": echo, "refuse": refuse}

    def __call__(self, data: bytes) -> bool:
        return bool(self.run(self._serve(data)))

    async def _serve(self, data: bytes) -> bool:
        server = command.CommandServer(Path("/nonexistent"), self._methods)
        writer = _Writer()
        await server._serve(self.reader(data), writer)  # type: ignore[arg-type]
        while server.pending:
            await asyncio.sleep(0)
        asked = _objects(data)
        told = _objects(bytes(writer.written))
        assert len(told) == len(asked), "not one answer for each"
        assert sorted(map(_id, told)) == sorted(map(_id, asked))
        for answer in told:
            assert ("result" in answer) != ("error" in answer)
        return bool(asked)


def _id(message: dict[str, Any]) -> bytes:
    return orjson.dumps(message.get("id"))


def _objects(data: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    at = 0
    while at + 4 <= len(data):
        (length,) = struct.unpack_from("!I", data, at)
        if at + 4 + length > len(data):
            break
        try:
            message = orjson.loads(data[at + 4 : at + 4 + length])
        except orjson.JSONDecodeError:
            break
        if not isinstance(message, dict):
            break
        found.append(message)
        at += 4 + length
    return found


def _told() -> bytes:
    error = {"tag": "data-missing", "message": "there is none", "path": None, "app_tag": None}
    messages: list[dict[str, Any]] = [
        {"id": 1, "result": {"a": 1}},
        {"id": 2, "error": error},
        {"push": "health", "report": {}},
    ]
    return b"".join(map(command.encode, messages))


class CommandAnswers(_Streams):
    """Management's end: who waits gets an answer or an error."""

    def __call__(self, data: bytes) -> bool:
        return bool(self.run(self._session(data)))

    async def _session(self, data: bytes) -> bool:
        async def greet(client: command.CommandClient) -> None:
            for method in ("one", "two"):
                asks.append(asyncio.ensure_future(client.call(method, {})))

        asks: list[asyncio.Future[Any]] = []
        client = command.CommandClient(Path("/nonexistent"), greet, lambda message: None)
        client._writer = _Writer()  # type: ignore[assignment]
        await greet(client)
        await asyncio.sleep(0)
        client._on_connect = lambda _: asyncio.sleep(0)
        await client._session(self.reader(data), _Writer())  # type: ignore[arg-type]
        answers = await asyncio.gather(*asks, return_exceptions=True)
        for answer in answers:
            assert not isinstance(answer, BaseException) or isinstance(answer, OperationError)
        return isinstance(answers[0], dict)

"""What RADIUS servers send to the BNG: requests of dynamic authorization, and what they grant."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterator

from bng.aaa.coa import Command, DynamicAuthorization, Reply
from bng.aaa.coa_request import Nas
from bng.aaa.coa_settings import CoaClient, CoaSettings
from bng.aaa.dictionary import load
from bng.aaa.grants import GrantReader
from bng.codec import radius
from bng.codec.errors import DecodeError
from bng.codec.radius import Attribute, Code, RadiusPacket
from bng.codec.text import clean_message
from bng.session import policy
from bng.session.settings import Policy, Profile
from tests.fuzz.runner import Target

SECRET = b"secret-of-radius"
NS = 1_000_000_000
NOW = 1_800_000_000


def targets() -> Iterator[Target]:
    yield Target("coa", _requests(), Coa(), tokens=_attributes())
    yield Target("grants", [_grants(), _speeds()], Grants(), tokens=_texts())


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

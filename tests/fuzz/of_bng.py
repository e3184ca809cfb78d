"""What subscribers, access nodes and servers send to the BNG."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from bng.aaa.attributes import Reader, Writer
from bng.aaa.settings import AaaSettings
from bng.codec import dhcp, frame, option82, peek, radius, text
from bng.codec.dhcp import BOOTREPLY, BOOTREQUEST, DhcpPacket, MessageType, Option
from bng.codec.errors import DecodeError
from bng.codec.radius import Code
from bng.session import effects as fx
from bng.session import events as ev
from lab.accessnode import dhcp as node_dhcp
from lab.accessnode import frames as node_frames
from tests.fuzz.of_relay import Relay
from tests.fuzz.runner import Target

MAC = "02:00:00:00:00:01"
SECRET = b"secret"
AUTHENTICATOR = bytes(range(16))
_TYPES = (
    MessageType.DISCOVER,
    MessageType.REQUEST,
    MessageType.DECLINE,
    MessageType.RELEASE,
    MessageType.INFORM,
)


def targets() -> Iterator[Target]:
    yield Target("dhcp", [dhcp.build(packet) for packet in _packets()], _dhcp, tokens=_DHCP_TOKENS)
    yield Target("option-82", [_AGENT, option82.add(_AGENT, "bng-01", "10.0.0.1")], _option82)
    yield Target("frame", _frames(), _frame)
    yield Target("radius", _radius_packets(), _radius)
    yield Target("radius-attributes", _accepts(), _attributes)
    yield Target("text", [b"1/0/1", b"%41%00", "süß".encode(), b"\xff\xfe\x00", b"a" * 80], _text)
    yield Target("access-node-frame", _frames(), _node_frame)
    yield Target("access-node-dhcp", [dhcp.build(packet) for packet in _packets()], _node_dhcp)
    yield Target("peek", _frames(), _peek, tokens=_DHCP_TOKENS)
    yield Target("relay", [*_frames(), *_replies()], Relay(), tokens=_DHCP_TOKENS)


_AGENT = option82.build(((1, b"1/0/1"), (2, b"node-1")))
_DHCP_TOKENS = [bytes((82, len(_AGENT))) + _AGENT, b"\x35\x01\x03", b"\x34\x01\x03", b"\xff", b"\x00" * 16]


def _packets() -> Iterator[DhcpPacket]:
    for kind in _TYPES:
        options = {
            Option.MESSAGE_TYPE: bytes([kind]),
            Option.REQUESTED_ADDRESS: bytes((10, 0, 1, 1)),
            Option.RELAY_AGENT: _AGENT,
        }
        yield DhcpPacket(BOOTREQUEST, xid=7, mac_address=MAC, options=options)
    long = {Option.MESSAGE_TYPE: b"\x02", Option.RELAY_AGENT: _AGENT, 43: bytes(300)}
    yield DhcpPacket(BOOTREPLY, xid=7, mac_address=MAC, yiaddr="10.0.1.1", giaddr="192.0.2.1", options=long)


def _frames() -> list[bytes]:
    return [
        frame.build(frame.UdpFrame(MAC, "ff:ff:ff:ff:ff:ff", "0.0.0.0", "255.255.255.255", 68, 67, payload))
        for payload in map(dhcp.build, _packets())
    ]


def _replies() -> list[bytes]:
    """What a DHCP server sends to the relay that `Relay` is."""
    agent = option82.add(_AGENT, "bng-01", "10.0.0.1")
    return [
        dhcp.build(
            DhcpPacket(
                BOOTREPLY,
                xid=7,
                mac_address=MAC,
                yiaddr="10.0.1.2",
                giaddr="192.0.2.1",
                options={
                    Option.MESSAGE_TYPE: bytes([kind]),
                    Option.LEASE_TIME: b"\0\0\1\0",
                    Option.SERVER_ID: bytes((192, 0, 2, 2)),
                    Option.RELAY_AGENT: agent,
                },
            )
        )
        for kind in (MessageType.OFFER, MessageType.ACK, MessageType.NAK)
    ]


def _refuses(error: type[Exception]) -> Callable[[Callable[[bytes], None]], Callable[[bytes], bool]]:
    """The parser refuses with this error; anything else is a fault."""

    def decorate(take: Callable[[bytes], None]) -> Callable[[bytes], bool]:
        def run(data: bytes) -> bool:
            try:
                take(data)
            except error:
                return False
            return True

        return run

    return decorate


@_refuses(DecodeError)
def _dhcp(data: bytes) -> None:
    packet = dhcp.parse(data)
    try:
        again = dhcp.build(packet)
    except DecodeError:
        return  # options that fill sname and file too can be more than we write
    assert dhcp.parse(again) == packet, "what was read is not what is written"


@_refuses(DecodeError)
def _option82(data: bytes) -> None:
    pairs = option82.parse(data)
    assert option82.build(pairs) == data
    stripped = option82.strip(option82.add(data, "bng-01", "10.0.0.1"))
    assert not {5, 11, 12} & {code for code, _ in option82.parse(stripped)}
    for name in option82.access_line(data):
        _clean(name)


def _clean(name: str) -> None:
    assert 1 <= len(name) <= 63
    assert all("!" <= character <= "~" for character in name)


@_refuses(DecodeError)
def _frame(data: bytes) -> None:
    for ready in (True, False):
        udp = frame.parse(data, checksum_ready=ready)
        assert len(udp.payload) <= len(data)


def _peek(data: bytes) -> bool:
    """A look tells what decoding tells, of a packet that is decoded."""
    found = peek.relay_agent(data)
    try:
        payload = frame.parse(data, checksum_ready=False).payload
        packet = dhcp.parse(payload)
    except DecodeError:
        return False
    assert found is not None, "a good packet was refused"
    assert found == _first_agent(payload[240:])
    if found:
        assert packet.options[Option.RELAY_AGENT].startswith(found)
    return True


def _first_agent(options: bytes) -> bytes:
    """Option 82 among the first 96 options and pads."""
    at = 0
    for _ in range(96):
        if at >= len(options) or options[at] == 255:
            return b""
        if options[at] == 0:
            at += 1
            continue
        value = options[at + 2 : at + 2 + options[at + 1]]
        if options[at] == Option.RELAY_AGENT:
            return value
        at += 2 + len(value)
    return b""


def _radius_packets() -> list[bytes]:
    return [*_accepts(), radius.build_request(Code.COA_REQUEST, 3, (radius.Attribute(0, 1, b"u"),), SECRET)]


def _accepts() -> list[bytes]:
    attributes = (
        radius.Attribute(0, 11, b"gold"),
        radius.Attribute(0, 25, b"class"),
        radius.Attribute(0, 27, struct.pack("!I", 3600)),
        radius.Attribute(0, 28, struct.pack("!I", 600)),
        radius.Attribute(0, 85, struct.pack("!I", 60)),
        radius.Attribute(43242, 1, struct.pack("!I", 50_000)),
        radius.Attribute(43242, 2, struct.pack("!I", 10_000)),
        radius.Attribute(14122, 7, struct.pack("!I", 50_000_000)),
        radius.Attribute(9, 1, b"ip:sub-qos-policy-out=gold"),
    )
    reject = (radius.Attribute(0, 18, "gesperrt – bitte zahlen".encode()),)
    return [
        radius.build_response(Code.ACCESS_ACCEPT, 1, AUTHENTICATOR, attributes, SECRET),
        radius.build_response(Code.ACCESS_REJECT, 1, AUTHENTICATOR, reject, SECRET),
    ]


@_refuses(DecodeError)
def _radius(data: bytes) -> None:
    packet = radius.parse(data)
    assert sum(len(a.value) for a in packet.attributes) <= len(data)
    for check in (
        lambda: radius.verify_response(data, AUTHENTICATOR, SECRET, demand_message_authenticator=True),
        lambda: radius.verify_request(data, SECRET),
    ):
        try:
            believed = check()
        except DecodeError:
            continue
        assert believed == packet


_ASK = fx.AskRadius("0" * 16, 1, "bng-01/node-1/1/0/1", MAC, "10.0.1.1", "sub0:node-1:1/0/1")
_READER = Reader()
_WRITER = Writer(AaaSettings("bng-01", "192.0.2.1", "password", ()))


@_refuses(DecodeError)
def _attributes(data: bytes) -> None:
    """Attributes that a server sent, whoever it is: what comes of them is clean."""
    answer = _READER.answer(radius.parse(data), _ASK)
    if isinstance(answer, ev.RadiusReject):
        _printable(answer.message)
    else:
        for name in answer.filter_ids:
            _printable(name)


def _printable(message: str) -> None:
    assert len(message) <= 253
    assert not any(ord(c) < 0x20 or c in "\x7f\ufffe\uffff" for c in message)


@_refuses(DecodeError)
def _text(data: bytes) -> None:
    _printable(text.clean_message(data))
    name = text.clean_agent_id(data)
    _clean(name)
    try:
        restored = text.restore_agent_id(name)
    except DecodeError:
        assert len(name) == 63
    else:
        assert restored == data


@_refuses(node_frames.NotUdp)
def _node_frame(data: bytes) -> None:
    node_frames.decode(data)


@_refuses(node_dhcp.Malformed)
def _node_dhcp(data: bytes) -> None:
    node_dhcp.decode(data)

"""The access node's relay without sockets: option 82 goes on, comes off, and nothing hostile gets through."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from lab.accessnode import dhcp, frames
from lab.accessnode.guard import ruleset
from lab.accessnode.relay import MAX_TRANSACTIONS, BridgedRelay, Identity, Refused, RoutedRelay

CLIENT = "02:00:00:00:00:01"
CLIENT_MAC = bytes.fromhex("020000000001")
GATEWAY = IPv4Address("100.64.12.1")
NODE_MAC = bytes.fromhex("02aaaaaaaaaa")
IDENTITY = Identity("an-11", 3)


def request(*options: object, **header: object) -> bytes:
    """A frame with a DISCOVER."""
    fields: dict[str, object] = {"op": 1, "xid": 7, "chaddr": CLIENT_MAC} | header
    packet = (
        Ether(src=CLIENT, dst="ff:ff:ff:ff:ff:ff")
        / IP(src="0.0.0.0", dst="255.255.255.255")
        / UDP(sport=68, dport=67)
        / BOOTP(**fields)
        / DHCP(options=[("message-type", "discover"), *options, "end"])
    )
    return bytes(packet)


def answer(*options: object, destination: str = "255.255.255.255", **header: object) -> bytes:
    """A frame with an ACK from the BNG."""
    fields: dict[str, object] = {"op": 2, "xid": 7, "chaddr": CLIENT_MAC, "yiaddr": "100.64.1.10"} | header
    packet = (
        Ether(src="02:bb:00:00:00:01", dst="ff:ff:ff:ff:ff:ff")
        / IP(src="100.64.1.1", dst=destination)
        / UDP(sport=67, dport=68)
        / BOOTP(**fields)
        / DHCP(options=[("message-type", "ack"), *options, "end"])
    )
    return bytes(packet)


def option82(circuit: bytes, remote: bytes) -> tuple[str, bytes]:
    return (
        "relay_agent_information",
        b"\x01" + bytes([len(circuit)]) + circuit + b"\x02" + bytes([len(remote)]) + remote,
    )


def options_of(frame: bytes) -> list[tuple[int, bytes]]:
    return list(dhcp.decode(frames.decode(frame).payload).options)


def payload_of(frame: bytes) -> bytes:
    return frames.decode(frame).payload


def test_bridged_request_gains_option_82_and_nothing_else_changes() -> None:
    before = request(("hostname", b"pc"))
    after = BridgedRelay(IDENTITY).from_subscriber(before, 2)
    assert after[:12] == before[:12], "layer 2 addresses are the subscriber's"
    assert options_of(after) == [*options_of(before), (82, b"\x01\x051/0/2\x02\x05an-11")]
    decoded = Ether(after)
    assert decoded[BOOTP].giaddr == "0.0.0.0" and decoded[BOOTP].hops == 0


def test_checksums_are_those_of_an_independent_implementation() -> None:
    after = BridgedRelay(IDENTITY).from_subscriber(request(), 1)
    again = Ether(after)
    del again[IP].chksum, again[UDP].chksum
    assert bytes(again) == after


def test_option_82_of_a_subscriber_is_replaced() -> None:
    spoofed = request(option82(b"1/0/9", b"an-99"), option82(b"1/0/8", b"an-98"))
    after = BridgedRelay(IDENTITY).from_subscriber(spoofed, 1)
    agents = [value for code, value in options_of(after) if code == 82]
    assert agents == [b"\x01\x051/0/1\x02\x05an-11"]


def test_answer_goes_to_the_port_of_its_circuit_without_option_82() -> None:
    port, frame = BridgedRelay(IDENTITY).from_uplink(answer(option82(b"1/0/3", b"an-11")))
    assert port == 3
    assert [code for code, _ in options_of(frame)] == [53]


def test_answer_without_option_82_goes_to_where_the_request_came_from() -> None:
    relay = BridgedRelay(IDENTITY)
    relay.from_subscriber(request(), 2)
    assert relay.from_uplink(answer())[0] == 2


@pytest.mark.parametrize(
    "frame",
    [
        answer(),
        answer(option82(b"1/0/4", b"an-11")),
        answer(option82(b"1/0/0", b"an-11")),
        answer(option82(b"1/0/+1", b"an-11")),
        answer(option82(b"1/0/" + b"1" * 200, b"an-11")),
        answer(option82(b"1/0/1", b"an-12")),
        answer(("relay_agent_information", b"\x01\x09")),
    ],
    ids=["unknown", "no such port", "port 0", "sign", "long", "other node", "truncated"],
)
def test_answers_for_nobody_here_are_refused(frame: bytes) -> None:
    with pytest.raises(Refused, match="no port of this node"):
        BridgedRelay(IDENTITY).from_uplink(frame)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (request(op=2), "reply from a subscriber"),
        (request(giaddr="10.0.0.1"), "relayed by a subscriber"),
        (request(hops=17), "too many hops"),
        (request()[:-60], "malformed request"),
        (request().replace(b"\x63\x82\x53\x63", b"\x63\x82\x53\x64"), "malformed request"),
        (request(("vendor_class_id", b"x" * 250), *[("hostname", b"y" * 250)] * 4), "request too large"),
        (b"", "malformed request"),
    ],
    ids=["reply", "giaddr", "hops", "short", "cookie", "large", "empty"],
)
def test_hostile_requests_are_refused(frame: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        BridgedRelay(IDENTITY).from_subscriber(frame, 1)


def test_wrong_checksums_are_refused() -> None:
    frame = bytearray(request())
    frame[-1] ^= 1
    with pytest.raises(Refused, match="malformed"):
        BridgedRelay(IDENTITY).from_subscriber(bytes(frame), 1)


def test_routed_request_carries_giaddr_and_a_hop() -> None:
    message = dhcp.decode(RoutedRelay(IDENTITY, GATEWAY, NODE_MAC).from_subscriber(request(), 1))
    assert message.gateway == GATEWAY and message.hops == 1
    assert message.agent_information() == dhcp.AgentInformation(b"1/0/1", b"an-11")


@pytest.mark.parametrize(
    ("header", "mac", "address"),
    [
        ({}, CLIENT_MAC, "100.64.1.10"),
        ({"flags": 0x8000}, b"\xff" * 6, "255.255.255.255"),
        ({"yiaddr": "0.0.0.0"}, b"\xff" * 6, "255.255.255.255"),
        ({"ciaddr": "100.64.12.20"}, CLIENT_MAC, "100.64.12.20"),
    ],
    ids=["unicast", "broadcast flag", "nak", "renewal"],
)
def test_routed_answer_is_sent_as_rfc_2131_says(header: dict, mac: bytes, address: str) -> None:
    relay = RoutedRelay(IDENTITY, GATEWAY, NODE_MAC)
    reply = answer(option82(b"1/0/2", b"an-11"), giaddr=str(GATEWAY), **header)
    port, frame = relay.from_bng(payload_of(reply))
    sent = frames.decode(frame)
    assert port == 2
    assert (sent.destination_mac, sent.destination) == (mac, IPv4Address(address))
    assert (sent.source_mac, sent.source, sent.source_port) == (NODE_MAC, GATEWAY, 67)
    assert not dhcp.decode(sent.payload).has_agent_information


def test_routed_node_takes_only_its_own_answers() -> None:
    relay = RoutedRelay(IDENTITY, GATEWAY, NODE_MAC)
    with pytest.raises(Refused, match="another relay"):
        relay.from_bng(payload_of(answer(option82(b"1/0/2", b"an-11"), giaddr="10.0.0.1")))
    with pytest.raises(Refused, match="request from the uplink"):
        relay.from_bng(payload_of(request()))


def test_remembered_transactions_are_bounded() -> None:
    relay = BridgedRelay(IDENTITY)
    for number in range(MAX_TRANSACTIONS + 1):
        relay.from_subscriber(request(xid=number), 1)
    with pytest.raises(Refused):
        relay.from_uplink(answer(xid=0))
    assert relay.from_uplink(answer(xid=MAX_TRANSACTIONS))[0] == 1


@given(st.binary(max_size=600))
def test_noise_is_refused_and_never_raises_anything_else(noise: bytes) -> None:
    bridged, routed = BridgedRelay(IDENTITY), RoutedRelay(IDENTITY, GATEWAY, NODE_MAC)
    for call in (
        lambda: bridged.from_subscriber(noise, 1),
        lambda: bridged.from_uplink(noise),
        lambda: routed.from_bng(noise),
    ):
        with pytest.raises(Refused):
            call()


_VALID = payload_of(request(option82(b"1/0/1", b"an-11"), ("hostname", b"pc")))


@given(st.lists(st.tuples(st.integers(0, len(_VALID) - 1), st.integers(0, 255)), max_size=8))
def test_damaged_messages_are_relayed_whole_or_refused(damage: list[tuple[int, int]]) -> None:
    raw = bytearray(_VALID)
    for position, value in damage:
        raw[position] = value
    frame = frames.encode(
        frames.Datagram(
            CLIENT_MAC, frames.BROADCAST_MAC, IPv4Address(0), frames.BROADCAST, 68, 67, bytes(raw)
        )
    )
    try:
        after = BridgedRelay(IDENTITY).from_subscriber(frame, 1)
    except Refused:
        return
    agents = [value for code, value in options_of(after) if code == 82]
    assert agents == [b"\x01\x051/0/1\x02\x05an-11"]


def test_guard_rules_name_every_port() -> None:
    pool = IPv4Address("100.64.1.10"), IPv4Address("100.64.1.99")
    own = [IPv4Address("100.64.1.2")]
    rules = ruleset(["eth1", "eth2"], "uplink", bridged=True, protected=own, pool=pool)
    assert rules.count("udp dport 67 drop") == 2 and rules.count("udp dport 68 drop") == 1
    assert "ip daddr 100.64.1.2 drop" in rules
    assert rules.count("arp saddr ip != { 0.0.0.0, 100.64.1.10-100.64.1.99 } drop") == 2
    assert "uplink" not in ruleset(["eth1"], "uplink", bridged=False, protected=[], pool=pool)

"""The BNG's own addresses under attack, from subscribers and from upstream: real packets."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether

from bng.dataplane import sysctl
from bng.dataplane.base import DataPlaneConfig, Guard, Nat, Rates, Service, Start
from bng.dataplane.kernel import KernelDataPlane
from bng.dataplane.probe import probe
from tests.support import subscriber_net as net

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(not net.namespaces_available(), reason="needs root and network namespaces"),
]

FAST = Rates(1_000_000_000, 1_000_000_000)
INSIDE = IPv4Network("100.64.0.0/10")
OWN = IPv4Address(net.BNG_UPSTREAM)
MANAGEMENT, STATION = "192.0.2.1", "192.0.2.2"
GUARD = Guard(inside=(INSIDE,), answers=(OWN,))
PLAIN = DataPlaneConfig(("acc0",), "wan0", guard=GUARD)
TRANSLATED = replace(PLAIN, nat=Nat((INSIDE,)))
PORT = 8300


@dataclass
class Bench:
    """A BNG with a management interface besides, and a station behind it (in a namespace of its own)."""

    world: net.World
    plane: KernelDataPlane
    sub: net.Wire
    up: net.Wire

    def listen(self) -> socket.socket:
        """A server of the BNG on all of its addresses."""
        return socket.create_server(("0.0.0.0", PORT))

    def connects(self, namespace: str, address: str, port: int = PORT) -> bool:
        with self.world.inside(namespace):
            try:
                socket.create_connection((address, port), 0.5).close()
            except OSError:
                return False
        return True

    def pings(self, namespace: str, address: str) -> bool:
        text = self.world.run(namespace, f"ping -c 2 -i 0.1 -W 1 {address}", check=False)
        return "2 received" in text


@pytest.fixture(params=[PLAIN, TRANSLATED], ids=["plain", "translated"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with net.World() as world:
        for command in (
            f"ip link add mgmt0 type veth peer name m0 netns {world.up}",
            f"ip addr add {MANAGEMENT}/24 dev mgmt0",
            "ip link set mgmt0 up",
        ):
            world.run(world.bng, command)
        world.run(world.up, "ip link set m0 up")
        world.run(world.up, f"ip addr add {STATION}/24 dev m0")
        plane = KernelDataPlane()
        plane.open(request.param)
        start = Start(0, "0" * 16, "acc0", net.subscriber_mac(0), net.subscriber_ip(0), FAST)
        assert plane.start([start])[0].error is None
        sub, up = net.Wire(world, world.sub, "s0"), net.Wire(world, world.up, "u0")
        yield Bench(world, plane, sub, up)
        plane.close()
        sub.close()
        up.close()


def test_upstream_reaches_no_server_of_the_bng(bench: Bench) -> None:
    with bench.listen():
        assert not bench.connects(bench.world.up, net.BNG_UPSTREAM)
        assert not bench.connects(bench.world.up, net.GATEWAY)
        assert bench.connects(bench.world.up, MANAGEMENT), "management has no role and is not touched"


def test_no_address_is_reached_through_another_interface(bench: Bench) -> None:
    """The kernel takes what is for any of its addresses, wherever it comes in."""
    bench.world.run(bench.world.up, f"ip route replace {MANAGEMENT}/32 via {net.BNG_UPSTREAM} dev u0")
    with bench.listen():
        assert not bench.connects(bench.world.up, MANAGEMENT)
        assert not bench.pings(bench.world.up, MANAGEMENT)


def test_a_service_is_reached_where_it_is_meant_to_be(bench: Bench) -> None:
    here = bench.plane._kernel.ground.config  # type: ignore[union-attr]
    services = (Service("tcp", (PORT,), OWN),)
    bench.plane.open(replace(here, guard=replace(GUARD, services=services)))
    with bench.listen():
        assert bench.connects(bench.world.up, net.BNG_UPSTREAM)
        assert not bench.connects(bench.world.sub, net.BNG_UPSTREAM)
        assert not bench.connects(bench.world.sub, net.GATEWAY)


def test_a_service_may_be_for_some_only(bench: Bench) -> None:
    here = bench.plane._kernel.ground.config  # type: ignore[union-attr]
    for source, reached in (("198.51.100.77/32", False), (f"{net.HOST}/32", True)):
        services = (Service("udp", (67,), sources=(IPv4Network(source),)),)
        bench.plane.open(replace(here, guard=replace(GUARD, services=services)))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("0.0.0.0", 67))
            server.settimeout(0.3)
            with bench.world.inside(bench.world.up), socket.socket(type=socket.SOCK_DGRAM) as client:
                client.sendto(b"x", (net.BNG_UPSTREAM, 67))
            try:
                server.recv(10)
            except TimeoutError:
                assert not reached
            else:
                assert reached


def test_what_the_bng_asks_is_answered(bench: Bench) -> None:
    with bench.world.inside(bench.world.up):
        server = socket.create_server((net.HOST, 7070))
    with server, socket.create_connection((net.HOST, 7070), 2) as client:
        accepted, _ = server.accept()
        accepted.sendall(b"answer")
        client.settimeout(2)
        assert client.recv(10) == b"answer"
        accepted.close()
    assert bench.pings(bench.world.bng, net.HOST)


def test_pings_from_upstream_are_answered_within_a_limit(bench: Bench) -> None:
    assert bench.pings(bench.world.up, net.BNG_UPSTREAM)
    request = bytes(
        Ether(src=net.HOST_MAC, dst=net.WAN_MAC) / IP(src=net.HOST, dst=net.BNG_UPSTREAM) / ICMP(id=7)
    )
    bench.up.send(request, 1000)
    replies = [frame for frame in bench.up.raw() if frame[23] == 1 and frame[34] == 0]
    assert 0 < len(replies) < 500


def test_a_source_that_is_inside_does_not_come_from_upstream(bench: Bench) -> None:
    frame = net.udp_frame(
        bytes.fromhex(net.HOST_MAC.replace(":", "")),
        net.subscriber_ip(7),
        net.subscriber_ip(0),
        destination_mac=net.WAN_MAC,
    )
    bench.up.send(frame, 20)
    assert bench.sub.arrived() == []
    bench.up.send(net.download(0), 20)
    assert len(bench.sub.arrived()) == 20


def test_subscribers_reach_no_server_and_no_management_address(bench: Bench) -> None:
    with bench.listen():
        for address in (net.GATEWAY, net.BNG_UPSTREAM, MANAGEMENT):
            assert not bench.connects(bench.world.sub, address)
    assert bench.pings(bench.world.sub, net.GATEWAY)
    assert bench.pings(bench.world.sub, net.BNG_UPSTREAM)
    assert not bench.pings(bench.world.sub, MANAGEMENT)


def test_subscribers_are_not_forwarded_to_the_management_network(bench: Bench) -> None:
    with bench.world.inside(bench.world.up):
        station = socket.socket(type=socket.SOCK_DGRAM)
        station.bind((STATION, PORT))
        station.settimeout(0.3)
    with station:
        bench.sub.send(net.upload(0, destination=STATION, port=PORT), 10)
        with pytest.raises(TimeoutError):
            station.recv(100)
        with socket.socket(type=socket.SOCK_DGRAM) as own:
            own.sendto(b"reachable", (STATION, PORT))
        assert station.recv(100) == b"reachable"


def test_a_server_that_is_reached_by_way_of_upstream_can_be_hidden(bench: Bench) -> None:
    here = bench.plane._kernel.ground.config  # type: ignore[union-attr]
    bench.sub.send(net.upload(0), 5)
    assert len(bench.up.arrived()) == 5
    bench.plane.open(replace(here, guard=replace(GUARD, hidden=(IPv4Network(f"{net.HOST}/32"),))))
    bench.sub.send(net.upload(0), 5)
    assert bench.up.arrived() == []


def arp(number: int, sender: str, target: str, operation: int = 1) -> bytes:
    mac = net.subscriber_mac(number)
    body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, operation) + mac + IPv4Address(sender).packed
    return b"\xff" * 6 + mac + b"\x08\x06" + body + bytes(6) + IPv4Address(target).packed


def arp_answers(bench: Bench, *frames: bytes) -> int:
    with bench.world.inside(bench.world.sub):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
        wire.bind(("s0", 0x0806))
        wire.setsockopt(263, 23, 1)  # PACKET_IGNORE_OUTGOING
        wire.settimeout(0.3)
    count = 0
    with wire:
        for frame in frames:
            wire.send(frame)
        try:
            while True:
                count += wire.recv(100)[20:22] == b"\0\2"
        except TimeoutError:
            return count


def test_arp_is_answered_for_addresses_of_the_interface_only(bench: Bench) -> None:
    own = str(net.subscriber_ip(0))
    assert arp_answers(bench, arp(0, own, net.GATEWAY)) == 1
    assert arp_answers(bench, arp(0, own, MANAGEMENT), arp(0, own, net.BNG_UPSTREAM)) == 0


def test_arp_of_a_subscriber_is_limited_and_others_are_not_hit(bench: Bench) -> None:
    flood = [arp(3, str(net.subscriber_ip(3)), net.GATEWAY)] * 500
    assert 0 < arp_answers(bench, *flood) < 100
    assert arp_answers(bench, arp(0, str(net.subscriber_ip(0)), net.GATEWAY)) == 1


def test_nobody_takes_an_address_over_by_arp(bench: Bench) -> None:
    victim = str(net.subscriber_ip(0))
    claims = [
        arp(9, claimed, target, operation)
        for claimed in (victim, net.GATEWAY, net.BNG_UPSTREAM, net.HOST)
        for target in (claimed, net.GATEWAY)
        for operation in (1, 2)
    ]
    arp_answers(bench, *claims)
    neighbours = bench.world.run(bench.world.bng, "ip neigh show")
    held = {line.split()[0]: line for line in neighbours.splitlines() if "lladdr" in line}
    assert net.mac_text(net.subscriber_mac(0)) in held[victim]
    assert "PERMANENT" in held[victim]
    for line in neighbours.splitlines():
        if line.split()[0] in (net.GATEWAY, net.BNG_UPSTREAM):
            pytest.fail(f"an address of the BNG itself has a neighbour: {line}")
    bench.up.send(net.download(0), 10)
    assert {frame[:6] for frame in bench.sub.arrived()} == {net.subscriber_mac(0)}
    bench.sub.send(net.upload(0), 10)
    frames = bench.up.arrived()
    assert len(frames) == 10
    assert {net.mac_text(frame[:6]) for frame in frames} == {net.HOST_MAC}


def test_ports_of_servers_are_given_to_no_client() -> None:
    """Of two that the kernel may give, one is a server's; and what others have reserved stays."""
    with net.World() as world:
        world.run(world.bng, "ip link set lo up")
        (sysctl.IPV4 / "ip_local_port_range").write_text("57400 57401")
        (sysctl.IPV4 / sysctl.RESERVED_PORTS).write_text("9000-9001")
        plane = KernelDataPlane()
        plane.open(replace(PLAIN, listening=(830, 57400)))
        assert not [warning for warning in plane.capabilities.warnings if "reserved" in warning]
        plane.close()
        assert sysctl.read(sysctl.RESERVED_PORTS) == "830,9000-9001,57400"
        (check,) = [check for check in probe().checks if "reserved" in check.name]
        assert check.ok
        with socket.create_server(("127.0.0.1", 57400)), socket.socket() as client:
            client.connect(("127.0.0.1", 57400))
            assert client.getsockname()[1] == 57401

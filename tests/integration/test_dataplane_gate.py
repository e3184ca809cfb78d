"""Who may forward: real packets through namespaces."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether

from bng.dataplane.base import DataPlaneConfig, Guard, Nat, Rates, Service, Start, Stop, Suspicions
from bng.dataplane.capture import DhcpCapture
from bng.dataplane.kernel import KernelDataPlane
from tests.support import subscriber_net as net

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(not net.namespaces_available(), reason="needs root and network namespaces"),
]

FAST = Rates(1_000_000_000, 1_000_000_000)
CONFIG = DataPlaneConfig(("acc0",), "wan0")
NAT = DataPlaneConfig(("acc0",), "wan0", Nat((IPv4Network("100.64.0.0/10"),)))


@dataclass
class Bench:
    """A BNG between two wires."""

    world: net.World
    plane: KernelDataPlane
    sub: net.Wire
    up: net.Wire

    def authorise(self, *numbers: int, routed: bool = False) -> None:
        starts = [
            Start(
                number,
                f"{number:016x}",
                "acc0",
                None if routed else net.subscriber_mac(number),
                net.subscriber_ip(number),
                FAST,
            )
            for number in numbers
        ]
        assert [result.error for result in self.plane.start(starts)] == [None] * len(starts)

    def reaches_up(self, frame: bytes, count: int = 100, **kwargs: int) -> int:
        """How many of so many such frames from the subscriber side reach the Internet."""
        self.sub.send(frame, count)
        return len(self.up.arrived(**kwargs))

    def reaches_sub(self, frame: bytes, count: int = 100, **kwargs: int) -> int:
        """How many of so many such frames from the Internet reach the subscriber side."""
        self.up.send(frame, count)
        return len(self.sub.arrived(**kwargs))


@pytest.fixture
def bench() -> Iterator[Bench]:
    with net.World() as world:
        plane = KernelDataPlane()
        plane.open(CONFIG)
        sub, up = net.Wire(world, world.sub, "s0"), net.Wire(world, world.up, "u0")
        yield Bench(world, plane, sub, up)
        plane.close()
        sub.close()
        up.close()


def test_nobody_forwards_before_being_authorised(bench: Bench) -> None:
    assert bench.reaches_up(net.upload(0)) == 0
    assert bench.reaches_sub(net.download(0)) == 0


def test_an_authorised_subscriber_forwards_everything_both_ways(bench: Bench) -> None:
    bench.authorise(0, 1)
    assert bench.reaches_up(net.upload(0)) == 100
    assert bench.reaches_sub(net.download(0)) == 100
    assert bench.reaches_up(net.upload(1)) == 100
    assert bench.reaches_up(net.upload(2)) == 0


def test_addresses_cannot_be_borrowed(bench: Bench) -> None:
    bench.authorise(0, 1)
    anothers_address = net.udp_frame(net.subscriber_mac(0), net.subscriber_ip(1))
    anothers_mac = net.udp_frame(net.subscriber_mac(1), net.subscriber_ip(0))
    nobodys_address = net.udp_frame(net.subscriber_mac(0), net.subscriber_ip(7))
    assert bench.reaches_up(anothers_address) == 0
    assert bench.reaches_up(anothers_mac) == 0
    assert bench.reaches_up(nobodys_address) == 0


def test_download_goes_to_the_mac_of_the_session(bench: Bench) -> None:
    """Even when somebody else claims the address by ARP."""
    bench.authorise(1)
    bench.up.send(net.download(1), 10)
    frames = bench.sub.arrived()
    assert len(frames) == 10
    assert {frame[:6] for frame in frames} == {net.subscriber_mac(1)}


def test_behind_a_routed_node_the_address_and_the_interface_are_the_guard(bench: Bench) -> None:
    bench.authorise(3, routed=True)
    from_node = net.udp_frame(net.subscriber_mac(0), net.subscriber_ip(3))
    assert bench.reaches_up(from_node) == 100
    assert bench.reaches_up(net.udp_frame(net.subscriber_mac(0), net.subscriber_ip(4))) == 0
    assert bench.plane.installed()[0].mac is None
    bench.plane.stop([Stop(3, f"{3:016x}")])
    assert bench.reaches_up(from_node) == 0


def test_subscribers_reach_each_other_only_while_both_are_authorised(bench: Bench) -> None:
    to_other = net.upload(0, destination=net.subscriber_ip(1))
    bench.authorise(0)
    bench.sub.send(to_other, 20)
    assert bench.sub.arrived() == []
    bench.authorise(1)
    bench.sub.send(to_other, 20)
    assert len(bench.sub.arrived()) == 20
    bench.plane.stop([Stop(0, f"{0:016x}")])
    bench.sub.send(to_other, 20)
    assert bench.sub.arrived() == []


def test_a_disconnect_cuts_both_directions_at_once(bench: Bench) -> None:
    bench.authorise(0)
    assert bench.reaches_up(net.upload(0)) == 100
    bench.plane.stop([Stop(0, f"{0:016x}")])
    assert bench.reaches_up(net.upload(0)) == 0
    assert bench.reaches_sub(net.download(0)) == 0


def test_a_disconnect_throws_away_what_still_waits_in_the_shaper(bench: Bench) -> None:
    slow = Rates(100_000, 100_000)
    bench.plane.start([Start(0, "a" * 16, "acc0", net.subscriber_mac(0), net.subscriber_ip(0), slow)])
    bench.sub.send(net.upload(0, size=1000), 100)
    (result,) = bench.plane.stop([Stop(0, "a" * 16)])
    assert result.final is not None
    assert result.final.in_packets + result.final.in_discards == 100
    assert len(bench.up.arrived(wait=0.5)) == result.final.in_packets < 100


def test_a_disconnect_cuts_a_translated_flow(bench: Bench) -> None:
    bench.plane.open(NAT)
    bench.authorise(0)
    bench.sub.send(net.upload(0), 10)
    frames = bench.up.arrived()
    assert len(frames) == 10
    assert {frame[26:30] for frame in frames} == {bytes((198, 51, 100, 2))}
    port = int.from_bytes(frames[0][34:36], "big")
    answer = net.udp_frame(
        frames[0][:6],
        net.HOST,
        net.BNG_UPSTREAM,
        destination_mac=net.WAN_MAC,
        source_port=net.PORT,
        port=port,
    )
    assert bench.reaches_sub(answer, port=5001) == 100
    bench.plane.stop([Stop(0, f"{0:016x}")])
    assert bench.reaches_sub(answer, port=5001) == 0
    assert bench.reaches_up(net.upload(0)) == 0


def test_translation_can_be_switched_off_without_touching_sessions(bench: Bench) -> None:
    bench.plane.open(NAT)
    bench.authorise(0)
    assert bench.plane.open(CONFIG).attached == ()
    bench.sub.send(net.upload(0, source_port=7000), 10)
    frames = bench.up.arrived()
    assert {frame[26:30] for frame in frames} == {net.subscriber_ip(0).packed}
    assert len(frames) == 10


def test_dhcp_reaches_the_capture_and_nothing_else(bench: Bench) -> None:
    capture = DhcpCapture("acc0")
    try:
        discover = net.udp_frame(
            net.subscriber_mac(9), "0.0.0.0", "255.255.255.255", destination_mac="ff:ff:ff:ff:ff:ff", port=67
        )
        bench.sub.send(discover, 5)
        bench.sub.send(net.upload(9), 5)
        bench.sub.send(net.upload(9, port=67)[:60], 1)
        received = capture.receive()
        assert [frame.data for frame in received[:5]] == [discover] * 5
        assert len(received) == 6
        bench.authorise(0)
        assert bench.reaches_up(net.upload(0, port=67), port=67) == 0
        assert len(capture.receive(limit=30)) == 30
        assert capture.send(net.udp_frame(bytes(6), "100.64.0.1", "100.64.1.9", port=68))
        assert len(bench.sub.arrived(port=68)) == 1
    finally:
        capture.close()


def test_the_capture_survives_its_interface(bench: Bench) -> None:
    capture = DhcpCapture("acc0")
    try:
        descriptor = capture.fileno()
        bench.world.run(bench.world.bng, "ip link del acc0")
        assert capture.receive() == []
        assert not capture.send(bytes(60))
        assert not capture.rebind()
        bench.world.make_access()
        assert capture.rebind()
        wire = net.Wire(bench.world, bench.world.sub, "s0")
        wire.send(net.upload(0, port=67), 3)
        wire.close()
        assert len(capture.receive()) == 3
        assert capture.fileno() == descriptor
    finally:
        capture.close()


@pytest.mark.parametrize("address", [net.GATEWAY, net.BNG_UPSTREAM])
def test_the_bng_itself_answers_subscribers_only_pings(bench: Bench, address: str) -> None:
    world = bench.world
    guard = Guard(
        answers=(IPv4Address(net.BNG_UPSTREAM),),
        services=(Service("tcp", (830,), IPv4Address(net.BNG_UPSTREAM)),),
    )
    bench.plane.open(DataPlaneConfig(("acc0",), "wan0", guard=guard))
    bench.authorise(0)
    listener = world.spawn(world.bng, "iperf3 -s -p 830 -1")
    shell = ["ip", "netns", "exec"]
    from_up = [*shell, world.up, "timeout", "1", "bash", "-c", f"</dev/tcp/{net.BNG_UPSTREAM}/830"]
    from_sub = [*shell, world.sub, "timeout", "1", "bash", "-c", f"</dev/tcp/{address}/830"]
    for _ in range(50):
        if subprocess.run(from_up, check=False, stderr=subprocess.DEVNULL).returncode == 0:
            break
    else:
        pytest.fail("the listener cannot be reached at all")
    assert subprocess.run(from_sub, check=False, stderr=subprocess.DEVNULL).returncode != 0
    assert "2 received" in world.run(world.sub, f"ping -c 2 -i 0.2 -W 1 {address}")
    listener.kill()


def test_a_forged_ping_makes_the_bng_send_nothing_to_strangers(bench: Bench) -> None:
    def ping(source: str) -> bytes:
        frame = Ether(src=net.mac_text(net.subscriber_mac(0)), dst=net.ACCESS_MAC)
        return bytes(frame / IP(src=source, dst=net.GATEWAY) / ICMP() / b"payload")

    def replies(wire: net.Wire) -> int:
        return sum(1 for frame in wire.raw() if frame[23] == 1 and frame[34] == 0)

    own, stranger = str(net.subscriber_ip(0)), str(net.HOST)
    bench.sub.send(ping(stranger), 20)
    assert replies(bench.up) == 0
    bench.world.run(bench.world.bng, f"ip neigh replace {own} lladdr 02:00:00:00:00:01 dev acc0")
    bench.sub.send(ping(own), 20)
    assert replies(bench.sub) == 20


def test_neighbours_that_are_gone_are_set_again(bench: Bench) -> None:
    def permanent() -> int:
        return bench.world.run(bench.world.bng, "ip neigh show nud permanent dev acc0").count("lladdr")

    for slot in range(3):
        bench.authorise(slot)
    assert bench.plane.audit() == Suspicions()
    addresses = bench.world.run(bench.world.bng, "ip -o -4 addr show dev acc0").split()
    bench.world.run(bench.world.bng, "ip addr flush dev acc0")
    assert permanent() == 0, "the kernel drops them with the last address"
    bench.world.run(bench.world.bng, f"ip addr add {addresses[3]} dev acc0")
    assert bench.plane.repair(bench.plane.audit()) == 3
    assert permanent() == 3
    assert bench.plane.audit() == Suspicions()


def test_subscribers_have_no_ipv6(bench: Bench) -> None:
    world = bench.world
    bench.authorise(0)
    for own, other, ours, theirs in (
        ("fd00:1::1", "fd00:1::2", "acc0", "s0"),
        ("fd00:2::1", "fd00:2::2", "wan0", "u0"),
    ):
        world.run(world.bng, f"ip -6 addr add {own}/64 dev {ours} nodad")
        namespace = world.sub if theirs == "s0" else world.up
        world.run(namespace, f"ip -6 addr add {other}/64 dev {theirs} nodad")
    assert "1 received" in world.run(world.up, "ping -6 -c 1 -W 2 fd00:2::1")
    assert "0 received" in world.run(world.sub, "ping -6 -c 1 -W 1 fd00:1::1", check=False)


def test_the_mss_of_new_connections_fits_the_path(bench: Bench) -> None:
    bench.authorise(0)
    bench.world.run(bench.world.bng, "ip link set wan0 mtu 1400")
    listener = bench.world.spawn(bench.world.up, "iperf3 -s -p 5301 -1")
    dump = net.Wire(bench.world, bench.world.up, "u0")
    connect = [
        "ip",
        "netns",
        "exec",
        bench.world.sub,
        "timeout",
        "2",
        "bash",
        "-c",
        f"</dev/tcp/{net.HOST}/5301",
    ]
    subprocess.run(connect, check=False, stderr=subprocess.DEVNULL)
    options = [frame[54:58] for frame in dump.raw() if frame[23] == 6 and frame[47] & 2]
    dump.close()
    listener.kill()
    assert options
    assert options[0] == b"\x02\x04" + (1360).to_bytes(2, "big")

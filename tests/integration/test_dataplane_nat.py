"""Public addresses and port blocks: real packets through namespaces, seen at the Internet's side."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

import pytest

from bng.dataplane import conntrack, nft
from bng.dataplane.base import Binding, DataPlaneConfig, Nat, Rates, Start, Stop, Suspicions
from bng.dataplane.held import Lost
from bng.dataplane.kernel import KernelDataPlane
from bng.dataplane.shards import FLAT, SHARDED
from tests.support import subscriber_net as net
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(not net.namespaces_available(), reason="needs root and network namespaces"),
]

FAST = Rates(1_000_000_000, 1_000_000_000)
INSIDE = (IPv4Network("100.64.0.0/10"),)
POOL = IPv4Network("203.0.113.0/29")
SHARED = IPv4Address("203.0.113.1")
FIRST, SECOND = Binding(SHARED, 1024, 2047), Binding(SHARED, 2048, 3071)
CONFIG = DataPlaneConfig(("acc0",), "wan0", Nat(INSIDE, None, (POOL,)))
GRE, ICMP, UDP = 47, 1, 17


def protocol_frame(number: int, protocol: int, body: bytes) -> bytes:
    """A frame from a subscriber to the Internet host, of any protocol."""
    frame = bytearray(net.upload(number, size=20 + len(body) if len(body) > 8 else 28 + len(body)))
    frame[23] = protocol
    frame[24:26] = b"\0\0"
    header = bytes(frame[14:34])
    frame[24:26] = net.checksum(header).to_bytes(2, "big")
    frame[34 : 34 + len(body)] = body
    return bytes(frame)


def echo(number: int, identifier: int) -> bytes:
    body = bytearray(b"\x08\0\0\0" + identifier.to_bytes(2, "big") + b"\0\1" + bytes(24))
    body[2:4] = net.checksum(bytes(body)).to_bytes(2, "big")
    return protocol_frame(number, ICMP, bytes(body))


def from_host(address: IPv4Address, **ports: int) -> bytes:
    """A frame from the Internet host to an address of the pool."""
    host = bytes.fromhex(net.HOST_MAC.replace(":", ""))
    return net.udp_frame(host, net.HOST, address, destination_mac=net.WAN_MAC, **ports)  # type: ignore[arg-type]


def is_error(frame: bytes) -> bool:
    """Whether it is an ICMP error, as the hosts' own kernels send them."""
    return frame[23] == ICMP and frame[34] in (3, 11)


def source(frame: bytes) -> tuple[IPv4Address, int]:
    """Source address, and source port or ICMP identifier."""
    at = 38 if frame[23] == ICMP else 34
    return IPv4Address(frame[26:30]), int.from_bytes(frame[at : at + 2], "big")


@dataclass
class Bench:
    world: net.World
    plane: KernelDataPlane
    sub: net.Wire
    up: net.Wire

    def start(self, number: int, nat: Binding | None, *, session: str = "", ip: int | None = None) -> None:
        start = Start(
            number,
            session or f"{number:016x}",
            "acc0",
            net.subscriber_mac(number),
            net.subscriber_ip(number if ip is None else ip),
            FAST,
            nat,
        )
        (result,) = self.plane.start([start])
        assert result.error is None

    def stop(self, number: int) -> None:
        (result,) = self.plane.stop([Stop(number, f"{number:016x}")])
        assert result.error is None

    def seen(self, *frames: bytes) -> list[bytes]:
        """What of these frames of subscribers arrives in the Internet."""
        for frame in frames:
            self.sub.send(frame)
        return [frame for frame in self.up.raw() if not is_error(frame)]

    def answer(self, frame: bytes) -> list[bytes]:
        """Answer a UDP frame that arrived in the Internet; what of that reaches the subscribers."""
        address, port = source(frame)
        self.up.send(from_host(address, port=port, source_port=net.PORT))
        return [each for each in self.sub.raw() if each[23] == UDP]


@pytest.fixture
def bench() -> Iterator[Bench]:
    with net.World() as world:
        world.run(world.up, f"ip route add {POOL} via {net.BNG_UPSTREAM}")
        plane = KernelDataPlane()
        plane.open(CONFIG)
        sub, up = net.Wire(world, world.sub, "s0"), net.Wire(world, world.up, "u0")
        yield Bench(world, plane, sub, up)
        plane.close()
        sub.close()
        up.close()


def test_two_sessions_share_an_address_and_no_port(bench: Bench) -> None:
    bench.start(0, FIRST)
    bench.start(1, SECOND)
    for number, binding in ((0, FIRST), (1, SECOND)):
        frames = bench.seen(*(net.upload(number, source_port=port) for port in range(5000, 5050)))
        sources = {source(frame) for frame in frames}
        assert len(sources) == 50
        assert {address for address, _ in sources} == {SHARED}
        assert all(binding.port_first <= port <= binding.port_last for _, port in sources)
        (answer,) = bench.answer(frames[0])
        assert answer[30:34] == net.subscriber_ip(number).packed
        assert int.from_bytes(answer[36:38], "big") == 5000


def test_the_identifiers_of_pings_are_of_the_block_too(bench: Bench) -> None:
    bench.start(0, FIRST)
    bench.start(1, SECOND)
    first, second = (bench.seen(echo(number, 7)) for number in (0, 1))
    assert FIRST.port_first <= source(first[0])[1] <= FIRST.port_last
    assert SECOND.port_first <= source(second[0])[1] <= SECOND.port_last


def test_tcp_works_through_a_block(bench: Bench) -> None:
    bench.start(0, FIRST)
    assert net.iperf3(bench.world, reverse=True, seconds=2) > 1_000_000


def test_protocols_without_ports_need_a_whole_address(bench: Bench) -> None:
    bench.start(0, FIRST)
    bench.start(1, Binding(SHARED + 1))
    assert bench.seen(protocol_frame(0, GRE, bytes(20))) == []
    (frame,) = bench.seen(protocol_frame(1, GRE, bytes(20)))
    assert frame[26:30] == (SHARED + 1).packed


def test_a_whole_address_keeps_the_ports(bench: Bench) -> None:
    bench.start(0, Binding(SHARED + 1))
    assert [source(frame) for frame in bench.seen(net.upload(0, source_port=81))] == [(SHARED + 1, 81)]


def test_who_has_no_public_address_sends_nothing_upstream(bench: Bench) -> None:
    bench.start(0, None)
    assert bench.seen(net.upload(0), echo(0, 1)) == []


def test_a_start_that_is_repeated_with_another_block_changes_it(bench: Bench) -> None:
    bench.start(0, None)
    for binding in (FIRST, SECOND, Binding(SHARED + 1)):
        bench.start(0, binding)
        assert bench.plane.installed()[0].nat == binding
        wait_for(
            "the next packet of the flow leaves with the new block",
            lambda binding=binding: all(
                source(frame)[0] == binding.address
                and binding.port_first <= source(frame)[1] <= binding.port_last
                for frame in bench.seen(net.upload(0))
            ),
        )
    bench.start(0, None)
    assert bench.plane.installed()[0].nat is None


def test_the_next_holder_of_an_address_inside_gets_nothing_of_the_flows_before(bench: Bench) -> None:
    bench.start(0, FIRST)
    (old,) = bench.seen(net.upload(0))
    bench.stop(0)
    bench.start(5, SECOND, ip=0)
    own = net.udp_frame(net.subscriber_mac(5), net.subscriber_ip(0))
    assert bench.answer(old) == []
    (new,) = bench.seen(own)
    assert SECOND.port_first <= source(new)[1] <= SECOND.port_last
    assert bench.answer(old) == []
    assert len(bench.answer(new)) == 1


def test_the_next_holder_of_a_block_gets_nothing_of_the_flows_before(bench: Bench) -> None:
    bench.start(0, FIRST)
    (old,) = bench.seen(net.upload(0))
    bench.stop(0)
    bench.start(1, FIRST)
    assert bench.answer(old) == []
    bench.start(0, SECOND)
    assert bench.answer(old) == []


def test_the_flows_of_many_that_end_together_are_cut(bench: Bench) -> None:
    many = range(conntrack._EACH + 4)
    for number in many:
        bench.start(number, Binding(SHARED, 1024 + 64 * number, 1087 + 64 * number))
    assert len(bench.seen(*(net.upload(number) for number in many))) == len(many)
    bench.start(40, Binding(SHARED, 40000, 40063))
    bench.seen(net.upload(40))
    bench.plane.stop([Stop(number, f"{number:016x}") for number in many])
    wait_for("only the flow of who is still there is left", lambda: flows(bench) == 1)


def flows(bench: Bench) -> int:
    text = bench.world.run(bench.world.bng, "cat /proc/sys/net/netfilter/nf_conntrack_count")
    return int(text)


def test_a_restart_adopts_what_the_kernel_translates(bench: Bench) -> None:
    bench.start(0, FIRST)
    bench.start(1, Binding(SHARED + 1))
    before = bench.plane.installed()
    (frame,) = bench.seen(net.upload(0))
    again = KernelDataPlane()
    again.open(CONFIG)
    try:
        assert again.installed() == before
        assert len(bench.answer(frame)) == 1
        assert [source(each) for each in bench.seen(net.upload(0))] == [source(frame)]
    finally:
        again.close()


def test_a_restart_tells_what_the_kernel_translates_otherwise_or_not_at_all(bench: Bench) -> None:
    """Who compares the sessions sees it; the start again, as it should be, puts it right."""
    bindings = [FIRST, SECOND, Binding(SHARED + 1), None]
    for number, binding in enumerate(bindings):
        bench.start(number, binding)
    bench.plane.close()
    bench.world.run(bench.world.bng, f"nft delete element ip aether nat_block {{ {net.subscriber_ip(0)} }}")
    address = net.subscriber_ip(1)
    nft.run(
        f"delete element ip aether nat_block {{ {address} }}\n"
        f"add element ip aether nat_block {{ {address} : {SHARED + 2} . 4096-5119 }}\n"
        f"add element ip aether nat_block {{ {net.subscriber_ip(2)} : {SHARED + 2} . 1024-2047 }}\n"
        f"add element ip aether nat_whole {{ 100.64.9.9 : {SHARED + 3} }}"
    )
    bench.plane.open(CONFIG)
    found = [each.nat for each in bench.plane.installed()]
    assert found == [None, Binding(SHARED + 2, 4096, 5119), Binding(SHARED + 1), None]
    assert bench.plane.audit() == Suspicions()
    assert "100.64.9.9" not in bench.world.run(bench.world.bng, "nft list map ip aether nat_whole")
    for number, binding in enumerate(bindings):
        bench.start(number, binding)
    assert [each.nat for each in bench.plane.installed()] == bindings
    assert bench.plane.audit() == Suspicions()
    (first,), (second,) = bench.seen(net.upload(0)), bench.seen(net.upload(1))
    assert FIRST.port_first <= source(first)[1] <= FIRST.port_last
    assert SECOND.port_first <= source(second)[1] <= SECOND.port_last


def test_a_session_whose_class_moves_at_the_next_start_keeps_its_block(bench: Bench) -> None:
    bench.plane.close(remove=True)
    bench.plane = KernelDataPlane(layout=FLAT)
    bench.plane.open(CONFIG)
    far = SHARDED.first + 1
    for slot, binding in ((0, FIRST), (far, SECOND)):
        start = Start(slot, f"{slot:016x}", "acc0", net.subscriber_mac(slot % 9), net.subscriber_ip(slot % 9),
                      FAST, binding)  # fmt: skip
        (result,) = bench.plane.start([start])
        assert result.error is None
    frames = [net.upload(0), net.upload(far % 9)]
    before = [source(each) for each in bench.seen(*frames)]
    assert len(before) == 2
    bench.plane.close()
    again = KernelDataPlane()
    assert again.open(CONFIG).restarted_in == (far,)
    assert [each.nat for each in again.installed()] == [FIRST, SECOND]
    assert again.audit() == Suspicions()
    assert [source(each) for each in bench.seen(*frames)] == before
    again.close()


def test_a_block_that_changes_while_a_session_comes_back(bench: Bench) -> None:
    """The interface was made anew, and the session is not back on it yet."""
    bench.start(0, FIRST)
    kernel = bench.plane._kernel
    assert kernel is not None
    kernel.held.lost[0] = Lost(may_be_open=True)
    bench.start(0, SECOND)
    bench.plane.refresh()
    assert not kernel.held.lost
    assert bench.plane.audit() == Suspicions()
    (frame,) = bench.seen(net.upload(0))
    assert SECOND.port_first <= source(frame)[1] <= SECOND.port_last


def test_flows_of_sessions_that_ended_unseen_are_cut_at_the_next_start(bench: Bench) -> None:
    bench.start(0, FIRST)
    bench.start(1, SECOND)
    bench.seen(net.upload(0), net.upload(1))
    assert flows(bench) == 2
    bench.world.run(bench.world.bng, f"nft delete element ip aether dn {{ {net.subscriber_ip(0)} }}")
    again = KernelDataPlane()
    again.open(CONFIG)
    try:
        assert [each.slot for each in again.installed()] == [1]
        wait_for("its flow is gone", lambda: flows(bench) == 1)
    finally:
        again.close()


def test_blocks_come_back_after_the_ruleset_was_flushed(bench: Bench) -> None:
    bench.start(0, FIRST)
    bench.world.run(bench.world.bng, "nft flush ruleset")
    bench.plane.refresh()
    (frame,) = bench.seen(net.upload(0))
    assert FIRST.port_first <= source(frame)[1] <= FIRST.port_last


def test_flows_that_began_without_a_ruleset_do_not_go_on_without_translation(bench: Bench) -> None:
    bench.start(0, FIRST)
    (kept,) = bench.seen(net.upload(0, source_port=5001))
    bench.world.run(bench.world.bng, "nft flush ruleset")
    (bare,) = bench.seen(net.upload(0))
    assert source(bare)[0] == net.subscriber_ip(0)
    bench.plane.refresh()
    wait_for("only the other flow is there", lambda: flows(bench) == 1)
    (frame,) = bench.seen(net.upload(0))
    assert source(frame)[0] == SHARED
    assert [source(each) for each in bench.seen(net.upload(0, source_port=5001))] == [source(kept)]


def test_the_audit_repairs_blocks(bench: Bench) -> None:
    bench.start(0, FIRST)
    bench.start(1, Binding(SHARED + 1))
    bench.plane.refresh()
    remove = "nft delete element ip aether"
    bench.world.run(bench.world.bng, f"{remove} nat_block {{ {net.subscriber_ip(0)} }}")
    bench.world.run(bench.world.bng, f"{remove} nat_whole {{ {net.subscriber_ip(1)} }}")
    nft.run("add element ip aether nat_whole { 100.64.9.9 : 203.0.113.4 }")
    assert bench.plane.repair(bench.plane.audit()) == 3
    assert bench.plane.audit() == Suspicions()
    assert len(bench.seen(net.upload(0), net.upload(1))) == 2
    assert "100.64.9.9" not in bench.world.run(bench.world.bng, "nft list map ip aether nat_whole")


def test_what_arrives_for_an_address_of_the_pool_without_a_flow_goes_nowhere(bench: Bench) -> None:
    stray = from_host(SHARED + 3)
    bench.up.send(stray, 20)
    assert bench.up.raw() == []
    assert bench.sub.raw() == []
    bench.start(0, FIRST)
    assert bench.seen(net.upload(0, destination=SHARED)) == []
    assert "0 received" in bench.world.run(bench.world.up, f"ping -c 1 -W 1 {SHARED}", check=False)


def test_an_upstream_router_that_shares_the_network_of_the_pool_finds_it_by_arp(bench: Bench) -> None:
    world = bench.world
    world.run(world.up, f"ip route replace {POOL} dev u0")
    bench.start(0, FIRST)
    (frame,) = bench.seen(net.upload(0))
    neighbour = ["ip", "netns", "exec", world.up, "arping", "-c", "1", "-w", "2", "-I", "u0", str(SHARED)]
    subprocess.run(neighbour, check=False, capture_output=True)
    world.run(world.up, f"ping -c 1 -W 1 {SHARED}", check=False)
    assert net.WAN_MAC in world.run(world.up, f"ip neigh show {SHARED} dev u0")
    assert len(bench.answer(frame)) == 1


def test_the_routes_of_the_pool_follow_the_configuration(bench: Bench) -> None:
    def routes() -> str:
        return bench.world.run(bench.world.bng, "ip route show table local proto 174")

    assert str(POOL) in routes()
    other = IPv4Network("203.0.113.64/26")
    bench.plane.open(DataPlaneConfig(("acc0",), "wan0", Nat(INSIDE, None, (other,))))
    assert str(other) in routes()
    assert str(POOL) not in routes()
    bench.plane.open(DataPlaneConfig(("acc0",), "wan0"))
    assert routes() == ""


def test_the_routes_of_the_pool_come_back(bench: Bench) -> None:
    kernel = bench.plane._kernel
    assert kernel is not None

    def look(*commands: str) -> bool:
        """Whether they are there after these commands."""
        for command in commands:
            bench.world.run(bench.world.bng, command)
        bench.plane.refresh()
        return str(POOL) in bench.world.run(bench.world.bng, "ip route show table local proto 174")

    assert look()
    assert look("ip link set wan0 down", "ip link set wan0 up")
    kernel._next_look = 0.0
    assert look("ip link set wan0 down")
    assert look("ip link set wan0 up")
    kernel._next_look = 0.0
    assert look(f"ip route del local {POOL} dev wan0 table local")
    bench.start(0, FIRST)
    kernel._next_look = 0.0
    assert not look("ip link del wan0")


def test_nobody_has_more_flows_than_the_limit(bench: Bench) -> None:
    for limit in (8, 20):
        bench.plane.open(DataPlaneConfig(("acc0",), "wan0", Nat(INSIDE, None, (POOL,), limit)))
        bench.start(0, FIRST)
        bench.start(1, SECOND)
        flows_of_0 = [net.upload(0, source_port=port) for port in range(5000, 5060)]
        assert len(bench.seen(*flows_of_0)) == limit
        assert len(bench.seen(net.upload(1))) == 1
        assert len(bench.seen(flows_of_0[0], flows_of_0[1])) == 2, "what is established goes on"
        bench.stop(0)
        bench.stop(1)
        wait_for("their flows are gone", lambda: flows(bench) == 0)

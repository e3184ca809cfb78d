"""What is counted is what was delivered, and it outlives the process, the ruleset and the interface."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bng.dataplane import tc
from bng.dataplane.base import Change, DataPlaneConfig, Rates, RawCounters, Start, Stop
from bng.dataplane.kernel import KernelDataPlane
from tests.support import subscriber_net as net
from tests.support.waiting import wait_for

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(not net.namespaces_available(), reason="needs root and network namespaces"),
]

FAST = Rates(1_000_000_000, 1_000_000_000)
SLOW = Rates(1_000_000, 1_000_000)
CONFIG = DataPlaneConfig(("acc0",), "wan0", reserve=64)
SIZES = (60, 100, 577, 1500)


def start(number: int, rates: Rates = FAST) -> Start:
    mac, ip = net.subscriber_mac(number), net.subscriber_ip(number)
    return Start(number, f"{number:016x}", "acc0", mac, ip, rates)


def stop(number: int) -> Stop:
    return Stop(number, f"{number:016x}")


@pytest.fixture
def world() -> Iterator[net.World]:
    with net.World() as world:
        yield world


@pytest.fixture
def sub(world: net.World) -> Iterator[net.Wire]:
    wire = net.Wire(world, world.sub, "s0")
    yield wire
    wire.close()


@pytest.fixture
def up(world: net.World) -> Iterator[net.Wire]:
    wire = net.Wire(world, world.up, "u0")
    yield wire
    wire.close()


@pytest.fixture(params=[None, tc.Leaf("bfifo")], ids=["own queue", "queue discipline"])
def plane(world: net.World, request: pytest.FixtureRequest) -> Iterator[KernelDataPlane]:
    """With the queue of the class itself, and with a queueing discipline in it."""
    plane = KernelDataPlane(request.param)
    plane.open(CONFIG)
    yield plane
    plane.close()


def row(plane: KernelDataPlane, slot: int) -> RawCounters:
    sweep = plane.sweep()
    assert sweep.valid[slot]
    return RawCounters(*sweep.values[slot].tolist())


def test_octets_and_packets_are_those_that_were_delivered(
    plane: KernelDataPlane, sub: net.Wire, up: net.Wire
) -> None:
    plane.start([start(0), start(1)])
    for size in SIZES:
        sub.send(net.upload(0, size=size), 250)
        up.send(net.download(0, size=size), 150)
    went_up, went_down = up.arrived(), sub.arrived()
    counted = row(plane, 0)
    assert (counted.in_packets, counted.out_packets) == (len(went_up), len(went_down)) == (1000, 600)
    assert counted.in_octets == sum(len(frame) - 14 for frame in went_up) == 250 * sum(SIZES)
    assert counted.out_octets == sum(len(frame) - 14 for frame in went_down) == 150 * sum(SIZES)
    assert row(plane, 1) == RawCounters()


def test_what_the_shaper_drops_is_discarded_not_delivered(
    plane: KernelDataPlane, sub: net.Wire, up: net.Wire
) -> None:
    plane.start([start(0, SLOW)])
    sub.send(net.upload(0, size=1000), 400)
    up.send(net.download(0, size=1000), 300)
    went_up, went_down = len(up.arrived(wait=0.5)), len(sub.arrived(wait=0.5))
    counted = row(plane, 0)
    assert (counted.in_packets, counted.out_packets) == (went_up, went_down)
    assert counted.in_packets + counted.in_discards == 400
    assert counted.out_packets + counted.out_discards == 300
    assert counted.in_discards > 0
    assert counted.out_discards > 0


def test_the_next_session_of_a_slot_begins_where_the_last_one_ended(
    plane: KernelDataPlane, sub: net.Wire, up: net.Wire
) -> None:
    plane.start([start(0)])
    sub.send(net.upload(0), 50)
    assert len(up.arrived()) == 50
    (ended,) = plane.stop([stop(0)])
    assert ended.final is not None
    assert ended.final.in_packets == 50
    other = Start(0, "b" * 16, "acc0", net.subscriber_mac(5), net.subscriber_ip(5), FAST)
    (begun,) = plane.start([other])
    assert begun.baseline == ended.final
    sub.send(net.upload(5), 20)
    assert len(up.arrived()) == 20
    assert row(plane, 0).in_packets - begun.baseline.in_packets == 20


def test_final_counters_and_the_wire_agree_under_traffic(
    plane: KernelDataPlane, sub: net.Wire, up: net.Wire
) -> None:
    """Sessions end in the middle of a stream, again and again."""
    plane.start([start(0)])
    ended = threading.Event()

    def stream() -> None:
        while not ended.is_set():
            sub.send(net.upload(0), 10)

    sender = threading.Thread(target=stream)
    sender.start()
    counted = 0
    try:
        for _ in range(20):
            time.sleep(0.01)
            wait_for("some go through", lambda least=counted: row(plane, 0).in_packets > least)
            (result,) = plane.stop([stop(0)])
            assert result.final is not None
            counted = result.final.in_packets
            plane.start([start(0)])
        wait_for("some more go through", lambda: row(plane, 0).in_packets > counted)
    finally:
        ended.set()
        sender.join()
    (result,) = plane.stop([stop(0)])
    assert result.final is not None
    assert result.final.in_packets == len(up.arrived()) > counted > 0


def test_large_segments_are_counted_as_the_packets_they_stand_for() -> None:
    """With the offloads on, one TCP segment in the kernel is dozens of packets on a wire."""
    with net.World(offloads=True) as world:
        plane = KernelDataPlane()
        plane.open(CONFIG)
        plane.start([start(0)])
        with world.inside(world.up):
            listener = socket.create_server((net.HOST, 5201))
        with world.inside(world.sub):
            sender = socket.create_connection((net.HOST, 5201))
        receiver, _ = listener.accept()
        amount = 10 << 20
        thread = threading.Thread(target=sender.sendall, args=(bytes(amount),))
        thread.start()
        got = 0
        while got < amount:
            got += len(receiver.recv(1 << 20))
        thread.join()
        counted = row(plane, 0)
        for each in (sender, receiver, listener):
            each.close()
        plane.close()
    header = 20 + 32  # IPv4, TCP with timestamps
    assert counted.in_packets >= amount / (1500 - header)
    assert counted.in_octets - header * counted.in_packets >= amount
    assert counted.in_octets <= 1500 * counted.in_packets


def test_new_rates_take_hold_without_interruption(
    plane: KernelDataPlane, sub: net.Wire, up: net.Wire
) -> None:
    plane.start([start(0)])
    sub.send(net.upload(0), 50)
    assert [result.error for result in plane.change([Change(0, Rates(2_000_000, 3_000_000))])] == [None]
    sub.send(net.upload(0), 50)
    assert len(up.arrived()) == 100
    assert row(plane, 0).in_packets == 100


DYING = """
    import sys, time
    from ipaddress import IPv4Address
    from bng.dataplane.base import *
    from bng.dataplane.kernel import KernelDataPlane
    plane = KernelDataPlane()
    plane.open(DataPlaneConfig(("acc0",), "wan0"))
    mac = bytes.fromhex("020000000000")
    fast = Rates(1_000_000_000, 500_000_000, 0, 100_000, 2)
    results = plane.start([
        Start(0, "0" * 16, "acc0", mac, IPv4Address("100.64.1.0"), fast),
        Start(7, "7" * 16, "acc0", None, IPv4Address("100.64.1.7"), fast),
    ])
    print([result.error for result in results], flush=True)
    time.sleep(60)
"""


def test_a_restart_adopts_what_forwards_and_loses_no_packet(
    world: net.World, sub: net.Wire, up: net.Wire
) -> None:
    process = subprocess.Popen(
        ["ip", "netns", "exec", world.bng, sys.executable, "-c", textwrap.dedent(DYING)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "[None, None]\n" in iter(process.stdout.readline, "")
    sent = 0
    ended = threading.Event()

    def stream() -> None:
        nonlocal sent
        while not ended.is_set():
            sub.send(net.upload(0), 10)
            sent += 10
            time.sleep(0.001)

    sender = threading.Thread(target=stream)
    sender.start()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    plane = KernelDataPlane()
    result = plane.open(CONFIG)
    ended.set()
    sender.join()
    assert len(up.arrived()) == sent > 0
    assert result.restarted_in == result.restarted_out == ()
    found = {item.session_id: item for item in plane.installed()}
    assert set(found) == {"0" * 16, "7" * 16}
    adopted, routed = found["0" * 16], found["7" * 16]
    assert (adopted.slot, adopted.interface, adopted.mac) == (0, "acc0", net.subscriber_mac(0))
    assert (routed.slot, routed.mac, routed.ip) == (7, None, net.subscriber_ip(7))
    assert row(plane, 0).in_packets == sent
    (again,) = plane.start([start(0)])
    assert again.error is None
    assert again.baseline is None
    (ended_result,) = plane.stop([Stop(0, "0" * 16)])
    assert ended_result.final is not None
    assert ended_result.final.in_packets == sent
    plane.close()


def test_halves_and_strangers_in_the_maps_are_cleared_at_start(world: net.World) -> None:
    plane = KernelDataPlane()
    plane.open(CONFIG)
    plane.start([start(0), start(1), start(2)])
    plane.close()
    world.run(world.bng, f"nft delete element ip aether dn {{ {net.subscriber_ip(1)} }}")
    world.run(world.bng, "nft add element ip aether dn { 100.64.9.9 : 1:99 }")
    plane = KernelDataPlane()
    plane.open(CONFIG)
    assert [item.slot for item in plane.installed()] == [0, 2]
    listing = world.run(world.bng, "nft list table ip aether")
    assert "100.64.9.9" not in listing
    assert str(net.subscriber_ip(1)) not in listing
    assert [result.error for result in plane.start([start(1)])] == [None]
    plane.close()


def test_a_ruleset_that_somebody_flushed_comes_back(
    plane: KernelDataPlane, world: net.World, sub: net.Wire, up: net.Wire
) -> None:
    plane.start([start(0), start(1)])
    sub.send(net.upload(0), 10)
    assert len(up.arrived()) == 10
    world.run(world.bng, "nft flush ruleset")
    assert plane.refresh().restarted_in == ()
    sub.send(net.upload(0), 10)
    sub.send(net.upload(3), 10)
    assert len(up.arrived()) == 10
    assert row(plane, 0).in_packets == 20


def test_gates_that_somebody_touched_are_put_right(
    plane: KernelDataPlane, world: net.World, sub: net.Wire, up: net.Wire
) -> None:
    plane.start([start(0), start(1), start(2), replace(start(3), mac=None)])
    world.run(world.bng, f"nft delete element ip aether dn {{ {net.subscriber_ip(1)} }}")
    world.run(world.bng, f"nft delete element ip aether up_routed {{ acc0 . {net.subscriber_ip(3)} }}")
    stranger = f"acc0 . {net.mac_text(net.subscriber_mac(9))} . {net.subscriber_ip(9)} : 1:10"
    world.run(world.bng, f"nft add element ip aether up {{ {stranger} }}")
    sub.send(net.upload(9), 10)
    assert len(up.arrived()) == 10
    assert plane.repair(plane.audit()) == 3
    for number in (0, 1, 2, 3):
        sub.send(net.upload(number), 10)
    for number in (0, 1, 2):
        up.send(net.download(number), 10)
    sub.send(net.upload(9), 10)
    assert len(up.arrived()) == 40
    assert len(sub.arrived()) == 30


def test_gates_that_nobody_touched_are_left_alone(plane: KernelDataPlane) -> None:
    plane.start([start(number) for number in range(600)] + [replace(start(601), mac=None)])
    plane.stop([stop(number) for number in range(0, 600, 7)])
    assert plane.repair(plane.audit()) == 0


def test_sessions_return_with_their_interface(plane: KernelDataPlane, world: net.World, up: net.Wire) -> None:
    plane.start([start(0), start(1)])
    world.run(world.bng, "ip link del acc0")
    assert plane.refresh().missing == ("acc0",)
    (refused,) = plane.start([start(2)])
    assert refused.error is not None
    assert "does not exist" in refused.error
    assert not plane.sweep().valid.any()
    world.make_access()
    result = plane.refresh()
    assert result.attached == ("acc0",)
    assert result.restarted_out == (0, 1)
    assert result.restarted_in == ()
    wire = net.Wire(world, world.sub, "s0")
    wire.send(net.upload(1), 30)
    up.send(net.download(1), 40)
    assert len(up.arrived()) == 30
    assert len(wire.arrived()) == 40
    wire.close()
    assert row(plane, 1).out_packets == 40
    assert plane.refresh().attached == ()


def test_shapers_that_somebody_removed_come_back(
    plane: KernelDataPlane, world: net.World, sub: net.Wire, up: net.Wire
) -> None:
    plane.start([start(0)])
    world.run(world.bng, "tc qdisc del dev wan0 root")
    assert plane.refresh().restarted_in == (0,)
    sub.send(net.upload(0), 10)
    assert len(up.arrived()) == 10
    assert row(plane, 0).in_packets == 10


def test_neighbours_return_after_the_interface_was_down(plane: KernelDataPlane, world: net.World) -> None:
    plane.start([start(0), start(1)])
    assert world.run(world.bng, "ip neigh show dev acc0 nud permanent").count("PERMANENT") == 2
    world.run(world.bng, "ip link set acc0 down")
    world.run(world.bng, "ip link set acc0 up")
    assert world.run(world.bng, "ip neigh show dev acc0 nud permanent").count("PERMANENT") == 0
    plane.refresh()
    assert world.run(world.bng, "ip neigh show dev acc0 nud permanent").count("PERMANENT") == 2


def test_closing_for_good_leaves_nothing(plane: KernelDataPlane, world: net.World) -> None:
    plane.start([start(0)])
    plane.close(remove=True)
    assert "aether" not in world.run(world.bng, "nft list ruleset")
    assert "htb" not in world.run(world.bng, "tc qdisc show")
    assert "PERMANENT" not in world.run(world.bng, "ip neigh show dev acc0")
    assert "group" not in world.run(world.bng, "ip link show acc0").replace("group default", "")


def test_two_thousand_sessions_start_and_stop_in_batches(
    plane: KernelDataPlane, sub: net.Wire, up: net.Wire
) -> None:
    while plane.grow(500):
        pass
    starts = [start(number) for number in range(2000)]
    assert {result.error for result in plane.start(starts)} == {None}
    assert plane.sweep().valid.sum() == 2000
    for number in (0, 999, 1999):
        sub.send(net.upload(number), 10)
    assert len(up.arrived()) == 30
    ended = plane.stop([stop(number) for number in range(2000)])
    assert {result.error for result in ended} == {None}
    assert sum(result.final.in_packets for result in ended if result.final) == 30
    sub.send(net.upload(999), 10)
    assert up.arrived() == []
    assert plane.installed() == []


def test_privileges_that_are_missing_are_told_in_a_sentence(world: net.World) -> None:
    script = (
        "from bng.dataplane.kernel import *\n"
        "from bng.dataplane.base import *\n"
        "try: KernelDataPlane().open(DataPlaneConfig(('acc0',), 'wan0'))\n"
        "except DataPlaneError as error: print(error)\n"
    )
    unprivileged = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--"]
    done = subprocess.run(
        ["ip", "netns", "exec", world.bng, *unprivileged, sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert "sysctl" in done.stdout or "NET_ADMIN" in done.stdout
    assert "Traceback" not in done.stderr

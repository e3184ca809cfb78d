"""Sessions whose classes are in further HTBs are gated, shaped and counted as those of the first one are."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from bng.dataplane import shards, tc
from bng.dataplane.base import Change, DataPlaneConfig, Rates, RawCounters, Start, Stop
from bng.dataplane.kernel import KernelDataPlane
from bng.dataplane.shards import FLAT, SHARDED, Layout
from tests.support import subscriber_net as net

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(not net.namespaces_available(), reason="needs root and network namespaces"),
]

CONFIG = DataPlaneConfig(("acc0",), "wan0", reserve=0)
FAST = Rates(1_000_000_000, 1_000_000_000)
SLOW = Rates(4_000_000, 2_000_000)
ROOT, SIZE = SHARDED.first, SHARDED.size
FIRST, SECOND, THIRD, LAST = 5, ROOT + 7, ROOT + SIZE, SHARDED.end - 1
SLOTS = (FIRST, SECOND, THIRD, LAST)
"""One in the root, two in the first further HTBs, one in the last."""
NUMBER = {slot: number for number, slot in enumerate(SLOTS)}
"""Which subscriber of `subscriber_net` is in which slot."""


def start(slot: int, rates: Rates = FAST, number: int | None = None) -> Start:
    who = NUMBER[slot] if number is None else number
    return Start(slot, f"{slot:016x}", "acc0", net.subscriber_mac(who), net.subscriber_ip(who), rates)


def stop(slot: int) -> Stop:
    return Stop(slot, f"{slot:016x}")


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
    plane = KernelDataPlane(request.param)
    plane.open(CONFIG)
    yield plane
    plane.close()


def row(plane: KernelDataPlane, slot: int) -> RawCounters:
    sweep = plane.sweep()
    assert sweep.valid[slot]
    return RawCounters(*sweep.values[slot].tolist())


def shard_queues(world: net.World, interface: str) -> int:
    """How many HTBs there are beside the root."""
    return world.run(world.bng, f"tc qdisc show dev {interface}").count("qdisc htb") - 1


def settle(plane: KernelDataPlane) -> set[int]:
    """Refresh until all are back; slots that count anew in any direction."""
    anew: set[int] = set()
    result = plane.refresh()
    while True:
        anew |= {*result.restarted_in, *result.restarted_out}
        if not result.unfinished:
            return anew
        result = plane.refresh()


def test_every_shard_gates_and_counts_exactly_both_ways(
    world: net.World, plane: KernelDataPlane, sub: net.Wire, up: net.Wire
) -> None:
    assert [result.error for result in plane.start([start(slot) for slot in SLOTS])] == [None] * 4
    assert shard_queues(world, "acc0") == shard_queues(world, "wan0") == 3
    for number in NUMBER.values():
        sub.send(net.upload(number, size=100), 10 + number)
        sub.send(net.upload(number, size=1500), 10)
        up.send(net.download(number, size=577), 20 + number)
    went_up, went_down = up.arrived(), sub.arrived()
    assert (len(went_up), len(went_down)) == (86, 86)
    for slot, number in NUMBER.items():
        assert row(plane, slot) == RawCounters(
            in_octets=100 * (10 + number) + 15_000,
            out_octets=577 * (20 + number),
            in_packets=20 + number,
            out_packets=20 + number,
        )
    spoofed = net.udp_frame(net.subscriber_mac(9), net.subscriber_ip(NUMBER[THIRD]))
    sub.send(spoofed, 10)
    assert up.arrived() == []


@pytest.mark.quiet
@pytest.mark.parametrize("slot", [SECOND, THIRD, LAST])
def test_a_session_of_a_shard_has_its_rate_both_ways(
    world: net.World, sub: net.Wire, up: net.Wire, slot: int
) -> None:
    """For some seconds more is offered than the plan permits: what comes through in the middle of that time
    is within 5 % of the plan."""
    plane = KernelDataPlane()
    plane.open(CONFIG)
    plane.start([start(slot, SLOW)])
    number = NUMBER[slot]
    up_frame, down_frame = net.upload(number, size=986), net.download(number, size=986)
    marks: list[tuple[float, RawCounters]] = []
    began = time.monotonic()
    while (now := time.monotonic()) < began + 3:
        sub.send(up_frame, 3)
        up.send(down_frame, 5)
        if now > began + 1 and (not marks or now > began + 2.9):
            marks.append((time.monotonic(), row(plane, slot)))
            if len(marks) > 1:
                break
        time.sleep(0.004)
    (first, before), (last, after) = marks[0], marks[-1]
    seconds = last - first
    frame = 1000 / 986
    upload = 8 * frame * (after.in_octets - before.in_octets) / seconds
    download = 8 * frame * (after.out_octets - before.out_octets) / seconds
    assert upload == pytest.approx(SLOW.upload_bps, rel=0.05)
    assert download == pytest.approx(SLOW.download_bps, rel=0.05)
    assert after.in_discards > 0
    assert after.out_discards > 0
    plane.close()


def test_what_waits_in_a_shard_is_thrown_away_when_its_session_ends(
    plane: KernelDataPlane, sub: net.Wire, up: net.Wire
) -> None:
    slow = Rates(100_000, 100_000)
    plane.start([start(THIRD, slow), start(SECOND, slow)])
    sub.send(net.upload(NUMBER[THIRD], size=1000), 60)
    (ended,) = plane.stop([stop(THIRD)])
    assert ended.final is not None
    came = len(up.arrived(wait=0.3))
    assert ended.final.in_packets == came < 60
    assert ended.final.in_discards == 60 - came
    assert [item.slot for item in plane.installed()] == [SECOND]


def test_rates_change_in_a_shard(plane: KernelDataPlane, world: net.World) -> None:
    plane.start([start(LAST)])
    assert plane.change([Change(LAST, Rates(7_000_000, 3_000_000))])[0].error is None
    class_id = SHARDED.class_id(LAST)
    text = f"{class_id >> 16:x}:{class_id & 0xFFFF:x}"
    for interface, rate in (("acc0", "7Mbit"), ("wan0", "3Mbit")):
        shown = world.run(world.bng, f"tc class show dev {interface} classid {text}")
        assert f"rate {rate}" in shown


def test_a_restart_finds_sessions_of_all_shards(
    plane: KernelDataPlane, world: net.World, sub: net.Wire, up: net.Wire
) -> None:
    plane.start([start(slot, SLOW) for slot in SLOTS])
    for number in NUMBER.values():
        sub.send(net.upload(number), 5)
    assert len(up.arrived()) == 20
    before, counters = plane.installed(), [row(plane, slot) for slot in SLOTS]
    plane.close()
    again = KernelDataPlane()
    result = again.open(CONFIG)
    assert result.restarted_in == result.restarted_out == ()
    assert again.installed() == before
    assert [row(again, slot) for slot in SLOTS] == counters
    assert again.audit() == type(again.audit())()
    assert again.read(LAST) == counters[-1]
    assert again.stop([stop(LAST)])[0].final == counters[-1]
    assert again.start([start(LAST)])[0].baseline == counters[-1]
    again.close()


def test_shards_come_back_with_their_sessions(
    plane: KernelDataPlane, world: net.World, sub: net.Wire, up: net.Wire
) -> None:
    plane.start([start(slot) for slot in SLOTS])
    world.run(world.bng, f"tc qdisc del dev wan0 parent 1:{shards.way_in(1) & 0xFFFF:x}")
    assert settle(plane) == {SECOND}
    world.run(world.bng, "tc qdisc del dev acc0 root")
    assert settle(plane) == set(SLOTS)
    world.run(world.bng, "ip link del acc0")
    assert plane.refresh().missing == ("acc0",)
    world.make_access()
    assert settle(plane) == set(SLOTS)
    wire = net.Wire(world, world.sub, "s0")
    for number in NUMBER.values():
        wire.send(net.upload(number), 10)
        up.send(net.download(number), 10)
    assert len(up.arrived()) == len(wire.arrived()) == 40
    wire.close()
    for slot in SLOTS:
        assert (row(plane, slot).in_packets, row(plane, slot).out_packets) == (10, 10)


def test_the_way_into_the_shards_comes_back(
    plane: KernelDataPlane, world: net.World, sub: net.Wire, up: net.Wire
) -> None:
    plane.start([start(slot) for slot in SLOTS])
    for command in ("nft delete table ip aether_shards", "nft flush ruleset"):
        world.run(world.bng, command)
        assert settle(plane) == set()
        before = {slot: row(plane, slot).in_packets for slot in SLOTS}
        for number in NUMBER.values():
            sub.send(net.upload(number), 10)
        assert len(up.arrived()) == 40
        assert {slot: row(plane, slot).in_packets - before[slot] for slot in SLOTS} == dict.fromkeys(
            SLOTS, 10
        )


def test_who_has_no_shard_pays_for_none(plane: KernelDataPlane, world: net.World) -> None:
    plane.start([start(FIRST)])
    assert shard_queues(world, "acc0") == 0
    assert "aether_shards" not in world.run(world.bng, "nft list tables")


def test_closing_for_good_takes_the_shards_away(plane: KernelDataPlane, world: net.World) -> None:
    plane.start([start(slot) for slot in SLOTS])
    plane.close(remove=True)
    assert "htb" not in world.run(world.bng, "tc qdisc show")
    assert "aether" not in world.run(world.bng, "nft list ruleset")


def test_the_pool_grows_from_one_shard_into_the_next(world: net.World, sub: net.Wire, up: net.Wire) -> None:
    layout = Layout(16, 16, 3)
    plane = KernelDataPlane(layout=layout)
    plane.open(DataPlaneConfig(("acc0",), "wan0", reserve=100))
    while plane.grow(8):
        pass
    assert shard_queues(world, "acc0") == shard_queues(world, "wan0") == 3
    for interface in ("acc0", "wan0"):
        classes = world.run(world.bng, f"tc class show dev {interface}").count("class htb")
        assert classes == layout.end + layout.shards
    results = plane.start([start(slot, number=slot) for slot in range(layout.end + 1)])
    assert [result.slot for result in results if result.error] == [layout.end]
    for number in (0, 15, 16, 63):
        sub.send(net.upload(number), 10)
    assert len(up.arrived()) == 40
    assert plane.sweep().values[:, 2].sum() == 40
    plane.close()


@pytest.mark.parametrize("moved", [True, False], ids=["sharded", "as it was"])
def test_sessions_of_a_version_without_shards_are_taken_over(
    world: net.World, sub: net.Wire, up: net.Wire, moved: bool
) -> None:
    """Where all classes are in the root, those that have their place elsewhere get there, shaped."""
    slots = [FIRST, ROOT, ROOT + SIZE + 1]
    before = KernelDataPlane(layout=FLAT)
    before.open(CONFIG)
    before.start([start(slot, SLOW, number) for number, slot in enumerate(slots)])
    assert shard_queues(world, "acc0") == 0
    before.close()
    plane = KernelDataPlane(layout=None if moved else FLAT)
    result = plane.open(CONFIG)
    expected = tuple(slots[1:]) if moved else ()
    assert result.restarted_in == result.restarted_out == expected
    assert shard_queues(world, "acc0") == (2 if moved else 0)
    assert [item.slot for item in plane.installed()] == slots
    assert [item.session_id for item in plane.installed()] == [f"{slot:016x}" for slot in slots]
    for number, slot in enumerate(slots):
        sub.send(net.upload(number, size=986), 200)
        went = len(up.arrived(wait=0.3))
        counted = row(plane, slot)
        assert counted.in_packets == went < 200
        assert counted.in_packets + counted.in_discards == 200
    assert settle(plane) == set()
    plane.close()


def test_a_leaf_with_options_is_put_into_every_shard(world: net.World, sub: net.Wire, up: net.Wire) -> None:
    """A queueing discipline that takes options, as fq_codel does."""
    limit = 40
    leaf = tc.Leaf("pfifo", limit.to_bytes(4, "little"))
    plane = KernelDataPlane(leaf)
    plane.open(CONFIG)
    plane.start([start(slot, Rates(100_000, 100_000)) for slot in SLOTS])
    assert plane.capabilities.leaf == "pfifo"
    shown = world.run(world.bng, "tc qdisc show dev wan0")
    assert shown.count(f"limit {limit}p") == len(SLOTS)
    for slot in (FIRST, THIRD):
        sub.send(net.upload(NUMBER[slot], size=1000), 200)
        counted = row(plane, slot)
        assert counted.in_packets + counted.in_discards + limit == pytest.approx(200, abs=1)
    plane.close()

"""Benchmark `forwarding`: CPU time of one forwarded packet with 10,000 sessions, against none.

Three namespaces joined by veth: subscribers, BNG, Internet. On veth the receiving side runs in softirq on
the sender's time, so the sender's CPU time is that of sending + forwarding + dropping at the far end. The
sender's own share is measured with the same sender on a veth whose peer drops at once, and subtracted.
Sending is confined to one core, packets are small and go round over all sessions (no cache is kept warm by
one session), runs of the candidates alternate, and of each the best run counts: the machine is shared and
others only ever add.

    python tests/bench/forwarding.py [sessions]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from ipaddress import IPv4Network
from pathlib import Path

import structlog

from bng.dataplane.base import DataPlaneConfig, Guard, Rates, Start
from bng.dataplane.kernel import KernelDataPlane
from tests.bench import harness
from tests.support import subscriber_net as net

ROUNDS = 5
SECONDS = 0.6
PLAN = Rates(10_000_000_000, 10_000_000_000, 1_000_000, 1_000_000)
CPU = 0
_DROP = "udp dport 5002 counter drop"


def compile_blaster(folder: Path) -> Path:
    """The sender, from the source beside this file."""
    source, program = Path(__file__).with_name("blaster.c"), folder / "blaster"
    subprocess.run(["gcc", "-O2", "-Wall", "-o", program, source], check=True)
    return program


def drop_at_ingress(world: net.World, namespace: str, interface: str) -> None:
    """The far end of the path: count and drop as early as can be."""
    world.run(namespace, "nft add table netdev sink")
    hook = f"type filter hook ingress device {interface} priority 0 ;"
    world.run(namespace, f"nft add chain netdev sink {interface} {{ {hook} }}")
    world.run(namespace, f"nft add rule netdev sink {interface} {_DROP}")


def dropped(world: net.World, namespace: str) -> int:
    listing = json.loads(world.run(namespace, "nft -j list table netdev sink"))
    rules = [entry["rule"]["expr"] for entry in listing["nftables"] if "rule" in entry]
    return sum(part["counter"]["packets"] for rule in rules for part in rule if "counter" in part)


def blast(world: net.World, program: Path, direction: str, sessions: int) -> float:
    """Nanoseconds of CPU time per packet that reached the far end."""
    source, interface, mac = (world.sub, "s0", net.ACCESS_MAC)
    sink = world.up
    if direction == "down":
        source, interface, mac, sink = world.up, "u0", net.WAN_MAC, world.sub
    before = dropped(world, sink)
    output = world.run(source, f"{program} {interface} {direction} {mac} {sessions} {SECONDS} {CPU}")
    sent, cpu = (int(number) for number in output.split())
    arrived = dropped(world, sink) - before
    if arrived < 0.99 * sent:
        raise SystemExit(f"only {arrived} of {sent} packets went through: {direction}")
    return cpu / arrived


def sending_alone(world: net.World, program: Path, direction: str, sessions: int) -> float:
    """Nanoseconds for the same packets on a link whose far end drops them at once."""
    output = world.run(world.sub, f"{program} t0 {direction} {net.ACCESS_MAC} {sessions} {SECONDS} {CPU}")
    sent, cpu = (int(number) for number in output.split())
    return cpu / sent


def add_trial_link(world: net.World) -> None:
    world.run(world.sub, "ip link add t0 type veth peer name t1")
    world.run(world.sub, "ip link set t0 up")
    world.run(world.sub, "ip link set t1 up")
    drop_at_ingress(world, world.sub, "t1")


def prepare(world: net.World) -> None:
    """Plain forwarding, as a router without subscribers does it, to all of the addresses."""
    drop_at_ingress(world, world.up, "u0")
    drop_at_ingress(world, world.sub, "s0")
    for setting in ("ip_forward=1", "conf.all.rp_filter=0", "conf.acc0.rp_filter=0", "conf.wan0.rp_filter=0"):
        world.run(world.bng, f"sysctl -qw net.ipv4.{setting}")
    world.run(world.bng, "ip neigh replace 100.127.0.1 lladdr 02:00:00:00:00:00 dev acc0 nud permanent")
    world.run(world.bng, "ip route replace 100.64.0.0/12 via 100.127.0.1 dev acc0 onlink")


def sessions_on(count: int) -> KernelDataPlane:
    """The whole pipeline: gate, source guard both ways, counting, shaping."""
    plane = KernelDataPlane()
    guard = Guard(inside=(IPv4Network("100.64.0.0/10"),))
    plane.open(DataPlaneConfig(("acc0",), "wan0", reserve=0, guard=guard))
    starts = [
        Start(number, f"{number:016x}", "acc0", net.subscriber_mac(number), net.subscriber_ip(number), PLAN)
        for number in range(count)
    ]
    for at in range(0, count, 500):
        failed = [result for result in plane.start(starts[at : at + 500]) if result.error]
        if failed:
            raise SystemExit(str(failed[0]))
    return plane


def measure(program: Path, sessions: int) -> dict[str, float]:
    """Best of the rounds, in nanoseconds; keys are candidate and direction."""
    best: dict[str, float] = {}

    def take(name: str, value: float) -> None:
        best[name] = min(best.get(name, value), value)

    with net.World() as plain, net.World() as busy:
        prepare(plain)
        prepare(busy)
        add_trial_link(plain)
        with busy.inside(busy.bng):
            busy.run(busy.bng, "ip route del 100.64.0.0/12")
            plane = sessions_on(sessions)
            for _ in range(ROUNDS):
                for direction in ("up", "down"):
                    take(f"sending {direction}", sending_alone(plain, program, direction, sessions))
                    take(f"plain {direction}", blast(plain, program, direction, sessions))
                    take(f"sessions {direction}", blast(busy, program, direction, sessions))
            plane.close(remove=True)
    return best


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    sessions = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        best = measure(compile_blaster(Path(folder)), sessions)
    cost = {
        kind: sum(best[f"{kind} {way}"] - best[f"sending {way}"] for way in ("up", "down")) / 2000
        for kind in ("plain", "sessions")
    }
    micro = {name: f"{value / 1000:.2f}" for name, value in best.items()}
    whole = "; ".join(
        f"{way}: sending {micro[f'sending {way}']}, sending and plain forwarding {micro[f'plain {way}']}, "
        f"sending and forwarding with sessions {micro[f'sessions {way}']}"
        for way in ("up", "down")
    )
    harness.report(
        name="forwarding",
        value=round(cost["sessions"], 3),
        unit="µs of CPU per packet",
        baseline="plain Linux forwarding, no ruleset and no shaper",
        baseline_value=round(cost["plain"], 3),
        ratio=cost["plain"] / cost["sessions"],
        conditions=(
            f"{sessions} sessions, each with gate, source guard, counters and its own HTB class both ways; "
            "64-octet UDP frames, round over all sessions, no NAT; mean of both ways, veth in namespaces; "
            f"the sender's share is subtracted ({whole}); "
            f"best of {ROUNDS} alternating runs of {SECONDS} s on one core"
        ),
    )


if __name__ == "__main__":
    main()

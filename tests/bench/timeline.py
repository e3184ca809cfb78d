"""timeline: what remembering costs a session that comes up.

Sessions attach to the session machine alone (DISCOVER to a data plane that forwards: six events), each
event timed by itself: handled, and then noted by the witness (timeline and last events). The figure is what
the noting adds, in the median; the baseline is what the machine takes for the same events in the same run.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from bng.session import effects as fx
from bng.session import events as ev
from bng.witness import Witness
from tests.bench import harness
from tests.replay.scenario import START, Player, from_client, from_server


class Stopwatch:
    """A machine with its witness, and the nanoseconds that each took for each kind of event."""

    def __init__(self) -> None:
        self.machine = Player({"max_sessions": 65_000}).machine
        writer: Any = SimpleNamespace(machine=self.machine)
        self.witness = Witness(writer, Path("/nonexistent"))
        self.now = START
        self.handled: dict[str, list[int]] = defaultdict(list)
        self.noted: dict[str, list[int]] = defaultdict(list)
        self.nothing: list[int] = []

    def do(self, kind: str, event: ev.Event) -> list[fx.Effect]:
        """Hand an event over."""
        self.now += 1000
        clock = time.perf_counter_ns
        began = clock()
        effects = self.machine.handle(event, self.now)
        handled = clock()
        self.witness.before(event, self.now)
        self.witness.after(event, effects, self.now)
        noted = clock()
        self.nothing.append(clock() - noted)
        self.handled[kind].append(handled - began)
        self.noted[kind].append(noted - handled)
        return effects

    def attach(self, number: int) -> None:
        """One session."""
        line, octets = f"node-{number % 50} 1/0/{number}", f"{number >> 8 & 255}.{number & 255}"
        mac, ip = f"02:00:00:00:{number >> 8 & 255:02x}:{number & 255:02x}", f"100.64.{octets}"
        self.do("discover", from_client("discover", line, mac=mac))
        self.do("offer", from_server("offer", line, mac=mac, ip=ip))
        self.do("request", from_client("request", line, mac=mac, ip=ip))
        effects = self.do("ack", from_server("ack", line, mac=mac, ip=ip))
        ask = next(effect for effect in effects if isinstance(effect, fx.AskRadius))
        accept = ev.RadiusAccept(ask.session_id, ask.attempt, ("gold",), server="radius")
        start = next(effect for effect in self.do("accept", accept) if isinstance(effect, fx.EnforceStart))
        self.do("enforced", ev.Enforced(start.session_id, ev.Operation.START, start.policy, 0))

    def sum(self, times: dict[str, list[int]]) -> float:
        """Microseconds for one session."""
        nothing = median(self.nothing)
        return sum(median(of_kind) - nothing for of_kind in times.values()) / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=5000)
    count = parser.parse_args().sessions
    watch = Stopwatch()
    for number in range(count):
        watch.attach(number)
    noted, handled = watch.sum(watch.noted), watch.sum(watch.handled)
    harness.report(
        "timeline",
        round(noted, 2),
        "µs/session",
        "the session machine's own handling of the same events",
        round(handled, 2),
        handled / noted,
        f"{count} sessions, {len(watch.handled)} events each; {watch.witness.timeline.steps} steps kept",
    )


if __name__ == "__main__":
    main()

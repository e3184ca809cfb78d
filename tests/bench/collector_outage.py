"""collector-outage: memory of the collector while PostgreSQL is away.

A BNG (control with its data plane in memory, and management, as they are) with 10,000 sessions that are
sampled each second, and of which some begin all the time; a collector with its 64 MiB for what is in hand;
PostgreSQL is killed or, with --silent, stopped for so many seconds, and comes back. Then every event must be
in the table once, and every tick there or in a row of `gaps`. What is told is the most memory that the
collector had meanwhile; the baseline is the most that it had before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import uvloop

from bng.daemon.process import configure_logging
from bng.seam.reader import JournalReader
from tests.bench import harness
from tests.support import bng_world, filled_control, postgres
from tests.support.collector_rig import Rig, rows
from tests.support.netns import Namespaces
from tests.support.servers import wait_for

SESSIONS, SECONDS = 10_000, 30
EACH_SECOND = 10
"""Sessions that begin."""


async def element(folder: Path, count: int) -> None:
    """A BNG with so many sessions, until it is killed."""
    state = folder / "bng"
    filled_control.prepare(state, counters=1)
    control, _ = await filled_control.start(state, filled_control.BusyDataPlane())
    await filled_control.fill(control, count)
    startup = folder / "startup.json"
    startup.write_text(json.dumps(bng_world.startup(counters=1)))
    words = ("--state-dir", str(state), "--config", str(startup), "--parent", str(os.getpid()))
    management = await asyncio.create_subprocess_exec(sys.executable, "-m", "bng.cli", "management", *words)
    (folder / "pid").write_text(str(management.pid))
    for number in range(count, 60_000):
        control.writer.post(filled_control.lease(number))
        await asyncio.sleep(1 / EACH_SECOND)


def resident(pid: int) -> float:
    """MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def watch(seconds: float, *pids: int) -> list[float]:
    """The most that each had within so many seconds."""
    most = [0.0] * len(pids)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        most = [max(one, resident(pid)) for one, pid in zip(most, pids, strict=True)]
        time.sleep(0.2)
    return most


class Outage:
    """What runs, and what became of it."""

    def __init__(self, folder: Path, cluster: postgres.Cluster, namespaces: Namespaces) -> None:
        self.cluster, self.folder = cluster, folder
        self.rig = Rig(folder, cluster.create("outage"))
        self._namespaces = namespaces

    def start(self, sessions: int) -> tuple[int, int]:
        """(process id of the collector, of the BNG's management), when samples of all are written."""
        with (self.folder / "bng.log").open("ab") as log:
            words = (sys.executable, __file__, "--element", str(self.folder), "--sessions", str(sessions))
            self._namespaces.start("b", *words, stdout=log, stderr=log)
        certificate = self.folder / "bng" / "tls" / "cert.pem"
        wait_for("the BNG has its certificate", certificate.exists, 120)
        login = {"username": bng_world.ADMIN, "password": bng_world.ADMIN_PASSWORD, "ca": str(certificate)}
        target = {"bng_id": "b", "address": f"127.0.0.1:{bng_world.GNMI_PORT}", **login}
        config = str(self.rig.configure(targets=[target]))
        with (self.folder / "log").open("ab") as log:
            words = (sys.executable, "-m", "collector", "run", "--config", config)
            collector = self._namespaces.start("b", *words, stdout=log, stderr=log)
        enough = (
            f"SELECT max(n) >= {sessions} FROM (SELECT count(*) AS n FROM session_samples GROUP BY time) t"
        )
        self.rig.until(enough, bool, 120)
        return collector.pid, int((self.folder / "pid").read_text())

    def away(self, silent: bool, seconds: float, *pids: int) -> list[float]:
        """Take PostgreSQL away, and give it back."""
        backends = self.cluster.pids() if silent else []
        for pid in backends:
            os.kill(pid, signal.SIGSTOP)
        if not silent:
            self.cluster.stop(kill=True)
        most = watch(seconds, *pids)
        for pid in backends:
            os.kill(pid, signal.SIGCONT)
        if not silent:
            self.cluster.start()
        return most

    def accounted(self) -> tuple[int, int]:
        """(events, ticks that are missing and on record). AssertionError where something is not."""
        newest = JournalReader(self.folder / "bng" / "journal").newest
        self.rig.until("SELECT seq FROM cursors", lambda seq: isinstance(seq, int) and seq >= newest, 300)
        ticks = rows(self.rig.database, "SELECT tick FROM cursors")[0][0]
        self.rig.until("SELECT tick FROM cursors", lambda tick: isinstance(tick, int) and tick > ticks)
        assert rows(self.rig.database, "SELECT count(DISTINCT seq) FROM events")[0][0] >= newest
        assert not rows(self.rig.database, "SELECT 1 FROM events GROUP BY seq HAVING count(*) > 1")
        missing = set(self._missing())
        for row in rows(self.rig.database, "SELECT first, last FROM gaps WHERE kind = 'samples'"):
            missing -= set(range(row["first"], row["last"] + 1))
        assert not missing, f"no samples, and nobody says so: {sorted(missing)}"
        return newest, len(list(self._missing()))

    def _missing(self) -> Iterator[int]:
        found = rows(self.rig.database, "SELECT DISTINCT tick FROM session_samples ORDER BY tick")
        for before, after in pairwise(row[0] for row in found):
            yield from range(before + 1, after)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--silent", action="store_true", help="stop PostgreSQL instead of killing it")
    parser.add_argument("--element", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.element:
        configure_logging("control")
        uvloop.run(element(arguments.element, arguments.sessions))
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres.cluster(fsync=True) as cluster,
        Namespaces("b", "s", "w", "m") as namespaces,
    ):
        for inner, key, outer in (("sub0", "s", "s0"), ("up0", "w", "w0"), ("dhcp0", "m", "m0")):
            namespaces.veth("b", inner, key, outer)
        outage = Outage(Path(folder), cluster, namespaces)
        pids = outage.start(arguments.sessions)
        before, bng_before = watch(5, *pids)
        most, bng_most = outage.away(arguments.silent, arguments.seconds, *pids)
        back, _ = watch(5, *pids)
        events, ticks = outage.accounted()
    most = max(most, back)
    harness.report(
        "collector-outage",
        round(most, 1),
        "MiB",
        "the same collector before",
        round(before, 1),
        before / most,
        f"PostgreSQL {'silent' if arguments.silent else 'dead'} for {arguments.seconds:g} s, "
        f"{arguments.sessions} sessions sampled each second, {EACH_SECOND} starts per second, budget 64 MiB; "
        f"{events} events, each once; {ticks} ticks missing, each in a gap; management of the BNG "
        f"{bng_before:.1f} MiB, then {bng_most:.1f} MiB",
    )


if __name__ == "__main__":
    main()

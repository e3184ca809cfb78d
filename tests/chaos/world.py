"""What is killed, and how."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from tests.chaos.elements import Element, Real, Simulated
from tests.support import postgres
from tests.support.collector_rig import Rig

COLLECTORS = ("one", "two", "three")
LEASE = 3.0
STEPS = (0, 3600, -3600, 5, -5, 86400 * 400)
"""Seconds that a clock may be ahead."""
TAKEOVER = 5.0
"""Seconds that a takeover may take."""

WRITING = """
    SELECT bng_id, epoch FROM leases JOIN cursors USING (bng_id, epoch)
    JOIN target_state t ON t.target = bng_id AND t.until IS NULL AND t.state = 'up' AND t.collector =
    leases.owner"""
"""BNGs whose streams are there, at the collector that holds the lease."""


class World:
    """Everything that runs, the matrix of what may happen to it, and what was seen on the way."""

    def __init__(self, folder: Path, seed: int, say: Callable[[str], None]) -> None:
        self.folder, self.random, self.say = folder, random.Random(seed), say
        self.rig = Rig(folder, "")
        self.elements: list[Element] = []
        self.collectors: dict[str, subprocess.Popen[bytes]] = {}
        self.takeovers: list[float] = []
        self.kills: dict[str, int] = {}
        self.marks: dict[str, int] = {}

    def build(self, real: int, simulated: int, collectors: int) -> None:
        """Start so many BNGs of each kind; so many collectors there will be."""
        self._names = COLLECTORS[:collectors]
        for number in range(real + simulated):
            name, kind = f"bng-{number + 1}", Real if number < real else Simulated
            self.elements.append(kind(self.folder / name, name))

    def use(self, cluster: postgres.Cluster) -> None:
        """The PostgreSQL for the collectors."""
        self.cluster = cluster
        self.database = self.rig.database = cluster.create("chaos")

    @property
    def real(self) -> list[Real]:
        return [element for element in self.elements if isinstance(element, Real)]

    @property
    def simulated(self) -> list[Simulated]:
        return [element for element in self.elements if isinstance(element, Simulated)]

    def _start_collectors(self) -> None:
        for name in self._names:
            self._start_collector(name)

    def _clock(self, collector: str) -> Path:
        """How far the clock of its host is ahead."""
        return self.folder / f"{collector}.clock"

    def _start_collector(self, name: str) -> None:
        targets = [element.entry for element in self.elements]
        command = ("collector", "run", "--config", str(self.rig.configure(name, LEASE, targets=targets)))
        self.collectors[name] = self.rig.start(
            "tests.support.shifted_clock", str(self._clock(name)), *command
        )

    async def ask(self, sql: str, *args: object) -> list[asyncpg.Record]:
        """Rows, however long PostgreSQL takes to be there."""
        while True:
            try:
                connection = await asyncpg.connect(self.database, timeout=5)
                try:
                    return await connection.fetch(sql, *args)
                finally:
                    await connection.close()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(0.1)

    async def collecting(self, seconds: float = 60) -> dict[str, int]:
        """Until somebody collects from every BNG, and has written what is newer than now: these events."""
        marks = {element.name: element.newest for element in self.elements}
        deadline = time.monotonic() + seconds
        seqs: dict[str, int] = {}
        while time.monotonic() < deadline:
            if (await self.ask("SELECT to_regclass('cursors') IS NOT NULL"))[0][0]:
                seqs = {
                    row["bng_id"]: row["seq"] for row in await self.ask("SELECT bng_id, seq FROM cursors")
                }
                if all(seqs.get(name, -1) >= mark for name, mark in marks.items()):
                    return marks
            await asyncio.sleep(0.1)
        raise AssertionError(f"not collecting: {seqs}, wanted {marks}")

    async def _owned(self, collector: str) -> dict[str, int]:
        rows = await self.ask(
            "SELECT bng_id, epoch FROM leases WHERE owner = $1 AND expires > now()", collector
        )
        return {row["bng_id"]: row["epoch"] for row in rows}

    async def _taken_over(self, owned: dict[str, int], began: float) -> None:
        """Wait until others have these BNGs and have written under their own epoch; note how long it took."""
        while owned:
            now = {row["bng_id"]: row["epoch"] for row in await self.ask(WRITING)}
            for name in [name for name in owned if now.get(name, 0) > owned[name]]:
                owned.pop(name)
                self.takeovers.append(time.monotonic() - began)
            if time.monotonic() - began > 30:
                raise AssertionError(f"nobody took over {owned}")
            await asyncio.sleep(0.05)

    # -- the matrix

    async def kill_element(self) -> None:
        element = self.random.choice(self.elements)
        element.kill()
        await asyncio.sleep(self.random.uniform(0, 1.5))
        element.start()

    async def _kill_one(self, process: str) -> None:
        self.random.choice(self.real).kill_one(process)

    async def kill_control(self) -> None:
        await self._kill_one("control")

    async def kill_management(self) -> None:
        await self._kill_one("management")

    async def kill_run(self) -> None:
        await self._kill_one("run")

    async def kill_element_and_collectors(self) -> None:
        """What is on its way between them is gone on both sides."""
        element = self.random.choice(self.elements)
        element.kill()
        await self.kill_all_collectors()
        element.start()

    async def _working(self) -> str:
        """A collector that has BNGs."""
        while True:
            owners = {row[0] for row in await self.ask("SELECT owner FROM leases WHERE expires > now()")}
            if owners:
                return self.random.choice(sorted(owners))
            await asyncio.sleep(0.1)

    async def kill_collector(self) -> None:
        await self.collecting()
        name = await self._working()
        owned = await self._owned(name)
        self.collectors[name].kill()
        self.collectors[name].wait()
        await self._taken_over(owned, time.monotonic())
        self._start_collector(name)

    async def stop_collector(self) -> None:
        """It falls silent, and wakes up when others have what it believes to own."""
        await self.collecting()
        name = await self._working()
        owned = await self._owned(name)
        os.kill(self.collectors[name].pid, signal.SIGSTOP)
        await self._taken_over(owned, time.monotonic())
        os.kill(self.collectors[name].pid, signal.SIGCONT)

    async def kill_all_collectors(self) -> None:
        for process in self.collectors.values():
            process.kill()
            process.wait()
        await asyncio.sleep(self.random.uniform(0, 1))
        self._start_collectors()

    async def kill_postgresql(self) -> None:
        self.cluster.stop(kill=True)
        await asyncio.sleep(self.random.uniform(0, 2))
        self.cluster.start()

    async def stop_postgresql(self) -> None:
        pids = self.cluster.pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(self.random.uniform(1, 5))
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    async def cut_wire(self) -> None:
        element = self.random.choice(self.elements)
        os.kill(element.wire.pid, signal.SIGSTOP)
        await asyncio.sleep(self.random.uniform(0.5, 4))
        os.kill(element.wire.pid, signal.SIGCONT)
        if self.random.random() < 0.5:
            element.reset_wire()

    async def step_clock(self) -> None:
        self.random.choice(self.simulated).tell(clock=self.random.choice(STEPS))

    async def step_clock_of_collector(self) -> None:
        self._clock(self.random.choice(self._names)).write_text(str(self.random.choice(STEPS)))

    async def overrun_retention(self) -> None:
        """Events are thrown away that nobody has read: the only loss there may be, and it must be on
        record."""
        element = self.random.choice(self.simulated)
        os.kill(element.wire.pid, signal.SIGSTOP)
        await asyncio.sleep(1)
        element.kill()
        element.trimmed = max(element.trimmed, element.newest - 20)
        element.tell(oldest=element.trimmed + 1)
        element.start()
        os.kill(element.wire.pid, signal.SIGCONT)
        element.reset_wire()

    MATRIX = (
        ("control", 4, kill_control),
        ("management", 4, kill_management),
        ("control and management by the end of run", 2, kill_run),
        ("all of a BNG", 4, kill_element),
        ("a BNG and all collectors", 2, kill_element_and_collectors),
        ("one of the collectors", 3, kill_collector),
        ("a collector falls silent", 2, stop_collector),
        ("all collectors", 1, kill_all_collectors),
        ("PostgreSQL", 2, kill_postgresql),
        ("PostgreSQL falls silent", 1, stop_postgresql),
        ("network", 2, cut_wire),
        ("clock of a BNG", 1, step_clock),
        ("clock of a collector's host", 1, step_clock_of_collector),
        ("retention overrun", 1, overrun_retention),
    )

    def plan(self, kills: int) -> list[str]:
        """Everything at least once, if there are so many, and the rest by weight."""
        chosen = [name for name, *_ in self.MATRIX]
        self.random.shuffle(chosen)
        weighted = [name for name, weight, _ in self.MATRIX for _ in range(weight)]
        while len(chosen) < kills:
            chosen.append(self.random.choice(weighted))
        return chosen[:kills]

    async def run(self, plan: Sequence[str]) -> None:
        """Kill what is named, one after the other, then let all come to rest."""
        actions: dict[str, Callable[[World], Any]] = {name: action for name, _, action in self.MATRIX}
        self._start_collectors()
        for element in self.real:
            element.begin()
        await self.collecting()
        for number, name in enumerate(plan, 1):
            began = time.monotonic()
            await actions[name](self)
            self.kills[name] = self.kills.get(name, 0) + 1
            self.say(f"{number:3} {name}: {time.monotonic() - began:.1f} s")
            await asyncio.sleep(self.random.uniform(0.1, min(1.5, len(plan) / 40)))
        for element in self.elements:
            element.quiet()
        await self.collecting()
        await asyncio.sleep(0.5)  # what was under way
        self.marks = await self.collecting()
        await asyncio.sleep(1.5)  # a last sample

    def end(self) -> None:
        for process in self.collectors.values():
            if process.poll() is None:
                os.kill(process.pid, signal.SIGCONT)
        self.rig.end()
        for element in self.elements:
            element.end()

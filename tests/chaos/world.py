"""What is killed, and how."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg

from tests.support import postgres
from tests.support.collector_rig import Rig

COLLECTORS = ("one", "two", "three")
PER_TURN = 2
LEASE = 3.0
TAKEOVER = 5.0
"""Seconds that a takeover may take."""

WRITING = """
    SELECT bng_id, epoch FROM leases JOIN cursors USING (bng_id, epoch)
    JOIN target_state t ON t.target = bng_id AND t.until IS NULL AND t.state = 'up' AND t.collector =
    leases.owner"""
"""BNGs whose streams are there, at the collector that holds the lease."""


class Element:
    """A BNG and the wire to it.

    Attributes:
        trimmed: the number up to which its journal has ever thrown events away.
    """

    def __init__(self, folder: Path, name: str, database: str) -> None:
        folder.mkdir()
        self.name, self.rig = name, Rig(folder, database)
        self.trimmed = 0
        self._told: dict[str, Any] = {}
        self.wire_port = Rig.free_port()
        self.target = self._start_target()
        self.wire = self._start_wire()

    def _start_target(self) -> subprocess.Popen[bytes]:
        return self.rig.target(10**9, per_turn=PER_TURN)

    def _start_wire(self) -> subprocess.Popen[bytes]:
        return self.rig.start("tests.support.proxy", str(self.wire_port), str(self.rig.port))

    def tell(self, **what: Any) -> None:
        """Change its control.json."""
        self._told.update(what)
        file = self.rig.folder / "control.json"
        file.with_suffix(".new").write_text(json.dumps(self._told))
        file.with_suffix(".new").rename(file)

    @property
    def newest(self) -> int:
        """The last event of its journal."""
        file = self.rig.folder / "journal"
        return file.stat().st_size // 16 if file.exists() else 0

    def kill(self) -> None:
        self.target.kill()
        self.target.wait()

    def start(self) -> None:
        self.target = self._start_target()

    def reset_wire(self) -> None:
        self.wire.kill()
        self.wire.wait()
        self.wire = self._start_wire()


class World:
    """Everything that runs, the matrix of what may happen to it, and what was seen on the way."""

    def __init__(
        self, folder: Path, cluster: postgres.Cluster, seed: int, say: Callable[[str], None]
    ) -> None:
        self.cluster, self.random, self.say = cluster, random.Random(seed), say
        self.database = cluster.create("chaos")
        self.rig = Rig(folder, self.database)
        self.elements = [Element(folder / f"bng-{n}", f"bng-{n}", self.database) for n in (1, 2, 3)]
        self.collectors = {name: self._collector(name) for name in COLLECTORS}
        self.takeovers: list[float] = []
        self.kills: dict[str, int] = {}

    def _collector(self, name: str) -> subprocess.Popen[bytes]:
        targets = [
            {**element.rig.entry(element.name), "address": f"127.0.0.1:{element.wire_port}"}
            for element in self.elements
        ]
        return self.rig.collector(name, LEASE, targets=targets)

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

    async def collecting(self, seconds: float = 60) -> None:
        """Until somebody collects from every BNG, and has written what is newer than now."""
        marks = {element.name: element.newest for element in self.elements}
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            rows = await self.ask("SELECT to_regclass('cursors') IS NOT NULL AS there")
            if rows[0]["there"]:
                seqs = {
                    row["bng_id"]: row["seq"] for row in await self.ask("SELECT bng_id, seq FROM cursors")
                }
                if all(seqs.get(name, -1) >= mark for name, mark in marks.items()):
                    return
            await asyncio.sleep(0.1)
        raise AssertionError(f"not collecting: {seqs if rows[0]['there'] else 'no tables'}, wanted {marks}")

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
        self.collectors[name] = self._collector(name)

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
        self.collectors = {name: self._collector(name) for name in COLLECTORS}

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
        self.random.choice(self.elements).tell(clock=self.random.choice((0, 3600, -3600, 5, -5, 86400 * 400)))

    async def overrun_retention(self) -> None:
        """Events are thrown away that nobody has read: the only loss there may be, and it must be on
        record."""
        element = self.random.choice(self.elements)
        os.kill(element.wire.pid, signal.SIGSTOP)
        await asyncio.sleep(1)
        element.kill()
        element.trimmed = max(element.trimmed, element.newest - 20)
        element.tell(oldest=element.trimmed + 1)
        element.start()
        os.kill(element.wire.pid, signal.SIGCONT)
        element.reset_wire()

    MATRIX = (
        ("a BNG", 3, kill_element),
        ("one of three collectors", 3, kill_collector),
        ("a collector falls silent", 2, stop_collector),
        ("all collectors", 1, kill_all_collectors),
        ("PostgreSQL", 2, kill_postgresql),
        ("PostgreSQL falls silent", 1, stop_postgresql),
        ("network", 2, cut_wire),
        ("clock", 1, step_clock),
        ("retention overrun", 1, overrun_retention),
    )

    def plan(self, kills: int) -> list[tuple[str, Callable[[World], Any]]]:
        """Everything at least once, if there are so many, and the rest by weight."""
        chosen = [(name, action) for name, _, action in self.MATRIX]
        self.random.shuffle(chosen)
        weighted = [(name, action) for name, weight, action in self.MATRIX for _ in range(weight)]
        while len(chosen) < kills:
            chosen.append(self.random.choice(weighted))
        return chosen[:kills]

    async def run(self, kills: int) -> None:
        """Kill so many times, then let all come to rest."""
        await self.collecting()
        for number, (name, action) in enumerate(self.plan(kills), 1):
            began = time.monotonic()
            await action(self)
            self.kills[name] = self.kills.get(name, 0) + 1
            self.say(f"{number:3} {name}: {time.monotonic() - began:.1f} s")
            await asyncio.sleep(self.random.uniform(0.1, min(1.5, kills / 40)))
        await self.collecting()
        for element in self.elements:
            element.tell(most=1)  # no more events
        await asyncio.sleep(0.5)
        await self.collecting()
        await asyncio.sleep(1.5)  # a last sample

    def end(self) -> None:
        for process in self.collectors.values():
            if process.poll() is None:
                os.kill(process.pid, signal.SIGCONT)
        self.rig.end()
        for element in self.elements:
            element.rig.end()

"""`aether collector run` with a bus: a seat per target that this process has, and upkeep of none."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import structlog

from collector import balance, metrics, tunnel
from collector.budget import Budget
from collector.bus.chain import Seat, Watch
from collector.bus.jetstream import Bus, Refused, Unavailable
from collector.bus.members import Members
from collector.bus.publisher import Line, Publishing
from collector.config import CollectorConfig, Target
from collector.metrics import IN_FLIGHT, OWNED
from collector.targets import Targets
from collector.writer import FencedError

log = structlog.get_logger()


class PublishService:
    """Runs until `stop` is set; then gives its seats back. Setting `reload` reads the configuration again.

    PostgreSQL is not needed: a seat is a message that its holder renews, and the fence is the BNG's chain.

    Attributes:
        held: the BNGs whose seat this one has.
    """

    def __init__(self, config: CollectorConfig, file: Path | None = None) -> None:
        assert config.bus
        self.config = config
        self.targets = Targets(config, file)
        self.budget = Budget(config.memory << 20)
        IN_FLIGHT.set_function(lambda: self.budget.held)
        self.bus = Bus(config.bus, f"aether-collector {config.owner}")
        self.stop, self.reload = asyncio.Event(), asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._running: dict[str, Target] = {}
        self.held: set[str] = set()
        self._free: set[str] = set()
        self._holders: dict[str, str] = {}
        self._mine: dict[str, asyncio.Event] = {}
        self._publishing: dict[str, Publishing] = {}
        self._members = Members(self.bus, config.owner, config.lease_ttl)
        self._turn = balance.Turn(config.owner, config.lease_ttl)
        self._reach = balance.Reach(config.owner)
        self._tunnel = tunnel.Keeper()

    async def run(self) -> None:
        if self.config.metrics:
            try:
                metrics.serve(*self.config.metrics)
            except OSError as error:  # data go on without
                log.error("collector.metrics-not-served", address=self.config.metrics, error=str(error))
        await self._tunnel.follow(self.config.tunnel)
        while not self.stop.is_set():
            await self._reconfigure()
            await self._divide()
            OWNED.set(len(self.held))
            waiting = [asyncio.ensure_future(event.wait()) for event in (self.stop, self.reload)]
            await asyncio.wait(
                waiting, timeout=self.config.lease_ttl / 4, return_when=asyncio.FIRST_COMPLETED
            )
            for waiter in waiting:
                waiter.cancel()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._members.leave()
        await self._tunnel.stop()
        await self.bus.close()
        log.info("collector.stopped", owner=self.config.owner)

    async def _reconfigure(self) -> None:
        """A task for each target of the file; those that stay as they are go on untouched."""
        asked = self.reload.is_set()
        self.reload.clear()
        before = self.config.sample_interval
        if self.targets.reread(asked=asked):
            self.config = self.targets.config
            self.budget.resize(self.config.memory << 20)
            await self._tunnel.follow(self.config.tunnel)
        await self._tunnel.again()
        wanted = {target.bng_id: target for target in self.config.targets}
        for name in list(self._tasks):
            if wanted.get(name) != self._running[name] or before != self.config.sample_interval:
                await self._end(name)
        for name, target in wanted.items():
            if name not in self._tasks:
                self._begin(name, target)

    def _begin(self, name: str, target: Target) -> None:
        self._running[name], self._mine[name] = target, asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._serve(target))

    async def _end(self, name: str) -> None:
        """Give the seat back, if it is ours."""
        task = self._tasks.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        self._free.discard(name)
        self._holders.pop(name, None)
        del self._mine[name]

    async def _divide(self) -> None:
        """Which of the free targets this publisher takes, and which of its own it gives to another one."""
        holders = {**self._holders, **dict.fromkeys(self.held, self.config.owner)}
        try:
            alive = await self._members.alive(self._reach.wanted(self._tasks), holders)
        except Unavailable:
            return  # nobody can take anything now
        taken = set(self._turn.mine(sorted(self._free), alive))
        for name, event in self._mine.items():
            event.set() if name in taken else event.clear()
        since = {name: session.silent_since for name, session in self._publishing.items()}
        given = self._reach.given_up({n: begin for n, begin in since.items() if begin is not None}, alive)
        for name in given:
            log.warning("collector.unreachable-given-up", bng_id=name)
        left = sorted(self._free - taken)
        given = given or self._turn.surplus(self.held, left, alive)
        await asyncio.gather(*map(self._end, given))
        for name in given:
            self._begin(name, self._running[name])
            metrics.HANDED_OVER.inc()
            log.info("collector.lease-handed-over", bng_id=name)

    async def _serve(self, target: Target) -> None:
        """Wait for the seat and our turn, have it, and wait again, for ever."""
        name, watch = target.bng_id, Watch()
        turn = self._mine[name]
        while True:
            try:
                seat = await self.bus.seat(name)
                if not watch.free(seat, asyncio.get_running_loop().time()):
                    self._free.discard(name)
                    self._holders[name] = seat.owner if seat else ""
                    turn.clear()
                elif turn.is_set():
                    turn.clear()
                    await self._take(target, seat)
                    watch = Watch()
                    continue
                else:
                    self._free.add(name)
                    self._holders.pop(name, None)
            except Refused:
                self._free.discard(name)
                continue  # somebody was faster
            except Unavailable as error:
                turn.clear()
                log.warning("collector.bus-unavailable", bng_id=name, error=str(error))
            except Exception as error:
                turn.clear()
                log.error("collector.defect", bng_id=name, exc_info=error)
            with suppress(TimeoutError):
                async with asyncio.timeout(self.config.lease_ttl / 4):
                    await turn.wait()

    async def _take(self, target: Target, seat: Seat | None) -> None:
        """Publish as long as the seat is ours. Raises Refused, Unavailable."""
        name, owner = target.bng_id, self.config.owner
        mine = Seat(uuid4().hex[:16], self.config.lease_ttl, False, seat.seq if seat else 0)
        mine = replace(mine, seq=await self.bus.sit(name, mine, owner))
        log.info("collector.lease-taken", bng_id=name, tenure=mine.tenure, owner=owner)
        metrics.TAKEN.inc()
        metrics.TAKEOVERS.inc(seat is not None)
        self.held.add(name)
        self._free.discard(name)
        self._holders.pop(name, None)
        line = Line(self.bus, name, mine.tenure)
        publishing = Publishing(
            self.config, target, line, self.budget, self.budget.window(3 * len(self._tasks))
        )
        self._publishing[name] = publishing
        working = asyncio.create_task(publishing.run())
        keeping = asyncio.create_task(self._keep(name, mine, publishing))
        lost = False
        try:
            await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
            lost = True
        finally:
            for task in (working, keeping):
                task.cancel()
            ended = await asyncio.gather(working, keeping, return_exceptions=True)
            self.held.discard(name)
            del self._publishing[name]
            metrics.forget(name)
            if lost:
                metrics.LOST.inc()
                why = [str(end) or type(end).__name__ for end in ended if isinstance(end, Exception)]
                log.warning("collector.lease-lost", bng_id=name, tenure=mine.tenure, why="; ".join(why))
            else:
                await self._release(name, mine.tenure, publishing)

    async def _release(self, name: str, tenure: str, publishing: Publishing) -> None:
        """At a clean end, so that another publisher need not wait."""
        with suppress(Refused, Unavailable, FencedError, ConnectionError, TimeoutError):
            async with asyncio.timeout(2):
                if name not in {target.bng_id for target in self.config.targets}:
                    await publishing.removed()
                    log.info("collector.target-removed", bng_id=name)
                seat = await self.bus.seat(name)
                if seat and seat.tenure == tenure:
                    await self.bus.sit(name, replace(seat, released=True), self.config.owner)

    async def _keep(self, name: str, mine: Seat, publishing: Publishing) -> None:
        """Renew the seat, and hear wishes. Raises FencedError when another has it."""
        end, connection = None, 0
        try:
            while True:
                try:
                    if end is None or connection != self.bus.connections:
                        end = await self.bus.hear(name, publishing.wish)
                        connection = self.bus.connections
                    mine = replace(mine, seq=await self.bus.sit(name, mine, self.config.owner))
                except (Refused, Unavailable):
                    mine = await self._still(name, mine)
                await asyncio.sleep(self.config.lease_ttl / 3)
        finally:
            if end:
                await end()

    async def _still(self, name: str, mine: Seat) -> Seat:
        """The seat as it is; ours if the server has lost it. Raises FencedError when another has it."""
        try:
            found = await self.bus.seat(name)
        except Unavailable:
            return mine  # nobody can take it now
        if found and found.tenure != mine.tenure:
            raise FencedError
        return replace(mine, seq=found.seq if found else 0)

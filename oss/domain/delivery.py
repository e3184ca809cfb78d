"""The worker: empties the outbox into RADIUS and the BNGs.

RADIUS and the network each have a lane, so that a BNG that does not answer holds up no subscriber. Of several
OSS processes one delivers: the one that holds the advisory lock.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import asyncpg
import structlog

from nbi.client import NetconfError
from oss.database import UNAVAILABLE, connect
from oss.device import Devices, Profile, profiles_edit
from oss.domain import network, outbox, radius, redelivery
from oss.domain.errors import BngRefused, BngUnreachable, NotFound
from oss.domain.network import BngResult
from oss.domain.outbox import Delivery, Destination

log = structlog.get_logger()

_LEADER_LOCK = 0x6F737362
_BATCH = 50
_LONGEST_SLEEP = 5.0
_LAST_WORDS = 10.0
"""Seconds that an ended term may take to let go of its connections."""

_WANTED_PLAN = (
    "SELECT name, description, download_kbps, upload_kbps, download_burst_kbit, upload_burst_kbit "
    "FROM plans WHERE name = $1"
)
_WANTED_LINE = (
    "SELECT p.name FROM services v JOIN plans p ON p.id = v.plan_id "
    "WHERE v.bng_id || '/' || v.remote_id || '/' || v.circuit_id = $1 AND v.status = 'ACTIVE'"
)
_SESSIONS_OF_LINE = "SELECT bng_id, session_id, status FROM sessions_active WHERE username = $1"


class Failed(Exception):
    """An attempt that is to be repeated; the text says why."""

    def __init__(self, message: str, results: list[BngResult] | None = None) -> None:
        super().__init__(message)
        self.results = results or []


class Worker:
    """Delivers until cancelled. `wake` makes it look at once; `settled` waits for what it is doing."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        database: str,
        radius_database: str,
        radius_user_password: str,
        devices: Devices,
    ) -> None:
        self._pool = pool
        self._database = database
        self._radius_database = radius_database
        self._radius_user_password = radius_user_password
        self._devices = devices
        self._radius: asyncpg.Connection | None = None
        self._wakeups = {"radius": asyncio.Event(), "network": asyncio.Event()}
        self._progress = asyncio.Condition()

    def wake(self) -> None:
        for event in self._wakeups.values():
            event.set()

    async def settled(self, ids: list[int], timeout: float) -> list[Delivery]:
        """These entries, as soon as each was delivered or has failed once, or when the time is over."""
        deadline = asyncio.get_running_loop().time() + timeout
        self.wake()
        while True:
            entries = await outbox.fetch(self._pool, ids)
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or all(entry.attempts or entry.state == "delivered" for entry in entries):
                return entries
            # the lock is held while waiting only, never while the database is asked
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, 0.5)), self._progress:
                    await self._progress.wait()

    async def run(self) -> None:
        """Deliver for as long as this process leads; wait to lead otherwise."""
        while True:
            # a task of its own for each term: what a broken one leaves behind ends with it
            term = asyncio.create_task(self._lead())
            try:
                await asyncio.wait({term})
            finally:
                term.cancel()
                await asyncio.wait({term}, timeout=_LAST_WORDS)
            _report(term)
            await asyncio.sleep(2)

    async def _lead(self) -> None:
        leader = await connect(self._database)
        try:
            if not await leader.fetchval("SELECT pg_try_advisory_lock($1)", _LEADER_LOCK):
                return
            reported = asyncio.Event()
            await leader.add_listener(redelivery.CHANNEL, lambda *_: reported.set())
            async with asyncio.TaskGroup() as lanes:
                lanes.create_task(self._follow_instances(reported))
                lanes.create_task(self._lane("radius", self._to_radius))
                lanes.create_task(self._lane("network", self._to_network))
                lanes.create_task(_until_lost(leader))
        finally:
            await _close(leader)
            await _close(self._radius)
            self._radius = None

    async def _lane(
        self, destination: Destination, deliver: Callable[[list[Delivery]], Awaitable[None]]
    ) -> None:
        wakeup = self._wakeups[destination]
        while True:
            wakeup.clear()
            entries = await outbox.due(self._pool, destination, _BATCH)
            if entries:
                await deliver(entries)
                async with self._progress:
                    self._progress.notify_all()
                self.wake()  # the other lane may have waited for these
                continue
            pause = await outbox.next_due(self._pool)
            # asyncio.timeout, not wait_for: that one loses a cancellation which meets the wake-up
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.05, min(pause or _LONGEST_SLEEP, _LONGEST_SLEEP))):
                    await wakeup.wait()

    async def _follow_instances(self, reported: asyncio.Event) -> None:
        """Deliver all plans again when the collector has reported that a BNG started anew."""
        while True:
            reported.clear()
            with contextlib.suppress(asyncpg.UndefinedTableError):  # the collector is yet to come
                if await redelivery.to_new_instances(self._pool, self._devices.ids):
                    self.wake()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LONGEST_SLEEP):
                    await reported.wait()

    # -- RADIUS

    async def _to_radius(self, entries: list[Delivery]) -> None:
        for entry in entries:
            upto = await outbox.newest(self._pool, entry)
            try:
                await self._put_radius(entry.subject)
            except UNAVAILABLE as error:
                await _close(self._radius)
                self._radius = None
                await outbox.postpone(self._pool, entry, f"The RADIUS database: {error}", [])
                log.warning("outbox.radius_failed", subject=entry.subject, error=str(error))
            else:
                await outbox.settle(self._pool, entry, upto, [])

    async def _put_radius(self, subject: str) -> None:
        if self._radius is None or self._radius.is_closed():
            self._radius = await connect(self._radius_database)
        kind, _, name = subject.partition(":")
        if kind == "plan":
            row = await self._pool.fetchrow(_WANTED_PLAN, name)
            group = None
            if row is not None:
                group = radius.Group(**{k: v for k, v in row.items() if k != "description"})
            await radius.put_group(self._radius, name, group)
        else:
            plan = await self._pool.fetchval(_WANTED_LINE, name)
            await radius.put_user(self._radius, name, plan, self._radius_user_password)

    # -- the network

    async def _to_network(self, entries: list[Delivery]) -> None:
        plans = [entry for entry in entries if entry.subject.startswith("plan:")]
        if plans and not await self._push_plans(plans) and len(plans) > 1:
            for entry in plans:  # one of them is at fault: find out which, deliver the others
                await self._push_plans([entry], last=True)
        for entry in entries:
            if entry not in plans:
                await self._act(entry)

    async def _push_plans(self, entries: list[Delivery], *, last: bool = False) -> bool:
        upto = {entry.id: await outbox.newest(self._pool, entry) for entry in entries}
        wanted, gone = [], []
        for entry in entries:
            name = entry.subject.partition(":")[2]
            row = await self._pool.fetchrow(_WANTED_PLAN, name)
            if row is None:
                gone.append(name)
            else:
                wanted.append(profile_of(**row))
        edit = profiles_edit(wanted, gone)
        results = await network.apply(dict.fromkeys(self._devices.ids, edit), self._devices.candidate)
        failed = [result for result in results if result.state in ("refused", "unreachable")]
        if not failed:
            for entry in entries:
                await outbox.settle(self._pool, entry, upto[entry.id], results)
            return True
        if last or len(entries) == 1:
            text = "; ".join(f"{r.bng_id} {_VERBS[r.state]}: {r.message}" for r in failed)
            for entry in entries:
                await outbox.postpone(self._pool, entry, text, results)
        return False

    async def _act(self, entry: Delivery) -> None:
        upto = await outbox.newest(self._pool, entry)
        try:
            note = await self._act_on_sessions(entry.subject)
        except (BngUnreachable, BngRefused, NetconfError) as error:
            await outbox.postpone(self._pool, entry, str(error), [])
        except asyncpg.UndefinedTableError:
            await outbox.settle(self._pool, entry, upto, [], "no sessions are known yet")
        else:
            await outbox.settle(self._pool, entry, upto, [], note)

    async def _act_on_sessions(self, subject: str) -> str | None:
        action, _, username = subject.partition(":")
        rows = await self._pool.fetch(_SESSIONS_OF_LINE, username)
        leaves = {"reason": "service ended by the OSS"} if action == "disconnect" else {}
        done = 0
        for row in rows:
            with contextlib.suppress(NotFound):  # it ended meanwhile: nothing is left to do
                await self._devices.session_action(row["bng_id"], row["session_id"], action, **leaves)
                done += 1
        return None if done else "no live session on this access line"


_VERBS = {"refused": "refused", "unreachable": "cannot be reached"}


def profile_of(
    name: str,
    description: str,
    download_kbps: int,
    upload_kbps: int,
    download_burst_kbit: int | None,
    upload_burst_kbit: int | None,
) -> Profile:
    """The shaping profile that a plan becomes: kbit/s → bit/s, kbit → octets."""
    return Profile(
        name=name,
        description=description[:255],
        download_rate=download_kbps * 1000,
        upload_rate=upload_kbps * 1000,
        download_burst=None if download_burst_kbit is None else download_burst_kbit * 125,
        upload_burst=None if upload_burst_kbit is None else upload_burst_kbit * 125,
    )


def _report(term: asyncio.Task[None]) -> None:
    """Say how a term ended, if it was not for want of the lock; a defect is logged whole."""
    if not term.done():
        log.error("outbox.term_stuck")
        return
    if term.cancelled():
        return
    error = term.exception()
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, UNAVAILABLE):
        log.warning("outbox.database_lost", error=str(error))
    elif error is not None:
        log.error("outbox.defect", exc_info=error)


async def _until_lost(leader: asyncpg.Connection) -> None:
    """Holds the leadership; raises when the connection that carries the lock is gone."""
    closed = asyncio.Event()
    leader.add_termination_listener(lambda _: closed.set())
    while not leader.is_closed():
        try:
            async with asyncio.timeout(5):
                await closed.wait()
        except TimeoutError:
            await leader.execute("SELECT 1", timeout=10)
    raise ConnectionError("the connection that holds the lock was closed")


async def _close(connection: asyncpg.Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(*UNAVAILABLE):
            await connection.close(timeout=2)

"""Keeps sessions and leases together: asks the DHCP servers page by page, and tells the writer what differs.

Nothing is held but one page and sets of session ids. Work is done in slices, and between two pages a server
gets four times as long as it took for the last one: Kea answers no DHCP while it reads leases. Only the first
round after a start does not wait: subscribers may be without service until it is over.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import structlog

from bng.config import LeaseApi
from bng.leases import lease as kea
from bng.leases.comparison import Comparison
from bng.leases.http import LeaseClient, Life
from bng.leases.lease import Lease, LeaseError, Origin
from bng.leases.places import Place
from bng.loop import Writer
from bng.repairs import Repairs
from bng.session import events as ev
from bng.session.leases import Verdict
from bng.session.states import State
from bng.slices import Slices

log = structlog.get_logger()

MAX_LEASES = 4_000_000
"""Leases of a server; more than that is no list, but a server that goes round in circles."""
_REST = 4.0
_LONGEST_REST = 0.25
_BUSY = 16
"""Events of ours that may wait for the writer."""
_AUTHORIZING = 512
"""Sessions that may wait for RADIUS before more are recovered …"""
_PATIENCE = 1.0
"""… for so many seconds after a page."""


class Server:
    """A DHCP server and what it told.

    Attributes:
        up: whether its last pass went well; None before the first.
        leases: leases that it told of in its last whole pass.
    """

    def __init__(self, api: LeaseApi) -> None:
        self.client = LeaseClient(api)
        self.up: bool | None = None
        self.leases = 0
        self.life: Life | None = None

    def record(self) -> dict[str, Any]:
        """The leaves of aether-health:dhcp-server/lease-api."""
        return {"up": bool(self.up), "latency": self.client.latency, "leases": self.leases}


class LeaseKeeper:
    """The comparison with the DHCP servers.

    Args:
        clock: nanoseconds since the epoch.
    """

    def __init__(self, writer: Writer, repairs: Repairs, clock: Callable[[], int] = time.time_ns) -> None:
        self._writer = writer
        self._repairs = repairs
        self._clock = clock
        self._comparison = Comparison(writer.machine.store, lambda _origin, _address: None)
        self._servers: dict[str, Server] = {}
        self._all_tell = False
        self._first = True
        self._told: dict[str, Lease] = {}
        self._telling: dict[str, Lease] = {}

    def configure(
        self,
        apis: Sequence[LeaseApi],
        servers: Sequence[str],
        relay_id: str,
        find: Callable[[Origin, str], Place | None],
    ) -> None:
        """Take the configuration over.

        Args:
            apis: of the servers that have one.
            servers: addresses of all DHCP servers that we relay to.
            find: the place of a lease on this BNG.
        """
        kept = self._servers
        self._servers = {}
        for api in apis:
            held = kept.get(api.address)
            self._servers[api.address] = held if held is not None and held.client.api == api else Server(api)
        self._all_tell = set(servers) == set(self._servers)
        self._comparison.relay_id, self._comparison.find = relay_id, find

    @property
    def asks(self) -> bool:
        """Whether there is a server to ask."""
        return bool(self._servers)

    def record(self, address: str) -> dict[str, Any] | None:
        """What health reports of a server; None when its leases are not asked for."""
        server = self._servers.get(address)
        return None if server is None else server.record()

    def close(self) -> None:
        """Let go of all connections."""
        for server in self._servers.values():
            server.client.close()

    async def run(self) -> None:
        """One round over all servers."""
        servers = list(self._servers.values())
        if not servers:
            return
        comparison, repairs = self._comparison, self._repairs
        repairs.leases.begin()
        comparison.begin(self._clock())
        repaired: Counter[str] = Counter()
        self._told, self._telling = self._telling, {}
        all_told, same_lives = True, True
        for server in servers:
            told, same_life = await self._pass(server, repaired)
            all_told, same_lives = all_told and told, same_lives and same_life
        complete = all_told and self._all_tell
        slices = Slices()
        for session in self._writer.machine.store:
            comparison.session(session)
            if slices.due():
                await slices.rest()
        gone = comparison.end(complete=complete, same_lives=same_lives)
        for event in gone:
            self._tell(event, Verdict.GONE, repaired)
            if slices.due() or self._writer.waiting > _BUSY:
                await slices.rest()
        self._first = self._first and not all_told
        repairs.leases.end(comparison.compared, complete)
        if comparison.implausible:
            log.warning("leases.implausible", missing=comparison.implausible, compared=comparison.compared)
        if repaired:
            log.warning("leases.repaired", **{kind.replace("-", "_"): n for kind, n in repaired.items()})

    async def _pass(self, server: Server, repaired: Counter[str]) -> tuple[bool, bool]:
        """Compare with all leases of a server. Returns whether it told all, and is still in the life that it
        was in when it was asked last."""
        address = server.client.api.address
        try:
            life = await server.client.life()
            leases = await self._pages(server, repaired)
        except LeaseError as error:
            if server.up is not False:
                log.warning("leases.failed", server=address, reason=str(error))
            server.up = False
            return False, False
        finally:
            server.client.close()
        if server.up is False:
            log.info("leases.told-again", server=address)
        same = life is not None and server.life is not None and server.life.goes_on(life)
        server.up, server.leases, server.life = True, leases, life
        return True, same

    async def _pages(self, server: Server, repaired: Counter[str]) -> int:
        after, newest, count = "start", -1, 0
        slices = Slices()
        while True:
            page = await server.client.page(after)
            for raw in page.leases:
                lease = kea.read(raw)
                if lease.number <= newest:
                    raise LeaseError("pages that are not in the order of their addresses")
                newest, after = lease.number, lease.ip_address
                self._look(server, lease, page.ahead, repaired)
                if slices.due() or self._writer.waiting > _BUSY:
                    await slices.rest()
            count += len(page.leases)
            if page.last:
                return count
            if count > MAX_LEASES:
                raise LeaseError(f"more than {MAX_LEASES} leases")
            await slices.rest(0 if self._first else min(_REST * page.elapsed, _LONGEST_REST))
            await self._let_radius_follow(slices)

    def _look(self, server: Server, lease: Lease, ahead: int, repaired: Counter[str]) -> None:
        now = self._clock()
        event = self._comparison.lease(lease, server.client.api.address, ahead, now)
        if event is not None:
            verdict = self._writer.machine.judge_lease(event, now)
            if verdict is not None:
                # told already and still different: the machine had its reasons
                if self._told.get(lease.ip_address) != lease:
                    self._tell(event, verdict, repaired)
                self._telling[lease.ip_address] = lease

    def _tell(self, event: ev.LeaseFound | ev.LeaseGone, verdict: Verdict, repaired: Counter[str]) -> None:
        self._writer.post(event)
        if verdict is not Verdict.DENIED:
            self._repairs.counts[verdict] += 1
            repaired[verdict] += 1

    async def _let_radius_follow(self, slices: Slices) -> None:
        by_status = self._writer.machine.store.by_status
        until = time.monotonic() + _PATIENCE
        while by_status[State.AUTHORIZING] > _AUTHORIZING and time.monotonic() < until:
            await slices.rest(0.01)

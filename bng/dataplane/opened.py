"""What the kernel's data plane has between `open` and `close`: its connections, and what stands on them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from bng.dataplane import nft, poolroute, sysctl, tc
from bng.dataplane.base import DataPlaneConfig, DataPlaneError
from bng.dataplane.classstats import ClassTable
from bng.dataplane.conntrack import FlowCutter
from bng.dataplane.ground import Ground
from bng.dataplane.held import Held
from bng.dataplane.netlink import NETFILTER, ROUTE, Connection
from bng.dataplane.programming import Programmer, Task
from bng.dataplane.shards import Layout

_POOL_SECONDS = 15.0
"""How often the routes of the pool are looked at."""


class Opened:
    """Attributes:
    route, netfilter: connections of the loop; `sweeping`, `growing` and `auditing` are those of threads.
    looking: connection that neighbours are read by, in the audit's thread.
    ground: interfaces, and what they need.
    programmer: puts sessions into the kernel.
    held: sessions that are there.
    flows: cuts those of sessions that ended.
    """

    def __init__(self, config: DataPlaneConfig, leaf: tc.Leaf | None, layout: Layout | None) -> None:
        self.route, self.sweeping, self.growing, self.looking = (Connection(ROUTE) for _ in range(4))
        self.netfilter, self.auditing = Connection(NETFILTER), Connection(NETFILTER)
        self.ground = Ground(self.route, config, leaf, layout)
        self.programmer = Programmer(self.route, self.netfilter, self.ground.marking)
        self.held = Held(self.ground)
        self.flows = FlowCutter()
        self._next_look = 0.0

    def apply_ruleset(self) -> None:
        """As the configuration wants it. Raises DataPlaneError."""
        nat, guard = self.ground.config.nat, self.ground.config.guard
        try:
            nft.run(nft.ruleset(nat, guard))
        except DataPlaneError as fault:
            if nat is None or not nat.flow_limit:
                raise
            nft.run(nft.ruleset(replace(nat, flow_limit=0), guard))
            self.ground.warnings.append(f"flows of subscribers are not limited: {fault}")
        try:
            nft.run(nft.arp_ruleset())
        except DataPlaneError as fault:
            self.ground.warnings.append(f"ARP of subscribers is not limited: {fault}")

    def attach(self) -> dict[str, ClassTable]:
        """`Ground.attach`, and what interfaces need that were made anew, or were down."""
        tables = self.ground.attach()
        if self.ground.config.upstream in self.ground.flapped:
            self.hold_pool()
        for name in tables:
            if name in self.ground.config.subscriber:
                sysctl.prepare_subscribers(name, self.ground.warnings)
            else:
                self.hold_pool()
        return tables

    def hold_pool(self) -> None:
        """See `poolroute`."""
        nat, upstream = self.ground.config.nat, self.ground.upstream
        if upstream is not None and upstream.name not in self.ground.missing:
            poolroute.hold(self.route, upstream.index, nat.pool if nat is not None else ())

    def look_after_pool(self) -> None:
        """The same now and then, should somebody have removed a route."""
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _POOL_SECONDS
            self.hold_pool()

    def cut(self, tasks: Iterable[Task]) -> None:
        """Cut the flows of sessions whose gate is closed. Without translation none are tracked."""
        if self.ground.config.nat is not None:
            self.flows.cut({task.start.ip: task.start.nat for task in tasks})

    def cut_strangers(self) -> None:
        """Cut the flows of sessions that ended while nobody looked."""
        if self.ground.config.nat is not None:
            known = [start.ip for start in self.held.book.sessions()]
            self.flows.cut_strangers(self.ground.config.nat.prefixes, known)

    def cut_untranslated(self) -> None:
        """Cut the flows that began while there was no translation, as long as no ruleset was there."""
        if self.ground.config.nat is not None:
            self.flows.cut_untranslated(self.ground.config.nat.prefixes)

    def close(self) -> None:
        self.flows.close()
        for connection in (
            self.route,
            self.sweeping,
            self.growing,
            self.looking,
            self.netfilter,
            self.auditing,
        ):
            connection.close()

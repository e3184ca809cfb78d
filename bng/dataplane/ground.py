"""The interfaces that the data plane stands on: set up when they appear, and again when they reappear."""

from __future__ import annotations

import time
from collections.abc import Iterator

import structlog

from bng.dataplane import port, sysctl, tc
from bng.dataplane.base import DataPlaneConfig
from bng.dataplane.classstats import ClassTable
from bng.dataplane.netlink import Connection
from bng.dataplane.nft import SUBSCRIBER_GROUP, UPSTREAM_GROUP
from bng.dataplane.port import Port
from bng.dataplane.reserve import Reserve
from bng.dataplane.shards import Layout, Marking

log = structlog.get_logger(__name__)

_HELD, _AT_LEAST = 0.002, 2
"""Seconds that the classes of one batch may take, and how many there are at the least: meanwhile everybody on
the machine who configures a network waits."""


class Ground:
    """Attributes:
    config: what is wanted.
    upstream: the interface to the Internet, None until it exists.
    subscriber: subscriber interfaces by name, those that exist or have existed.
    leaf: queue of each class, None for the class's own.
    warnings: what could not be set.
    layout: where classes are; None until the first interface told what the kernel can.
    marking: the rule that leads to the shards.
    missing: names of configured interfaces that do not exist at this time.
    flapped: names of interfaces that went down since the last `attach`, and lost their neighbours.
    """

    def __init__(
        self, route: Connection, config: DataPlaneConfig, leaf: tc.Leaf | None, layout: Layout | None
    ) -> None:
        self._route = route
        self._reserve = Reserve(config.reserve)
        self._cost = 0.0
        self.layout = layout
        self.marking = Marking()
        self._leaf_is_chosen = leaf is not None
        self.leaf = leaf
        self.config = config
        self.upstream: Port | None = None
        self.subscriber: dict[str, Port] = {}
        self.warnings: list[str] = []
        self.missing: list[str] = []
        self.flapped: list[str] = []

    def ports(self) -> Iterator[Port]:
        """All interfaces that exist or have existed."""
        if self.upstream is not None:
            yield self.upstream
        yield from self.subscriber.values()

    def apply(self, config: DataPlaneConfig) -> list[Port]:
        """Let go of interfaces that have no role, or another one, in a new configuration. Returns them."""
        left = [each for name, each in self.subscriber.items() if name not in config.subscriber]
        if self.upstream is not None and self.upstream.name != config.upstream:
            left.append(self.upstream)
            self.upstream = None
        for each in left:
            self.subscriber.pop(each.name, None)
        port.detach(self._route, left)
        self.config = config
        self._reserve.least = config.reserve
        self.warnings.clear()
        sysctl.prepare(self.warnings)
        sysctl.reserve_ports(config.listening, self.warnings)
        return left

    def attach(self) -> dict[str, ClassTable]:
        """Set up what is not, or no longer. Their classes, as they are now, by name of the interface."""
        tables: dict[str, ClassTable] = {}
        self.missing.clear()
        self.flapped.clear()
        for name in (self.config.upstream, *self.config.subscriber):
            is_upstream = name == self.config.upstream
            known = self.upstream if is_upstream else self.subscriber.get(name)
            if known is not None:
                whole, flapped = port.check(self._route, known)
                if flapped:
                    self.flapped.append(name)
                if whole:
                    continue
            group = UPSTREAM_GROUP if is_upstream else SUBSCRIBER_GROUP
            found = port.attach(self._route, name, group, self.layout, self.warnings)
            if found is None:
                self.missing.append(name)
                continue
            attached, tables[name] = found
            self.layout = attached.layout
            if len(attached.shards) > 1:
                self.marking.put(attached.layout)
            if is_upstream:
                self.upstream = attached
                if not self._leaf_is_chosen:
                    self.leaf = port.best_leaf(self._route, attached)
            else:
                self.subscriber[name] = attached
            log.info("dataplane.attached", interface=name, index=attached.index, classes=len(tables[name]))
        return tables

    def refusal(self, interface: str, slot: int) -> str | None:
        """Why no session can start on this interface in this slot, or None."""
        if interface not in self.config.subscriber:
            return f"{interface} is not a subscriber interface"
        if interface not in self.subscriber or interface in self.missing:
            return f"subscriber interface {interface} does not exist at this time"
        if self.upstream is None or self.config.upstream in self.missing:
            return f"upstream interface {self.config.upstream} does not exist at this time"
        if self.layout is not None and slot >= self.layout.end:
            return f"this kernel has classes for slots 0 … {self.layout.end - 1}, not for slot {slot}"
        return None

    def grow(self, connection: Connection, end: int, limit: int) -> bool:
        """Make up to `limit` classes ahead of slot `end`, those of the lowest slots first; True while there
        are more to make.

        With one subscriber interface its classes are known beforehand; of several, each gets them as
        sessions come.
        """
        if self.layout is None:
            return False
        began = time.monotonic()
        target = min(self._reserve.target(end, began), self.layout.end)
        if self._cost:
            limit = min(limit, max(_AT_LEAST, int(_HELD / self._cost)))
        ahead = [] if self.upstream is None else [self.upstream]
        if len(self.config.subscriber) == 1:
            ahead += self.subscriber.values()
        lacking = sorted((slot, at) for at, each in enumerate(ahead) for slot in each.lacking(target, limit))
        for at, each in enumerate(ahead):
            slots = [slot for slot, where in lacking[:limit] if where == at]
            port.make(connection, each, self.marking, slots, self.leaf)
        if len(lacking) < limit:
            return False
        self._cost = (time.monotonic() - began) / limit
        return True

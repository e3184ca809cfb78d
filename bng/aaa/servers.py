"""Which RADIUS server is asked, what is known of it, and which identifiers are free."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from bng.aaa.settings import Server

DEAD_AFTER = 3
"""Requests in a row without an answer after which a server is asked last."""

DEAD_TIME_NS = 10_000_000_000
"""How long a silent server is left alone before one request tries it again."""


@dataclass(slots=True)
class ServerState:
    """A server as aether-health:radius-server shows it.

    Attributes:
        requests: sent, without retransmissions.
        timeouts: of these, without an answer.
        latency: microseconds, of the last answer; 0 before the first.
        failures: requests in a row without an answer.
        dead_until: nanoseconds; while it is silent.
        probing: one request is trying whether it is back.
    """

    server: Server
    requests: int = 0
    timeouts: int = 0
    latency: int = 0
    failures: int = 0
    dead_until: int = 0
    probing: bool = False

    @property
    def up(self) -> bool:
        """Whether it answered its last requests."""
        return self.failures < DEAD_AFTER

    def usable(self, now: int) -> bool:
        """Whether a request may go there before all that are up failed."""
        return self.up or (now >= self.dead_until and not self.probing)

    def sent(self) -> None:
        """A request goes there for the first time."""
        self.requests += 1
        if not self.up:
            self.probing = True

    def answered(self, now: int, sent: int) -> None:
        """An answer came to what was sent at that time."""
        self.failures = 0
        self.probing = False
        self.latency = max(0, now - sent) // 1000

    def failed(self, now: int) -> None:
        """All transmissions of a request went without an answer."""
        self.timeouts += 1
        self.failures += 1
        self.probing = False
        if not self.up:
            self.dead_until = now + DEAD_TIME_NS


class Servers:
    """All servers in the order in which they are asked: by priority, silent ones last."""

    def __init__(self, servers: tuple[Server, ...]) -> None:
        self._states: dict[str, ServerState] = {}
        self.configure(servers)

    def __iter__(self) -> Iterator[ServerState]:
        return iter(self._states.values())

    def configure(self, servers: tuple[Server, ...]) -> None:
        """Take over a changed list; what is known of a server stays with its name and address."""
        states: dict[str, ServerState] = {}
        for server in sorted(servers, key=lambda s: (s.priority, s.name)):
            state = self._states.get(server.name)
            if state is None or state.server.address != server.address:
                state = ServerState(server)
            state.server = server
            states[server.name] = state
        self._states = states

    def order(self, now: int) -> list[ServerState]:
        """All servers, first to be asked first."""
        return sorted(self._states.values(), key=lambda state: not state.usable(now))

    @property
    def any_up(self) -> bool:
        return any(state.up for state in self._states.values())


class Identifiers:
    """Free RADIUS identifiers per source port and destination: 256 each, longest free first."""

    def __init__(self, source_ports: int) -> None:
        self.source_ports = source_ports
        self._free: dict[tuple[str, int], deque[tuple[int, int]]] = {}

    def take(self, destination: tuple[str, int]) -> tuple[int, int] | None:
        """(source port index, identifier), or None when all are in flight."""
        free = self._free.get(destination)
        if free is None:
            # neighbours in the queue use different ports, so that a burst spreads over all
            free = deque((source, number) for number in range(256) for source in range(self.source_ports))
            self._free[destination] = free
        return free.popleft() if free else None

    def give_back(self, destination: tuple[str, int], source: int, identifier: int) -> None:
        """End the use of an identifier."""
        self._free[destination].append((source, identifier))

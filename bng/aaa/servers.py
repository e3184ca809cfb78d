"""Which RADIUS server is asked, what is known of it, and which identifiers are free."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from bng.aaa.settings import Server

DEAD_AFTER = 3
"""Requests in a row without an answer after which a server is asked last."""

DEAD_TIME_NS = 10_000_000_000
"""How long a silent server is left alone before it is tried again."""

TRUST_STATUS = 3
"""Status-Server requests in a row without an answer after which a server may be one that does not know them:
from then on requests try it as well."""


class Kind(StrEnum):
    """What a server is asked for; each has a port and a health of its own."""

    AUTHENTICATION = "authentication"
    ACCOUNTING = "accounting"


@dataclass(slots=True, eq=False)
class Service:
    """One of the two services of a server.

    Attributes:
        requests: sent, without retransmissions and Status-Server.
        timeouts: of these, without an answer.
        latency: microseconds, of the last answer; 0 before the first.
        in_flight: requests that wait for an answer.
        failures: requests in a row without an answer.
        dead_since, dead_until: nanoseconds, while it is silent; since when, and when it is tried again.
        trying: one request, or Status-Server, is trying whether it is back.
        unanswered_status: Status-Server requests in a row without an answer.
    """

    server: Server
    kind: Kind
    requests: int = 0
    timeouts: int = 0
    latency: int = 0
    in_flight: int = 0
    failures: int = 0
    dead_since: int = 0
    dead_until: int = 0
    trying: bool = False
    unanswered_status: int = 0

    @property
    def destination(self) -> tuple[str, int]:
        """(address, UDP port)"""
        server = self.server
        is_auth = self.kind is Kind.AUTHENTICATION
        return server.address, server.auth_port if is_auth else server.acct_port

    @property
    def up(self) -> bool:
        """Whether it answered its last requests."""
        return self.failures < DEAD_AFTER

    def usable(self, now: int) -> bool:
        """Whether a request may go there before all that are up failed. Not to a server that
        Status-Server is to wake first."""
        if self.up:
            return True
        by_status = self.server.status_server and self.unanswered_status < TRUST_STATUS
        return not by_status and now >= self.dead_until and not self.trying

    def sent(self) -> None:
        """A request goes there for the first time."""
        self.requests += 1
        self.in_flight += 1
        if not self.up:
            self.trying = True

    def left(self) -> None:
        """A request no longer waits for it."""
        self.in_flight -= 1

    def answered(self, now: int, sent: int) -> None:
        """An answer came to what was sent at that time."""
        self.failures = self.dead_since = 0
        self.unanswered_status = 0
        self.trying = False
        self.latency = max(0, now - sent) // 1000

    def failed(self, now: int) -> bool:
        """All transmissions of a request went without an answer. True: that makes it dead."""
        self.timeouts += 1
        return self._silent(now)

    def status_failed(self, now: int) -> None:
        """A Status-Server went without an answer."""
        self.unanswered_status += 1
        self._silent(now)

    def _silent(self, now: int) -> bool:
        was_up = self.up
        self.failures += 1
        self.trying = False
        if self.up:
            return False
        if was_up:
            self.dead_since = now
        if was_up or now >= self.dead_until:  # what was sent to it meanwhile puts the next try off no more
            self.dead_until = now + DEAD_TIME_NS
        return was_up


@dataclass(slots=True, eq=False)
class ServerState:
    """A server as aether-health:radius-server shows it: its two services together."""

    server: Server
    authentication: Service = field(init=False)
    accounting: Service = field(init=False)

    def __post_init__(self) -> None:
        self.authentication = Service(self.server, Kind.AUTHENTICATION)
        self.accounting = Service(self.server, Kind.ACCOUNTING)

    def configure(self, server: Server) -> None:
        """Take over changed settings of a server that is the same."""
        self.server = self.authentication.server = self.accounting.server = server

    def service(self, kind: Kind) -> Service:
        return self.authentication if kind is Kind.AUTHENTICATION else self.accounting

    @property
    def services(self) -> tuple[Service, Service]:
        return self.authentication, self.accounting

    @property
    def up(self) -> bool:
        return self.authentication.up and self.accounting.up

    @property
    def requests(self) -> int:
        return self.authentication.requests + self.accounting.requests

    @property
    def timeouts(self) -> int:
        return self.authentication.timeouts + self.accounting.timeouts

    @property
    def in_flight(self) -> int:
        return self.authentication.in_flight + self.accounting.in_flight

    @property
    def failures(self) -> int:
        return max(self.authentication.failures, self.accounting.failures)

    @property
    def latency(self) -> int:
        """Of the last answer to an Access-Request; before the first, of accounting."""
        return self.authentication.latency or self.accounting.latency

    @property
    def dead_since(self) -> int:
        """Since when one of its services is silent, nanoseconds; 0 while both answer."""
        since = [service.dead_since for service in self.services if service.dead_since]
        return min(since, default=0)


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
            state.configure(server)
            states[server.name] = state
        self._states = states

    def order(self, kind: Kind, now: int) -> list[Service]:
        """A service of all servers, first to be asked first."""
        services = [state.service(kind) for state in self._states.values()]
        return sorted(services, key=lambda service: not service.usable(now))

    def any_up(self, kind: Kind) -> bool:
        return any(state.service(kind).up for state in self._states.values())

    def knows(self, service: Service) -> bool:
        """Whether a service is still one of a configured server."""
        state = self._states.get(service.server.name)
        return state is not None and service in state.services


class Identifiers:
    """Free RADIUS identifiers per source port and destination: 256 each, longest free first."""

    def __init__(self, source_ports: int) -> None:
        self.source_ports = source_ports
        self._free: dict[tuple[str, int], deque[tuple[int, int]]] = {}
        self._used: dict[tuple[str, int], set[tuple[int, int]]] = {}

    def resize(self, source_ports: int) -> None:
        """Use another number of source ports from now on."""
        if source_ports != self.source_ports:
            self.source_ports = source_ports
            for destination, used in self._used.items():
                self._free[destination] = deque(taken for taken in self._all() if taken not in used)

    def take(self, destination: tuple[str, int]) -> tuple[int, int] | None:
        """(source port index, identifier), or None when all are in flight."""
        free = self._free.get(destination)
        if free is None:
            free = self._free[destination] = deque(self._all())
            self._used[destination] = set()
        if not free:
            return None
        taken = free.popleft()
        self._used[destination].add(taken)
        return taken

    def give_back(self, destination: tuple[str, int], source: int, identifier: int) -> None:
        """End the use of an identifier."""
        self._used[destination].discard((source, identifier))
        if source < self.source_ports:
            self._free[destination].append((source, identifier))

    def _all(self) -> Iterator[tuple[int, int]]:
        # neighbours in the queue use different ports, so that a burst spreads over all
        return ((source, number) for number in range(256) for source in range(self.source_ports))

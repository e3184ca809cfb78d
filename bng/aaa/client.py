"""The RADIUS client, without I/O: what to send, what an answer means, when to try again.

`authenticate`, `account`, `receive` and `handle_timer` change its state; then `to_send` gives the
datagrams and `next_timer` says when `handle_timer` is to be called. Times are nanoseconds since the epoch.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from dataclasses import dataclass, field, replace

from bng.aaa import attributes as attrs
from bng.aaa.accounting import Backlog, Record
from bng.aaa.servers import Identifiers, Servers, ServerState
from bng.aaa.settings import AaaSettings
from bng.codec import radius
from bng.codec.errors import DecodeError
from bng.codec.radius import Code
from bng.seam.clock import NS
from bng.session.effects import Account, AskRadius
from bng.session.events import Counters, RadiusAccept, RadiusReject, RadiusUnanswered

Answer = RadiusAccept | RadiusReject | RadiusUnanswered
MAX_INTERVAL_NS = 30 * NS
_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Datagram:
    """To be sent.

    Attributes:
        source: index of the source port's socket, 0 to source_ports - 1.
        destination: (address, port) of the server.
        data: the packet.
    """

    source: int
    destination: tuple[str, int]
    data: bytes


@dataclass(slots=True, eq=False)
class _Request:
    """A request in flight, or waiting for a free identifier."""

    subject: AskRadius | Record
    time: int
    order: list[ServerState] = field(default_factory=list)
    state: ServerState | None = None
    identifier: int = -1
    source: int = -1
    destination: tuple[str, int] = ("", 0)
    secret: bytes = b""
    authenticator: bytes = b""
    data: bytes = b""
    left: int = 0  # retransmissions
    interval: int = 0
    sent: int = 0
    deadline: int = 0


class AaaClient:
    """See the module's text.

    Args:
        settings: configuration in force.
        generator: randomness for authenticators and jitter.

    Attributes:
        servers: their state, for aether-health.
        discarded: packets that were not believed, and requests refused, by reason.
        reader: counts unknown and malformed attributes.
        backlog: accounting records not acknowledged yet.
    """

    def __init__(self, settings: AaaSettings, generator: random.Random | None = None) -> None:
        self._random = generator or random.SystemRandom()
        self.servers = Servers(settings.servers)
        self.discarded: Counter[str] = Counter()
        self.reader = attrs.Reader()
        self.backlog = Backlog(settings.max_records, settings.max_age * NS)
        self._identifiers = Identifiers(settings.source_ports)
        self._flying: dict[tuple[int, tuple[str, int], int], _Request] = {}
        self._waiting: deque[_Request] = deque()  # Access-Requests without an identifier
        self._timers: list[tuple[int, int, _Request]] = []
        self._ticket = 0
        self._out: list[Datagram] = []
        self._answers: list[Answer] = []
        self.configure(settings)

    @property
    def in_flight(self) -> int:
        """Requests that wait for an answer."""
        return len(self._flying)

    def configure(self, settings: AaaSettings) -> None:
        """Take over changed settings. Requests in flight end as they began. `source_ports` is kept."""
        self.settings = settings
        self.servers.configure(settings.servers)
        self.backlog.max_records = settings.max_records
        self.backlog.max_age_ns = settings.max_age * NS
        self._writer = attrs.Writer(settings)

    # what is asked of it

    def authenticate(self, ask: AskRadius, now: int) -> list[Answer]:
        """Send an Access-Request. Exactly one answer with its session id and attempt will follow; at
        once if there is no server, or if too many wait."""
        request = _Request(ask, now, self.servers.order(now))
        if not request.order or len(self._waiting) >= self.settings.max_waiting:
            self.discarded["refused"] += 1
            self._give_up(request, "too many requests wait" if request.order else "there is no server to ask")
        elif self._waiting or not self._next_server(request, now):
            self._waiting.append(request)
        return self._collect()

    def account(self, account: Account, counters: Counters, now: int) -> None:
        """Send an accounting record, until a server takes it or it is too old."""
        written = self._writer.accounting(account, counters)
        self.backlog.add(Record(account.session_id, account.kind, account.time, written))
        self._pump(now)

    def accounting_on(self, session_id: str, now: int) -> None:
        """Say that this NAS begins without sessions. Servers close all that they know of it: not to be
        called after a restart that took sessions over."""
        self._system(attrs.ACCOUNTING_ON, session_id, now)

    def accounting_off(self, session_id: str, now: int) -> None:
        """Say that this NAS ends service, and all its sessions with it."""
        self._system(attrs.ACCOUNTING_OFF, session_id, now)

    def _system(self, status: int, session_id: str, now: int) -> None:
        self.backlog.add(Record("", None, now, self._writer.system(status, session_id, now)))
        self._pump(now)

    # what comes back

    def receive(self, data: bytes, address: tuple[str, int], source: int, now: int) -> list[Answer]:
        """Take a datagram in that came to a source port. Never raises on what it holds."""
        request = self._flying.get((source, address, data[1])) if len(data) > 1 else None
        if request is None:
            self.discarded["unexpected"] += 1
            return self._collect()
        is_access = isinstance(request.subject, AskRadius)
        try:
            packet = radius.verify_response(
                data, request.authenticator, request.secret, demand_message_authenticator=is_access
            )
        except DecodeError as error:
            self.discarded[str(error) if "uthenticator" in str(error) else "malformed"] += 1
            return self._collect()
        codes = (
            (Code.ACCESS_ACCEPT, Code.ACCESS_REJECT, Code.ACCESS_CHALLENGE)
            if is_access
            else (Code.ACCOUNTING_RESPONSE,)
        )
        if packet.code not in codes:
            self.discarded["wrong code"] += 1
            return self._collect()
        assert request.state is not None
        request.state.answered(now, request.sent)
        self._land(request)
        if isinstance(request.subject, AskRadius):
            answer = self.reader.answer(packet, request.subject)
            self._answers.append(replace(answer, server=request.state.server.name))
        else:
            self.backlog.delivered(request.subject)
        self._fill(now)
        return self._collect()

    def next_timer(self) -> int | None:
        """When `handle_timer` is to be called; None while there is nothing to wait for."""
        while self._timers and not self._is_current(self._timers[0]):
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def handle_timer(self, now: int) -> list[Answer]:
        """Retransmit, ask the next server, or give up, as is due."""
        while (deadline := self.next_timer()) is not None and deadline <= now:
            _, _, request = heapq.heappop(self._timers)
            if request.left > 0:
                self._retransmit(request, now)
                continue
            assert request.state is not None
            request.state.failed(now)
            self._land(request)
            if not self._next_server(request, now):
                if request.order:  # a server is left, but no identifier
                    self._waiting.append(request)
                else:
                    self._give_up(request)
        self._fill(now)
        return self._collect()

    def to_send(self) -> list[Datagram]:
        """The datagrams to send now, in order."""
        out, self._out = self._out, []
        return out

    def _collect(self) -> list[Answer]:
        answers, self._answers = self._answers, []
        return answers

    # sending

    def _fill(self, now: int) -> None:
        """Use identifiers that became free: first for subscribers that wait to get in."""
        while self._waiting:
            request = self._waiting.popleft()
            if not self._next_server(request, now):
                self._waiting.appendleft(request)
                break
        self._pump(now)

    def _pump(self, now: int) -> None:
        """Send accounting records while the window is open: one at a time while no server answers."""
        window = self.settings.accounting_window if self.servers.any_up else 1
        while self.backlog.flying < window:
            record = self.backlog.take(now)
            if record is None:
                return
            request = _Request(record, now, self.servers.order(now))
            if not self._next_server(request, now):
                self.backlog.undelivered(record)
                return

    def _next_server(self, request: _Request, now: int) -> bool:
        """Send a request to the first of the servers left in its order. False: it was not sent, for
        want of an identifier (the order is as it was) or of a server (it is empty)."""
        if not request.order:
            return False
        state = request.order[0]
        server = state.server
        is_access = isinstance(request.subject, AskRadius)
        destination = (server.address, server.auth_port if is_access else server.acct_port)
        taken = self._identifiers.take(destination)
        if taken is None:
            return False
        request.order.pop(0)
        request.state, request.destination, request.secret = state, destination, server.secret
        request.source, request.identifier = taken
        request.left = server.retries if state.up else 0
        request.interval = server.timeout * _MS
        state.sent()
        self._transmit(request, now)
        return True

    def _retransmit(self, request: _Request, now: int) -> None:
        request.left -= 1
        request.interval = min(2 * request.interval, MAX_INTERVAL_NS)
        if isinstance(request.subject, Record):
            # Acct-Delay-Time changes, so must the identifier (RFC 2866, 5.2)
            self._land(request)
            taken = self._identifiers.take(request.destination)
            assert taken is not None  # the one just freed, at least
            request.source, request.identifier = taken
            self._transmit(request, now)
            return
        self._out.append(Datagram(request.source, request.destination, request.data))
        self._arm(request, now)

    def _transmit(self, request: _Request, now: int) -> None:
        subject = request.subject
        if isinstance(subject, AskRadius):
            request.authenticator = self._random.randbytes(16)
            hidden = radius.hide_password(
                self.settings.user_password.encode(), request.secret, request.authenticator
            )
            written = (*self._writer.access(subject, request.time), self._writer.password(hidden))
            request.data = radius.build_request(
                Code.ACCESS_REQUEST, request.identifier, written, request.secret, request.authenticator
            )
        else:
            delay = self._writer.delay(max(0, now - subject.time) // NS)
            request.data = radius.build_request(
                Code.ACCOUNTING_REQUEST,
                request.identifier,
                (*subject.attributes, delay),
                request.secret,
            )
            request.authenticator = request.data[4:20]
        request.sent = now
        self._flying[request.source, request.destination, request.identifier] = request
        self._out.append(Datagram(request.source, request.destination, request.data))
        self._arm(request, now)

    def _arm(self, request: _Request, now: int) -> None:
        """Wait for the interval, ± 10 % so that requests that were sent together part."""
        request.deadline = now + int(request.interval * self._random.uniform(0.9, 1.1))
        self._ticket += 1
        heapq.heappush(self._timers, (request.deadline, self._ticket, request))

    def _is_current(self, timer: tuple[int, int, _Request]) -> bool:
        deadline, _, request = timer
        return deadline == request.deadline

    def _land(self, request: _Request) -> None:
        """A request is no longer in flight under its identifier."""
        del self._flying[request.source, request.destination, request.identifier]
        self._identifiers.give_back(request.destination, request.source, request.identifier)
        request.deadline = -1

    def _give_up(self, request: _Request, reason: str = "") -> None:
        subject = request.subject
        if isinstance(subject, AskRadius):
            self._answers.append(RadiusUnanswered(subject.session_id, subject.attempt, reason))
        else:
            self.backlog.undelivered(subject)

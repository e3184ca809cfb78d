"""The RADIUS client, without I/O: what to send, what an answer means, when to try again.

`authenticate`, `account`, `receive` and `handle_timer` change its state; then `to_send` gives the
datagrams and `next_timer` says when `handle_timer` is to be called. Times are nanoseconds since the epoch.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from dataclasses import replace

from bng.aaa import attributes as attrs
from bng.aaa.accounting import Backlog, Record, Store
from bng.aaa.requests import Datagram, Flight, Key, Request, expected
from bng.aaa.servers import Identifiers, Kind, Servers, Service
from bng.aaa.settings import AaaSettings
from bng.codec import radius
from bng.codec.errors import DecodeError
from bng.codec.radius import Code
from bng.seam.clock import NS
from bng.session.effects import Account, AccountKind, AskRadius
from bng.session.events import Counters, RadiusAccept, RadiusReject, RadiusUnanswered

Answer = RadiusAccept | RadiusReject | RadiusUnanswered
MAX_INTERVAL_NS = 30 * NS
_MS = 1_000_000


class AaaClient:
    """See the module's text.

    Args:
        settings: configuration in force.
        generator: randomness for authenticators and jitter.
        store: where accounting records are kept (`bng.aaa.spool`).

    Attributes:
        servers: their state, for aether-health.
        discarded: packets that were not believed, and requests refused, by reason.
        reader: counts unknown and malformed attributes.
        backlog: accounting records not acknowledged yet.
    """

    def __init__(
        self, settings: AaaSettings, generator: random.Random | None = None, store: Store | None = None
    ) -> None:
        self._random = generator or random.SystemRandom()
        self.servers = Servers(settings.servers)
        self.discarded: Counter[str] = Counter()
        self.reader = attrs.Reader()
        self.backlog = Backlog(settings.window, settings.max_records, settings.max_age * NS, store)
        self._identifiers = Identifiers(settings.source_ports)
        self._flying: dict[Key, Flight] = {}
        self._waiting: deque[Request] = deque()  # Access-Requests without an identifier
        self._watched: set[Service] = set()
        self._timers: list[tuple[int, int, Request]] = []
        self._ticket = 0
        self._window = settings.accounting_window
        self._out: list[Datagram] = []
        self._answers: list[Answer] = []
        self.configure(settings, 0)

    @property
    def in_flight(self) -> int:
        """Requests that wait for an answer."""
        return sum(state.in_flight for state in self.servers)

    def configure(self, settings: AaaSettings, now: int) -> None:
        """Take over changed settings. Requests in flight end as they began."""
        self.settings = settings
        self.servers.configure(settings.servers)
        self.backlog.window = settings.window
        self.backlog.max_records = settings.max_records
        self.backlog.max_age_ns = settings.max_age * NS
        self._identifiers.resize(settings.source_ports)
        self._writer = attrs.Writer(settings)
        for state in self.servers:
            for service in state.services:
                self._watch(service, now)

    # what is asked of it

    def authenticate(self, ask: AskRadius, now: int) -> list[Answer]:
        """Send an Access-Request. Exactly one answer with its session id and attempt will follow; at
        once if there is no server, or if too many wait."""
        request = Request(ask, now, self.servers.order(Kind.AUTHENTICATION, now))
        if not request.order or len(self._waiting) >= self.settings.max_waiting:
            self.discarded["refused"] += 1
            self._give_up(request, "too many requests wait" if request.order else "there is no server to ask")
        elif self._waiting or not self._next_server(request, now):
            self._waiting.append(request)
        return self._collect()

    def account(self, account: Account, counters: Counters, now: int, given: int = 0) -> None:
        """Send an accounting record, until a server takes it or it is too old.

        Args:
            given: number of the journal event that it follows from; 0 for none.
        """
        self.backlog.add(self._record(account, counters, given))
        self._pump(now)

    def resume(self, now: int) -> None:
        """Go on with what waits: on the disk after a start, or for servers and source ports."""
        self.backlog.retry()
        self._fill(now)

    def restore(self, account: Account, counters: Counters, now: int) -> None:
        """Take in an Interim-Update that was kept since an earlier life."""
        self.backlog.restore(self._record(account, counters, 0))
        self._pump(now)

    def _record(self, account: Account, counters: Counters, given: int) -> Record:
        if account.kind is AccountKind.INTERIM:  # most are overtaken before they are written
            account = replace(account, counters=counters)
            return Record(account.session_id, account.kind, account.time, account=account)
        written = self._writer.accounting(account, counters)
        return Record(account.session_id, account.kind, account.time, written, given=given)

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
        flight = self._flying.get((source, address, data[1])) if len(data) > 1 else None
        if flight is None:
            self.discarded["unexpected"] += 1
            return self._collect()
        request = flight.request
        subject = request.subject
        try:
            packet = radius.verify_response(
                data,
                flight.authenticator,
                request.secret,
                # that a server lives is no secret worth forging; not all sign the answer to Status-Server
                demand_message_authenticator=isinstance(subject, AskRadius),
            )
        except DecodeError as error:
            self.discarded[str(error) if "uthenticator" in str(error) else "malformed"] += 1
            return self._collect()
        if packet.code not in expected(request):
            self.discarded["wrong code"] += 1
            return self._collect()
        assert request.service is not None
        request.service.answered(now, flight.sent)
        self._land(request)
        if isinstance(subject, AskRadius):
            answer = self.reader.answer(packet, subject)
            self._answers.append(replace(answer, server=request.service.server.name))
        elif isinstance(subject, Record):
            self._window = min(self._window + 1, self.settings.accounting_window)
            self.backlog.delivered(subject)
        else:
            self._watched.discard(subject)
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
            if isinstance(request.subject, Service):
                self._watch_due(request, request.subject, now)
            elif request.left > 0:
                self._retransmit(request, now)
            else:
                self._failed(request, now)
        self._fill(now)
        return self._collect()

    def _failed(self, request: Request, now: int) -> None:
        """No transmission to a server was answered: the next one is asked."""
        assert request.service is not None
        if request.service.failed(now):
            self._watch(request.service, now)
        if isinstance(request.subject, Record):
            self._window = max(1, self._window // 2)
        self._land(request)
        if not self._next_server(request, now):
            if request.order:  # a server is left, but no identifier
                self._waiting.append(request)
            else:
                self._give_up(request)

    def to_send(self) -> list[Datagram]:
        """The datagrams to send now, in order."""
        out, self._out = self._out, []
        return out

    def _collect(self) -> list[Answer]:
        answers, self._answers = self._answers, []
        return answers

    # silent servers

    def _watch(self, service: Service, now: int) -> None:
        """See by Status-Server whether a silent service is back (RFC 5997), instead of at the cost of
        subscribers' requests."""
        if service.up or not service.server.status_server or service in self._watched:
            return
        self._watched.add(service)
        self._arm_at(Request(service, now, service=service), max(now, service.dead_until))

    def _watch_due(self, request: Request, service: Service, now: int) -> None:
        if request.flights:
            self._land(request)
            service.status_failed(now)
        if service.up or not service.server.status_server or not self.servers.knows(service):
            self._watched.discard(service)
        elif now < service.dead_until or service.trying:
            self._arm_at(request, max(service.dead_until, now + NS))
        else:
            self._ask_status(request, service, now)

    def _ask_status(self, request: Request, service: Service, now: int) -> None:
        request.destination, request.secret = service.destination, service.server.secret
        taken = self._identifiers.take(request.destination)
        if taken is None:
            self._arm_at(request, now + NS)
            return
        service.trying = True
        request.interval = service.server.timeout * _MS
        self._transmit(request, taken, now)

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
        """Send accounting records while the window is open. It is one record while no server answers,
        grows with each that is taken and halves with each that is not, so that a server that is back is
        not overrun."""
        if not self.servers.any_up(Kind.ACCOUNTING):
            self._window = 1
        while self.backlog.flying < min(self._window, self.settings.accounting_window):
            record = self.backlog.take(now)
            if record is None:
                return
            if record.account is not None:
                counters = record.account.counters or Counters()
                record.attributes = self._writer.accounting(record.account, counters)
            request = Request(record, now, self.servers.order(Kind.ACCOUNTING, now))
            if not self._next_server(request, now):
                self.backlog.undelivered(record)
                return

    def _next_server(self, request: Request, now: int) -> bool:
        """Send a request to the first of the servers left in its order. False: it was not sent, for
        want of an identifier (the order is as it was) or of a server (it is empty)."""
        if not request.order:
            return False
        service = request.order[0]
        server = service.server
        taken = self._identifiers.take(service.destination)
        if taken is None:
            return False
        request.order.pop(0)
        request.service, request.destination, request.secret = service, service.destination, server.secret
        request.left = server.retries if service.up else 0
        request.interval = server.timeout * _MS
        service.sent()
        self._transmit(request, taken, now)
        return True

    def _retransmit(self, request: Request, now: int) -> None:
        request.left -= 1
        request.interval = min(2 * request.interval, MAX_INTERVAL_NS)
        if isinstance(request.subject, Record):
            # Acct-Delay-Time changes, so must the identifier (RFC 2866, 5.2)
            taken = self._identifiers.take(request.destination)
            if taken is None:
                self._end_flight(request.flights.pop(0))
                taken = self._identifiers.take(request.destination)
                assert taken is not None  # the one just freed, at least
            self._transmit(request, taken, now)
            return
        assert request.datagram is not None
        self._out.append(request.datagram)
        self._arm(request, now)

    def _transmit(self, request: Request, taken: tuple[int, int], now: int) -> None:
        source, identifier = taken
        data = self._encode(request, identifier, now)
        key = (source, request.destination, identifier)
        self._flying[key] = Flight(request, data[4:20], now)
        request.flights.append(key)
        request.datagram = Datagram(source, request.destination, data)
        self._out.append(request.datagram)
        self._arm(request, now)

    def _encode(self, request: Request, identifier: int, now: int) -> bytes:
        subject, secret = request.subject, request.secret
        if isinstance(subject, Record):
            delay = self._writer.delay(max(0, now - subject.time) // NS)
            written = (*subject.attributes, delay)
            return radius.build_request(Code.ACCOUNTING_REQUEST, identifier, written, secret)
        authenticator = self._random.randbytes(16)
        if isinstance(subject, Service):
            status = self._writer.status()
            return radius.build_request(Code.STATUS_SERVER, identifier, status, secret, authenticator)
        asked = self._writer.access(subject, request.time)
        if not subject.state:  # else the State stands for it (RFC 5176, 3.2)
            hidden = radius.hide_password(self.settings.user_password.encode(), secret, authenticator)
            asked = (*asked, self._writer.password(hidden))
        return radius.build_request(Code.ACCESS_REQUEST, identifier, asked, secret, authenticator)

    def _arm(self, request: Request, now: int) -> None:
        """Wait for the interval, ± 10 % so that requests that were sent together part."""
        self._arm_at(request, now + int(request.interval * self._random.uniform(0.9, 1.1)))

    def _arm_at(self, request: Request, deadline: int) -> None:
        request.deadline = deadline
        self._ticket += 1
        heapq.heappush(self._timers, (deadline, self._ticket, request))

    def _is_current(self, timer: tuple[int, int, Request]) -> bool:
        deadline, _, request = timer
        return deadline == request.deadline

    def _land(self, request: Request) -> None:
        """A request no longer waits for an answer of its server."""
        for key in request.flights:
            self._end_flight(key)
        request.flights.clear()
        request.deadline = -1
        if not isinstance(request.subject, Service):
            assert request.service is not None
            request.service.left()

    def _end_flight(self, key: Key) -> None:
        del self._flying[key]
        source, destination, identifier = key
        self._identifiers.give_back(destination, source, identifier)

    def _give_up(self, request: Request, reason: str = "") -> None:
        subject = request.subject
        if isinstance(subject, AskRadius):
            self._answers.append(RadiusUnanswered(subject.session_id, subject.attempt, reason))
        else:
            assert isinstance(subject, Record)  # a watch has no other server to ask
            self.backlog.undelivered(subject)

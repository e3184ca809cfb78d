"""The dynamic authorization server (RFC 5176) without I/O: who may ask, what is known, what to answer.

`receive` takes a datagram and gives what is to be done: a `Reply` to send, a `Command` for the session
machine, or nothing. What the machine answers to a command goes to `answer`, which gives the reply. What is
wrong in a way that an attacker could cause is dropped in silence and counted. Times are nanoseconds since
the epoch.

A request is executed once: the same one again, from the same client, gets the same reply. That lasts as
long as its Event-Timestamp would be accepted, so that a recorded request does nothing in either case.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from bng.aaa.attributes import TERMINATE_CAUSES
from bng.aaa.coa_request import ErrorCause, Event, Interpreter, Nas, Refused, kind_of
from bng.aaa.coa_settings import CoaClient, CoaSettings
from bng.aaa.dictionary import load
from bng.codec import radius
from bng.codec.errors import DecodeError
from bng.codec.radius import Attribute, Code, RadiusPacket
from bng.seam.clock import NS
from bng.session.events import ReauthenticateSelected

Address = tuple[str, int]

MAX_REMEMBERED = 32_768
"""Requests that are known again; beyond it the oldest is forgotten. More than one client can have at the
default rate in twice the default window, the longest that an Event-Timestamp is accepted."""

MAX_PENDING = 1024
"""Commands that the session machine may have at once; more are dropped, and come again."""

_MAX_ECHO = 3900
"""Octets of what a request may have us send back: the reply must fit into 4096."""

_CAUSES = {
    "data-missing": ErrorCause.SESSION_CONTEXT_NOT_FOUND,
    "operation-not-supported": ErrorCause.MULTIPLE_SESSION_SELECTION_UNSUPPORTED,
    "invalid-value": ErrorCause.INVALID_ATTRIBUTE_VALUE,
}
"""Error tags of `bng.session.dynamic`; all others: the NAS could not."""

_Key = tuple[str, int, int, bytes]


@dataclass(frozen=True, slots=True)
class Reply:
    """A datagram to be sent.

    Attributes:
        request, client, cause, message: for the log, of an answer that is not a repeated one: kind of the
            request, name of the client, why it was refused (None: it was not).
    """

    destination: Address
    data: bytes
    request: str = ""
    client: str = ""
    cause: ErrorCause | None = None
    message: str = ""


@dataclass(slots=True, eq=False)
class _Entry:
    """A request that is known. data: its reply, empty while it is carried out."""

    expires: int
    data: bytes = b""


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A request that is believed."""

    client: Client
    address: Address
    packet: RadiusPacket
    entry: _Entry
    echoed: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Command:
    """To be carried out by the session machine.

    Attributes:
        request: to be given to `answer` with the outcome.
        event: with token 0, which is to be replaced.
    """

    request: Request
    event: Event


class Client:
    """A configured client and its statistics; `discards` by reason."""

    def __init__(self, settings: CoaClient) -> None:
        self.settings = settings
        self.disconnect_requests = self.coa_requests = 0
        self.acks = self.naks = self.duplicates = 0
        self.discards: Counter[str] = Counter()
        self._tokens = 0.0
        self._time: int | None = None

    def take(self, rate: int, now: int) -> bool:
        """Whether one more request is within the rate per second."""
        if self._time is None:
            self._tokens = float(rate)
        else:
            gained = max(0, now - self._time) * rate / NS
            self._tokens = min(float(rate), self._tokens + gained)
        self._time = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class DynamicAuthorization:
    """See the module's text.

    Attributes:
        settings: in force.
        unknown: packets from addresses that are no client's.
        pending: commands that the session machine has.
    """

    def __init__(self) -> None:
        self.unknown = 0
        self.pending = 0
        self._dictionary = load()
        self._known: OrderedDict[_Key, _Entry] = OrderedDict()
        self._clients: dict[str, Client] = {}
        self.configure(CoaSettings(), Nas())

    def configure(self, settings: CoaSettings, nas: Nas) -> None:
        """Take over changed settings. A client keeps its statistics while it keeps its name."""
        before = {client.settings.name: client for client in self._clients.values()}
        self.settings = settings
        self._interpreter = Interpreter(nas)
        self._clients = {}
        for wanted in settings.clients:
            client = before.get(wanted.name) or Client(wanted)
            client.settings = wanted
            self._clients[wanted.address] = client

    @property
    def clients(self) -> Iterator[Client]:
        """In the order of the configuration."""
        return iter(self._clients.values())

    def receive(self, data: bytes, address: Address, now: int) -> Reply | Command | None:
        """Take a datagram in. Never raises on what it holds."""
        client = self._clients.get(address[0])
        if client is None:
            self.unknown += 1
            return None
        packet = self._believed(client, data, now)
        if packet is None:
            return None
        stamps = self._all(packet, "Event-Timestamp")
        # with a timestamp, the same request from another port is a recording of it
        key = (address[0], 0 if stamps else address[1], packet.identifier, packet.authenticator)
        entry = self._known.get(key)
        if entry is not None and entry.expires > now:
            client.duplicates += 1
            return Reply(address, entry.data) if entry.data else None
        echoed = self._echoed(packet, now)
        if len(radius.encode_attributes(echoed)) > _MAX_ECHO:
            client.discards["too much to send back"] += 1
        elif self.pending >= MAX_PENDING:
            client.discards["busy"] += 1
        elif not client.take(self.settings.rate_limit, now):
            client.discards["rate limit"] += 1
        else:
            entry = self._remember(key, [int.from_bytes(stamp, "big") * NS for stamp in stamps], now)
            return self._execute(Request(client, address, packet, entry, echoed))
        return None

    def answer(self, command: Command, error_tag: str, message: str = "") -> Reply:
        """The reply to a command that the session machine has carried out (no tag), or refused."""
        self.pending -= 1
        if error_tag:
            disconnect = command.request.packet.code == Code.DISCONNECT_REQUEST
            other = (
                ErrorCause.SESSION_CONTEXT_NOT_REMOVABLE if disconnect else ErrorCause.RESOURCES_UNAVAILABLE
            )
            return self._reply(command.request, _CAUSES.get(error_tag, other), message)
        if isinstance(command.event, ReauthenticateSelected) and command.event.state:
            return self._reply(command.request, ErrorCause.REQUEST_INITIATED, "asked again")
        return self._reply(command.request)

    # what is believed

    def _believed(self, client: Client, data: bytes, now: int) -> RadiusPacket | None:
        settings = client.settings
        demanded = settings.require_message_authenticator
        try:
            packet = radius.verify_request(data, settings.secret, demand_message_authenticator=demanded)
        except DecodeError as error:
            client.discards[str(error) if "uthenticator" in str(error) else "malformed"] += 1
            return None
        if packet.code not in (Code.DISCONNECT_REQUEST, Code.COA_REQUEST):
            client.discards["wrong code"] += 1
            return None
        stamps = self._all(packet, "Event-Timestamp")
        if not stamps and self.settings.require_event_timestamp:
            client.discards["no Event-Timestamp"] += 1
            return None
        # RFC 5176, 6.3: silently, what is not current
        window = self.settings.event_timestamp_window * NS
        if any(len(s) != 4 or abs(int.from_bytes(s, "big") * NS - now) > window for s in stamps):
            client.discards["Event-Timestamp outside of the window"] += 1
            return None
        return packet

    def _remember(self, key: _Key, stamps: list[int], now: int) -> _Entry:
        """Note a request until its timestamp, if it has one, is no longer accepted either."""
        while self._known:
            oldest = next(iter(self._known))
            if self._known[oldest].expires > now and len(self._known) < MAX_REMEMBERED:
                break
            del self._known[oldest]
        # and a nanosecond, for the timestamp is accepted at the end of the window still
        entry = _Entry(max([now, *stamps]) + self.settings.event_timestamp_window * NS + 1)
        self._known[key] = entry
        self._known.move_to_end(key)
        return entry

    # what is done

    def _execute(self, request: Request) -> Reply | Command:
        client, packet = request.client, request.packet
        if packet.code == Code.DISCONNECT_REQUEST:
            client.disconnect_requests += 1
        else:
            client.coa_requests += 1
        try:
            event = self._interpreter.read(packet, client.settings.name)
        except Refused as refused:
            return self._reply(request, refused.cause, str(refused))
        self.pending += 1
        return Command(request, event)

    def _echoed(self, packet: RadiusPacket, now: int) -> tuple[Attribute, ...]:
        """What goes back: Proxy-States in order (RFC 5176, 3.1), the State of a CoA-Request (3.3), and an
        Event-Timestamp for who sent one (6.3)."""
        echoed: list[Attribute] = []
        if self._all(packet, "Event-Timestamp"):
            echoed.append(self._dictionary.attribute("Event-Timestamp", now // NS))
        if packet.code == Code.COA_REQUEST:
            echoed += [self._dictionary.attribute("State", s) for s in self._all(packet, "State")]
        echoed += [self._dictionary.attribute("Proxy-State", s) for s in self._all(packet, "Proxy-State")]
        return tuple(echoed)

    def _reply(self, request: Request, cause: ErrorCause | None = None, message: str = "") -> Reply:
        client, packet = request.client, request.packet
        attributes: list[Attribute] = []
        if cause is None:
            client.acks += 1
            code = packet.code + 1
            if packet.code == Code.DISCONNECT_REQUEST:
                admin_reset = TERMINATE_CAUSES["Admin-Reset"]
                attributes.append(self._dictionary.attribute("Acct-Terminate-Cause", admin_reset))
        else:
            client.naks += 1
            code = packet.code + 2
            attributes.append(self._dictionary.attribute("Error-Cause", cause))
            if cause is ErrorCause.REQUEST_INITIATED:
                services = packet.values(self._dictionary.by_name["Service-Type"].number)
                attributes += [self._dictionary.attribute("Service-Type", value) for value in services]
        request.entry.data = radius.build_response(
            code,
            packet.identifier,
            packet.authenticator,
            (*attributes, *request.echoed),
            client.settings.secret,
        )
        kind = kind_of(packet)
        return Reply(request.address, request.entry.data, kind, client.settings.name, cause, message)

    def _all(self, packet: RadiusPacket, name: str) -> list[bytes]:
        definition = self._dictionary.by_name[name]
        return packet.values(definition.number, definition.vendor)

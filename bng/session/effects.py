"""What the session machine asks of the world.

The loop carries effects out in their order, batched by kind: data plane effects in one netlink
transaction, `Journal` effects in one group commit. `Answer` and `Account` leave only after the
`Journal` effects before them are durable. Each ``Enforce…`` is answered by exactly one
`events.Enforced`, each `AskRadius` by exactly one of the ``Radius…`` events.

The journal event of a session
------------------------------
``session-moved`` and ``session-move-denied`` are about a session without changing it; they have
``new-access-line`` beside its keys. Every other session event (all types but router-update and
system-start) carries **all** durable keys of
its session as they are after it, so that a fold keeps the last one: ``session-start``,
``session-update``, ``policy-apply`` and ``session-rejected`` put the record of ``session-id``,
``session-stop`` removes it. Keys that do not apply are absent. ``seq``, ``time`` and
``instance-id`` are added by the journal.

Public keys (YANG leaves of aether-events:events/event): ``type``, ``session-id``, ``access-line``
{``remote-id``, ``circuit-id``}, ``username``, ``mac-address``, ``ip-address``, ``interface``,
``nas-port-id``, ``status``, ``profile``, ``download-rate``, ``upload-rate`` (bits per second),
``started``, ``lease-expiry`` (RFC 3339 with nanoseconds), ``nat`` {``address``, ``port-first``,
``port-last``}, ``reason``; in a session-stop also
``terminate-cause`` and ``counters`` {``in-octets`` …}.

Private keys: ``_slot``, ``_generation``; ``_last_change`` and ``_authorized`` (nanoseconds),
``_gateway`` (the routed access node's giaddr, absent for a bridged one), ``_routed`` (bool),
``_download_burst``, ``_upload_burst`` (octets), ``_priority``, ``_class`` (list of hex text),
``_interim``, ``_session_timeout``, ``_idle_timeout`` (seconds), ``_server`` (DHCP server's address),
``_client_id``, ``_relay_agent`` (hex text; what of option 82 the access line does not tell),
``_authorization`` (``radius`` or ``local``).
In a session-stop also ``_tombstone_until`` (nanoseconds): the fold keeps that event for the access
line until then, or until a session-start of the same line, and gives it to `Machine.restore`.

`bng.session.records` builds and reads this form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bng.session.events import Counters, Timer
from bng.session.nat import NatBinding
from bng.session.settings import Policy


class AccountKind(StrEnum):
    """Acct-Status-Type of a session's record."""

    START = "start"
    INTERIM = "interim"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class SendToServer:
    """Send a DHCP packet by UDP from the dhcp-uplink's address, port 67.

    Attributes:
        address, port: the server.
        payload: the DHCP packet.
    """

    address: str
    port: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class SendToSubscriber:
    """Send a DHCP packet as an Ethernet frame on a subscriber interface, from UDP port 67.

    Attributes:
        interface: where.
        destination_mac: Ethernet destination: the client, the routed access node, or broadcast.
        source_address, destination_address: IPv4 header.
        destination_port: 68 for a client, 67 for an access node that relays.
        payload: the DHCP packet.
    """

    interface: str
    destination_mac: str
    source_address: str
    destination_address: str
    destination_port: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class AskRadius:
    """Send an Access-Request for a session.

    Attributes:
        attempt: to be returned in the answering event.
        state: the State of a CoA-Request that asked for it: Service-Type is Authorize-Only then
            (RFC 5176, 3.2); else empty.
    """

    session_id: str
    attempt: int
    username: str
    mac_address: str
    ip_address: str
    nas_port_id: str
    state: bytes = b""


@dataclass(frozen=True, slots=True)
class Account:
    """Send an accounting record.

    Attributes:
        session_time: seconds since the accounting started.
        counters: final counters with STOP, zero with START; None with INTERIM: the loop takes
            those of the last sweep (slot and generation say where).
        terminate_cause: aether-types:terminate-cause, with STOP, else None.
        time: when it happened, nanoseconds (Event-Timestamp, Acct-Delay-Time).
        local: nobody but this element authorised the session (Acct-Authentic).
    """

    kind: AccountKind
    session_id: str
    slot: int
    generation: int
    username: str
    mac_address: str
    ip_address: str
    nas_port_id: str
    classes: tuple[bytes, ...]
    session_time: int
    counters: Counters | None
    terminate_cause: str | None
    time: int
    local: bool = False


@dataclass(frozen=True, slots=True)
class EnforceStart:
    """Open the gate for a session and shape it.

    Attributes:
        slot, generation: row of the counter matrix; the class is 0x10 + slot.
        routed: the source guard is interface + IP; else interface + MAC + IP.
        token: to be returned in `events.Enforced`.
        nat: public address and ports of what it sends; None where it keeps its own or all share one.
    """

    session_id: str
    slot: int
    generation: int
    interface: str
    mac_address: str
    ip_address: str
    routed: bool
    policy: Policy
    token: int = 0
    nat: NatBinding | None = None


@dataclass(frozen=True, slots=True)
class EnforceChange:
    """Give an open session other rates."""

    session_id: str
    slot: int
    generation: int
    policy: Policy
    token: int = 0


@dataclass(frozen=True, slots=True)
class EnforceStop:
    """Close the gate of a session and tell its final counters. The slot stays the session's until
    `events.Enforced` came."""

    session_id: str
    slot: int
    generation: int
    interface: str
    mac_address: str
    ip_address: str
    routed: bool


@dataclass(frozen=True, slots=True)
class Journal:
    """Append an event; see the module's text for its keys."""

    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Set a timer, replacing one with the same kind and key.

    Attributes:
        deadline: nanoseconds since the epoch; in the past means at once.
    """

    timer: Timer
    key: str
    deadline: int


@dataclass(frozen=True, slots=True)
class CancelTimer:
    """Cancel a timer, if it is set."""

    timer: Timer
    key: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of a command.

    Attributes:
        token: of the command; never 0.
        error_tag: RFC 6241 error-tag, empty when it worked.
        message: what was wrong, for a person.
        output: output leaves by YANG name.
    """

    token: int
    error_tag: str = ""
    message: str = ""
    output: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Continue:
    """Tell the machine `events.Continue` when other events have had their turn: it has work left that
    is too much for one go."""


@dataclass(frozen=True, slots=True)
class RouterSeen:
    """DHCP came through an access node.

    Attributes:
        giaddr: its address, ``0.0.0.0`` for a bridged node.
        source_mac: Ethernet source of the packet: the node's own where it routes.
    """

    remote_id: str
    giaddr: str
    interface: str
    source_mac: str = ""


@dataclass(frozen=True, slots=True)
class Log:
    """Something worth a line in the log.

    Attributes:
        level: ``info`` or ``warning``.
        message_id: stable id, ``session.duplicate-mac``.
        fields: what it is about.
    """

    level: str
    message_id: str
    fields: Mapping[str, Any]


Effect = (
    SendToServer
    | SendToSubscriber
    | AskRadius
    | Account
    | EnforceStart
    | EnforceChange
    | EnforceStop
    | Journal
    | SetTimer
    | CancelTimer
    | Answer
    | Continue
    | RouterSeen
    | Log
)

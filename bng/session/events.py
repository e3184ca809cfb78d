"""What the session machine is told.

Every class here is immutable and holds plain values, so that any input can be recorded and replayed
(`bng.session.recording`). Addresses are dotted text, hardware addresses lower-case colon text,
times nanoseconds since the epoch.

A `token` names a command that somebody waits for; the machine answers each token with exactly one
`effects.Answer`. 0 means that nobody waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from bng.codec.dhcp import DhcpPacket
from bng.session.settings import Policy, Profile, Settings


class Timer(StrEnum):
    """The kinds of timer that the machine asks for with `effects.SetTimer`.

    Of all kinds but PENDING the key is a session id; of TOMBSTONE it is ``remote-id circuit-id``
    (agent ids hold no blank); PENDING is one timer for all exchanges, its key is empty.
    """

    PENDING = "pending"
    LEASE = "lease"
    INTERIM = "interim"
    AUTH_RETRY = "auth-retry"
    SESSION_TIMEOUT = "session-timeout"
    IDLE_TIMEOUT = "idle-timeout"
    TOMBSTONE = "tombstone"


class Operation(StrEnum):
    """What the data plane was asked to do."""

    START = "start"
    CHANGE = "change"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters of a session; the names are those of aether-subscriber:counters."""

    in_octets: int = 0
    out_octets: int = 0
    in_packets: int = 0
    out_packets: int = 0
    in_discards: int = 0
    out_discards: int = 0


@dataclass(frozen=True, slots=True)
class DhcpFromSubscriber:
    """A DHCP packet captured on a subscriber interface.

    Attributes:
        interface: name of the interface.
        source_mac: Ethernet source; of the access node where it routes.
        packet: decoded BOOTREQUEST.
        admitted: it has been counted against the limit of its access line.
    """

    interface: str
    source_mac: str
    packet: DhcpPacket
    admitted: bool = False


@dataclass(frozen=True, slots=True)
class DhcpFromServer:
    """A DHCP packet that came to the relay's socket on the dhcp-uplink.

    Attributes:
        server: IP address that it came from.
        packet: decoded BOOTREPLY.
    """

    server: str
    packet: DhcpPacket


@dataclass(frozen=True, slots=True)
class RadiusAccept:
    """Access-Accept.

    Attributes:
        session_id: the session that `effects.AskRadius` was for.
        attempt: the number that it carried; answers to older questions are ignored.
        filter_ids: values of Filter-Id in order; the first that names a profile wins.
        download_kbps, upload_kbps: OSS-Download-Speed, OSS-Upload-Speed, kbit/s; None if absent.
        download_burst_kbit, upload_burst_kbit: kbit; None if absent.
        classes: values of Class in order, echoed in accounting.
        session_timeout, idle_timeout, interim_interval: seconds; None if absent.
        framed_ip_address: the address that the server wants; None if it leaves that to us.
        server: name of the server that answered.
    """

    session_id: str
    attempt: int
    filter_ids: tuple[str, ...] = ()
    download_kbps: int | None = None
    upload_kbps: int | None = None
    download_burst_kbit: int | None = None
    upload_burst_kbit: int | None = None
    classes: tuple[bytes, ...] = ()
    session_timeout: int | None = None
    idle_timeout: int | None = None
    interim_interval: int | None = None
    framed_ip_address: str | None = None
    server: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class RadiusReject:
    """Access-Reject (or Access-Challenge, which an access line cannot answer).

    Attributes:
        message: the Reply-Messages, cleaned and joined; may be empty.
        server: name of the server that answered.
    """

    session_id: str
    attempt: int
    message: str = ""
    server: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class RadiusUnanswered:
    """No server answered in all its retransmissions.

    Attributes:
        reason: why none was asked; empty when all were.
    """

    session_id: str
    attempt: int
    reason: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Enforced:
    """The data plane carried out (or refused) an `effects.Enforce…`.

    Attributes:
        operation: which of them.
        policy: the policy of the effect, unchanged; None for STOP.
        token: the token of the effect, unchanged.
        error: empty when it worked, else what the kernel said.
        counters: final counters, with STOP; None when they could not be read (the last sweep's
            then serve, or zero).
    """

    session_id: str
    operation: Operation
    policy: Policy | None = None
    token: int = 0
    error: str = ""
    counters: Counters | None = None


@dataclass(frozen=True, slots=True)
class SessionIdle:
    """The sweep saw no octet of an active session for `idle_after`; told once.

    Attributes:
        since: time of the last sweep that saw traffic, nanoseconds.
    """

    session_id: str
    since: int


@dataclass(frozen=True, slots=True)
class SessionTraffic:
    """The sweep saw octets of a session that was idle; told once."""

    session_id: str


@dataclass(frozen=True, slots=True)
class TimerDue:
    """A timer set with `effects.SetTimer` is due; it is set no longer."""

    timer: Timer
    key: str


@dataclass(frozen=True, slots=True)
class Disconnect:
    """End one session. Answered when its session-stop is in the journal effects.

    Attributes:
        cause: Acct-Terminate-Cause by its name in aether-types:terminate-cause.
        reason: text for the journal.
        tombstone: keep renewals from bringing it back.
    """

    token: int
    session_id: str
    reason: str = ""
    cause: str = "Admin-Reset"
    tombstone: bool = True


@dataclass(frozen=True, slots=True)
class DisconnectMatching:
    """End every session that matches all criteria given (not None); at least one must be.

    Answered with ``{"disconnected": n}`` when all have been told to end; the last stops follow.
    """

    token: int
    remote_id: str | None = None
    profile: str | None = None
    username: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Reauthenticate:
    """Ask the RADIUS server again, without interruption. Answered when the question is sent."""

    token: int
    session_id: str


@dataclass(frozen=True, slots=True)
class SetPolicy:
    """Shape a session by a named profile, or by rates (CoA), until RADIUS says otherwise.

    Answered when the data plane enforces it. Exactly one of profile and policy is given.
    """

    token: int
    session_id: str
    profile: str | None = None
    policy: Policy | None = None


@dataclass(frozen=True, slots=True)
class Selector:
    """Which session a dynamic authorization client means: the one that all given criteria match.

    Attributes: as those of the session, in its own form; None where the client said nothing.
    """

    session_id: str | None = None
    username: str | None = None
    ip_address: str | None = None
    mac_address: str | None = None
    nas_port_id: str | None = None
    circuit_id: str | None = None
    remote_id: str | None = None


@dataclass(frozen=True, slots=True)
class DisconnectSelected:
    """A Disconnect-Request (RFC 5176, 3). Answered when the session-stop is in the journal effects."""

    token: int
    selector: Selector
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ChangeSelected:
    """A CoA-Request that changes a policy, timeouts, or both: all of it, or nothing.

    Answered when the data plane enforces it. The token is not 0.

    Attributes:
        accept: what is wanted, as an Access-Accept would say it; None and empty leave things as they
            are. Its session_id, attempt and classes mean nothing.
        reason: text for the journal.
    """

    token: int
    selector: Selector
    accept: RadiusAccept
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ReauthenticateSelected:
    """A CoA-Request to ask the RADIUS server again. Answered when the question is sent.

    Attributes:
        state: State of an Authorize-Only request, to be in the Access-Request; else empty.
    """

    token: int
    selector: Selector
    state: bytes = b""


@dataclass(frozen=True, slots=True)
class ProfileChanged:
    """A shaping profile was created, changed, or (None) deleted by a commit."""

    name: str
    profile: Profile | None


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """A commit changed the configuration of the machine (not the profiles)."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class LeaseFound:
    """The DHCP server holds a lease of one of our access lines that has no session.

    Attributes:
        remote_id, circuit_id: cleaned text.
        giaddr: the access node's address, ``0.0.0.0`` for a bridged one.
        expires: end of the lease, nanoseconds; None if it is infinite.
        renewed: when the server last heard of the client (cltt), nanoseconds.
        server: the DHCP server's address.
    """

    remote_id: str
    circuit_id: str
    interface: str
    giaddr: str
    mac_address: str
    ip_address: str
    expires: int | None
    renewed: int
    server: str


@dataclass(frozen=True, slots=True)
class Continue:
    """Go on with what `effects.Continue` put off."""


@dataclass(frozen=True, slots=True)
class LeaseGone:
    """The DHCP servers hold no lease for a session any more.

    Attributes:
        renewed: `Session.renewed_ns` as the comparison saw it; a session renewed since then is left alone.
        reason: text for the journal.
    """

    session_id: str
    renewed: int
    reason: str


Event = (
    DhcpFromSubscriber
    | DhcpFromServer
    | RadiusAccept
    | RadiusReject
    | RadiusUnanswered
    | Enforced
    | SessionIdle
    | SessionTraffic
    | TimerDue
    | Disconnect
    | DisconnectMatching
    | Reauthenticate
    | SetPolicy
    | DisconnectSelected
    | ChangeSelected
    | ReauthenticateSelected
    | ProfileChanged
    | SettingsChanged
    | LeaseFound
    | Continue
    | LeaseGone
)

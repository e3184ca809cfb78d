"""A session, and its form in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from bng.codec.address import NO_IP, ip_octets, ip_text
from bng.codec.dhcp import INFINITE
from bng.seam.clock import NS, date_and_time
from bng.session.events import Counters
from bng.session.nat import NatBinding
from bng.session.settings import Policy
from bng.session.states import State

RADIUS, LOCAL = "radius", "local"
"""Values of aether-subscriber:authorization."""


class AccessLine(NamedTuple):
    """The place that a session belongs to; both are agent-id text."""

    remote_id: str
    circuit_id: str


class Binding:
    """What a DHCPACK bound to an access line, before it is a session.

    Attributes:
        line: the access line.
        mac_address, ip_address: the device and its address.
        interface: subscriber interface.
        gateway: giaddr of the routed access node, ``0.0.0.0`` for a bridged one.
        server: the DHCP server.
        lease_expiry: nanoseconds; None for an infinite lease.
        renewed: when the server heard of the client, nanoseconds; 0 for now.
        waits: ids of terminating sessions that must be gone first.
        reason: text for the session-start event.
        client_id: the client identifier, empty when the device gave none.
        relay_agent: what of option 82 the line's text does not tell (`option82.beyond_text`).
        asked: the device asked for it on this line just now; what is known from a lease may be of long ago.
    """

    __slots__ = (
        "asked",
        "client_id",
        "gateway",
        "interface",
        "ip_address",
        "lease_expiry",
        "line",
        "mac_address",
        "reason",
        "relay_agent",
        "renewed",
        "server",
        "waits",
    )

    def __init__(
        self,
        line: AccessLine,
        mac_address: str,
        ip_address: str,
        interface: str,
        gateway: str,
        server: str,
        lease_expiry: int | None,
    ) -> None:
        self.line = line
        self.mac_address = mac_address
        self.ip_address = ip_address
        self.interface = interface
        self.gateway = gateway
        self.server = server
        self.lease_expiry = lease_expiry
        self.renewed = 0
        self.waits: set[str] = set()
        self.reason = ""
        self.client_id = b""
        self.relay_agent = b""
        self.asked = False

    def renews(self, session: Session) -> bool:
        """Whether it binds what the session is bound to already."""
        return (session.mac_address, session.ip_address, session.interface) == (
            self.mac_address,
            self.ip_address,
            self.interface,
        )


class Session:
    """A subscriber session. Attributes carry the names of the leaves of aether-subscriber:session.

    Others:
        slot, generation: row of the counter matrix and class of the kernel.
        policy: what the data plane enforces (the last that it confirmed); None before the first.
        routed: the source guard leaves the MAC address out.
        client_id, relay_agent: as in `Binding`.
        started_ns, last_change_ns, lease_expiry_ns: the times behind the leaves.
        renewed_ns: when the DHCP server last confirmed the lease.
        authorized_ns: when accounting started; 0 before.
        authorization: RADIUS or LOCAL, who authorised it; empty while nobody has.
        classes: values of Class.
        interim, session_timeout, idle_timeout: seconds that RADIUS gave; 0 for none.
        attempt: number of the last Access-Request; asked: it is still unanswered.
        enforcing: a data plane start was asked for (and no stop since).
        nat: public address and ports that it was given; None while it has none.
        naks: DHCPNAKs since the last ACK.
        idle_since: time of the last traffic before the session was marked idle.
        ending: (cause, reason, tombstone) while terminating.
        tokens: commands that wait for the end.
        refusal: why it was rejected last, as journaled.
    """

    __slots__ = (
        "asked",
        "attempt",
        "authorization",
        "authorized_ns",
        "classes",
        "client_id",
        "ending",
        "enforcing",
        "gateway",
        "generation",
        "id",
        "idle_since",
        "idle_timeout",
        "interface",
        "interim",
        "ip_address",
        "last_change_ns",
        "lease_expiry_ns",
        "line",
        "mac_address",
        "naks",
        "nat",
        "policy",
        "refusal",
        "relay_agent",
        "renewed_ns",
        "routed",
        "server",
        "session_timeout",
        "slot",
        "started_ns",
        "state",
        "tokens",
        "username",
    )

    def __init__(self, session_id: str, bng_id: str, binding: Binding, *, routed: bool, now: int) -> None:
        line = binding.line
        self.id = session_id
        self.line = line
        self.username = f"{bng_id}/{line.remote_id}/{line.circuit_id}"
        self.mac_address = binding.mac_address
        self.ip_address = binding.ip_address
        self.interface = binding.interface
        self.gateway = binding.gateway
        self.server = binding.server
        self.client_id = binding.client_id
        self.relay_agent = binding.relay_agent
        self.routed = routed
        self.state = State.PENDING
        self.slot = -1
        self.generation = 0
        self.policy: Policy | None = None
        self.started_ns = now
        self.last_change_ns = now
        self.lease_expiry_ns = binding.lease_expiry
        self.renewed_ns = now
        self.authorized_ns = 0
        self.authorization = ""
        self.classes: tuple[bytes, ...] = ()
        self.interim = 0
        self.session_timeout = 0
        self.idle_timeout = 0
        self.attempt = 0
        self.asked = False
        self.enforcing = False
        self.naks = 0
        self.nat: NatBinding | None = None
        self.idle_since = 0
        self.ending: tuple[str, str, bool] | None = None
        self.tokens: tuple[int, ...] = ()
        self.refusal = ""

    @property
    def access_line(self) -> AccessLine:
        return self.line

    @property
    def nas_port_id(self) -> str:
        return f"{self.interface}:{self.line.remote_id}:{self.line.circuit_id}"

    @property
    def status(self) -> str:
        """Value of aether-types:session-status."""
        return State.TERMINATING.value if self.state is State.GONE else self.state.value

    @property
    def profile(self) -> str | None:
        return self.policy.profile if self.policy else None

    @property
    def download_rate(self) -> int | None:
        return self.policy.download_rate if self.policy else None

    @property
    def upload_rate(self) -> int | None:
        return self.policy.upload_rate if self.policy else None

    @property
    def started(self) -> str:
        return date_and_time(self.started_ns)

    @property
    def last_change(self) -> str:
        return date_and_time(self.last_change_ns)

    @property
    def lease_expiry(self) -> str | None:
        return None if self.lease_expiry_ns is None else date_and_time(self.lease_expiry_ns)

    def session_time(self, now: int) -> int:
        """Acct-Session-Time: seconds since accounting started; 0 before."""
        return max(0, now - self.authorized_ns) // NS if self.authorized_ns else 0

    def spread(self) -> float:
        """A number in [0, 1) of its own, by which its timers differ from other sessions'."""
        return (int(self.id[-6:], 16) * 0x9E3779B1 & 0xFFFFFFFF) / 0x100000000


def lease_deadline(lease_time: int | None, now: int, default: int = 3600) -> int | None:
    """End of a lease in nanoseconds; None when it never ends.

    Args:
        lease_time: option 51, seconds; a server must send it (RFC 2131, 4.3.1), `default` serves
            when it did not.
    """
    if lease_time == INFINITE:
        return None
    return now + (default if lease_time is None else lease_time) * NS


def counters_event(counters: Counters) -> dict[str, int]:
    """The counters container of an event."""
    return {
        "in-octets": counters.in_octets,
        "out-octets": counters.out_octets,
        "in-packets": counters.in_packets,
        "out-packets": counters.out_packets,
        "in-discards": counters.in_discards,
        "out-discards": counters.out_discards,
    }


def to_event(session: Session, event_type: str, reason: str = "") -> dict[str, Any]:
    """All durable properties of a session as an event; keys as `bng.session.effects` lists them."""
    event: dict[str, Any] = {
        "type": event_type,
        "session-id": session.id,
        "access-line": {"remote-id": session.line.remote_id, "circuit-id": session.line.circuit_id},
        "username": session.username,
        "mac-address": session.mac_address,
        "ip-address": session.ip_address,
        "interface": session.interface,
        "nas-port-id": session.nas_port_id,
        "status": session.status,
        "started": date_and_time(session.started_ns),
        "_slot": session.slot,
        "_generation": session.generation,
        "_last_change": session.last_change_ns,
        "_server": session.server,
    }
    if reason:
        event["reason"] = reason
    if session.lease_expiry_ns is not None:
        event["lease-expiry"] = date_and_time(session.lease_expiry_ns)
    if session.gateway != NO_IP:
        event["_gateway"] = session.gateway
    if session.renewed_ns != session.started_ns:
        event["_renewed"] = session.renewed_ns
    optional = {
        "_routed": session.routed,
        "_authorized": session.authorized_ns,
        "_authorization": session.authorization,
        "_interim": session.interim,
        "_session_timeout": session.session_timeout,
        "_idle_timeout": session.idle_timeout,
        "_class": [c.hex() for c in session.classes],
        "_client_id": session.client_id.hex(),
        "_relay_agent": session.relay_agent.hex(),
    }
    event.update((key, value) for key, value in optional.items() if value)
    if session.policy is not None:
        event.update(_policy_event(session.policy))
    if session.nat is not None:
        event["nat"] = {
            "address": session.nat.address,
            "port-first": session.nat.port_first,
            "port-last": session.nat.port_last,
        }
    return event


def _policy_event(policy: Policy) -> dict[str, Any]:
    event: dict[str, Any] = {
        "download-rate": policy.download_rate,
        "upload-rate": policy.upload_rate,
        "_priority": policy.priority,
    }
    if policy.profile is not None:
        event["profile"] = policy.profile
    if policy.download_burst is not None:
        event["_download_burst"] = policy.download_burst
    if policy.upload_burst is not None:
        event["_upload_burst"] = policy.upload_burst
    return event


def from_event(event: Mapping[str, Any]) -> Session:
    """The session that an event describes (any type but session-stop).

    Raises:
        KeyError, ValueError: a key is missing or is not what `to_event` writes.
    """
    line = event["access-line"]
    expiry = event.get("lease-expiry")
    binding = Binding(
        AccessLine(line["remote-id"], line["circuit-id"]),
        event["mac-address"],
        _address(event["ip-address"]),
        event["interface"],
        event.get("_gateway", NO_IP),
        event["_server"],
        None if expiry is None else parse_date_and_time(expiry),
    )
    binding.client_id = bytes.fromhex(event.get("_client_id", ""))
    binding.relay_agent = bytes.fromhex(event.get("_relay_agent", ""))
    session = Session(
        event["session-id"],
        "",
        binding,
        routed=event.get("_routed", False),
        now=parse_date_and_time(event["started"]),
    )
    session.username = event["username"]
    session.state = State(event["status"])
    session.slot = event["_slot"]
    session.generation = event["_generation"]
    session.last_change_ns = event["_last_change"]
    session.renewed_ns = event.get("_renewed", session.started_ns)
    session.authorized_ns = event.get("_authorized", 0)
    session.authorization = event.get("_authorization", "")
    session.interim = event.get("_interim", 0)
    session.session_timeout = event.get("_session_timeout", 0)
    session.idle_timeout = event.get("_idle_timeout", 0)
    session.classes = tuple(bytes.fromhex(text) for text in event.get("_class", ()))
    if session.state is State.REJECTED:
        session.refusal = event.get("reason", "")
    if nat := event.get("nat"):
        session.nat = NatBinding(_address(nat["address"]), nat["port-first"], nat["port-last"])
    if "download-rate" in event:
        session.policy = Policy(
            event.get("profile"),
            event["download-rate"],
            event["upload-rate"],
            event.get("_download_burst"),
            event.get("_upload_burst"),
            event["_priority"],
        )
    return session


def _address(text: str) -> str:
    if not isinstance(text, str) or ip_text(ip_octets(text)) != text:
        raise ValueError("an address that is not in its usual form")
    return text


def parse_date_and_time(text: str) -> int:
    """Nanoseconds of what `bng.seam.clock.date_and_time` wrote.

    Raises:
        ValueError: it did not write this.
    """
    if len(text) != 30 or text[19] != "." or text[29] != "Z":
        raise ValueError(f"not a date-and-time with nanoseconds: {text!r}")
    whole = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
    return int(whole.timestamp()) * NS + int(text[20:29])

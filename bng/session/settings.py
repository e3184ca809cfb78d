"""What of the configuration the session machine needs. Names and units as in `aether-bng`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bng.session.nat import NatPool


@dataclass(frozen=True, slots=True)
class Profile:
    """A shaping profile.

    Attributes:
        download_rate, upload_rate: bits per second.
        download_burst, upload_burst: octets; None for the data plane's default.
        priority: HTB priority, 0 (borrows first) to 7.
    """

    download_rate: int
    upload_rate: int
    download_burst: int | None = None
    upload_burst: int | None = None
    priority: int = 4


@dataclass(frozen=True, slots=True)
class Policy:
    """What is to be enforced for one session: a profile's values, or rates from RADIUS.

    Attributes:
        profile: name of the profile that the values come from; None when RADIUS gave rates.
        download_rate, upload_rate: bits per second.
        download_burst, upload_burst: octets; None for the data plane's default.
        priority: HTB priority, 0 (borrows first) to 7.
    """

    profile: str | None
    download_rate: int
    upload_rate: int
    download_burst: int | None = None
    upload_burst: int | None = None
    priority: int = 4


@dataclass(frozen=True, slots=True)
class SubscriberInterface:
    """A subscriber interface: its IPv4 address (dotted text) is the link-selection of bridged
    lines behind it and the server identifier that clients see."""

    address: str


@dataclass(frozen=True, slots=True)
class AccessRouter:
    """What the machine needs of a configured access router.

    Attributes:
        routed: the node routes; the source guard is interface + IP.
        in_service: False refuses new sessions (admin-state down).
        interface: the only one that its packets may come from; None for any.
        address: giaddr of a routed node, dotted text; None when it may be any.
        subnets: prefixes behind a routed node; giaddr may be inside of them as well.
    """

    routed: bool = False
    in_service: bool = True
    interface: str | None = None
    address: str | None = None
    subnets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """Configuration of the machine; durations in seconds.

    Attributes:
        bng_id: first part of each User-Name.
        relay_id: option 82 sub-option 12.
        uplink_address: giaddr of what is relayed to the servers.
        interfaces: subscriber interfaces by name.
        servers: DHCP servers, (address, UDP port).
        routers: access routers by remote-id.
        accept_unknown: access routers that are not configured are served.
        rate_limit, device_rate_limit: packets per second of an access line, and of a device on it.
        max_devices: hardware addresses that may ask on a line within a minute.
        max_sessions_per_access_router: None for no limit of its own.
        port_move: ``deny``, ``move`` or ``replace``.
        second_device: ``replace`` or ``deny``.
        idle_timeout, session_timeout: where RADIUS gives none; 0 for never.
        unanswered_action: ``hold``, ``admit`` or ``reject`` who no RADIUS server answers for.
        unanswered_profile: name of the profile of those that are admitted.
        nak_threshold: DHCPNAKs in a row that end a session.
        nat: public addresses for sessions; None when none are handed out.
    """

    bng_id: str
    relay_id: str
    uplink_address: str = "0.0.0.0"  # noqa: S104 - an address in a packet, not one to listen on
    interfaces: Mapping[str, SubscriberInterface] = field(default_factory=dict)
    servers: tuple[tuple[str, int], ...] = ()
    routers: Mapping[str, AccessRouter] = field(default_factory=dict)
    max_hops: int = 4
    rate_limit: int = 20
    device_rate_limit: int = 10
    max_devices: int = 8
    accept_unknown: bool = True
    max_sessions: int = 65536
    max_sessions_per_access_router: int | None = None
    port_move: str = "deny"
    second_device: str = "replace"
    pending_timeout: int = 60
    tombstone_ttl: int = 600
    interim_interval: int = 30
    auth_retry_interval: int = 10
    idle_timeout: int = 0
    session_timeout: int = 0
    unanswered_action: str = "hold"
    unanswered_profile: str | None = None
    nak_threshold: int = 3
    nat: NatPool | None = None

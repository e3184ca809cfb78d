"""The configuration as the control plane wants it: typed, with every value in its unit.

`bng.units` makes it of what management sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from bng.aaa.coa_settings import CoaSettings
from bng.session.nat import NatPool
from bng.session.settings import Profile


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface of ietf-interfaces with the addresses of ietf-ip.

    Attributes:
        addresses: to be set; None leaves the interface's addresses alone (it has no ``ipv4`` container).
        mtu: octets, None leaves it alone.
    """

    name: str
    enabled: bool = True
    addresses: tuple[IPv4Interface, ...] | None = None
    mtu: int | None = None


@dataclass(frozen=True, slots=True)
class LeaseApi:
    """bng/dhcp-relay/server/lease-api.

    Attributes:
        address: of the DHCP server.
        page_size: leases of one answer.
    """

    address: str
    port: int = 8000
    username: str = ""
    password: str = field(default="", repr=False)
    page_size: int = 200


@dataclass(frozen=True, slots=True)
class Relay:
    """bng/dhcp-relay."""

    servers: tuple[tuple[str, int], ...] = ()
    relay_id: str = ""
    max_hops: int = 4
    rate_limit: int = 20
    device_rate_limit: int = 10
    max_devices: int = 8
    accept_unknown: bool = True
    lease_apis: tuple[LeaseApi, ...] = ()


@dataclass(frozen=True, slots=True)
class RadiusServer:
    """bng/aaa/server; `timeout` in seconds."""

    name: str
    address: str
    secret: bytes
    auth_port: int = 1812
    acct_port: int = 1813
    timeout: float = 2.0
    retries: int = 3
    priority: int = 10
    status_server: bool = True


@dataclass(frozen=True, slots=True)
class Aaa:
    """bng/aaa; intervals in seconds. `servers` are in the order of their priority. `unanswered_action` is
    ``hold``, ``admit`` (with `unanswered_profile`) or ``reject``."""

    nas_identifier: str = ""
    nas_ip_address: str | None = None
    user_password: str = ""
    servers: tuple[RadiusServer, ...] = ()
    interim_interval: int = 30
    auth_retry_interval: int = 10
    dynamic_authorization: CoaSettings = field(default_factory=CoaSettings)
    source_ports: int = 8
    accounting_retention: int = 86_400
    unanswered_action: str = "hold"
    unanswered_profile: str | None = None


@dataclass(frozen=True, slots=True)
class SessionsPolicy:
    """bng/sessions-policy; durations in seconds."""

    max_sessions: int = 65536
    prepared_sessions: int = 256
    pending_timeout: int = 60
    idle_after: int = 60
    tombstone_ttl: int = 600
    max_sessions_per_access_router: int | None = None
    port_move: str = "deny"
    second_device: str = "replace"
    idle_timeout: int = 0
    session_timeout: int = 0
    nak_threshold: int = 3


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a management server listens; ``bng/management/netconf`` or ``gnmi``."""

    addresses: tuple[str, ...]
    port: int


@dataclass(frozen=True, slots=True)
class Periods:
    """bng/timers, seconds."""

    counters: int = 5
    health: int = 5
    reconcile: int = 15
    router_probe: int = 30


@dataclass(frozen=True, slots=True)
class Router:
    """A configured access router."""

    name: str
    remote_id: str
    routed: bool = False
    in_service: bool = True
    interface: str | None = None
    address: IPv4Address | None = None
    subnets: tuple[IPv4Network, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that the control plane is told. Without ``bng`` (`bng_id` empty) it does nothing."""

    bng_id: str = ""
    subscriber: tuple[str, ...] = ()
    upstream: str | None = None
    dhcp_uplink: str | None = None
    default_gateway: IPv4Address | None = None
    relay: Relay = field(default_factory=Relay)
    aaa: Aaa = field(default_factory=Aaa)
    policy: SessionsPolicy = field(default_factory=SessionsPolicy)
    nat_prefixes: tuple[IPv4Network, ...] | None = None
    nat_pool: NatPool | None = None
    flow_limit: int = 0
    listeners: tuple[Listener, ...] = ()
    periods: Periods = field(default_factory=Periods)
    interfaces: Mapping[str, Interface] = field(default_factory=dict)
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    routers: Mapping[str, Router] = field(default_factory=dict)

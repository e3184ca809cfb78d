"""The lab as typed values: what a valid ``aether.config.yaml`` says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path


class AccessModel(StrEnum):
    """How subscribers' packets reach the BNG."""

    BRIDGED = "bridged"
    """The node is a switch; the BNG sees the subscribers' MAC addresses and is their gateway."""

    ROUTED = "routed"
    """The node is a router and the subscribers' gateway; it relays DHCP with its own giaddr."""


@dataclass(frozen=True)
class Plan:
    """A product: the rates of a shaping profile of the same name. Rates in kbit/s, price per month."""

    name: str
    download_kbps: int
    upload_kbps: int
    price: float


@dataclass(frozen=True)
class Customer:
    """A customer of the seed; ``email`` identifies it."""

    name: str
    email: str
    phone: str = ""
    street: str = ""
    city: str = ""
    zip_code: str = ""
    state: str = ""


@dataclass(frozen=True)
class Service:
    """A plan on one port of one access node."""

    customer: str
    plan: str
    remote_id: str
    port: int

    @property
    def circuit_id(self) -> str:
        """The port as option 82 names it."""
        return circuit_id(self.port)


def circuit_id(port: int) -> str:
    """Option 82 circuit-id of a subscriber port, numbered from 1."""
    return f"1/0/{port}"


@dataclass(frozen=True)
class AccessNode:
    """A DSLAM or OLT: subscriber ports ``eth1`` to ``eth<ports>`` and an ``uplink``.

    ``gateway`` is the router option that its subscribers get: the BNG's address when bridged, the node's own
    when routed. ``uplink`` is the node's address on the aggregation network: the next hop of its subnet when
    routed, where it is probed when bridged (and then optional).
    """

    remote_id: str
    ports: int
    model: AccessModel
    gateway: IPv4Address
    subnet: IPv4Network
    pool_start: IPv4Address
    pool_end: IPv4Address
    uplink: IPv4Interface | None
    uplink_gateway: IPv4Address | None


@dataclass(frozen=True)
class Bng:
    """One BNG with the access nodes behind it."""

    bng_id: str
    subscriber_interface: str
    upstream_interface: str
    dhcp_uplink_interface: str
    subscriber: IPv4Interface
    upstream: IPv4Interface
    dhcp_uplink: IPv4Interface
    default_gateway: IPv4Address
    nat_sources: tuple[IPv4Network, ...]
    access_nodes: tuple[AccessNode, ...]

    def subscriber_networks(self) -> list[IPv4Network]:
        """The aggregation network and every subnet behind a routed node, in the order of the file."""
        routed = [node.subnet for node in self.access_nodes if node.model is AccessModel.ROUTED]
        return [self.subscriber.network, *routed]


IPERF3_SERVERS = 8


@dataclass(frozen=True)
class Upstream:
    """The router behind the WAN, and the host that plays the Internet."""

    wan: IPv4Interface
    internet: IPv4Interface
    internet_host: IPv4Address
    iperf3_port: int
    http_port: int

    @property
    def iperf3_ports(self) -> range:
        """Ports of iperf3, which serves one client at a time: so many may measure at once."""
        return range(self.iperf3_port, min(self.iperf3_port + IPERF3_SERVERS, 65536))


@dataclass(frozen=True)
class RedisStreams:
    """The predecessor's stream of events; with ``url`` empty the lab runs the Redis."""

    enabled: bool
    url: str
    stream: str
    max_length: int
    interim: int
    health: int

    @property
    def own(self) -> bool:
        """Whether the lab runs a Redis for it."""
        return self.enabled and not self.url


@dataclass(frozen=True)
class JetStream:
    """A bus between BNGs and PostgreSQL; ``size`` is in MiB."""

    enabled: bool
    size: int


@dataclass(frozen=True)
class ServiceAddresses:
    """Where the services live on the management network."""

    postgres: IPv4Address
    postgres_port: int
    kea: IPv4Address
    radius: IPv4Address
    radius_auth_port: int
    radius_acct_port: int
    collector: IPv4Address
    oss: IPv4Address
    oss_port: int
    collector_metrics_port: int
    redis_streams: RedisStreams
    jetstream: JetStream


@dataclass(frozen=True)
class Publish:
    """Ports of this machine's loopback; 0 takes any free one at each ``up``."""

    address: IPv4Address
    console: int
    postgres: int
    netconf_base: int
    gnmi_base: int

    def netconf(self, index: int) -> int:
        """Port of the BNG number ``index`` (from 0)."""
        return self.netconf_base and self.netconf_base + index

    def gnmi(self, index: int) -> int:
        """Port of the BNG number ``index`` (from 0)."""
        return self.gnmi_base and self.gnmi_base + index


@dataclass(frozen=True)
class Timers:
    """Periods, in seconds, that all BNGs of the lab are configured with."""

    counters: int
    health: int
    interim: int
    idle_after: int
    lease: int


@dataclass(frozen=True)
class Collecting:
    """What the collector keeps, and what it reads besides the BNGs.

    ``memory`` is in MiB; ``retention`` has ages such as ``48h`` by the names of the collector's
    configuration. With ``client_certificate`` the BNGs ask gNMI clients for one, and the collector has one.
    """

    memory: int
    retention: dict[str, str]
    foreign: Path | None
    client_certificate: bool = False


@dataclass(frozen=True)
class LabConfig:
    """Everything that the file says."""

    path: Path
    name: str
    credentials_file: Path | None
    mgmt: IPv4Interface
    services_at: ServiceAddresses
    upstream: Upstream
    publish: Publish
    timers: Timers
    collecting: Collecting
    plans: tuple[Plan, ...]
    customers: tuple[Customer, ...]
    services: tuple[Service, ...]
    bngs: tuple[Bng, ...]

    def bng_of(self, remote_id: str) -> Bng:
        """The BNG that an access node is behind."""
        for bng in self.bngs:
            if any(node.remote_id == remote_id for node in bng.access_nodes):
                return bng
        raise KeyError(remote_id)

    def service_at(self, remote_id: str, port: int) -> Service | None:
        """The service of an access line, None where there is none."""
        for service in self.services:
            if service.remote_id == remote_id and service.port == port:
                return service
        return None

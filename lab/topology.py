"""The network that a configuration describes: nodes, links, bridges, addresses and routes; no I/O.

Runners (network namespaces, containers) build what stands here and decide nothing themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from lab.config.model import AccessModel, AccessNode, Bng, LabConfig

BRIDGE = "br0"
"""Name of the bridge inside of a node that switches."""

UPLINK = "uplink"
"""The interface of an access node towards the BNG."""

HOST_INTERFACE = "eth0"
"""The one interface of a service, a subscriber or the Internet host."""


@dataclass(frozen=True)
class Address:
    """An address of an interface, as ``203.0.113.1/24``."""

    interface: str
    cidr: str


@dataclass(frozen=True)
class Route:
    """A static route; ``prefix`` may be ``default``."""

    prefix: str
    via: str


@dataclass(frozen=True)
class BridgePort:
    """A bridge port; isolated ports exchange no frames with each other."""

    interface: str
    isolated: bool


@dataclass
class Node:
    """A host, switch or router of its own.

    Attributes:
        name: unique in the lab; with the lab's name before it, the name of its network namespace.
        kind: what it is, for ``status``.
        bridge_ports: ports of its bridge; there is no bridge when empty.
        sysctls: ``net.ipv4.ip_forward`` → value.
        ruleset: nftables rules, loaded once.
    """

    name: str
    kind: str
    addresses: list[Address] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    bridge_ports: list[BridgePort] = field(default_factory=list)
    sysctls: dict[str, str] = field(default_factory=dict)
    ruleset: str = ""


@dataclass(frozen=True)
class Link:
    """A cable between two interfaces. On the data path, segmentation and checksum offloads are off."""

    node: str
    interface: str
    peer: str
    peer_interface: str
    data_path: bool = True


@dataclass
class Topology:
    """All nodes, in the order of the file, and the links between them."""

    name: str
    nodes: dict[str, Node] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)

    def namespace(self, node: str) -> str:
        """Name of a node's network namespace."""
        return f"{self.name}-{node}"

    def namespaces(self) -> list[str]:
        """Names of all network namespaces."""
        return [self.namespace(node) for node in self.nodes]


def host_name(remote_id: str, port: int) -> str:
    """Name of the subscriber's node on an access port."""
    return f"host-{remote_id}-{port}"


def mac_address(node: str, interface: str) -> str:
    """The same address for the same interface at every start, so that leases are kept."""
    digest = hashlib.sha256(f"{node}/{interface}".encode()).digest()
    return ":".join(["02", *(f"{octet:02x}" for octet in digest[:5])])


def build(config: LabConfig) -> Topology:
    """The topology of a configuration."""
    topology = Topology(config.name)
    _management(topology, config)
    _upstream(topology, config)
    for bng in config.bngs:
        _bng(topology, config, bng)
        for node in bng.access_nodes:
            _access_node(topology, bng, node)
    return topology


def _add(topology: Topology, node: Node) -> Node:
    topology.nodes[node.name] = node
    return node


def _attach(
    topology: Topology, switch: str, port: str, node: str, interface: str, *, isolated: bool, data_path: bool
) -> None:
    """Plug an interface into a switch."""
    topology.links.append(Link(switch, port, node, interface, data_path))
    topology.nodes[switch].bridge_ports.append(BridgePort(port, isolated))


def _management(topology: Topology, config: LabConfig) -> None:
    mgmt = _add(topology, Node("mgmt", "management network"))
    mgmt.addresses.append(Address(BRIDGE, str(config.mgmt)))
    length = config.mgmt.network.prefixlen
    services = config.services_at
    for name, address in [
        ("postgres", services.postgres),
        ("kea", services.kea),
        ("radius", services.radius),
        ("collector", services.collector),
        ("oss", services.oss),
    ]:
        _add(topology, Node(name, "service", [Address(HOST_INTERFACE, f"{address}/{length}")]))
        _attach(topology, "mgmt", name, name, HOST_INTERFACE, isolated=False, data_path=False)


def _upstream(topology: Topology, config: LabConfig) -> None:
    _add(topology, Node("wan", "switch"))
    upstream = _add(topology, Node("upstream", "router"))
    internet = _add(topology, Node("internet", "host"))
    _attach(topology, "wan", "upstream", "upstream", "wan", isolated=False, data_path=True)
    topology.links.append(Link("upstream", "internet", "internet", HOST_INTERFACE))
    upstream.addresses += [
        Address("wan", str(config.upstream.wan)),
        Address("internet", str(config.upstream.internet)),
    ]
    upstream.sysctls["net.ipv4.ip_forward"] = "1"
    upstream.ruleset = _UPSTREAM_NAT
    for bng in config.bngs:
        for network in bng.subscriber_networks():
            upstream.routes.append(Route(str(network), str(bng.upstream.ip)))
    length = config.upstream.internet.network.prefixlen
    internet.addresses.append(Address(HOST_INTERFACE, f"{config.upstream.internet_host}/{length}"))
    internet.routes.append(Route("default", str(config.upstream.internet.ip)))


_UPSTREAM_NAT = """\
table ip nat {
  chain postrouting {
    type nat hook postrouting priority srcnat
    oifname "internet" masquerade
  }
}
"""


def _bng(topology: Topology, config: LabConfig, bng: Bng) -> None:
    node = _add(topology, Node(bng.bng_id, "BNG"))
    node.addresses += [
        Address(bng.subscriber_interface, str(bng.subscriber)),
        Address(bng.upstream_interface, str(bng.upstream)),
        Address(bng.dhcp_uplink_interface, str(bng.dhcp_uplink)),
    ]
    # it has no routes here: the BNG sets its own, to default-gateway and to the subnets of access routers.
    # without the third, forwarding overwrites skb->priority and upload is not shaped
    node.sysctls |= {
        "net.ipv4.ip_forward": "1",
        "net.ipv4.conf.all.rp_filter": "0",
        "net.ipv4.ip_forward_update_priority": "0",
    }
    index = [other.bng_id for other in config.bngs].index(bng.bng_id) + 1
    port = f"bng{index}"
    _attach(topology, "wan", port, bng.bng_id, bng.upstream_interface, isolated=False, data_path=True)
    _attach(topology, "mgmt", port, bng.bng_id, bng.dhcp_uplink_interface, isolated=False, data_path=False)
    aggregation = _add(topology, Node(aggregation_name(bng), "switch"))
    _attach(
        topology,
        aggregation.name,
        "bng",
        bng.bng_id,
        bng.subscriber_interface,
        isolated=False,
        data_path=True,
    )


def aggregation_name(bng: Bng) -> str:
    """Name of the aggregation switch in front of a BNG."""
    return f"agg-{bng.bng_id}"


def subscriber_ports(node: AccessNode) -> Iterable[tuple[int, str]]:
    """Port numbers, as in the circuit-id, and the interfaces of an access node."""
    return [(port, f"eth{port}") for port in range(1, node.ports + 1)]


def _access_node(topology: Topology, bng: Bng, access_node: AccessNode) -> None:
    name = access_node.remote_id
    node = _add(topology, Node(name, f"access node ({access_node.model})"))
    aggregation = aggregation_name(bng)
    number = [other.remote_id for other in bng.access_nodes].index(name) + 1
    # access nodes talk to the BNG, never to each other
    _attach(topology, aggregation, f"an{number}", name, UPLINK, isolated=True, data_path=True)
    for port, interface in subscriber_ports(access_node):
        host = _add(topology, Node(host_name(name, port), "subscriber"))
        _attach(topology, name, interface, host.name, HOST_INTERFACE, isolated=True, data_path=True)
    if access_node.model is AccessModel.BRIDGED:
        node.bridge_ports.append(BridgePort(UPLINK, isolated=False))
        if access_node.uplink is not None:
            node.addresses.append(Address(BRIDGE, str(access_node.uplink)))
    else:
        assert access_node.uplink is not None and access_node.uplink_gateway is not None
        node.addresses += [
            Address(UPLINK, str(access_node.uplink)),
            Address(BRIDGE, f"{access_node.gateway}/{access_node.subnet.prefixlen}"),
        ]
        node.routes.append(Route("default", str(access_node.uplink_gateway)))
        # strict reverse path: a subscriber cannot send with an address from elsewhere
        node.sysctls |= {"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.rp_filter": "1"}

"""What no schema can say: names and addresses that must differ, fit, or meet.

Each check takes the typed configuration and the document (for line numbers) and yields findings; a finding
names what to change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from lab.config.document import DataPath, Document
from lab.config.errors import Problem
from lab.config.model import AccessModel, AccessNode, Bng, LabConfig

RESERVED_NODES = ("mgmt", "postgres", "kea", "radius", "collector", "oss", "wan", "upstream", "internet")
"""Names of nodes that every lab has."""

Check = Callable[[LabConfig, Document], Iterator[Problem]]


def check(config: LabConfig, document: Document) -> list[Problem]:
    """All findings."""
    return [problem for one in _CHECKS for problem in one(config, document)]


def _bng_path(index: int, *rest: str | int) -> DataPath:
    return ("bngs", index, *rest)


def _nodes(config: LabConfig) -> Iterator[tuple[DataPath, Bng, AccessNode]]:
    for bng_index, bng in enumerate(config.bngs):
        for node_index, node in enumerate(bng.access_nodes):
            yield _bng_path(bng_index, "access-nodes", node_index, "node-config"), bng, node


def _duplicates(
    document: Document, what: str, entries: Iterable[tuple[DataPath, object]]
) -> Iterator[Problem]:
    first: dict[object, DataPath] = {}
    for where, value in entries:
        if value in first:
            line = document.line(first[value])
            message = f"{what} {value} is used twice, first on line {line}; give this one another"
            yield document.problem(where, message)
        else:
            first[value] = where


def _names(config: LabConfig, document: Document) -> Iterator[Problem]:
    bng_ids = [(_bng_path(index, "bng-id"), bng.bng_id) for index, bng in enumerate(config.bngs)]
    remote_ids = [((*where, "remote-id"), node.remote_id) for where, _, node in _nodes(config)]
    yield from _duplicates(document, "the name", [*bng_ids, *remote_ids])
    for where, name in [*bng_ids, *remote_ids]:
        if name in RESERVED_NODES or name.startswith(("agg-", "host-")):
            yield document.problem(where, f'"{name}" is the name of another node of the lab; choose another')
    plans = [(("plans", index, "name"), plan.name) for index, plan in enumerate(config.plans)]
    yield from _duplicates(document, "the plan", plans)
    customers = [
        (("customers", index, "email"), customer.email) for index, customer in enumerate(config.customers)
    ]
    yield from _duplicates(document, "the e-mail address", customers)
    people = [
        (("customers", index, "name"), customer.name) for index, customer in enumerate(config.customers)
    ]
    yield from _duplicates(document, "the customer's name", people)


def _interfaces(config: LabConfig, document: Document) -> Iterator[Problem]:
    for index, bng in enumerate(config.bngs):
        base = _bng_path(index, "topology", "interfaces")
        yield from _duplicates(
            document,
            "the interface",
            [
                ((*base, "subscriber"), bng.subscriber_interface),
                ((*base, "upstream"), bng.upstream_interface),
                ((*base, "dhcp-uplink"), bng.dhcp_uplink_interface),
            ],
        )


def _inside(
    document: Document, where: DataPath, address: IPv4Address, network: IPv4Network, what: str
) -> Iterator[Problem]:
    if address not in network:
        yield document.problem(where, f"{address} is not in {what} {network}; take an address from there")
    elif network.prefixlen < 31 and address in (network.network_address, network.broadcast_address):
        yield document.problem(where, f"{address} is the network or broadcast address of {network}")


def _same_network(
    document: Document, where: DataPath, address: IPv4Interface, network: IPv4Network, what: str
) -> Iterator[Problem]:
    yield from _inside(document, where, address.ip, network, what)
    if address.ip in network and address.network != network:
        length = address.network.prefixlen
        message = f"has prefix length {length}, but {what} is {network}; use /{network.prefixlen}"
        yield document.problem(where, message)


def _management(config: LabConfig, document: Document) -> Iterator[Problem]:
    services = ("shared", "services")
    addresses: list[tuple[DataPath, IPv4Address]] = [
        (("shared", "mgmt", "cidr"), config.mgmt.ip),
        ((*services, "postgres", "addr"), config.services_at.postgres),
        ((*services, "kea", "addr"), config.services_at.kea),
        ((*services, "radius", "addr"), config.services_at.radius),
        ((*services, "collector", "addr"), config.services_at.collector),
        ((*services, "oss", "addr"), config.services_at.oss),
    ]
    for where, address in addresses:
        yield from _inside(document, where, address, config.mgmt.network, "the management network")
    for index, bng in enumerate(config.bngs):
        where = _bng_path(index, "topology", "ipv4", "dhcp-uplink-cidr")
        network = config.mgmt.network
        yield from _same_network(document, where, bng.dhcp_uplink, network, "the management network")
        addresses.append((where, bng.dhcp_uplink.ip))
    yield from _duplicates(document, "the address", addresses)


def _wan(config: LabConfig, document: Document) -> Iterator[Problem]:
    wan = config.upstream.wan
    shared = ("shared", "upstream")
    addresses: list[tuple[DataPath, IPv4Address]] = [((*shared, "wan-cidr"), wan.ip)]
    for index, bng in enumerate(config.bngs):
        ipv4 = _bng_path(index, "topology", "ipv4")
        where = (*ipv4, "upstream-cidr")
        yield from _same_network(document, where, bng.upstream, wan.network, "the WAN")
        addresses.append((where, bng.upstream.ip))
        if bng.default_gateway != wan.ip:
            message = (
                f"is {bng.default_gateway}, but the upstream router is {wan.ip} (shared.upstream.wan-cidr)"
            )
            yield document.problem((*ipv4, "default-gw"), message)
    yield from _duplicates(document, "the address", addresses)
    internet = config.upstream.internet
    where = (*shared, "internet-host")
    yield from _inside(document, where, config.upstream.internet_host, internet.network, "the Internet")
    if config.upstream.internet_host == internet.ip:
        yield document.problem(where, f"{internet.ip} is the upstream router's; take another address")
    ports = config.upstream.iperf3_ports
    if config.upstream.http_port in ports:
        message = (
            f"{config.upstream.http_port} is one of iperf3's, {ports[0]} to {ports[-1]}; take another port"
        )
        yield document.problem((*shared, "http-port"), message)


def _networks(config: LabConfig, document: Document) -> Iterator[Problem]:
    """Networks that must not overlap: routing between them would be ambiguous."""
    networks: list[tuple[DataPath, str, IPv4Network]] = [
        (("shared", "mgmt", "cidr"), "the management network", config.mgmt.network),
        (("shared", "upstream", "wan-cidr"), "the WAN", config.upstream.wan.network),
        (("shared", "upstream", "internet-cidr"), "the Internet", config.upstream.internet.network),
    ]
    for index, bng in enumerate(config.bngs):
        where = _bng_path(index, "topology", "ipv4", "subscriber-cidr")
        networks.append((where, f"the aggregation network of {bng.bng_id}", bng.subscriber.network))
    for node_path, _, node in _nodes(config):
        if node.model is AccessModel.ROUTED:
            where = (*node_path, "dhcp", "ipv4", "subnet")
            networks.append((where, f"the subnet of {node.remote_id}", node.subnet))
    for position, (where, _, network) in enumerate(networks):
        for _, other_name, other in networks[:position]:
            if network.overlaps(other):
                message = f"{network} overlaps {other_name}, {other}; choose another network"
                yield document.problem(where, message)


def _bng_addresses(config: LabConfig, document: Document) -> Iterator[Problem]:
    """Addresses on the aggregation network of each BNG."""
    for bng_index, bng in enumerate(config.bngs):
        where = _bng_path(bng_index, "topology", "ipv4", "subscriber-cidr")
        network = bng.subscriber.network
        yield from _inside(document, where, bng.subscriber.ip, network, "its own network")
        addresses: list[tuple[DataPath, IPv4Address]] = [(where, bng.subscriber.ip)]
        for node_index, node in enumerate(bng.access_nodes):
            if node.uplink is None:
                continue
            uplink = _bng_path(bng_index, "access-nodes", node_index, "node-config", "uplink", "ipv4-cidr")
            name = f"the aggregation network of {bng.bng_id}"
            yield from _same_network(document, uplink, node.uplink, network, name)
            addresses.append((uplink, node.uplink.ip))
        yield from _duplicates(document, "the address", addresses)


def _access_models(config: LabConfig, document: Document) -> Iterator[Problem]:
    for where, bng, node in _nodes(config):
        if node.model is AccessModel.BRIDGED:
            yield from _bridged(document, where, bng, node)
        else:
            yield from _routed(document, where, bng, node)


def _bridged(document: Document, where: DataPath, bng: Bng, node: AccessNode) -> Iterator[Problem]:
    dhcp = (*where, "dhcp", "ipv4")
    if not node.subnet.subnet_of(bng.subscriber.network):
        message = (
            f"{node.subnet} is not in {bng.subscriber.network}, the network of {bng.bng_id}'s subscriber "
            "interface, where the subscribers of a bridged node are; change it, or set access-model: routed"
        )
        yield document.problem((*dhcp, "subnet"), message)
    if node.gateway != bng.subscriber.ip:
        message = (
            f"is {node.gateway}, but the gateway behind a bridged node is the BNG, {bng.subscriber.ip}; "
            "change it, or set access-model: routed"
        )
        yield document.problem((*dhcp, "addr"), message)
    if (*where, "bng-route") in document.lines:
        message = "a bridged node needs no route; remove it, or set access-model: routed"
        yield document.problem((*where, "bng-route"), message)


def _routed(document: Document, where: DataPath, bng: Bng, node: AccessNode) -> Iterator[Problem]:
    dhcp = (*where, "dhcp", "ipv4", "addr")
    yield from _inside(document, dhcp, node.gateway, node.subnet, "the node's subnet")
    if node.uplink is None:
        yield document.problem(where, 'a routed node lacks the key "uplink" with its ipv4-cidr; add it')
        return
    if node.uplink_gateway != bng.subscriber.ip:
        message = f"must be the BNG's address on the aggregation network, {bng.subscriber.ip}"
        yield document.problem((*where, "uplink", "default-gw"), message)
    route = _route(document, where)
    if route is None:
        yield document.problem(where, 'a routed node lacks the key "bng-route"; add it')
        return
    if route[0] != node.subnet:
        message = f"is {route[0]}, but the node's subnet is {node.subnet}; they must be equal"
        yield document.problem((*where, "bng-route", "subnet"), message)
    if route[1] != node.uplink.ip:
        message = f"is {route[1]}, but the node's uplink is {node.uplink.ip}; they must be equal"
        yield document.problem((*where, "bng-route", "next-hop"), message)


def _route(document: Document, where: DataPath) -> tuple[IPv4Network, IPv4Address] | None:
    value = document.data
    for part in where:
        value = value[part]
    route = value.get("bng-route")
    return route and (IPv4Network(route["subnet"]), IPv4Address(route["next-hop"]))


def _pools(config: LabConfig, document: Document) -> Iterator[Problem]:
    earlier: list[tuple[str, IPv4Address, IPv4Address]] = []
    for where, bng, node in _nodes(config):
        dhcp = (*where, "dhcp", "ipv4")
        start, end = node.pool_start, node.pool_end
        yield from _inside(document, (*dhcp, "pool-start"), start, node.subnet, "the subnet")
        yield from _inside(document, (*dhcp, "pool-end"), end, node.subnet, "the subnet")
        if end < start:
            yield document.problem((*dhcp, "pool-end"), f"{end} comes before pool-start {start}; swap them")
            continue
        size = int(end) - int(start) + 1
        if size < node.ports:
            message = f"the pool has {size} addresses for {node.ports} ports; make it larger"
            yield document.problem((*dhcp, "pool-end"), message)
        for name, address in _taken(bng, node):
            if start <= address <= end:
                yield document.problem((*dhcp, "pool-start"), f"the pool holds {address}, {name}; move it")
        for name, other_start, other_end in earlier:
            if start <= other_end and other_start <= end:
                message = f"the pool {start}-{end} overlaps that of {name}, {other_start}-{other_end}"
                yield document.problem((*dhcp, "pool-start"), f"{message}; choose addresses of its own")
        earlier.append((node.remote_id, start, end))


def _taken(bng: Bng, node: AccessNode) -> Iterator[tuple[str, IPv4Address]]:
    yield "the gateway", node.gateway
    for other in bng.access_nodes:
        if other.uplink is not None:
            yield f"the uplink of {other.remote_id}", other.uplink.ip


def _services(config: LabConfig, document: Document) -> Iterator[Problem]:
    plans = {plan.name for plan in config.plans}
    customers = {customer.email for customer in config.customers}
    ports = {node.remote_id: node.ports for _, _, node in _nodes(config)}
    lines = []
    for index, service in enumerate(config.services):
        where: DataPath = ("services", index)
        if service.customer not in customers:
            message = f'no customer has the e-mail address "{service.customer}"; add it under customers'
            yield document.problem((*where, "customer"), message)
        if service.plan not in plans:
            yield document.problem((*where, "plan"), f'there is no plan "{service.plan}"; add it under plans')
        if service.remote_id not in ports:
            message = f'there is no access node "{service.remote_id}"; known: {", ".join(sorted(ports))}'
            yield document.problem((*where, "remote-id"), message)
        elif service.port > ports[service.remote_id]:
            message = f"is {service.port}, but {service.remote_id} has {ports[service.remote_id]} ports"
            yield document.problem((*where, "port"), message)
        lines.append(((*where, "port"), f"{service.remote_id} {service.circuit_id}"))
    yield from _duplicates(document, "the access line", lines)


def _bus(config: LabConfig, document: Document) -> Iterator[Problem]:
    if config.services_at.jetstream.enabled and config.collecting.foreign:
        message = "does not go with jetstream, which takes BNGs alone; leave one of the two out"
        yield document.problem(("shared", "collector", "foreign"), message)


def _published(config: LabConfig, document: Document) -> Iterator[Problem]:
    publish = config.publish
    base: DataPath = ("shared", "publish")
    if not publish.address.is_loopback:
        message = f"{publish.address} is not a loopback address; the lab is not made to face a network"
        yield document.problem((*base, "address"), message)
    ports = [((*base, "console"), publish.console), ((*base, "postgres"), publish.postgres)]
    for index in range(len(config.bngs)):
        ports.append(((*base, "netconf-base"), publish.netconf(index)))
        ports.append(((*base, "gnmi-base"), publish.gnmi(index)))
    for where, port in ports:
        if port > 65535:
            yield document.problem(where, f"leads to port {port} for the last BNG; choose a lower one")
    yield from _duplicates(document, "the port", [(where, port) for where, port in ports if port])


_CHECKS: tuple[Check, ...] = (
    _names,
    _interfaces,
    _management,
    _wan,
    _networks,
    _bng_addresses,
    _access_models,
    _pools,
    _services,
    _bus,
    _published,
)

"""What of the configuration protects the BNG's own addresses, and which public addresses it translates to."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, summarize_address_range

from bng.config import Config
from bng.dataplane.base import Guard, Nat, Service

_DHCP = 67


def nat_of(config: Config) -> Nat | None:
    """Translation, as the data plane needs it."""
    if config.nat_prefixes is None:
        return None
    pool = config.nat_pool
    ranges = [] if pool is None else [(IPv4Address(first), IPv4Address(last)) for first, last in pool.ranges]
    networks = [network for ends in ranges for network in summarize_address_range(*ends)]
    return Nat(config.nat_prefixes, None, tuple(networks), config.flow_limit)


def guard_of(config: Config) -> Guard:
    """Protection, as the data plane needs it."""
    servers = tuple(_servers(config))
    return Guard(
        inside=tuple(_inside(config)),
        # elsewhere no way leads from a subscriber to them
        hidden=servers if config.dhcp_uplink == config.upstream else (),
        answers=tuple(interface.ip for interface in _addresses(config, config.upstream)),
        services=tuple(_services(config)),
    )


def ports_of(config: Config) -> tuple[int, ...]:
    """Ports that the BNG's servers listen on."""
    ports = {listener.port for listener in config.listeners}
    if config.aaa.dynamic_authorization.serves:
        ports.add(config.aaa.dynamic_authorization.port)
    return tuple(sorted(ports))


def _services(config: Config) -> Iterator[Service]:
    for listener in config.listeners:
        for text in listener.addresses:
            address = _specific(text)
            if address is not None:
                yield Service("tcp", (listener.port,), address)
    dhcp = tuple(IPv4Network(address) for address, _ in config.relay.servers)
    if dhcp:
        yield Service("udp", (_DHCP,), sources=dhcp)
    radius = config.aaa.servers
    if radius:
        ports = {port for server in radius for port in (server.auth_port, server.acct_port)}
        sources = tuple(IPv4Network(server.address) for server in radius)
        yield Service("udp", tuple(sorted(ports)), sources=sources, answers=True)
    dynamic = config.aaa.dynamic_authorization
    if dynamic.serves:
        clients = tuple(IPv4Network(client.address) for client in dynamic.clients)
        yield Service("udp", (dynamic.port,), sources=clients)


def _specific(text: str) -> IPv4Address | None:
    """The address that a server was told to listen on. One that listens on all was not told to on this."""
    try:
        address = IPv4Address(text)
    except ValueError:
        return None
    return None if address.is_unspecified or address.is_loopback else address


def _servers(config: Config) -> Iterator[IPv4Network]:
    yield from (IPv4Network(address) for address, _ in config.relay.servers)
    yield from (IPv4Network(server.address) for server in config.aaa.servers)
    yield from (IPv4Network(client.address) for client in config.aaa.dynamic_authorization.clients)


def _inside(config: Config) -> Iterator[IPv4Network]:
    for name in config.subscriber:
        yield from (interface.network for interface in _addresses(config, name))
    for router in config.routers.values():
        yield from router.subnets


def _addresses(config: Config, name: str | None) -> tuple[IPv4Interface, ...]:
    interface = config.interfaces.get(name or "")
    return (interface.addresses if interface is not None else None) or ()

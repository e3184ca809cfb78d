"""What of the configuration protects the BNG itself."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from bng.aaa.coa_settings import CoaClient, CoaSettings
from bng.config import Aaa, Config, Interface, Listener, RadiusServer, Relay, Router
from bng.dataplane.base import Service
from bng.protection import guard_of, nat_of, ports_of
from bng.session.nat import NatPool

CONFIG = Config(
    bng_id="bng-01",
    subscriber=("sub0", "sub1"),
    upstream="up0",
    dhcp_uplink="mgmt0",
    relay=Relay((("192.0.2.2", 67),)),
    aaa=Aaa(servers=(RadiusServer("r", "192.0.2.3", b"x", 1812, 1813),)),
    listeners=(Listener(("127.0.0.1", "198.51.100.1", "::1"), 830), Listener(("0.0.0.0", "::"), 57400)),
    interfaces={
        "sub0": Interface("sub0", addresses=(IPv4Interface("100.64.0.1/16"),)),
        "up0": Interface("up0", addresses=(IPv4Interface("198.51.100.1/24"),)),
        "mgmt0": Interface("mgmt0", addresses=(IPv4Interface("192.0.2.1/24"),)),
    },
    routers={"r": Router("r", "r", subnets=(IPv4Network("100.80.0.0/24"),))},
)
DHCP, RADIUS = (IPv4Network("192.0.2.2/32"),), (IPv4Network("192.0.2.3/32"),)


def test_sources_that_are_inside_are_the_subnets_of_subscribers() -> None:
    assert guard_of(CONFIG).inside == (IPv4Network("100.64.0.0/16"), IPv4Network("100.80.0.0/24"))


def test_a_server_is_reached_from_upstream_only_where_it_was_told_to_listen() -> None:
    assert [each for each in guard_of(CONFIG).services if each.protocol == "tcp"] == [
        Service("tcp", (830,), IPv4Address("198.51.100.1"))
    ]


def test_answers_of_the_servers_come_through() -> None:
    services = guard_of(CONFIG).services
    assert Service("udp", (67,), sources=DHCP) in services
    assert Service("udp", (1812, 1813), sources=RADIUS, answers=True) in services


def test_servers_are_hidden_when_the_way_to_them_leads_upstream() -> None:
    assert guard_of(CONFIG).hidden == ()
    assert guard_of(replace(CONFIG, dhcp_uplink="up0")).hidden == (*DHCP, *RADIUS)


def test_clients_of_dynamic_authorization_come_through() -> None:
    clients = (CoaClient("c", "192.0.2.4", b"x"),)
    config = replace(
        CONFIG, dhcp_uplink="up0", aaa=replace(CONFIG.aaa, dynamic_authorization=CoaSettings(clients=clients))
    )
    sources = (IPv4Network("192.0.2.4/32"),)
    assert Service("udp", (3799,), sources=sources) in guard_of(config).services
    assert guard_of(config).hidden == (*DHCP, *RADIUS, *sources)
    silent = replace(config.aaa, dynamic_authorization=CoaSettings(enabled=False, clients=clients))
    assert not [each for each in guard_of(replace(config, aaa=silent)).services if 3799 in each.ports]


def test_subscribers_may_ping_the_upstream_address() -> None:
    assert guard_of(CONFIG).answers == (IPv4Address("198.51.100.1"),)


def test_nothing_configured_is_nothing_to_protect() -> None:
    guard = guard_of(Config())
    assert (guard.inside, guard.services, guard.answers) == ((), (), ())


def test_a_pool_is_told_to_the_kernel_as_networks() -> None:
    pool = NatPool((("203.0.113.1", "203.0.113.4"),), ("100.64.0.0/16",))
    nat = nat_of(replace(CONFIG, nat_prefixes=(IPv4Network("100.64.0.0/16"),), nat_pool=pool))
    assert nat is not None
    assert [str(network) for network in nat.pool] == ["203.0.113.1/32", "203.0.113.2/31", "203.0.113.4/32"]
    assert nat_of(CONFIG) is None


def test_ports_of_all_servers_are_known() -> None:
    """Also those that listen on this machine alone: a client of it could take one."""
    assert ports_of(CONFIG) == (830, 57400)
    coa = CoaSettings(clients=(CoaClient("c", "192.0.2.3", b"x"),))
    assert ports_of(replace(CONFIG, aaa=replace(CONFIG.aaa, dynamic_authorization=coa))) == (830, 3799, 57400)

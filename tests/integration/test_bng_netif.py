"""Interfaces, addresses and routes as configured, in a namespace of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from bng import netif
from bng.config import Config, Interface, Router
from tests.support.netns import Namespaces, run

pytestmark = [pytest.mark.netns, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


@pytest.fixture
def here() -> Iterator[Namespaces]:
    with Namespaces("b", "x") as namespaces:
        namespaces.veth("b", "up0", "x", "x0")
        namespaces.veth("b", "sub0", "x", "x1")
        yield namespaces


def config(*addresses: str, **more: object) -> Config:
    up = Interface("up0", True, tuple(IPv4Interface(a) for a in addresses))
    return Config(upstream="up0", subscriber=("sub0",), interfaces={"up0": up}, **more)  # type: ignore[arg-type]


def apply(here: Namespaces, wanted: Config) -> netif.Applied:
    return here.inside("b", lambda: netif.apply(wanted))


def shown(here: Namespaces, *command: str) -> str:
    return run("ip", "-n", here.name("b"), *command).stdout


def test_addresses_come_and_go(here: Namespaces) -> None:
    first = apply(here, config("198.51.100.1/24", "198.51.100.5/24"))
    assert len(first.changes) == 2
    assert first.errors == first.missing == ()
    assert apply(here, config("198.51.100.1/24", "198.51.100.5/24")).changes == (), "nothing to do any more"
    assert here.inside("b", lambda: netif.address_of("up0")) == "198.51.100.1"
    apply(here, config("203.0.113.9/29"))
    text = shown(here, "address", "show", "up0")
    assert "203.0.113.9/29" in text
    assert "198.51.100" not in text


def test_an_address_gives_way_to_another_one_of_its_subnet(here: Namespaces) -> None:
    apply(here, config("198.51.100.1/24"))
    shown(here, "route", "add", "203.0.113.0/24", "via", "198.51.100.9")
    apply(here, config("198.51.100.2/24"))
    assert here.inside("b", lambda: netif.address_of("up0")) == "198.51.100.2"
    assert "203.0.113.0/24" in shown(here, "route"), "it never stood without one"
    assert apply(here, config("198.51.100.2/24")).changes == ()


def test_addresses_of_other_interfaces_are_left_alone(here: Namespaces) -> None:
    here.ip("b", "address", "add", "10.0.0.1/24", "dev", "sub0")
    apply(here, config("198.51.100.1/24"))
    assert "10.0.0.1/24" in shown(here, "address", "show", "sub0")


def test_routes_follow_and_those_of_others_stay(here: Namespaces) -> None:
    router = Router("r", "n", True, True, "up0", IPv4Address("198.51.100.7"), (IPv4Network("10.9.0.0/24"),))
    gateway = IPv4Address("198.51.100.254")
    apply(here, config("198.51.100.1/24", default_gateway=gateway, routers={"r": router}))
    here.ip("b", "route", "add", "10.8.0.0/24", "via", "198.51.100.9")
    text = shown(here, "route")
    assert "default via 198.51.100.254 dev up0 proto 174" in text
    assert "10.9.0.0/24 via 198.51.100.7 dev up0 proto 174" in text
    moved = Router("r", "n", True, True, "up0", IPv4Address("198.51.100.8"), (IPv4Network("10.9.0.0/24"),))
    apply(here, config("198.51.100.1/24", routers={"r": moved}))
    text = shown(here, "route")
    assert "10.9.0.0/24 via 198.51.100.8" in text
    assert "default" not in text
    assert "10.8.0.0/24 via 198.51.100.9" in text


def test_what_cannot_be_is_told(here: Namespaces) -> None:
    gateway = IPv4Address("192.0.2.1")
    refused = apply(here, config("198.51.100.1/24", default_gateway=gateway))
    assert len(refused.errors) == 1
    assert "192.0.2.1" in refused.errors[0]
    assert refused.refused == (), "it may be reachable some day"
    broadcast = IPv4Address("198.51.100.255")
    [(path, reason)] = apply(here, config("198.51.100.1/24", default_gateway=broadcast)).refused
    assert path == "/aether-bng:bng/routing/default-gateway"
    assert "198.51.100.255" in reason
    absent = Config(subscriber=("sub7",), interfaces={"up9": Interface("up9", True, ())})
    assert set(apply(here, absent).missing) == {"sub7", "up9"}


def test_mtu_and_state(here: Namespaces) -> None:
    up = Interface("up0", False, (), 1400)
    apply(here, Config(upstream="up0", interfaces={"up0": up}))
    text = shown(here, "link", "show", "up0")
    assert "mtu 1400" in text
    assert "state DOWN" in text
    assert here.inside("b", lambda: netif.address_of("up0")) is None
    assert here.inside("b", lambda: netif.address_of("none")) is None

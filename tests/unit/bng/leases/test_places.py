"""Where a lease belongs."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface

import pytest

from bng.config import Config, Interface, Router
from bng.leases.lease import Origin
from bng.leases.places import Place, Places
from bng.session.records import AccessLine

CONFIG = Config(
    subscriber=("sub0", "sub1"),
    interfaces={
        "sub0": Interface("sub0", True, (IPv4Interface("10.0.0.1/16"),)),
        "sub1": Interface("sub1", True, (IPv4Interface("10.1.0.1/16"), IPv4Interface("10.0.9.1/24"))),
    },
    routers={
        "configured": Router("configured", "n-configured", interface="sub1"),
        "elsewhere": Router("elsewhere", "n-elsewhere", interface="eth9", address=IPv4Address("10.0.0.9")),
        "routed": Router("routed", "n-routed", routed=True, address=IPv4Address("10.1.0.9")),
    },
)
ADDRESSES = {"sub0": "10.0.0.1", "sub1": "10.1.0.1"}


@pytest.mark.parametrize(
    ("remote_id", "link", "address", "expected"),
    [
        ("n", "10.0.0.1", "10.0.1.5", Place("sub0", "0.0.0.0")),
        ("n", "10.1.0.1", "10.0.1.5", Place("sub1", "0.0.0.0")),
        ("n-configured", "10.0.0.1", "10.0.1.5", Place("sub1", "0.0.0.0")),
        ("n-configured", "100.64.0.1", "100.64.0.5", Place("sub1", "100.64.0.1")),
        ("n-routed", "100.64.0.1", "100.64.0.5", Place("sub1", "100.64.0.1")),
        ("n-elsewhere", "100.64.0.1", "100.64.0.5", Place("sub0", "100.64.0.1")),
        ("n", "10.0.9.77", "100.64.0.5", Place("sub1", "10.0.9.77")),
        ("n", "", "10.0.1.5", Place("sub0", "0.0.0.0")),
        ("n", "100.64.0.1", "100.64.0.5", None),
        ("n", "", "100.64.0.5", None),
    ],
)
def test_places(remote_id: str, link: str, address: str, expected: Place | None) -> None:
    origin = Origin(AccessLine(remote_id, "1"), "bng-01", link)
    assert Places(CONFIG, ADDRESSES).find(origin, address) == expected


def test_with_one_interface_a_routed_node_can_be_behind_that_only() -> None:
    config = Config(subscriber=("sub0",))
    origin = Origin(AccessLine("n", "1"), "bng-01", "100.64.0.1")
    assert Places(config, ADDRESSES).find(origin, "100.64.0.5") == Place("sub0", "100.64.0.1")
    assert Places(config, {}).find(origin, "100.64.0.5") is None

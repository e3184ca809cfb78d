"""Units of configuration: merging, differences, and what the model cannot say."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from bng.config import Listener
from bng.session.settings import AccessRouter, Profile, Settings
from bng.underlay import machine_settings
from bng.units import Units, difference, digest, empty_units, merge, parse, units_of
from yang.provider import OperationError

CONFIGURATION = {
    "ietf-interfaces:interfaces": {
        "interface": [
            {
                "name": "sub0",
                "enabled": True,
                "ietf-ip:ipv4": {
                    "enabled": True,
                    "mtu": 1400,
                    "address": [
                        {"ip": "10.0.0.1", "prefix-length": 16},
                        {"ip": "10.9.0.1", "netmask": "255.0.0.0"},
                    ],
                },
            },
            {"name": "up0"},
        ]
    },
    "aether-bng:bng": {
        "identity": {"bng-id": "bng-01"},
        "interfaces": {"subscriber": ["sub0"], "upstream": "up0", "dhcp-uplink": "up0"},
        "routing": {"default-gateway": "192.0.2.1"},
        "dhcp-relay": {"server": [{"address": "192.0.2.9", "port": 67}], "max-hops": 3},
        "aaa": {
            "user-password": "secret",
            "accounting-retention": 3600,
            "unanswered": {"action": "admit", "profile": "gold"},
            "server": [
                {
                    "name": "b",
                    "address": "192.0.2.3",
                    "secret": "x",
                    "timeout": 1500,
                    "priority": 20,
                    "status-server": False,
                },
                {"name": "a", "address": "192.0.2.2", "secret": "y", "priority": 10},
            ],
        },
        "sessions-policy": {"idle-after": 7},
        "nat": {"enabled": True, "source-prefix": ["10.0.0.0/8"]},
        "timers": {"counters": 1},
        "management": {"netconf": {"port": 830}},
    },
    "aether-shaping:shaping-profiles": {
        "profile": [
            {
                "name": "gold",
                "download": {"rate": "50000000", "burst": 100000},
                "upload": {"rate": "10000000"},
            }
        ]
    },
    "aether-access-router:access-routers": {
        "access-router": [
            {
                "name": "r1",
                "remote-id": "node-1",
                "access-model": "routed",
                "interface": "sub0",
                "address": "10.0.0.2",
                "subnet": ["10.1.0.0/24"],
                "admin-state": "down",
            }
        ]
    },
}


def units() -> Units:
    return units_of(CONFIGURATION)


def test_parses_every_unit() -> None:
    config = parse(units())
    assert (config.bng_id, config.relay.relay_id, config.aaa.nas_identifier) == ("bng-01",) * 3
    assert config.subscriber == ("sub0",)
    assert config.default_gateway == IPv4Address("192.0.2.1")
    assert config.relay.servers == (("192.0.2.9", 67),)
    assert [server.name for server in config.aaa.servers] == ["a", "b"]
    assert config.aaa.servers[1].timeout == 1.5
    assert [server.status_server for server in config.aaa.servers] == [True, False]
    assert (config.aaa.source_ports, config.aaa.accounting_retention) == (8, 3600)
    assert (config.aaa.unanswered_action, config.aaa.unanswered_profile) == ("admit", "gold")
    assert parse(empty_units()).aaa.unanswered_action == "hold"
    assert (config.policy.idle_after, config.policy.tombstone_ttl) == (7, 600)
    assert (config.periods.counters, config.periods.reconcile) == (1, 15)
    assert config.nat_prefixes == (IPv4Network("10.0.0.0/8"),)
    assert config.profiles == {"gold": Profile(50_000_000, 10_000_000, 100_000, None, 4)}
    sub0 = config.interfaces["sub0"]
    assert sub0.addresses == (IPv4Interface("10.0.0.1/16"), IPv4Interface("10.9.0.1/8"))
    assert sub0.mtu == 1400
    assert config.interfaces["up0"].addresses is None
    router = config.routers["r1"]
    assert (router.routed, router.in_service, router.subnets) == (True, False, (IPv4Network("10.1.0.0/24"),))


def test_policies_reach_the_session_machine() -> None:
    changed = units()
    changed["bng"] = {
        **changed["bng"],
        "dhcp-relay": {"max-devices": 3, "device-rate-limit": 5, "unknown-access-routers": "drop"},
        "sessions-policy": {
            "port-move": "replace",
            "second-device": "deny",
            "max-sessions-per-access-router": 48,
            "idle-timeout": 1800,
            "session-timeout": 86400,
            "nak-threshold": 5,
        },
    }
    settings = machine_settings(parse(changed), {"sub0": "10.0.0.1"})
    assert (settings.max_devices, settings.device_rate_limit, settings.accept_unknown) == (3, 5, False)
    assert (settings.port_move, settings.second_device, settings.nak_threshold) == ("replace", "deny", 5)
    assert settings.max_sessions_per_access_router == 48
    assert (settings.idle_timeout, settings.session_timeout) == (1800, 86400)
    assert settings.routers == {"node-1": AccessRouter(True, False, "sub0", "10.0.0.2", ("10.1.0.0/24",))}


def test_what_is_not_configured_is_as_the_model_says() -> None:
    """The defaults of the three places are one: the model's."""
    with_defaults = {
        "dhcp-relay": {"max-devices": 8, "device-rate-limit": 10, "unknown-access-routers": "accept"},
        "sessions-policy": {
            "port-move": "deny",
            "second-device": "replace",
            "idle-timeout": 0,
            "session-timeout": 0,
            "nak-threshold": 3,
        },
    }
    spoken = {**empty_units(), "bng": with_defaults}
    assert machine_settings(parse(spoken), {}) == machine_settings(parse(empty_units()), {})
    assert machine_settings(parse(spoken), {}) == Settings("", "")


def test_nothing_configured_is_a_configuration() -> None:
    assert parse(empty_units()).bng_id == ""


def test_of_management_control_knows_where_it_listens_and_no_more() -> None:
    whole = {**CONFIGURATION, "aether-bng:bng": {**CONFIGURATION["aether-bng:bng"]}}
    whole["aether-bng:bng"]["management"] = {
        "netconf": {"listen": ["192.0.2.1"], "port": 830, "idle-timeout": 60},
        "gnmi": {"listen": ["192.0.2.1", "::"], "port": 57400, "tls": {"certificate": "secret"}},
    }
    assert units_of(whole)["bng"]["management"] == {
        "netconf": {"listen": ["192.0.2.1"], "port": 830},
        "gnmi": {"listen": ["192.0.2.1", "::"], "port": 57400},
    }
    assert parse(units_of(whole)).listeners == (
        Listener(("192.0.2.1",), 830),
        Listener(("192.0.2.1", "::"), 57400),
    )


def with_nat(**nat: object) -> dict:
    changed = units()
    changed["bng"] = {**changed["bng"], "nat": {"enabled": True, "source-prefix": ["10.0.0.0/8"], **nat}}
    return changed


def test_public_addresses_are_prefixes_and_ranges() -> None:
    ranges = [{"first-address": "198.51.100.5", "last-address": "198.51.100.9"}]
    pool = parse(with_nat(**{"public-prefix": ["203.0.113.0/30"], "public-range": ranges})).nat_pool
    assert pool is not None
    assert pool.ranges == (("198.51.100.5", "198.51.100.9"), ("203.0.113.0", "203.0.113.3"))
    assert (pool.sources, pool.port_block_size) == (("10.0.0.0/8",), 1024)
    assert parse(with_nat()).nat_pool is None
    assert parse(with_nat(**{"enabled": False, "public-prefix": ["203.0.113.0/30"]})).nat_pool is None


@pytest.mark.parametrize(
    ("nat", "reason"),
    [
        ({"public-range": [{"first-address": "10.0.0.9", "last-address": "10.0.0.8"}]}, "ends before"),
        ({"public-prefix": ["10.0.0.0/24", "10.0.0.128/25"]}, r"10\.0\.0\.128 is there twice"),
        ({"public-prefix": ["10.0.0.0/15"]}, "more than 65536"),
        (
            {"public-prefix": ["10.3.0.0/28"]},
            r"from 10\.3\.0\.0 on are inside of source-prefix 10\.",
        ),
        ({"public-prefix": ["10.9.0.0/24"]}, r"10\.9\.0\.1 is an address of sub0"),
        ({"public-prefix": ["192.0.2.0/28"]}, r"192\.0\.2\.1 is the default gateway"),
    ],
)
def test_public_addresses_that_cannot_be_are_refused(nat: dict, reason: str) -> None:
    with pytest.raises(OperationError, match=reason):
        parse(with_nat(**nat))


def test_difference_and_merge_are_inverse() -> None:
    old = units()
    new = units()
    new["shaping-profiles"] = {"silver": {"name": "silver", "download": {"rate": 1}, "upload": {"rate": 1}}}
    new["bng"] = {**old["bng"], "nat": {"enabled": False}}
    changed = difference(old, new)
    assert set(changed) == {"bng", "shaping-profiles"}
    assert changed["shaping-profiles"]["gold"] is None
    assert merge(old, changed) == new
    assert digest(merge(old, changed)) == digest(new) != digest(old)
    assert difference(new, new) == {}
    assert old == units(), "merge leaves its arguments alone"


@pytest.mark.parametrize("changed", [{"nothing": {}}, {"bng": 3}])
def test_what_is_no_unit_is_refused(changed: dict) -> None:
    with pytest.raises(OperationError, match="no unit"):
        merge(empty_units(), changed)


def test_one_interface_cannot_face_both_ways() -> None:
    broken = units()
    broken["bng"] = {**broken["bng"], "interfaces": {"subscriber": ["x"], "upstream": "x"}}
    with pytest.raises(OperationError, match="x is a subscriber interface") as caught:
        parse(broken)
    assert caught.value.path == "/aether-bng:bng/interfaces/upstream"


def test_dynamic_authorization_faces_no_subscriber() -> None:
    aaa = {"dynamic-authorization": {"client": [{"name": "r", "address": "192.0.2.2", "secret": "s"}]}}
    bng = {"interfaces": {"subscriber": ["x"], "dhcp-uplink": "x"}, "aaa": aaa}
    with pytest.raises(OperationError, match="must not listen on it"):
        parse(merge(empty_units(), {"bng": bng}))
    bng["interfaces"]["dhcp-uplink"] = "y"
    assert parse(merge(empty_units(), {"bng": bng})).aaa.dynamic_authorization.clients[0].secret == b"s"


def test_subnets_need_a_next_hop_and_one_owner() -> None:
    broken = units()
    router = broken["access-routers"]["r1"]
    broken["access-routers"]["r1"] = {k: v for k, v in router.items() if k != "address"}
    with pytest.raises(OperationError, match="no address to route"):
        parse(broken)
    broken["access-routers"] = {"r1": router, "r2": {**router, "name": "r2", "remote-id": "node-2"}}
    with pytest.raises(OperationError, match=r"10\.1\.0\.0/24 is behind r1 and r2"):
        parse(broken)


def test_what_does_not_fit_is_a_clear_error() -> None:
    broken = units()
    broken["shaping-profiles"] = {"gold": {"name": "gold"}}
    with pytest.raises(OperationError, match="cannot be understood"):
        parse(broken)

"""A configuration with every leaf of configuration in it, and another value for each."""

from __future__ import annotations

from typing import Any

from yang.schema import SchemaNode

HASH = "$6$aether$kHxXdXrgH4ndeMYwbY8XnGjrEB9qpiy1.QVgRGlLUXsRyEc54sMmHJYOYmTWqjYhP5SpgSGXWOv1CwEQcMVp50"


def _interface(name: str, address: str) -> dict[str, Any]:
    return {
        "name": name,
        "description": f"the interface <{name}> & co",
        "type": "iana-if-type:ethernetCsmacd",
        "enabled": True,
        "ietf-ip:ipv4": {
            "enabled": True,
            "mtu": 1500,
            "address": [{"ip": address, "prefix-length": 24}],
        },
    }


def _called() -> dict[str, Any]:
    return {
        "name": "noc",
        "enabled": True,
        "endpoint": [
            {"name": name, "remote-address": "127.0.0.9", "remote-port": 4334} for name in ("one", "two")
        ],
        "reconnect-strategy": {"max-wait": 5, "min-backoff": 2, "max-backoff": 300},
    }


def _tunnel_server() -> dict[str, Any]:
    return {
        "name": "noc",
        "enabled": True,
        "remote-address": "127.0.0.9",
        "remote-port": 57401,
        "target-name": "box",
        "target-type": "GNMI_GNOI",
        "ca-file": "/etc/aether/tunnel-ca.pem",
        "server-name": "tunnel.example",
        "certificate-file": "/etc/aether/cert.pem",
        "private-key-file": "/etc/aether/key.pem",
        "keepalive-interval": 310,
        "reconnect-strategy": {"min-backoff": 2, "max-backoff": 300},
    }


def full() -> dict[str, Any]:
    """Every leaf of configuration is there; the interfaces are on no machine."""
    return {
        "ietf-interfaces:interfaces": {
            "interface": [
                _interface("mdl-sub", "10.64.0.1"),
                _interface("mdl-up", "198.51.100.1"),
                _interface("mdl-dhcp", "192.0.2.1"),
                _interface("mdl-more", "192.0.2.129"),
            ]
        },
        "aether-bng:bng": {
            "identity": {"bng-id": "bng-01", "description": "The first.", "location": "Bern & <Thun>"},
            "interfaces": {"subscriber": ["mdl-sub"], "upstream": "mdl-up", "dhcp-uplink": "mdl-dhcp"},
            "routing": {"default-gateway": "198.51.100.254"},
            "dhcp-relay": {
                "server": [
                    {
                        "address": "127.0.0.9",
                        "port": 67,
                        "lease-api": {"port": 8000, "username": "bng", "password": "p", "page-size": 100},
                    }
                ],
                "relay-id": "relay-01",
                "max-hops": 4,
                "rate-limit": 100,
                "device-rate-limit": 50,
                "max-devices": 8,
                "unknown-access-routers": "accept",
            },
            "aaa": {
                "nas-identifier": "bng-01",
                "nas-ip-address": "192.0.2.1",
                "user-password": "pw",
                "server": [
                    {
                        "name": "r1",
                        "address": "127.0.0.9",
                        "auth-port": 1812,
                        "acct-port": 1813,
                        "secret": "s3cret",
                        "timeout": 1000,
                        "retries": 2,
                        "priority": 1,
                        "status-server": True,
                    }
                ],
                "source-ports": 4,
                "unanswered": {"action": "admit", "profile": "bronze"},
                "accounting-retention": 86400,
                "dynamic-authorization": {
                    "enabled": True,
                    "port": 3799,
                    "event-timestamp-window": 300,
                    "require-event-timestamp": False,
                    "rate-limit": 50,
                    "client": [
                        {
                            "name": "c1",
                            "address": "127.0.0.9",
                            "secret": "c0a",
                            "require-message-authenticator": True,
                        }
                    ],
                },
                "interim-interval": 600,
                "auth-retry-interval": 10,
            },
            "sessions-policy": {
                "max-sessions": 1000,
                "prepared-sessions": 16,
                "pending-timeout": 60,
                "idle-after": 60,
                "tombstone-ttl": 600,
                "max-sessions-per-access-router": 500,
                "port-move": "deny",
                "second-device": "replace",
                "idle-timeout": 3600,
                "session-timeout": 86400,
                "nak-threshold": 3,
            },
            "nat": {
                "enabled": True,
                "source-prefix": ["10.65.0.0/16"],
                "public-prefix": ["203.0.113.0/28"],
                "public-range": [{"first-address": "203.0.113.32", "last-address": "203.0.113.40"}],
                "flow-limit": 8192,
                "port-block-size": 1024,
            },
            "timers": {"counters": 1, "health": 1, "reconcile": 15, "router-probe": 30},
            "management": {
                "startup": {"save": "automatic"},
                "netconf": {
                    "listen": ["127.0.0.1"],
                    "port": 830,
                    "local-socket": {"path": "/run/aether/netconf.sock", "group": "netops"},
                    "limits": {
                        "max-sessions": 128,
                        "max-sessions-per-user": 64,
                        "max-logins": 48,
                        "max-logins-per-address": 16,
                        "max-auth-tries": 6,
                        "login-timeout": 30,
                        "hello-timeout": 30,
                        "idle-timeout": 3600,
                        "keepalive-interval": 30,
                    },
                    "call-home": {"netconf-client": [_called()]},
                },
                "gnmi": {
                    "listen": ["127.0.0.1"],
                    "port": 57400,
                    "certificate-file": "/etc/aether/cert.pem",
                    "private-key-file": "/etc/aether/key.pem",
                    "client-ca-file": "/etc/aether/clients.pem",
                    "client-authentication": "certificate",
                    "tunnel": {"tunnel-server": [_tunnel_server()]},
                },
            },
        },
        "aether-shaping:shaping-profiles": {
            "profile": [
                {
                    "name": name,
                    "description": "A plan.",
                    "download": {"rate": str(rate), "burst": 100_000},
                    "upload": {"rate": str(rate // 2), "burst": 100_000},
                    "priority": 4,
                }
                for name, rate in (("gold", 100_000_000), ("bronze", 10_000_000))
            ]
        },
        "aether-access-router:access-routers": {
            "access-router": [
                {
                    "name": "first",
                    "remote-id": "node-1",
                    "description": "In the cellar.",
                    "access-model": "routed",
                    "interface": "mdl-sub",
                    "address": "127.0.0.5",
                    "subnet": ["10.65.0.0/24"],
                    "ports": 48,
                    "admin-state": "up",
                }
            ]
        },
        "ietf-system:system": {
            "contact": "noc@example.net",
            "hostname": "bng-01",
            "location": "Bern",
            "authentication": {
                "user-authentication-order": ["ietf-system:local-users"],
                "user": [
                    {
                        "name": "ann",
                        "password": HASH,
                        "authorized-key": [{"name": "k", "algorithm": "ssh-ed25519", "key-data": "QUJD"}],
                    }
                ],
                "aether-ssh-users:certificate-authority": [
                    {
                        "name": "noc",
                        "algorithm": "ssh-ed25519",
                        "key-data": "R0hJ",
                        "user": ["ann"],
                        "revoked-serial": ["7"],
                    }
                ],
                "aether-ssh-users:revoked-key": [f"SHA256:{'A' * 43}"],
            },
        },
        "ietf-netconf-acm:nacm": {
            "enable-nacm": True,
            "read-default": "permit",
            "write-default": "deny",
            "exec-default": "permit",
            "enable-external-groups": True,
            "groups": {"group": [{"name": "staff", "user-name": ["ann"]}]},
            "rule-list": [{"name": "staff", "group": ["staff"], "rule": _rules()}],
        },
        "ietf-subscribed-notifications:filters": {
            "stream-filter": [
                {"name": "starts", "stream-xpath-filter": "/aether-subscriber:session-start"},
            ],
            "ietf-yang-push:selection-filter": [
                {"filter-id": "plans", "datastore-xpath-filter": "/aether-shaping:shaping-profiles"},
            ],
        },
    }


def _rules() -> list[dict[str, Any]]:
    common = {"module-name": "*", "access-operations": "*", "action": "permit", "comment": "why"}
    return [
        {"name": "all", **common, "module-name": "aether-bng"},
        {"name": "rpc", **common, "rpc-name": "get"},
        {"name": "told", **common, "notification-name": "session-start"},
        {"name": "data", **common, "path": "/aether-shaping:shaping-profiles"},
    ]


_AUTHORITY = "/ietf-system:system/authentication/aether-ssh-users:certificate-authority"
_FILTERS = "/ietf-subscribed-notifications:filters"

VARIANTS: dict[str, Any] = {
    f"{_AUTHORITY}/key-data": "REVG",
    f"{_AUTHORITY}/user": ["bob"],
    f"{_AUTHORITY}/revoked-serial": ["8"],
    "/ietf-system:system/authentication/aether-ssh-users:revoked-key": [f"SHA256:{'B' * 43}"],
    f"{_FILTERS}/stream-filter/stream-xpath-filter": "/aether-subscriber:session-stop",
    f"{_FILTERS}/ietf-yang-push:selection-filter/datastore-xpath-filter": "/aether-bng:bng",
    "/ietf-interfaces:interfaces/interface/type": "iana-if-type:l2vlan",
    "/aether-bng:bng/interfaces/subscriber": ["mdl-sub", "mdl-more"],
    "/aether-bng:bng/interfaces/upstream": "mdl-more",
    "/aether-bng:bng/interfaces/dhcp-uplink": "mdl-up",
    "/aether-bng:bng/aaa/unanswered/profile": "gold",
    "/aether-bng:bng/nat/source-prefix": ["10.65.0.0/16", "10.66.0.0/16"],
    "/aether-bng:bng/nat/public-prefix": ["203.0.113.0/29"],
    "/aether-bng:bng/nat/public-range/last-address": "203.0.113.41",
    "/aether-bng:bng/management/netconf/listen": ["127.0.0.2"],
    "/aether-bng:bng/management/gnmi/listen": ["127.0.0.2"],
    "/aether-access-router:access-routers/access-router/subnet": ["10.65.1.0/24"],
    "/aether-access-router:access-routers/access-router/interface": "mdl-up",
    "/ietf-system:system/authentication/user-authentication-order": [],
    "/ietf-system:system/authentication/user/password": HASH.replace("$aether$", "$other$"),
    "/ietf-system:system/authentication/user/authorized-key/key-data": "REVG",
    "/ietf-netconf-acm:nacm/groups/group/user-name": ["bob"],
    "/ietf-netconf-acm:nacm/rule-list/group": ["others"],
    "/ietf-netconf-acm:nacm/rule-list/rule/module-name": "aether-shaping",
    "/ietf-netconf-acm:nacm/rule-list/rule/path": "/aether-bng:bng",
    "/ietf-netconf-acm:nacm/rule-list/rule/access-operations": "read",
}


def variant(node: SchemaNode, value: Any) -> Any:
    """Another value that the leaf may have, RFC 7951."""
    if node.path in VARIANTS:
        return VARIANTS[node.path]
    kind = node.type
    assert kind is not None
    if kind.base == "boolean":
        return not value
    if kind.base == "enumeration":
        return next(name for name in kind.enums if name != value)
    if kind.base.startswith(("int", "uint")):
        return type(value)(int(value) - 1 if int(value) > 1 else int(value) + 1)
    if "ipv4-address" in kind.typedef:
        return f"{value.rpartition('.')[0]}.77"
    return f"{value}x"

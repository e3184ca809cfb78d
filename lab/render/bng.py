"""A BNG's startup configuration: RFC 7951 data of the standard modules and the Aether modules."""

from __future__ import annotations

from ipaddress import IPv4Interface
from typing import Any

from lab.config.model import AccessModel, AccessNode, Bng, LabConfig, Timers
from lab.pki import certificate_file, key_file
from lab.secrets import BNG_USERS, Secrets

NETCONF_PORT = 830
GNMI_PORT = 57400
LEASE_API_PORT = 8000

_GROUPS = {
    "admin": ["admin"],
    "operator": ["operator", "oss"],
    "viewer": ["viewer", "collector"],
}


def startup(config: LabConfig, bng: Bng, secrets: Secrets) -> dict[str, Any]:
    """The content of ``startup.json``.

    Without shaping profiles: plans are the OSS's, which delivers them over NETCONF. A changed file must not
    delete or change behind its back what was made in the console since.
    """
    return {
        "ietf-interfaces:interfaces": {
            "interface": [
                _interface(bng.subscriber_interface, bng.subscriber, "Subscribers"),
                _interface(bng.upstream_interface, bng.upstream, "WAN"),
                _interface(bng.dhcp_uplink_interface, bng.dhcp_uplink, "Management, DHCP and RADIUS"),
            ]
        },
        "ietf-system:system": {
            "hostname": bng.bng_id,
            "authentication": {
                "user": [{"name": user, "password": secrets.bng_hash(bng.bng_id, user)} for user in BNG_USERS]
            },
        },
        "ietf-netconf-acm:nacm": _access_control(),
        "aether-bng:bng": _bng(config, bng, secrets),
        "aether-access-router:access-routers": {
            "access-router": [_access_router(bng, node) for node in bng.access_nodes]
        },
    }


def _interface(name: str, address: IPv4Interface, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "description": description,
        "type": "iana-if-type:ethernetCsmacd",
        "enabled": True,
        "ietf-ip:ipv4": {
            "address": [{"ip": str(address.ip), "prefix-length": address.network.prefixlen}],
        },
    }


def _access_control() -> dict[str, Any]:
    """Who has which of the roles that a BNG comes with; what they may do are the BNG's own rules."""
    return {
        "enable-external-groups": False,
        "groups": {"group": [{"name": name, "user-name": users} for name, users in _GROUPS.items()]},
    }


def _bng(config: LabConfig, bng: Bng, secrets: Secrets) -> dict[str, Any]:
    management = [str(bng.dhcp_uplink.ip)]
    services = config.services_at
    result = {
        "identity": {"bng-id": bng.bng_id},
        "interfaces": {
            "subscriber": [bng.subscriber_interface],
            "upstream": bng.upstream_interface,
            "dhcp-uplink": bng.dhcp_uplink_interface,
        },
        "routing": {"default-gateway": str(bng.default_gateway)},
        "dhcp-relay": {
            "server": [
                {
                    "address": str(services.kea),
                    "lease-api": {
                        "port": LEASE_API_PORT,
                        "username": bng.bng_id,
                        "password": secrets.lease_api(bng.bng_id),
                    },
                }
            ]
        },
        "aaa": {
            "user-password": secrets.radius_user,
            "server": [
                {
                    "name": "radius",
                    "address": str(services.radius),
                    "auth-port": services.radius_auth_port,
                    "acct-port": services.radius_acct_port,
                    "secret": secrets.radius(bng.bng_id),
                }
            ],
            "interim-interval": config.timers.interim,
            "dynamic-authorization": {
                "require-event-timestamp": True,
                "client": [
                    {
                        "name": "radius",
                        "address": str(services.radius),
                        "secret": secrets.dynamic_authorization(bng.bng_id),
                    }
                ],
            },
        },
        "sessions-policy": {"idle-after": config.timers.idle_after},
        "timers": _timers(config.timers),
        "management": {
            "netconf": {"listen": management, "port": NETCONF_PORT},
            "gnmi": {
                "listen": management,
                "port": GNMI_PORT,
                "certificate-file": str(certificate_file(secrets.folder, bng.bng_id)),
                "private-key-file": str(key_file(secrets.folder, bng.bng_id)),
                **({"client-ca-file": str(secrets.ca)} if config.collecting.client_certificate else {}),
            },
        },
    }
    if bng.nat_sources:
        result["nat"] = {"enabled": True, "source-prefix": [str(prefix) for prefix in bng.nat_sources]}
    return result


def _timers(timers: Timers) -> dict[str, int]:
    return {"counters": timers.counters, "health": timers.health}


def _access_router(bng: Bng, node: AccessNode) -> dict[str, Any]:
    router: dict[str, Any] = {
        "name": node.remote_id,
        "remote-id": node.remote_id,
        "access-model": str(node.model),
        "interface": bng.subscriber_interface,
        "ports": node.ports,
    }
    if node.uplink is not None:
        router["address"] = str(node.uplink.ip)
    if node.model is AccessModel.ROUTED:
        router["subnet"] = [str(node.subnet)]
    return router

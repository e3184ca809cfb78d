"""All files of a lab."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from importlib import resources
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import jinja2

from lab import tools, topology
from lab.config.model import AccessModel, AccessNode, Bng, LabConfig
from lab.pki import COLLECTOR_CERTIFICATE, certificate_file, key_file
from lab.render.artefacts import Artefact
from lab.render.bng import GNMI_PORT, LEASE_API_PORT, NETCONF_PORT, startup
from lab.secrets import CONSOLE_USER, Secrets

NATS_PORT = 4222
"""TCP port of the nats-server that the lab may run, on the loopback of the collector's namespace."""
REDIS_PORT = 6379
"""TCP port of the Redis that the lab may run, on the loopback of the collector's namespace."""


def render(config: LabConfig, secrets: Secrets) -> list[Artefact]:
    """Every file below the state folder, in the order of paths."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lab"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        # nothing of this is HTML; values are quoted by the filters below
        autoescape=False,  # noqa: S701
    )
    environment.filters["sql"] = sql_literal
    environment.filters["radius"] = radius_string
    artefacts = [
        *_templates(config, secrets, environment),
        _json("collector.json", _collector(config, secrets)),
        _json("oss.json", _oss(config, secrets)),
    ]
    if config.services_at.jetstream.enabled:
        artefacts.append(_json("writer.json", _writer(config, secrets)))
    for bng in config.bngs:
        artefacts.append(_json(f"bng/{bng.bng_id}/startup.json", startup(config, bng, secrets)))
        artefacts += [
            _json(f"access-node/{node.remote_id}.json", _access_node(bng, node)) for node in bng.access_nodes
        ]
    return sorted(artefacts, key=lambda artefact: artefact.path)


def _json(path: str, data: Any) -> Artefact:
    return Artefact(path, json.dumps(data, indent=2) + "\n")


_TEMPLATES = {
    # template, or plain file without .j2 → path, owner, executable
    "kea/kea-dhcp4.conf.j2": ("kea/etc/kea-dhcp4.conf", "_kea", False),
    "kea/kea-ctrl-agent.conf.j2": ("kea/etc/kea-ctrl-agent.conf", "_kea", False),
    "radius/radiusd.conf.j2": ("radius/raddb/radiusd.conf", "freerad", False),
    "radius/queries.conf": ("radius/raddb/queries.conf", "freerad", False),
    "radius/dictionary": ("radius/raddb/dictionary", "freerad", False),
    "postgres/databases.sql.j2": ("postgres/setup/databases.sql", "postgres", False),
    "postgres/radius-tables.sql": ("postgres/setup/radius-tables.sql", "postgres", False),
    "postgres/pg_hba.conf.j2": ("postgres/setup/pg_hba.conf", "postgres", False),
    "postgres/postgresql.conf.j2": ("postgres/setup/postgresql.conf", "postgres", False),
    "postgres/cluster.sh.j2": ("postgres/setup/cluster.sh", "postgres", True),
    "subscriber/udhcpc.sh": ("subscriber/udhcpc.sh", "root", True),
}


def _templates(config: LabConfig, secrets: Secrets, environment: jinja2.Environment) -> list[Artefact]:
    context = {
        "config": config,
        "secrets": secrets,
        "kea": json.dumps(kea_configuration(config, secrets), indent=2),
        "kea_agent": json.dumps(kea_agent_configuration(config, secrets), indent=2),
        "kea_schema": tools.KEA_SCHEMA,
        "postgres_bin": tools.postgres_bin(),
    }
    artefacts = []
    for template, (path, owner, executable) in _TEMPLATES.items():
        if template.endswith(".j2"):
            text = environment.get_template(template).render(context)
        else:
            text = resources.files("lab").joinpath("templates", template).read_text(encoding="utf-8")
        artefacts.append(Artefact(path, text, owner, executable))
    return artefacts


def sql_literal(value: object) -> str:
    """A string constant of SQL."""
    text = str(value).replace("'", "''")
    return f"'{text}'"


def radius_string(value: object) -> str:
    """A double-quoted string of FreeRADIUS, in which nothing is expanded."""
    text = str(value).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"'


def database_url(secrets: Secrets, name: str, host: str, port: int) -> str:
    """DSN of the lab's database ``name`` as seen from where ``host`` and ``port`` lead to it."""
    return f"postgresql://{name}:{secrets.database(name)}@{host}:{port}/{name}"


def _inside_url(config: LabConfig, secrets: Secrets, name: str) -> str:
    services = config.services_at
    return database_url(secrets, name, str(services.postgres), services.postgres_port)


def _collector(config: LabConfig, secrets: Secrets) -> dict[str, Any]:
    foreign = config.collecting.foreign
    return {
        "database": _inside_url(config, secrets, "oss"),
        "sample_interval": config.timers.counters,
        "owner": f"{config.name}-collector",
        "memory": config.collecting.memory,
        "retention": config.collecting.retention,
        **({"foreign": str(foreign)} if foreign else {}),
        "metrics": {"host": "127.0.0.1", "port": config.services_at.collector_metrics_port},
        "outputs": _outputs(config),
        **_bus(config),
        "targets": [
            {
                "bng_id": bng.bng_id,
                "address": f"{bng.dhcp_uplink.ip}:{GNMI_PORT}",
                "username": "collector",
                "password": secrets.bng(bng.bng_id, "collector"),
                "ca": str(secrets.ca),
                **client_certificate(config, secrets),
            }
            for bng in config.bngs
        ],
    }


def client_certificate(config: LabConfig, secrets: Secrets) -> dict[str, str]:
    """What gNMI clients show to the BNGs, the collector first; nothing where they do not ask for it."""
    if not config.collecting.client_certificate:
        return {}
    return {
        "certificate": str(certificate_file(secrets.folder, COLLECTOR_CERTIFICATE)),
        "key": str(key_file(secrets.folder, COLLECTOR_CERTIFICATE)),
    }


def _bus(config: LabConfig) -> dict[str, Any]:
    bus = config.services_at.jetstream
    return {"bus": {"url": f"nats://127.0.0.1:{NATS_PORT}", "size": bus.size}} if bus.enabled else {}


def _writer(config: LabConfig, secrets: Secrets) -> dict[str, Any]:
    """The collector's, without the BNGs' secrets; who publishes has no outputs, who writes no targets."""
    port = config.services_at.collector_metrics_port + 1
    own = {"owner": f"{config.name}-writer", "metrics": {"host": "127.0.0.1", "port": port}, "targets": []}
    return {**_collector(config, secrets), **own}


def _outputs(config: LabConfig) -> dict[str, Any]:
    redis = config.services_at.redis_streams
    if not redis.enabled:
        return {}
    return {
        "redis": {
            "type": "redis-streams",
            "url": redis.url or f"redis://127.0.0.1:{REDIS_PORT}",
            "stream": redis.stream,
            "max_length": redis.max_length,
            "interim": redis.interim,
            "health": redis.health,
        }
    }


def _oss(config: LabConfig, secrets: Secrets) -> dict[str, Any]:
    return {
        "database": _inside_url(config, secrets, "oss"),
        "radius_database": _inside_url(config, secrets, "radius"),
        "listen": {"host": str(config.services_at.oss), "port": config.services_at.oss_port},
        "radius_user_password": secrets.radius_user,
        "admin": {"username": CONSOLE_USER, "password": secrets.console},
        "bngs": [
            {
                "bng_id": bng.bng_id,
                "host": str(bng.dhcp_uplink.ip),
                "port": NETCONF_PORT,
                "username": "oss",
                "password": secrets.bng(bng.bng_id, "oss"),
            }
            for bng in config.bngs
        ],
        "access_nodes": [
            {
                "bng_id": bng.bng_id,
                "remote_id": node.remote_id,
                "ports": node.ports,
                "access_model": str(node.model),
            }
            for bng in config.bngs
            for node in bng.access_nodes
        ],
        "seed": _seed(config),
    }


def _seed(config: LabConfig) -> dict[str, Any]:
    names = {customer.email: customer.name for customer in config.customers}
    return {
        "plans": [
            {
                "name": plan.name,
                "download_kbps": plan.download_kbps,
                "upload_kbps": plan.upload_kbps,
                "price": plan.price,
            }
            for plan in config.plans
        ],
        "customers": [
            {
                "name": customer.name,
                "email": customer.email,
                "phone": customer.phone,
                "street": customer.street,
                "city": customer.city,
                "zip": customer.zip_code,
                "state": customer.state,
            }
            for customer in config.customers
        ],
        "services": [
            {
                "customer": names[service.customer],
                "plan": service.plan,
                "bng_id": config.bng_of(service.remote_id).bng_id,
                "remote_id": service.remote_id,
                "circuit_id": service.circuit_id,
            }
            for service in config.services
        ],
    }


def _access_node(bng: Bng, node: AccessNode) -> dict[str, Any]:
    routed = node.model is AccessModel.ROUTED
    management = node.uplink and str(node.uplink.ip)
    return {
        "remote_id": node.remote_id,
        "access_model": str(node.model),
        "uplink": topology.UPLINK,
        "bridge": topology.BRIDGE,
        "interfaces": {str(port): interface for port, interface in topology.subscriber_ports(node)},
        "address": str(node.gateway) if routed else management,
        "bng": str(bng.subscriber.ip) if routed else None,
        "pool": [str(node.pool_start), str(node.pool_end)],
    }


@dataclass
class _Subnet:
    """A subnet of Kea with the access nodes whose pools are in it."""

    network: IPv4Network
    gateway: IPv4Address
    nodes: list[AccessNode]


def _subnets(config: LabConfig) -> list[_Subnet]:
    found: list[_Subnet] = []
    for bng in config.bngs:
        bridged = [node for node in bng.access_nodes if node.model is AccessModel.BRIDGED]
        if bridged:
            found.append(_Subnet(bng.subscriber.network, bng.subscriber.ip, bridged))
        for node in bng.access_nodes:
            if node.model is AccessModel.ROUTED:
                found.append(_Subnet(node.subnet, node.gateway, [node]))
    return found


_KEA_SOCKET = "/run/kea/kea-dhcp4.sock"


def kea_agent_configuration(config: LabConfig, secrets: Secrets) -> dict[str, Any]:
    """Configuration of kea-ctrl-agent as data: through it the BNGs read the leases."""
    return {
        "Control-agent": {
            "http-host": str(config.services_at.kea),
            "http-port": LEASE_API_PORT,
            "authentication": {
                "type": "basic",
                "realm": "kea",
                "clients": [
                    {"user": bng.bng_id, "password": secrets.lease_api(bng.bng_id)} for bng in config.bngs
                ],
            },
            "control-sockets": {"dhcp4": {"socket-type": "unix", "socket-name": _KEA_SOCKET}},
            "loggers": [
                {
                    "name": "kea-ctrl-agent",
                    # at INFO it writes several lines for each page of leases
                    "severity": "WARN",
                    "output_options": [{"output": "stdout", "flush": True}],
                }
            ],
        }
    }


def subnet_id(network: IPv4Network) -> int:
    """Kea's number of a subnet: from the prefix alone, because leases keep it when the file changes."""
    return zlib.crc32(str(network).encode()) % 4294967294 + 1


def kea_configuration(config: LabConfig, secrets: Secrets) -> dict[str, Any]:
    """Configuration of kea-dhcp4 as data.

    A subnet is chosen by the relay's link-selection (RFC 3527). Within it, the remote-id of option 82 picks
    the pool of the access node.
    """
    lease = config.timers.lease
    nodes = [node for bng in config.bngs for node in bng.access_nodes]
    return {
        "Dhcp4": {
            "interfaces-config": {
                "interfaces": [f"{topology.HOST_INTERFACE}/{config.services_at.kea}"],
                "dhcp-socket-type": "udp",
            },
            "control-socket": {"socket-type": "unix", "socket-name": _KEA_SOCKET},
            "hooks-libraries": [{"library": str(tools.kea_lease_hook())}],
            "lease-database": {
                "type": "postgresql",
                "name": "dhcp",
                "host": str(config.services_at.postgres),
                "port": config.services_at.postgres_port,
                "user": "dhcp",
                "password": secrets.database("dhcp"),
                "connect-timeout": 5,
                # without its database Kea answers nobody, and goes on when it is back
                "max-reconnect-tries": 1000000,
                "reconnect-wait-time": 500,
                "on-fail": "serve-retry-continue",
            },
            "multi-threading": {
                "enable-multi-threading": True,
                "thread-pool-size": 2,
                "packet-queue-size": 1024,
            },
            "authoritative": True,
            "valid-lifetime": lease,
            "renew-timer": lease // 2,
            "rebind-timer": lease * 7 // 8,
            "store-extended-info": True,
            "reservations-global": False,
            "reservations-in-subnet": False,
            "client-classes": [
                {"name": f"node-{node.remote_id}", "test": f"relay4[2].hex == '{node.remote_id}'"}
                for node in nodes
            ],
            "option-data": [
                {"name": "domain-name-servers", "data": str(config.upstream.internet_host)},
            ],
            "subnet4": [
                {
                    "id": subnet_id(subnet.network),
                    "subnet": str(subnet.network),
                    "option-data": [{"name": "routers", "data": str(subnet.gateway)}],
                    "pools": [
                        {
                            "pool": f"{node.pool_start} - {node.pool_end}",
                            "client-class": f"node-{node.remote_id}",
                        }
                        for node in subnet.nodes
                    ],
                }
                for subnet in _subnets(config)
            ],
            "loggers": [
                {
                    "name": "kea-dhcp4",
                    "severity": "INFO",
                    "output_options": [{"output": "stdout", "flush": True}],
                },
                # a line for each page of leases
                {"name": "kea-dhcp4.commands", "severity": "WARN"},
            ],
        }
    }

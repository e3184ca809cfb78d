"""From a file to a LabConfig: read, check against the schema, convert, check the meaning."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from lab.config import checks
from lab.config.document import Document, parse_document, read_document
from lab.config.errors import ConfigError
from lab.config.model import (
    AccessModel,
    AccessNode,
    Bng,
    Collecting,
    Customer,
    JetStream,
    LabConfig,
    Plan,
    Publish,
    RedisStreams,
    Service,
    ServiceAddresses,
    Timers,
    Upstream,
)
from lab.config.schema import schema_problems, with_defaults


def load_config(path: Path) -> LabConfig:
    """Read and check a file; raises ConfigError with all that is wrong."""
    return _build(read_document(path))


def parse_config(text: str, path: Path = Path("aether.config.yaml")) -> LabConfig:
    """The same for text; ``path`` is used in errors and to find files that it names."""
    return _build(parse_document(text, path))


def _build(document: Document) -> LabConfig:
    problems = schema_problems(document)
    if problems:
        raise ConfigError(document.path, problems)
    config = _convert(document.path, with_defaults(document.data))
    problems = checks.check(config, document)
    if problems:
        raise ConfigError(document.path, problems)
    return config


def _convert(path: Path, data: dict[str, Any]) -> LabConfig:
    shared = data["shared"]
    credentials = data["lab"]["credentials"]
    return LabConfig(
        path=path,
        name=data["lab"]["name"],
        credentials_file=path.parent / credentials["file"] if credentials["mode"] == "file" else None,
        mgmt=IPv4Interface(shared["mgmt"]["cidr"]),
        services_at=_services(shared["services"]),
        upstream=_upstream(shared["upstream"]),
        publish=_publish(shared["publish"]),
        timers=Timers(**{key.replace("-", "_"): value for key, value in shared["timers"].items()}),
        collecting=_collecting(path, shared["collector"]),
        plans=tuple(
            Plan(plan["name"], plan["download-kbps"], plan["upload-kbps"], float(plan["price"]))
            for plan in data["plans"]
        ),
        customers=tuple(_customer(customer) for customer in data["customers"]),
        services=tuple(
            Service(service["customer"], service["plan"], service["remote-id"], service["port"])
            for service in data["services"]
        ),
        bngs=tuple(_bng(bng) for bng in data["bngs"]),
    )


def _collecting(path: Path, data: dict[str, Any]) -> Collecting:
    return Collecting(
        memory=data["memory"],
        retention={name.replace("-", "_"): age for name, age in data["retention"].items()},
        foreign=(path.parent / data["foreign"]).resolve() if "foreign" in data else None,
        client_certificate=data["client-certificate"],
    )


def _services(data: dict[str, Any]) -> ServiceAddresses:
    return ServiceAddresses(
        postgres=IPv4Address(data["postgres"]["addr"]),
        postgres_port=data["postgres"]["port"],
        kea=IPv4Address(data["kea"]["addr"]),
        radius=IPv4Address(data["radius"]["addr"]),
        radius_auth_port=data["radius"]["auth-port"],
        radius_acct_port=data["radius"]["acct-port"],
        collector=IPv4Address(data["collector"]["addr"]),
        oss=IPv4Address(data["oss"]["addr"]),
        oss_port=data["oss"]["port"],
        collector_metrics_port=data["collector"]["metrics-port"],
        redis_streams=_redis_streams(data["collector"]["redis-streams"]),
        jetstream=JetStream(**data["collector"]["jetstream"]),
    )


def _redis_streams(data: dict[str, Any]) -> RedisStreams:
    return RedisStreams(
        enabled=data["enabled"],
        url=data.get("url", ""),
        stream=data["stream"],
        max_length=data["max-length"],
        interim=data["interim"],
        health=data["health"],
    )


def _upstream(data: dict[str, Any]) -> Upstream:
    return Upstream(
        wan=IPv4Interface(data["wan-cidr"]),
        internet=IPv4Interface(data["internet-cidr"]),
        internet_host=IPv4Address(data["internet-host"]),
        iperf3_port=data["iperf3-port"],
        http_port=data["http-port"],
    )


def _publish(data: dict[str, Any]) -> Publish:
    return Publish(
        address=IPv4Address(data["address"]),
        console=data["console"],
        postgres=data["postgres"],
        netconf_base=data["netconf-base"],
        gnmi_base=data["gnmi-base"],
    )


def _customer(data: dict[str, Any]) -> Customer:
    return Customer(
        name=data["name"],
        email=data["email"],
        phone=data.get("phone", ""),
        street=data.get("street", ""),
        city=data.get("city", ""),
        zip_code=data.get("zip", ""),
        state=data.get("state", ""),
    )


def _bng(data: dict[str, Any]) -> Bng:
    interfaces = data["topology"]["interfaces"]
    ipv4 = data["topology"]["ipv4"]
    nat = ipv4.get("nat-source-cidr", [])
    return Bng(
        bng_id=data["bng-id"],
        subscriber_interface=interfaces["subscriber"],
        upstream_interface=interfaces["upstream"],
        dhcp_uplink_interface=interfaces["dhcp-uplink"],
        subscriber=IPv4Interface(ipv4["subscriber-cidr"]),
        upstream=IPv4Interface(ipv4["upstream-cidr"]),
        dhcp_uplink=IPv4Interface(ipv4["dhcp-uplink-cidr"]),
        default_gateway=IPv4Address(ipv4["default-gw"]),
        nat_sources=tuple(IPv4Network(prefix) for prefix in ([nat] if isinstance(nat, str) else nat)),
        access_nodes=tuple(_access_node(entry["node-config"]) for entry in data["access-nodes"]),
    )


def _access_node(data: dict[str, Any]) -> AccessNode:
    dhcp = data["dhcp"]["ipv4"]
    uplink = data.get("uplink", {})
    return AccessNode(
        remote_id=data["remote-id"],
        ports=data["topology"]["interfaces"]["count"],
        model=AccessModel(data["access-model"]),
        gateway=IPv4Address(dhcp["addr"]),
        subnet=IPv4Network(dhcp["subnet"]),
        pool_start=IPv4Address(dhcp["pool-start"]),
        pool_end=IPv4Address(dhcp["pool-end"]),
        uplink=IPv4Interface(uplink["ipv4-cidr"]) if "ipv4-cidr" in uplink else None,
        uplink_gateway=IPv4Address(uplink["default-gw"]) if "default-gw" in uplink else None,
    )

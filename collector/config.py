"""The collector's configuration file (JSON or YAML): what to subscribe to and where to write it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from collector import retention
from collector.bus import config as bus_config
from collector.bus.config import BusConfig
from collector.bus.message import MOST_NAME, is_name
from collector.foreign.config import Foreign, ForeignError, read_foreign
from collector.outputs import registry
from collector.outputs.interface import Output
from collector.retention import Retention
from collector.tunnel import MAXIMUM_FOLDER, TunnelConfig


class ConfigError(ValueError):
    """The file cannot be used; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Target:
    """One BNG.

    Attributes:
        bng_id: its name, the key of every table.
        address: ``host:port`` of its gNMI server, or ``unix:PATH``.
        username, password: sent as metadata with each RPC.
        ca: PEM file with the certificates that may have signed the server's.
        server_name: in the server's certificate; "" for its address, which is ``localhost`` for a socket.
        certificate, key: PEM files of our own certificate, where the BNG asks for one; both or none.
    """

    bng_id: str
    address: str
    username: str
    password: str = field(repr=False)
    ca: Path
    server_name: str = ""
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class CollectorConfig:
    """Everything that the collector needs to run.

    Attributes:
        database: PostgreSQL DSN.
        targets: the BNGs to collect from, shared with other collectors by lease.
        sample_interval: seconds between samples, 1–3600.
        owner: names this process in the leases; unique per running collector.
        lease_ttl: seconds after which another collector may take over from a silent one, 1–600.
        retention: how long rows are kept.
        memory: MiB that may be in hand of what was read and is not written, all targets together, 8–65536.
        registry: whether the table `collector_targets` names more targets.
        foreign: targets of others, in gnmic's form, None for none.
        metrics: address of the Prometheus endpoint, None for none.
        outputs: what makes the outputs besides PostgreSQL.
        tunnel: where targets call that cannot be dialled, None for nowhere.
        bus: what `run` publishes to and `write` reads from, None for none; `run` then needs no `database`.
    """

    database: str = field(repr=False)
    targets: tuple[Target, ...]
    sample_interval: float = 5.0
    owner: str = ""
    lease_ttl: float = 3.0
    retention: Retention = field(default_factory=Retention)
    memory: int = 64
    registry: bool = False
    foreign: Foreign | None = None
    metrics: tuple[str, int] | None = None
    outputs: tuple[Callable[[], Output], ...] = ()
    tunnel: TunnelConfig | None = None
    bus: BusConfig | None = None


def _text(source: dict[str, Any], key: str, where: str) -> str:
    value = source.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where}: '{key}' must be a non-empty string")
    return value


def _number(source: dict[str, Any], key: str, default: float, low: float, high: float) -> float:
    value = source.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(f"'{key}' must be a number from {low:g} to {high:g}, not {value!r}")
    return value


def parse_target(source: Any, where: str) -> Target:
    """Check one entry of `targets`. Raises ConfigError."""
    if not isinstance(source, dict):
        raise ConfigError(f"{where}: must be an object")
    if not is_name(_text(source, "bng_id", where)):
        raise ConfigError(f"{where}: 'bng_id' must be text of at most {MOST_NAME} octets, none of them 0")
    address = _text(source, "address", where)
    if not address.startswith("unix:/"):
        _host_and_port(address, where)
    if ("certificate" in source) != ("key" in source):
        raise ConfigError(f"{where}: 'certificate' and 'key' belong together")
    certificate, key = (
        Path(_text(source, name, where)) if name in source else None for name in ("certificate", "key")
    )
    return Target(
        bng_id=_text(source, "bng_id", where),
        address=address,
        username=_text(source, "username", where),
        password=_text(source, "password", where),
        ca=Path(_text(source, "ca", where)),
        server_name=_text(source, "server_name", where) if "server_name" in source else "",
        certificate=certificate,
        key=key,
    )


def _host_and_port(address: str, where: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(f"{where}: 'address' must be host:port, not {address!r}")
    return host.strip("[]"), int(port)


def _tunnel(source: Any) -> TunnelConfig | None:
    if source is None:
        return None
    if not isinstance(source, dict):
        raise ConfigError("'tunnel' must be an object")
    host, port = _host_and_port(_text(source, "address", "tunnel"), "tunnel")
    certificate, key, ca, folder = (
        Path(_text(source, name, "tunnel")) for name in ("certificate", "key", "ca", "folder")
    )
    if not folder.is_absolute() or len(os.fsencode(folder)) > MAXIMUM_FOLDER:
        raise ConfigError(f"tunnel: 'folder' must be an absolute path of at most {MAXIMUM_FOLDER} octets")
    bind = source.get("bind_names", True)
    if not isinstance(bind, bool):
        raise ConfigError("tunnel: 'bind_names' must be true or false")
    return TunnelConfig(host, port, certificate, key, ca, folder, bind)


def _metrics(source: Any) -> tuple[str, int] | None:
    if source is None:
        return None
    if isinstance(source, dict):
        host, port = source.get("host", "127.0.0.1"), source.get("port")
        if isinstance(host, str) and host and type(port) is int and 0 < port < 65536:
            return host, port
    raise ConfigError("'metrics' must be an object with 'port' (1 to 65535) and maybe 'host' (127.0.0.1)")


def _retention(source: Any) -> Retention:
    try:
        return retention.parse(source)
    except ValueError as error:
        raise ConfigError(f"'retention': {error}") from None


def _foreign(source: Any, base: Path) -> Foreign | None:
    """The content of `foreign`, or of the file that it names."""
    if source is None:
        return None
    where, file = "foreign", None
    try:
        if isinstance(source, str):
            file = base / source
            where, source = str(file), yaml.safe_load(file.read_text())
        return read_foreign(source, file.parent if file else base, file)
    except OSError as error:
        raise ConfigError(f"{where}: {error.strerror}") from None
    except (yaml.YAMLError, ForeignError) as error:
        raise ConfigError(f"{where}: {' '.join(str(error).split())}") from None


def _bus(source: dict[str, Any], base: Path) -> BusConfig | None:
    try:
        bus = bus_config.parse(source.get("bus"), base)
    except ValueError as error:
        raise ConfigError(f"'bus': {error}") from None
    for name in ("foreign", "registry") if bus else ():
        if source.get(name):
            raise ConfigError(f"'bus': '{name}' does not go with it; another collector can have that")
    return bus


def parse(source: Any, base: Path = Path()) -> CollectorConfig:
    """Check a decoded configuration; names of files in it are relative to `base`. Raises ConfigError."""
    if not isinstance(source, dict):
        raise ConfigError("the configuration must be an object")
    listed = source.get("targets")
    if not isinstance(listed, list):
        raise ConfigError("'targets' must be a list")
    targets = tuple(parse_target(item, f"targets[{i}]") for i, item in enumerate(listed))
    foreign = _foreign(source.get("foreign"), base)
    names = [t.bng_id for t in targets] + [t.name for t in (foreign.targets if foreign else ())]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"targets: '{name}' is there more than once")
    try:
        outputs = registry.parse(source.get("outputs", {}))
    except ValueError as error:
        raise ConfigError(str(error)) from None
    bus = _bus(source, base)
    return CollectorConfig(
        database=_text(source, "database", "configuration") if not bus or "database" in source else "",
        targets=targets,
        sample_interval=_number(source, "sample_interval", 5.0, 1, 3600),
        owner=source.get("owner") or f"{socket.gethostname()}:{os.getpid()}",
        lease_ttl=_number(source, "lease_ttl", 3.0, 1, 600),
        retention=_retention(source.get("retention", {})),
        memory=int(_number(source, "memory", 64, 8, 65536)),
        registry=source.get("registry") is True,
        foreign=foreign,
        metrics=_metrics(source.get("metrics")),
        outputs=outputs,
        tunnel=_tunnel(source.get("tunnel")),
        bus=bus,
    )


def load(path: Path) -> CollectorConfig:
    """Read and check a configuration file. Raises ConfigError with the file's name in it."""
    try:
        text = path.read_text()
        decoded = yaml.safe_load(text) if path.suffix in (".yaml", ".yml") else json.loads(text)
        return parse(decoded, path.parent)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}:{error.colno}: {error.msg}") from None
    except (ConfigError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None

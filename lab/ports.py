"""Ports of this machine: whether one is free, who has it, and free ones for those who do not mind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from lab.config.model import LabConfig
from lab.errors import LabError
from lab.publish import Forward, listening_socket
from lab.render.bng import GNMI_PORT, NETCONF_PORT


@dataclass(frozen=True)
class Published:
    """The ports of a running lab. ``netconf`` and ``gnmi`` are in the order of the BNGs."""

    address: str
    console: int
    postgres: int
    netconf: tuple[int, ...]
    gnmi: tuple[int, ...]


@dataclass(frozen=True)
class _Wish:
    key: str
    port: int


def choose_ports(config: LabConfig) -> Published:
    """Ports to publish on; raises LabError that names who has a port and the key that changes it."""
    publish = config.publish
    count = range(len(config.bngs))
    wishes = [_Wish("console", publish.console), _Wish("postgres", publish.postgres)]
    wishes += [_Wish("netconf-base", publish.netconf(index)) for index in count]
    wishes += [_Wish("gnmi-base", publish.gnmi(index)) for index in count]
    ports: list[int] = []
    problems: list[str] = []
    with contextlib.ExitStack() as stack:  # all held until all are known, so that none is given out twice
        for wish in wishes:
            try:
                sock = stack.enter_context(listening_socket(str(publish.address), wish.port))
            except OSError as error:
                owner = _owner(publish.address, wish.port)
                by = f"by {owner}" if owner else f"({error.strerror})"
                problems.append(
                    f"port {wish.port} of {publish.address} is taken {by}; stop it, or change "
                    f"shared.publish.{wish.key} in {config.path}"
                )
            else:
                ports.append(sock.getsockname()[1])
    if problems:
        raise LabError("\n".join(problems))
    netconf = ports[2 : 2 + len(count)]
    gnmi = ports[2 + len(count) :]
    return Published(str(publish.address), ports[0], ports[1], tuple(netconf), tuple(gnmi))


def forwards(config: LabConfig, published: Published) -> list[Forward]:
    """What the publisher is told."""
    services = config.services_at
    listed = [
        Forward(published.address, published.console, str(services.oss), services.oss_port),
        Forward(published.address, published.postgres, str(services.postgres), services.postgres_port),
    ]
    for bng, netconf, gnmi in zip(config.bngs, published.netconf, published.gnmi, strict=True):
        address = str(bng.dhcp_uplink.ip)
        listed.append(Forward(published.address, netconf, address, NETCONF_PORT))
        listed.append(Forward(published.address, gnmi, address, GNMI_PORT))
    return listed


def _owner(address: IPv4Address, port: int) -> str | None:
    """Who listens on a port: ``process 123 (nginx)``."""
    inodes = set(_listening_inodes(address, port))
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            for descriptor in (entry / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if str(descriptor.readlink()) in inodes:
                        name = (entry / "comm").read_text().strip()
                        return f"process {entry.name} ({name})"
    return None


def _listening_inodes(address: IPv4Address, port: int) -> Iterable[str]:
    local = address.packed[::-1].hex().upper()
    wanted = {f"{local}:{port:04X}", f"00000000:{port:04X}", f"{'0' * 32}:{port:04X}"}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[1] in wanted and fields[3] == "0A":
                    yield f"socket:[{fields[9]}]"

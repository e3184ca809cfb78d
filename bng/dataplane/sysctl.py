"""Kernel settings that forwarding needs, in the network namespace of the caller."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from bng.dataplane.base import DataPlaneError

IPV4 = Path("/proc/sys/net/ipv4")

RESERVED_PORTS = "ip_local_reserved_ports"
MANDATORY = {
    "ip_forward": "1",
    # Otherwise forwarding overwrites the class that the gate chose, and upload runs unshaped.
    "ip_forward_update_priority": "0",
}
_ALL_INTERFACES = {
    # The gate checks sources, by interface and address. A reverse path check costs a second route lookup.
    "conf/all/rp_filter": "0",
    # Either of `all` and the interface suffices to send, so both are off.
    "conf/all/send_redirects": "0",
    "conf/all/accept_redirects": "0",
    "conf/all/accept_source_route": "0",
}
_PER_INTERFACE = ("rp_filter", "send_redirects", "accept_redirects", "accept_source_route", "arp_accept")
_OF_SUBSCRIBERS = {
    # Only for addresses of this interface: by default the kernel answers for those of all.
    "arp_ignore": "1",
}


def prepare(warnings: list[str]) -> None:
    """Set what holds for the whole namespace. What could not be set and can be done without is told in
    `warnings`. Raises DataPlaneError."""
    for name, value in MANDATORY.items():
        if fault := _set(name, value):
            raise DataPlaneError(fault)
    _set_all(_ALL_INTERFACES.items(), warnings)


def prepare_interface(name: str, warnings: list[str]) -> None:
    """The same for one interface."""
    _set_all(((f"conf/{name}/{leaf}", "0") for leaf in _PER_INTERFACE), warnings)


def prepare_subscribers(name: str, warnings: list[str]) -> None:
    """What a subscriber interface needs besides."""
    _set_all(((f"conf/{name}/{leaf}", value) for leaf, value in _OF_SUBSCRIBERS.items()), warnings)


def reserve_ports(ports: Collection[int], warnings: list[str]) -> None:
    """Keep ports that are listened on from those that the kernel gives to clients. One that got such a port,
    if only by connecting to it itself on the loopback interface, would keep it from its server at the next
    start. What others have reserved stays, and what is reserved here stays when the BNG ends."""
    held = read(RESERVED_PORTS) or ""
    missing = sorted(port for port in set(ports) if not is_reserved(port, held))
    if not missing:
        return
    text = ",".join([*([held] if held else []), *map(str, missing)])
    try:
        (IPV4 / RESERVED_PORTS).write_text(text)
    except OSError as fault:
        warnings.append(
            f"sysctl net.ipv4.{RESERVED_PORTS} must have {','.join(map(str, missing))}, and cannot be set: "
            f"{fault.strerror}; clients may be given these ports"
        )


def is_reserved(port: int, held: str) -> bool:
    """Whether a list of ports and ranges of the kernel's has a port."""
    ends = (part.partition("-")[::2] for part in held.split(",") if part)
    return any(int(first) <= port <= int(last or first) for first, last in ends)


def read(name: str) -> str | None:
    """A setting below net.ipv4, or None when this kernel has none of this name."""
    try:
        return (IPV4 / name).read_text().strip()
    except OSError:
        return None


def _set_all(settings: Iterable[tuple[str, str]], warnings: list[str]) -> None:
    for name, value in settings:
        if fault := _set(name, value):
            warnings.append(fault)


def _set(name: str, value: str) -> str | None:
    """Set it unless it is set. Where settings are read-only, whoever started the container may have set
    it. Returns a sentence when it does not hold."""
    if read(name) == value:
        return None
    try:
        (IPV4 / name).write_text(value)
    except OSError as fault:
        return (
            f"sysctl net.ipv4.{name.replace('/', '.')} must be {value}, and cannot be set: {fault.strerror}"
        )
    return None

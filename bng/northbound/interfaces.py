"""State of ietf-interfaces (RFC 8343), read from the kernel when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bng.seam.clock import date_and_time
from yang.provider import Keys

_OPER = {
    "up": "up",
    "down": "down",
    "testing": "testing",
    "dormant": "dormant",
    "notpresent": "not-present",
    "lowerlayerdown": "lower-layer-down",
}
_IFF_UP = 1


class Statistics(NamedTuple):
    """ietf-interfaces:interface/statistics; 'in' is received by this interface."""

    discontinuity_time: str
    in_octets: int
    in_unicast_pkts: int
    in_multicast_pkts: int
    in_discards: int
    in_errors: int
    out_octets: int
    out_unicast_pkts: int
    out_discards: int
    out_errors: int


class InterfaceState(NamedTuple):
    """State of ietf-interfaces:interface."""

    name: str
    admin_status: str
    oper_status: str
    if_index: int
    phys_address: str | None
    speed: int | None
    statistics: Statistics


class InterfacesProvider:
    """State of ``/ietf-interfaces:interfaces/interface``: every interface that the kernel has."""

    path = "/ietf-interfaces:interfaces/interface"

    def __init__(self, root: Path = Path("/sys/class/net")) -> None:
        self._root = root
        self._booted = date_and_time(_boot_time())

    def get(self, keys: Keys) -> InterfaceState | None:
        name = keys[0]
        if "/" in name or name in ("", ".", ".."):
            return None
        try:
            return self._read(name)
        except (OSError, ValueError):
            return None

    def iter(self) -> Iterator[InterfaceState]:
        try:
            names = sorted(path.name for path in self._root.iterdir())
        except OSError:
            names = []
        for name in names:
            record = self.get((name,))
            if record is not None:
                yield record

    def _read(self, name: str) -> InterfaceState:
        folder = self._root / name
        up = int((folder / "flags").read_text(), 16) & _IFF_UP
        oper = _OPER.get((folder / "operstate").read_text().strip(), "unknown")
        return InterfaceState(
            name=name,
            admin_status="up" if up else "down",
            # the loopback interface and veth of old kernels do not say: they work when they are up
            oper_status="up" if oper == "unknown" and up else oper,
            if_index=int((folder / "ifindex").read_text()),
            phys_address=(folder / "address").read_text().strip() or None,
            speed=_speed(folder / "speed"),
            statistics=self._statistics(folder / "statistics"),
        )

    def _statistics(self, folder: Path) -> Statistics:
        def read(name: str) -> int:
            return int((folder / name).read_text())

        return Statistics(
            self._booted,
            read("rx_bytes"),
            max(0, read("rx_packets") - read("multicast")),
            read("multicast"),
            read("rx_dropped"),
            read("rx_errors"),
            read("tx_bytes"),
            read("tx_packets"),
            read("tx_dropped"),
            read("tx_errors"),
        )


def _speed(path: Path) -> int | None:
    """Bits per second; None where the interface has no speed of its own."""
    try:
        megabits = int(path.read_text())
    except (OSError, ValueError):
        return None
    return megabits * 1_000_000 if megabits > 0 else None


def _boot_time() -> int:
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("btime "):
            return int(line.split()[1]) * 1_000_000_000
    return 0

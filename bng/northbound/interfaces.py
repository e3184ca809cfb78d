"""State of ietf-interfaces (RFC 8343) and ietf-ip, read from the kernel when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bng.northbound.ip import Ipv4State, Ipv6State, ipv4_state, ipv6_state
from bng.northbound.kernel import Kernel
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
_TYPES: Final = {1: "ethernetCsmacd", 512: "ppp", 768: "tunnel", 772: "softwareLoopback", 65534: "tunnel"}
"""ARPHRD_* of the kernel → iana-if-type."""
_DEVTYPES: Final = {"vlan": "l2vlan", "bridge": "bridge", "bond": "ieee8023adLag", "wlan": "ieee80211"}
_COUNTER32: Final = 0xFFFFFFFF


class Statistics(NamedTuple):
    """ietf-interfaces:interface/statistics; 'in' is received by this interface."""

    discontinuity_time: str
    in_octets: int | None = None
    in_unicast_pkts: int | None = None
    in_multicast_pkts: int | None = None
    in_discards: int | None = None
    in_errors: int | None = None
    out_octets: int | None = None
    out_unicast_pkts: int | None = None
    out_discards: int | None = None
    out_errors: int | None = None


class InterfaceState(NamedTuple):
    """State of ietf-interfaces:interface; `type` and `enabled` are seen of one that is not configured."""

    name: str
    type: str
    enabled: bool
    admin_status: str
    oper_status: str
    last_change: str | None
    if_index: int | None
    phys_address: str | None
    speed: int | None
    statistics: Statistics
    ipv4: Ipv4State | None
    ipv6: Ipv6State | None


class InterfacesProvider:
    """State of ``/ietf-interfaces:interfaces/interface``: every interface that the kernel has, configured or
    not (`yang.provider.OperationalProvider`).

    Args:
        root: /sys/class/net.
        settings: /proc/sys/net.
        last_change: when the state of an interface changed, nanoseconds since the epoch.
    """

    path = "/ietf-interfaces:interfaces/interface"

    def __init__(
        self,
        root: Path = Path("/sys/class/net"),
        settings: Path = Path("/proc/sys/net"),
        kernel: Kernel | None = None,
        last_change: Callable[[str], int | None] = lambda _name: None,
    ) -> None:
        self._root = root
        self._settings = settings
        self._kernel = kernel or Kernel()
        self._last_change = last_change
        self._booted = date_and_time(boot_time())

    def get(self, keys: Keys) -> InterfaceState | None:
        name = keys[0]
        if "/" in name or name in ("", ".", ".."):
            return None
        try:
            return self._read(name)
        except (OSError, ValueError):
            return None

    def absent(self, keys: Keys) -> InterfaceState:
        """One that is configured and not there (yet)."""
        return InterfaceState(
            name=keys[0],
            type="iana-if-type:other",
            enabled=False,
            admin_status="down",
            oper_status="not-present",
            last_change=None,
            if_index=None,
            phys_address=None,
            speed=None,
            statistics=Statistics(self._booted),
            ipv4=None,
            ipv6=None,
        )

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
        index = int((folder / "ifindex").read_text())
        changed = self._last_change(name)
        tables = self._kernel.tables()
        return InterfaceState(
            name=name,
            type=f"iana-if-type:{_type(folder)}",
            enabled=bool(up),
            admin_status="up" if up else "down",
            # the loopback interface and veth of old kernels do not say: they work when they are up
            oper_status="up" if oper == "unknown" and up else oper,
            last_change=None if changed is None else date_and_time(changed),
            if_index=index,
            phys_address=(folder / "address").read_text().strip() or None,
            speed=_speed(folder / "speed"),
            statistics=self._statistics(folder / "statistics"),
            ipv4=ipv4_state(
                self._settings / "ipv4/conf", name, index, int((folder / "mtu").read_text()), tables
            ),
            ipv6=ipv6_state(self._settings / "ipv6/conf", name, index, tables),
        )

    def _statistics(self, folder: Path) -> Statistics:
        def read(name: str) -> int:
            return int((folder / name).read_text())

        return Statistics(
            self._booted,
            read("rx_bytes"),
            max(0, read("rx_packets") - read("multicast")),
            read("multicast"),
            read("rx_dropped") & _COUNTER32,
            read("rx_errors") & _COUNTER32,
            read("tx_bytes"),
            read("tx_packets"),
            read("tx_dropped") & _COUNTER32,
            read("tx_errors") & _COUNTER32,
        )


def _type(folder: Path) -> str:
    """Name of an identity of iana-if-type."""
    for line in (folder / "uevent").read_text().splitlines():
        if line.startswith("DEVTYPE=") and line[8:] in _DEVTYPES:
            return _DEVTYPES[line[8:]]
    return _TYPES.get(int((folder / "type").read_text()), "other")


def _speed(path: Path) -> int | None:
    """Bits per second; None where the interface has no speed of its own."""
    try:
        megabits = int(path.read_text())
    except (OSError, ValueError):
        return None
    return megabits * 1_000_000 if megabits > 0 else None


def boot_time() -> int:
    """When the machine started, nanoseconds since the epoch; 0 when the kernel does not tell."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("btime "):
            return int(line.split()[1]) * 1_000_000_000
    return 0

"""A machine's /sys and /proc, made up: with a port, a processor, sensors and neighbours."""

from __future__ import annotations

from pathlib import Path
from socket import AF_INET, AF_INET6

from bng.northbound.kernel import PERMANENT, Address, Kernel, Neighbour, Tables

_COUNTERS = ("rx_bytes", "rx_packets", "multicast", "rx_dropped", "rx_errors",
             "tx_bytes", "tx_packets", "tx_dropped", "tx_errors")  # fmt: skip
_CPU = "processor\t: {n}\nvendor_id\t: Made\nmodel name\t: Up <1> & co\nmicrocode\t: 0x1\n"


def _write(root: Path, **files: str) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (root / name).write_text(text + "\n")


def make(root: Path, interface: str) -> None:
    """Write the files."""
    folder = root / "class/net" / interface
    _write(folder, flags="0x1003", operstate="up", ifindex="7", address="02:00:00:00:00:01", mtu="1500")
    _write(folder, type="1", uevent=f"INTERFACE={interface}", speed="10000")
    (folder / "device").mkdir()
    _write(folder / "statistics", **dict.fromkeys(_COUNTERS, str(2**32 + 5)))
    _write(root / "class/dmi/id", sys_vendor="Vendor\x01", product_name="Box", product_version="A1")
    _write(root / "class/dmi/id", product_serial="42", bios_version="1.2", chassis_type="1")
    _write(root / "class/dmi/id", product_uuid="6F1F1B5E-8F8E-4A55-9A37-0A4A3B2D4C11")
    _write(root / "class/hwmon/hwmon0", name="coretemp", temp1_input="41000", temp1_label="Package")
    _write(root / "class/hwmon/hwmon0", fan1_input="900", in0_input="nonsense", other_input="1")
    _write(root / "class/thermal/thermal_zone0", temp="38500", type="board")
    _write(root, cpuinfo=_CPU.format(n=0) + "\n" + _CPU.format(n=1))
    _write(root / "sys/kernel", osrelease="6.1")
    _write(root / "net/ipv4/conf" / interface, forwarding="1")
    settings = {"disable_ipv6": "0", "forwarding": "0", "mtu": "1500", "dad_transmits": "1", "autoconf": "1"}
    _write(root / "net/ipv6/conf" / interface, **settings)


class MadeUpKernel(Kernel):
    """What rtnetlink would tell of interface 7."""

    def __init__(self, interface: str) -> None:
        self._interface = interface

    def tables(self) -> Tables:
        return Tables(
            {
                (AF_INET, 7): [Address("10.64.0.1", 24, PERMANENT), Address("10.66.0.9", 16, 0)],
                (AF_INET6, 7): [Address("fe80::1", 64, PERMANENT), Address("2001:db8::1", 64, 0x41)],
            },
            {7: [Neighbour("fe80::2", "02:00:00:00:00:02", 2, 0x80)]},
            {self._interface: [Neighbour("10.64.0.2", "02:00:00:00:00:03")]},
        )

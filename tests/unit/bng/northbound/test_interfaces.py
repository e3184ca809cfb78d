"""State of interfaces, read from a made-up /sys/class/net and from the real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from bng.northbound.interfaces import InterfacesProvider


def make(
    root: Path, name: str, *, oper: str = "up", flags: str = "0x1003", speed: str | None = "1000"
) -> None:
    folder = root / name
    (folder / "statistics").mkdir(parents=True)
    (folder / "flags").write_text(flags)
    (folder / "operstate").write_text(oper + "\n")
    (folder / "ifindex").write_text("7\n")
    (folder / "address").write_text("02:00:00:00:00:01\n")
    (folder / "mtu").write_text("1500\n")
    (folder / "type").write_text("1\n")
    (folder / "uevent").write_text(f"INTERFACE={name}\nIFINDEX=7\n")
    if speed is not None:
        (folder / "speed").write_text(speed)
    counted = ("rx_bytes", "rx_packets", "multicast", "rx_dropped", "rx_errors")
    for number, counter in enumerate((*counted, "tx_bytes", "tx_packets", "tx_dropped", "tx_errors")):
        (folder / "statistics" / counter).write_text(str(100 - number))


def test_reads_what_the_kernel_says(tmp_path: Path) -> None:
    make(tmp_path, "sub0")
    record = InterfacesProvider(tmp_path).get(("sub0",))
    assert record is not None
    assert (record.admin_status, record.oper_status, record.if_index, record.speed) == ("up", "up", 7, 10**9)
    assert record.statistics.in_octets == 100
    assert record.statistics.in_unicast_pkts == 1
    assert record.statistics.out_octets == 95


@pytest.mark.parametrize(
    ("oper", "flags", "expected"),
    [("unknown", "0x1", "up"), ("unknown", "0x0", "unknown"), ("lowerlayerdown", "0x1", "lower-layer-down")],
)
def test_oper_status(tmp_path: Path, oper: str, flags: str, expected: str) -> None:
    make(tmp_path, "x", oper=oper, flags=flags, speed="-1")
    record = InterfacesProvider(tmp_path).get(("x",))
    assert record is not None
    assert (record.oper_status, record.speed) == (expected, None)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "none", "a/b"])
def test_no_such_interface(tmp_path: Path, name: str) -> None:
    make(tmp_path, "x")
    assert InterfacesProvider(tmp_path).get((name,)) is None


def test_every_interface_of_this_machine() -> None:
    assert "lo" in [record.name for record in InterfacesProvider().iter()]

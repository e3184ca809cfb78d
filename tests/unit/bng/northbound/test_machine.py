"""What the kernel tells of itself: addresses, neighbours, links, hardware, the system."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from bng.dataplane.netlink import HEADER, attribute
from bng.northbound.hardware import HardwareProvider
from bng.northbound.interfaces import InterfacesProvider
from bng.northbound.kernel import RTM_NEWLINK, Kernel, Links, learned
from bng.northbound.system import SystemStateProvider
from tests.contract.model.machine import MadeUpKernel, make

DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    make(tmp_path, "sub0")
    return tmp_path


def test_addresses_and_neighbours_of_an_interface(root: Path) -> None:
    provider = InterfacesProvider(
        root / "class/net", root / "net", MadeUpKernel("sub0"), {"sub0": 10**18}.get
    )
    record = provider.get(("sub0",))
    assert record is not None
    assert (record.type, record.last_change) == (
        "iana-if-type:ethernetCsmacd",
        "2001-09-09T01:46:40.000000000Z",
    )
    ipv4, ipv6 = record.ipv4, record.ipv6
    assert ipv4 is not None
    assert ipv6 is not None
    assert [(a.ip, a.prefix_length, a.origin) for a in ipv4.address] == [
        ("10.64.0.1", 24, "static"),
        ("10.66.0.9", 16, "dhcp"),
    ]
    assert (ipv4.forwarding, ipv4.mtu, ipv4.neighbor[0].ip) == (True, 1500, "10.64.0.2")
    assert [(a.origin, a.status) for a in ipv6.address] == [
        ("link-layer", "preferred"),
        ("random", "tentative"),
    ]
    neighbour = ipv6.neighbor[0]
    assert (neighbour.origin, neighbour.is_router, neighbour.state) == ("dynamic", True, "reachable")
    assert (ipv6.enabled, ipv6.forwarding, ipv6.autoconf.create_global_addresses) == (True, False, True)


def test_counters_of_32_bits_wrap(root: Path) -> None:
    record = InterfacesProvider(root / "class/net", root / "net", MadeUpKernel("sub0")).get(("sub0",))
    assert record is not None
    assert (record.statistics.in_octets, record.statistics.in_discards) == (2**32 + 5, 5)


def test_one_that_is_configured_and_not_there(root: Path) -> None:
    provider = InterfacesProvider(root / "class/net")
    assert provider.get(("gone",)) is None
    record = provider.absent(("gone",))
    assert (record.oper_status, record.admin_status, record.if_index) == ("not-present", "down", None)


def test_the_kernel_of_this_machine() -> None:
    lo = InterfacesProvider(kernel=Kernel()).get(("lo",))
    assert lo is not None
    assert lo.type == "iana-if-type:softwareLoopback"
    assert lo.ipv4 is not None
    assert ("127.0.0.1", 8) in [(address.ip, address.prefix_length) for address in lo.ipv4.address]


def test_permanent_neighbours_are_those_of_sessions(tmp_path: Path) -> None:
    arp = tmp_path / "arp"
    arp.write_text(
        "IP address       HW type     Flags       HW address            Mask     Device\n"
        "10.0.0.1         0x1         0x2         02:00:00:00:00:01     *        sub0\n"
        "10.0.0.2         0x1         0x6         02:00:00:00:00:02     *        sub0\n"
        "10.0.0.3         0x1         0x0         00:00:00:00:00:00     *        sub0\n"
    )
    assert [(name, found.ip) for name, found in learned(arp)] == [("sub0", "10.0.0.1")]
    assert list(learned(tmp_path / "none")) == []


def link(name: bytes, state: int) -> bytes:
    payload = (
        struct.pack("=BBHiII", 0, 0, 1, 7, 0, 0) + attribute(3, name + b"\0") + attribute(16, bytes([state]))
    )
    return HEADER.pack(16 + len(payload), RTM_NEWLINK, 0, 0, 0) + payload


def test_links_tell_when_their_state_changed() -> None:
    changed: list[str] = []
    links = Links(changed.append)
    links.know(link(b"sub0", 6))
    links.take(link(b"sub0", 6), 2_000)
    assert (links.last_change("sub0"), changed) == (None, [])
    links.take(link(b"sub0", 2), 3_000)
    assert (links.last_change("sub0"), links.last_change("other"), changed) == (3_000, None, ["sub0"])
    links.take(b"\0" * 40, 4_000)
    links.take(link(b"sub0", 2)[:30], 4_000)
    assert links.last_change("sub0") == 3_000


def test_hardware(root: Path) -> None:
    hardware = HardwareProvider(root, root).record()
    by_name = {component.name: component for component in hardware.component}
    chassis = by_name["chassis"]
    assert (chassis.mfg_name, chassis.uuid) == ("Vendor", "6f1f1b5e-8f8e-4a55-9a37-0a4a3b2d4c11")
    assert set(chassis.contains_child) == by_name.keys() - {"chassis"}
    assert getattr(by_name["cpu-0"], "class") == "iana-hardware:cpu"
    assert by_name["port-sub0"].state == ("unlocked", "enabled")
    temperature, broken = by_name["sensor-hwmon0-temp1"], by_name["sensor-hwmon0-in0"]
    assert temperature.description == "coretemp Package"
    assert temperature.sensor_data is not None
    assert temperature.sensor_data[:4] == (41000, "celsius", "milli", 0)
    assert broken.sensor_data is not None
    assert (broken.sensor_data.value, broken.sensor_data.oper_status) == (None, "nonoperational")
    assert "sensor-thermal_zone0-temp" in by_name
    assert not any("other" in name for name in by_name)


def test_hardware_that_comes_is_a_change(root: Path) -> None:
    provider = HardwareProvider(root, root)
    first = provider.record().last_change
    assert provider.record().last_change == first
    (root / "class/net/sub1/device").mkdir(parents=True)
    assert provider.record().last_change > first


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    (chassis,) = HardwareProvider(tmp_path, tmp_path).record().component
    assert (chassis.name, chassis.model_name, chassis.contains_child) == ("chassis", None, [])


def test_the_system() -> None:
    record = SystemStateProvider().record()
    assert record.platform.os_name == "Linux"
    assert DATE.fullmatch(record.clock.boot_datetime)
    assert record.clock.boot_datetime < record.clock.current_datetime


def test_links_of_this_machine_are_known_from_the_start() -> None:
    changed: list[str] = []
    links = Links(changed.append)
    with links.open() as told:
        links.receive(told)
        assert "lo" in links._states
    assert changed == []

"""State of ietf-hardware (RFC 8348): what the kernel tells of the machine in /sys and /proc."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

from bng.northbound.container import ContainerProvider
from bng.seam.clock import date_and_time

CHASSIS: Final = "chassis"
_SENSORS: Final = {
    "temp": ("celsius", "milli", "millidegrees Celsius"),
    "in": ("volts-DC", "milli", "millivolts"),
    "curr": ("amperes", "milli", "milliamperes"),
    "power": ("watts", "micro", "microwatts"),
    "fan": ("rpm", "units", "revolutions per minute"),
}
"""Kind of a file of hwmon → value-type, value-scale, units-display."""
_MAX_SENSORS: Final = 256
_MAX_VALUE: Final = 1_000_000_000
_ABSENT: Final = frozenset(
    {"", "none", "not specified", "unknown", "default string", "to be filled by o.e.m."}
)


class State(NamedTuple):
    """component/state."""

    admin_state: str | None
    oper_state: str


class SensorData(NamedTuple):
    """component/sensor-data. The value is read when it is asked for: the update rate is 0."""

    value: int | None
    value_type: str
    value_scale: str
    value_precision: int
    oper_status: str
    units_display: str
    value_timestamp: str
    value_update_rate: int


@dataclass(slots=True)
class Component:
    """ietf-hardware:hardware/component; `kind` is its class, an identity of iana-hardware."""

    name: str
    kind: str
    parent: str | None = CHASSIS
    parent_rel_pos: int | None = None
    contains_child: list[str] = field(default_factory=list)
    description: str | None = None
    hardware_rev: str | None = None
    firmware_rev: str | None = None
    software_rev: str | None = None
    serial_num: str | None = None
    mfg_name: str | None = None
    model_name: str | None = None
    uuid: str | None = None
    state: State | None = None
    sensor_data: SensorData | None = None

    def __getattr__(self, name: str) -> str:
        if name == "class":  # the YANG name, which Python does not let a field have
            return f"iana-hardware:{self.kind}"
        raise AttributeError(name)


class Hardware(NamedTuple):
    """ietf-hardware:hardware."""

    last_change: str
    component: list[Component]


class HardwareProvider(ContainerProvider):
    """``/ietf-hardware:hardware``: the chassis, processors, ports and sensors.

    Args:
        sys: /sys.
        proc: /proc.
    """

    path = "/ietf-hardware:hardware"

    def __init__(self, sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> None:
        self._sys = sys
        self._proc = proc
        self._known: tuple[str, ...] = ()
        self._changed = time.time_ns()
        self._fixed: list[Component] | None = None

    def record(self) -> Hardware:
        if self._fixed is None:
            self._fixed = [self._chassis(), *self._processors()]
        found = [*self._fixed, *self._ports(), *self._sensors()]
        names = tuple(component.name for component in found)
        if self._known not in ((), names):
            self._changed = time.time_ns()
        self._known = names
        found[0].contains_child = list(names[1:])
        return Hardware(date_and_time(self._changed), found)

    def _chassis(self) -> Component:
        dmi = self._sys / "class/dmi/id"
        return Component(
            CHASSIS,
            "chassis",
            parent=None,
            description="The machine that the element runs on.",
            hardware_rev=_told(dmi / "product_version"),
            firmware_rev=_told(dmi / "bios_version"),
            software_rev=_told(self._proc / "sys/kernel/osrelease"),
            serial_num=_told(dmi / "product_serial"),
            mfg_name=_told(dmi / "sys_vendor"),
            model_name=_told(dmi / "product_name"),
            uuid=_uuid(_told(dmi / "product_uuid")),
            state=State(None, "enabled"),
        )

    def _processors(self) -> Iterator[Component]:
        """One per socket."""
        seen: set[str] = set()
        for block in _text(self._proc / "cpuinfo").split("\n\n"):
            told = dict(re.findall(r"^([^\t:]+)\s*:[ \t]*(.*)$", block, re.MULTILINE))
            socket = told.get("physical id", "0")
            if not told or socket in seen or not socket.isdigit():
                continue
            seen.add(socket)
            yield Component(
                f"cpu-{socket}",
                "cpu",
                parent_rel_pos=int(socket),
                description=f"{told.get('siblings', '1')} hardware threads.",
                firmware_rev=told.get("microcode"),
                mfg_name=told.get("vendor_id"),
                model_name=told.get("model name"),
                state=State(None, "enabled"),
            )

    def _ports(self) -> Iterator[Component]:
        """The network interfaces that have hardware."""
        for number, folder in enumerate(sorted((self._sys / "class/net").glob("*/device"))):
            interface = folder.parent
            up = int(_told(interface / "flags") or "0", 16) & 1
            working = _told(interface / "operstate") == "up"
            yield Component(
                f"port-{interface.name}",
                "port",
                parent_rel_pos=number,
                description=f"Interface {interface.name}.",
                state=State("unlocked" if up else "locked", "enabled" if working else "disabled"),
            )

    def _sensors(self) -> Iterator[Component]:
        inputs = [
            path
            for path in sorted((self._sys / "class/hwmon").glob("hwmon*/*_input"))
            if re.fullmatch(r"(temp|in|curr|power|fan)\d+_input", path.name)
        ]
        zones = sorted((self._sys / "class/thermal").glob("thermal_zone*/temp"))
        for number, path in enumerate((*inputs, *zones)[:_MAX_SENSORS]):
            kind = re.match("[a-z]+", path.name)
            assert kind is not None
            label = path.with_name(path.name.replace("_input", "_label"))
            owner = path.with_name("name" if path in inputs else "type")
            yield Component(
                f"sensor-{path.parent.name}-{path.name.removesuffix('_input')}",
                "sensor",
                parent_rel_pos=number,
                description=" ".join(filter(None, (_told(owner), _told(label) if path in inputs else None)))
                or None,
                sensor_data=_sensor(path, *_SENSORS[kind[0]]),
            )


def _sensor(path: Path, kind: str, scale: str, units: str) -> SensorData:
    try:
        value: int | None = max(-_MAX_VALUE, min(_MAX_VALUE, int(path.read_text())))
    except (OSError, ValueError):
        value = None
    status = "ok" if value is not None else "nonoperational"
    return SensorData(value, kind, scale, 0, status, units, date_and_time(time.time_ns()), 0)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _told(path: Path) -> str | None:
    """What a file says; None when it is not there or says nothing."""
    text = "".join(character for character in _text(path).strip()[:255] if character.isprintable())
    return None if text.lower() in _ABSENT else text


def _uuid(text: str | None) -> str | None:
    try:
        return str(UUID(text)) if text else None
    except ValueError:
        return None

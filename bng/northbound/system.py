"""State of ietf-system (RFC 7317): the operating system and its clock."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from bng.northbound.container import ContainerProvider
from bng.northbound.interfaces import boot_time
from bng.seam.clock import date_and_time


class Platform(NamedTuple):
    """system-state/platform, as uname(2) tells it."""

    os_name: str
    os_release: str
    os_version: str
    machine: str


class Clock(NamedTuple):
    """system-state/clock."""

    current_datetime: str
    boot_datetime: str


class SystemState(NamedTuple):
    """ietf-system:system-state."""

    platform: Platform
    clock: Clock


class SystemStateProvider(ContainerProvider):
    """``/ietf-system:system-state``."""

    path = "/ietf-system:system-state"

    def __init__(self) -> None:
        self._booted = date_and_time(boot_time())

    def record(self) -> SystemState:
        system = os.uname()
        return SystemState(
            Platform(system.sysname, system.release, system.version, system.machine),
            Clock(date_and_time(time.time_ns()), self._booted),
        )

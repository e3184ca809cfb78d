"""A whole control process in this one, with any number of sessions, for benchmarks."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bng.codec import dhcp
from bng.codec.dhcp import BOOTREPLY, DhcpPacket, MessageType, Option
from bng.daemon.control import Control
from bng.dataplane.base import COUNTERS, DataPlane, Refresh, Sweep
from bng.dataplane.fake import FakeDataPlane
from bng.session import effects as fx
from bng.session import events as ev
from bng.units import units_of
from tests.support.bng_world import startup
from tests.support.dhcp_client import REQUEST, Subscriber

SERVER = "192.0.2.2"


def address(number: int) -> str:
    return f"10.64.{10 + number // 250}.{1 + number % 250}"


class InstantServers:
    """Outlets whose RADIUS server accepts everybody, and whose DHCP server acknowledges renewals, at once.

    Attributes:
        accounts: records given to accounting.
    """

    def __init__(self, control: Control, interim: int | None = None) -> None:
        self.accounts = 0
        self._control = control
        self._interim = interim

    def to_server(self, effect: fx.SendToServer) -> None:
        request = dhcp.parse(effect.payload)
        options = {
            Option.MESSAGE_TYPE: bytes([MessageType.ACK]),
            Option.LEASE_TIME: (3600).to_bytes(4, "big"),
            Option.SERVER_ID: bytes([192, 0, 2, 2]),
            Option.RELAY_AGENT: request.options[Option.RELAY_AGENT],
        }
        reply = DhcpPacket(
            BOOTREPLY, request.xid, request.mac_address, options,
            ciaddr=request.ciaddr, yiaddr=request.ciaddr, giaddr=request.giaddr,
        )  # fmt: skip
        self._control.outlets.from_server(SERVER, dhcp.build(reply))

    def to_subscriber(self, effect: fx.SendToSubscriber) -> None: ...

    def account(self, effect: fx.Account, seq: int) -> None:
        self.accounts += 1

    def router_seen(self, effect: fx.RouterSeen) -> None: ...

    def ask(self, effect: fx.AskRadius) -> None:
        self._control.writer.post(
            ev.RadiusAccept(effect.session_id, effect.attempt, ("gold",), interim_interval=self._interim)
        )


class BusyDataPlane(FakeDataPlane):
    """A data plane in memory in which every session carries traffic. Its sweep costs next to nothing: what
    reading the kernel costs is another benchmark's."""

    _values = np.zeros((0, len(COUNTERS)), np.uint64)

    def refresh(self) -> Refresh:
        return super().refresh() if not self._attached else Refresh()

    def sweep(self) -> Sweep:
        count = self._book.end
        missing = count - len(self._values)
        if missing > 0:
            self._values = np.pad(self._values, ((0, missing), (0, 0)))
        self._values[:count] += np.array([1000, 9000, 5, 10, 0, 0], np.uint64)
        bindings = self._book.bindings[:count].copy()
        return Sweep(self._values[:count].copy(), bindings > 0, bindings, time.time_ns())


def lease(number: int) -> ev.LeaseFound:
    """What begins session `number`."""
    mac = Subscriber(number).mac_text
    now = time.time_ns()
    return ev.LeaseFound(
        "node-1", f"1/0/{number}", "sub0", "0.0.0.0", mac, address(number), now + 10**13, now, SERVER
    )


def renewal(number: int, xid: int) -> bytes:
    """The frame by which the subscriber of session `number` renews."""
    return Subscriber(number).frame(REQUEST, ciaddr=address(number), xid=xid)


def prepare(state_dir: Path, **timers: int) -> None:
    """Put the configuration of a BNG into its state folder."""
    (state_dir / "control").mkdir(parents=True)
    (state_dir / "control" / "config.json").write_text(json.dumps(units_of(startup(**timers))))


async def start(
    state_dir: Path, dataplane: DataPlane, interim: int | None = None
) -> tuple[Control, asyncio.Task[None]]:
    """A control plane that serves, and its task."""
    control = Control(state_dir, dataplane)
    serving = asyncio.ensure_future(control.run())
    while not control._adopted:
        await asyncio.sleep(0.01)
    control.writer.outlets = InstantServers(control, interim)
    return control, serving


async def fill(
    control: Control, count: int, each: Callable[[int], Any] = lambda _: None, batch: int = 500
) -> None:
    """Set sessions 0 to `count` - 1 up, until all is durable."""
    for first in range(0, count, batch):
        for number in range(first, min(first + batch, count)):
            control.writer.post(lease(number))
        while control.writer.waiting:
            await asyncio.sleep(0)
        each(first)
    while control.journal.pending or len(control.dataplane.installed()) < count:
        await asyncio.sleep(0.01)

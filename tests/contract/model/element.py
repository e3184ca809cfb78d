"""A whole BNG in this process, control and management, filled until nearly all of its state is there.

Only the kernel's data plane, the DHCP server and the RADIUS server are made up; the interfaces of its
configuration are on no machine, so that it changes nothing of this one.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from lxml import etree

from bng.daemon import control as control_process
from bng.daemon.control import Control
from bng.daemon.netconf import NetconfSettings, settings
from bng.dataplane.fake import FakeKernel
from bng.health import Usage
from bng.northbound.hardware import HardwareProvider
from bng.northbound.interfaces import InterfacesProvider
from bng.northbound.provider import Northbound
from bng.session import effects as fx
from bng.session import events as ev
from bng.units import Units, empty_units, units_of
from nbi.server import MODULES_DIR, NetconfServer
from tests.contract.model import machine
from tests.contract.model.sample import full
from tests.support.filled_control import BusyDataPlane, InstantServers, start
from tests.support.waiting import until
from yang.access import User
from yang.datastore.model import PathOperation, Session
from yang.path import DataPath
from yang.schema import Schema, SchemaNode
from yang.tree import Tree

ROOT = User("root", recovery=True)
SESSIONS = 12
INTERFACE = "mdl-sub"


class Filled:
    """The element.

    Attributes:
        control: its control plane.
        tree: what its servers see.
        socket: on which it speaks NETCONF.
    """

    def __init__(self, control: Control, north: Northbound, tree: Tree, socket: Path) -> None:
        self.control, self.north, self.tree, self.socket = control, north, tree, socket

    def xml(self, **view: Any) -> str:
        """All that it has."""
        return b"".join(self.tree.read_xml(self.tree.select_all(), ROOT, **view)).decode()

    async def fill(self) -> None:
        """Sessions, one that is refused and one that ends; access routers; packets that are dropped."""
        control, north = self.control, self.north
        await until(lambda: control.underlay.ready and north.control.connected)
        for number in range(SESSIONS):
            control.writer.post(_lease(number))
        await until(lambda: len(control.dataplane.installed()) == SESSIONS - 1)
        control.routers.seen("node-1", "127.0.0.5", "02:00:00:00:00:05", "mdl-sub")
        control.routers.seen("node-9", "127.0.0.6", "02:00:00:00:00:06", "mdl-sub")
        control.routers.probe("node-1")
        control.outlets.from_server("127.0.0.9", b"junk")
        await control.reconciler.run()
        await until(lambda: len(north.sessions) == SESSIONS)
        session = next(one for one in north.sessions.iter() if one.status == "active")
        path = "/aether-subscriber:sessions/session/disconnect"
        await self.tree.invoke(path, (session.id,), {"reason": "moved <out>"}, ROOT)
        more = {"remote-id": "node-2", "circuit-id": "7"}
        self.event("session-moved", **{"new-access-line": more, "reason": "DHCP on another line"})
        await until(lambda: len(north.sessions) == SESSIONS - 1)
        again = next(one for one in north.sessions.iter() if one.status == "active")
        for _ in range(4):  # steps that are the same over again are one in the timeline
            path = "/aether-subscriber:sessions/session/set-profile"
            await self.tree.invoke(path, (again.id,), {"profile": "gold"}, ROOT)
        await self._commit_and_cancel()
        self._troubles()
        await control._report_health()
        control.server.push("routers", records=await control.routers.gather())
        await until(lambda: north.summary.record().failure and north.routers.discovered.iter())

    async def _commit_and_cancel(self) -> None:
        """A commit of which all is known, and one that goes back."""
        session = Session(99, ROOT, "netconf 192.0.2.99")
        change = PathOperation("update", DataPath.parse("/ietf-system:system/contact"), "somebody else")
        await self.tree.datastores.edit_paths(session, "candidate", [change])
        await self.tree.datastores.commit(session, confirmed=True, comment="as <planned>")
        await self.tree.datastores.cancel_commit(session)

    def _troubles(self) -> None:
        """What is in a health report only when something is wrong, or limited."""
        control = self.control
        control.spool.alarm = control.journal.alarm = "No space left on device in <here>"
        next(iter(control.aaa.client.servers)).accounting.dead_since = time.time_ns()
        control.health._usage._cgroup = Limited()

    def event(self, kind: str, number: int = 1, **more: Any) -> None:
        """Put an event into the journal, of one of its sessions."""
        session = list(self.north.sessions.iter())[number]
        line = {"remote-id": session.access_line.remote_id, "circuit-id": session.access_line.circuit_id}
        self.control.writer.journal({"type": kind, "session-id": session.id, "access-line": line, **more})


@asynccontextmanager
async def filled(folder: Path) -> AsyncIterator[Filled]:
    """Start it, set sessions up, and let things happen to them."""
    thresholds = gc.get_threshold()
    tree: Tree | None = None

    def running() -> Units:
        return empty_units() if tree is None else units_of(tree.running_json())

    (folder / "startup.json").write_text(json.dumps(full()))
    (folder / "control").mkdir()
    (folder / "control" / "config.json").write_text(json.dumps(units_of(full())))
    pids = dict.fromkeys(("run", "control", "management"), os.getpid())
    (folder / "pids.json").write_text(json.dumps(pids))
    machine.make(folder / "machine", INTERFACE)
    control, serving = await start(folder, BusyDataPlane(FakeKernel({"mdl-sub", "mdl-up"})))
    control.writer.outlets = Servers(control)
    tasks = [serving]
    server = None
    try:
        north = Northbound(folder, running)
        _on_made_up_machine(north, folder / "machine")
        registration = north.registration()
        netconf = NetconfSettings()
        registration.config.append(netconf)
        registration.state.extend(netconf.providers())
        tree = await Tree.open(registration, folder, folder / "startup.json", module_dirs=[MODULES_DIR])
        tasks.append(asyncio.ensure_future(north.run(tree.bus)))
        socket = folder / "netconf.sock"
        server = NetconfServer(
            tree, [], folder / "key", unix_path=socket, unix_user=ROOT, replay=north.replay
        )
        await server.start()
        await netconf.serve(server, settings(tree.running_json()))
        element = Filled(control, north, tree, socket)
        await element.fill()
        await until(lambda: netconf.server.call_home.states["noc"].failures)  # it is not there
        yield element
    finally:
        control_process._DRAIN_ACCOUNTING = 0.0
        if server is not None:
            await server.stop()
        for task in reversed(tasks):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if tree is not None:
            await tree.close()
        gc.unfreeze()
        gc.set_threshold(*thresholds)


def _on_made_up_machine(north: Northbound, root: Path) -> None:
    links = {INTERFACE: time.time_ns()}
    kernel = machine.MadeUpKernel(INTERFACE)
    north.interfaces = InterfacesProvider(root / "class/net", root / "net", kernel, links.get)
    north.hardware = HardwareProvider(root, root)


class Limited:
    """A cgroup of this instance alone, with a limit."""

    def usage(self) -> Usage:
        return Usage(1.0, 1 << 20, 1 << 30)

    def pids(self) -> set[int]:
        return {os.getpid()}


class Servers(InstantServers):
    """Servers of which RADIUS refuses the last session."""

    def ask(self, effect: fx.AskRadius) -> None:
        if effect.username.endswith(f"/{SESSIONS - 1}"):
            self._control.writer.post(ev.RadiusReject(effect.session_id, effect.attempt, "not <paid>", "r1"))
        else:
            super().ask(effect)


def _lease(number: int) -> ev.LeaseFound:
    """What begins a session."""
    now = time.time_ns()
    mac, address = f"02:00:00:00:00:{number:02x}", f"10.65.0.{1 + number}"
    line = ("node-1", f"1/0/{number}", "mdl-sub", "127.0.0.5")
    return ev.LeaseFound(*line, mac, address, now + 10**13, now, "127.0.0.9")


def paths_in(schema: Schema, text: str) -> set[str]:
    """Schema path of every leaf that a reply has."""
    found: set[str] = set()
    root = etree.fromstring(f"<data>{text}</data>", etree.XMLParser(huge_tree=True))
    _walk(schema, schema.root, root, found)
    return found


def _walk(schema: Schema, node: SchemaNode, element: etree._Element, found: set[str]) -> None:
    for child in element:
        name = etree.QName(child)
        module = schema.module_of_namespace(name.namespace or "")
        below = node.child(name.localname, module)
        assert below is not None, child.tag
        if below.is_leaf:
            found.add(below.path)
        elif below.kind != "anydata":
            _walk(schema, below, child, found)

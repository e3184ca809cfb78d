"""What managers are told by a whole BNG, unasked; access routers, routes, and the processes themselves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ncclient.operations import RPCError

from tests.support.bng_manager import act, gnmi_get, wait_status
from tests.support.bng_world import ADMIN, ADMIN_PASSWORD, GNMI_PORT, World, world
from tests.support.marks import WHOLE_BNG
from tests.support.netns import run
from tests.support.servers import wait_for
from yang.sealing import Sealer

pytestmark = WHOLE_BNG
BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
ROUTERS = "urn:aether:yang:aether-access-router"


@pytest.fixture(scope="module")
def bng(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("bng")) as made:
        made.start()
        yield made


class Watcher:
    """A gNMI subscription; what came is in `lines`."""

    def __init__(self, bng: World, mode: str, seconds: float, *paths: str) -> None:
        self.lines: list[dict[str, Any]] = []
        certificate = bng.state_dir / "tls" / "cert.pem"
        self.process = bng.namespaces.start(
            "b", sys.executable, "-m", "tests.support.gnmi_watch", f"127.0.0.1:{GNMI_PORT}", str(certificate),
            ADMIN, ADMIN_PASSWORD, mode, str(seconds), *paths,
            stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()
        wait_for("the subscription is in sync", lambda: {"sync": True} in self.lines, 20)

    def _read(self) -> None:
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def values(self, ending: str) -> list[Any]:
        return [
            line["value"] for line in self.lines if line.get("path", "").endswith(ending) and "value" in line
        ]

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()


def test_events_are_streamed_live_and_from_the_past(bng: World) -> None:
    live = Watcher(bng, "on-change", 0, "events/event")
    bng.attach(11)
    session = wait_status(bng, 11, "active")
    act(bng, session["id"], "<disconnect/>")

    def types(watcher: Watcher) -> list[str]:
        by_event: dict[str, dict[str, str]] = {}
        for line in watcher.lines:
            if "value" in line:
                event, _, leaf = line["path"].rpartition("/")
                by_event.setdefault(event, {})[leaf] = line["value"]
        return [event["type"] for event in by_event.values() if event.get("session-id") == session["id"]]

    expected = ["session-start", "policy-apply", "session-stop"]
    wait_for("the life of the session is streamed", lambda: types(live) == expected)
    live.end()
    past = Watcher(bng, "on-change", 60, "events/event")
    wait_for("the life of the session is replayed", lambda: types(past) == expected)
    past.end()


def test_sessions_and_health_are_streamed_on_change(bng: World) -> None:
    watcher = Watcher(bng, "on-change", 0, "sessions/session", "health")
    bng.attach(12)
    session = wait_status(bng, 12, "active")
    entry = f"[id={session['id']}]"
    wait_for(
        "its states are streamed",
        lambda: watcher.values(f"{entry}/status")[-1:] == ["active"],
    )
    wait_for("health is streamed", lambda: len(set(watcher.values(":health/time"))) >= 3)
    act(bng, session["id"], "<disconnect/>")
    wait_for(
        "its end is streamed",
        lambda: [line for line in watcher.lines if line.get("deleted") and entry in line["path"]],
    )
    watcher.end()


def test_counters_are_sampled(bng: World) -> None:
    (subscriber,) = bng.attach(13)
    bng.give_address(subscriber)
    session = wait_status(bng, 13, "active")
    watcher = Watcher(bng, "sample", 1, "sessions/session/counters")
    assert bng.ping(10, 0.02, 972) == (10, 10)
    path = f"[id={session['id']}]/counters/in-octets"
    wait_for("the traffic is sampled", lambda: "10000" in watcher.values(path))
    watcher.end()


def test_notifications_are_replayed_and_go_on_live(bng: World) -> None:
    bng.attach(14)
    first = wait_status(bng, 14, "active")
    with bng.netconf() as netconf:
        start = (datetime.now(UTC) - timedelta(seconds=60)).isoformat().replace("+00:00", "Z")
        netconf.create_subscription(start_time=start)
        seen: list[str] = []

        def take(text: str) -> bool:
            while (notification := netconf.take_notification(block=False)) is not None:
                seen.append(notification.notification_xml)
            return any(text in xml and first["id"] in xml for xml in seen)

        wait_for("its start is replayed", lambda: take("session-start"))
        wait_for("replay is complete", lambda: any("replayComplete" in xml for xml in seen) or take("-"))
        act(bng, first["id"], "<disconnect/>")
        wait_for("its stop comes live", lambda: take("session-stop"))


def commit(bng: World, text: str) -> None:
    with bng.netconf() as netconf:
        netconf.edit_config(target="candidate", config=f'<config xmlns="{BASE}">{text}</config>')
        netconf.commit()


def test_a_routed_access_node_is_routed_to_and_watched(bng: World) -> None:
    router = (
        f'<access-routers xmlns="{ROUTERS}"><access-router><name>second</name><remote-id>node-2</remote-id>'
        "<access-model>routed</access-model><interface>sub0</interface><address>10.64.0.2</address>"
        "<subnet>10.99.0.0/24</subnet></access-router></access-routers>"
    )
    commit(bng, router)

    def state() -> dict[str, Any]:
        return dict(gnmi_get(bng, "access-routers", "access-router[name=second]", "state")[0])

    def routes() -> str:
        return run("ip", "-n", bng.namespaces.name("b"), "route").stdout

    wait_for("it is known", lambda: gnmi_get(bng, "access-routers", "access-router", "state")[1:])
    wait_for("its subnet is routed", lambda: "10.99.0.0/24 via 10.64.0.2 dev sub0" in routes())
    wait_for("nobody answers", lambda: state()["reachability"] == "down")
    bng.namespaces.ip("s", "address", "add", "10.64.0.2/16", "dev", "s0")
    try:
        wait_for("it answers", lambda: state()["reachability"] == "up")
        assert int(state()["round-trip-time"]) > 0
    finally:
        bng.namespaces.ip("s", "address", "delete", "10.64.0.2/16", "dev", "s0")
    wait_for("it is gone", lambda: state()["reachability"] == "down")
    with bng.netconf() as netconf:
        wanted = "<event><type>router-update</type></event>"
        wanted = f'<events xmlns="urn:aether:yang:aether-events">{wanted}</events>'
        events = netconf.get(("subtree", wanted)).data_xml
    assert events.count("<name>second</name>") >= 3
    commit(bng, router.replace("<access-router>", f'<access-router xmlns:nc="{BASE}" nc:operation="delete">'))
    wait_for("its route is gone", lambda: "10.99.0.0/24" not in routes())


def of_control(bng: World) -> str:
    """What control committed last, which is sealed on the disk, anew each time."""
    sealed = (bng.state_dir / "control" / "config.json").read_text()
    return Sealer(bng.state_dir).open(sealed, "control/config.json")


def test_what_the_kernel_refuses_is_nowhere(bng: World) -> None:
    """A broadcast address as the next hop: the model takes it, the kernel never does."""

    def stored() -> bytes:
        return (bng.state_dir / "config" / "running.json").read_bytes()

    router = (
        f'<access-routers xmlns="{ROUTERS}"><access-router><name>third</name><remote-id>node-3</remote-id>'
        "<access-model>routed</access-model><interface>sub0</interface><address>10.64.255.255</address>"
        "<subnet>10.98.0.0/24</subnet></access-router></access-routers>"
    )
    before, control = stored(), of_control(bng)
    with bng.netconf() as netconf:
        netconf.edit_config(target="candidate", config=f'<config xmlns="{BASE}">{router}</config>')
        with pytest.raises(RPCError) as caught:
            netconf.commit()
        netconf.discard_changes()
        assert "third" not in netconf.get_config("running").data_xml
    assert "the kernel refuses it: route 10.98.0.0/24 via 10.64.255.255" in caught.value.message
    assert caught.value.path.endswith("access-router[aether-access-router:name='third']")
    assert stored() == before
    assert of_control(bng) == control


def test_control_is_killed_during_a_commit(bng: World) -> None:
    """The client is told, nothing is committed, and the commit can be made again."""
    router = (
        f'<access-routers xmlns="{ROUTERS}"><access-router><name>fourth</name><remote-id>node-4</remote-id>'
        "</access-router></access-routers>"
    )
    before = (bng.state_dir / "config" / "running.json").read_bytes()
    with bng.netconf() as netconf:
        netconf.edit_config(target="candidate", config=f'<config xmlns="{BASE}">{router}</config>')
        os.kill(bng.pid("control"), signal.SIGSTOP)
        killer = threading.Timer(0.3, bng.kill, ["control"])
        killer.start()
        with pytest.raises(RPCError, match="control plane went away"):
            netconf.commit()
        assert (bng.state_dir / "config" / "running.json").read_bytes() == before
        killer.join()

        def committed() -> bool:
            try:
                netconf.commit()
            except RPCError as error:
                assert error.tag == "resource-denied"
                return False
            return True

        wait_for("it is committed when control is back", committed)
    wait_for("control has it", lambda: "fourth" in of_control(bng))


def test_nobody_outlives_the_supervisor(tmp_path: Path) -> None:
    with world(tmp_path) as bng:
        bng.start()
        children = [bng.pid("control"), bng.pid("management")]
        os.kill(bng.pid("run"), signal.SIGKILL)
        wait_for("both children end", lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
        bng.start()
        bng.attach(1)
        wait_status(bng, 1, "active")
        bng.stop()
        assert bng.bng is not None
        assert bng.bng.returncode == 0

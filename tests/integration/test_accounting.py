"""Accounting as a bill needs it: each session one Start and one Stop, in order, with all that it carried.

FreeRADIUS's detail file is the judge.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ncclient.operations import RPCError

from bng.seam.matrix import Matrix
from bng.session.counters import OFFSETS, TOTALS
from tests.support.bng_manager import (
    SUBSCRIBER,
    accounting,
    act,
    gnmi_get,
    rpc,
    session_of,
    wait_status,
)
from tests.support.bng_world import World, users, world
from tests.support.marks import WHOLE_BNG
from tests.support.servers import wait_for

pytestmark = WHOLE_BNG
PAYLOAD = 972
PACKET = 1000
"""IP octets of an echo request with that payload."""


def configure(bng: World, change: Callable[[dict[str, Any]], None]) -> None:
    """Change bng/aaa of the startup configuration. A dead server is noticed within a second."""
    startup = json.loads(bng.config.read_text())
    aaa = startup["aether-bng:bng"]["aaa"]
    aaa["server"][0].update({"timeout": 200, "retries": 1})
    change(aaa)
    bng.config.write_text(json.dumps(startup))


@pytest.fixture
def bng(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        configure(made, lambda aaa: aaa.update(unanswered={"action": "admit", "profile": "bronze"}))
        made.start()
        yield made


def kill_control(bng: World) -> None:
    recovered = bng.log().count('"recovery.done"')
    bng.kill("control")
    wait_for("control has recovered", lambda: bng.log().count('"recovery.done"') > recovered, 20)
    wait_for("control serves management again", lambda: obeys(bng))


def obeys(bng: World) -> bool:
    """Whether operations are carried out."""
    with bng.netconf() as netconf:
        try:
            rpc(
                netconf,
                f'<disconnect-sessions xmlns="{SUBSCRIBER}"><profile>none</profile></disconnect-sessions>',
            )
        except RPCError:
            return False
    return True


def carry(bng: World, subscriber: Any, packets: int) -> None:
    bng.give_address(subscriber)
    assert bng.ping(packets, 0.01, PAYLOAD) == (packets, packets)


def story(bng: World, session_id: str) -> list[str]:
    """What RADIUS was told of a session, in order; Interim-Updates left out."""
    records = [r for r in bng.radius.accounting() if r["Acct-Session-Id"] == session_id]
    return [r["Acct-Status-Type"] for r in records if r["Acct-Status-Type"] != "Interim-Update"]


def health(bng: World) -> dict[str, Any]:
    (found,) = gnmi_get(bng, "health")
    return dict(found)


def test_what_happened_while_radius_was_dead_is_delivered_once_and_in_order(bng: World) -> None:
    before = bng.attach(1, 2, 3)
    ids = {n: wait_status(bng, n, "active")["id"] for n in (1, 2, 3)}
    carry(bng, before[0], 10)
    wait_for("the Starts are taken", lambda: all(story(bng, one) == ["Start"] for one in ids.values()))
    bng.radius.stop()
    act(bng, ids[1], "<disconnect/>")

    during = dict(zip(range(11, 21), bng.attach(*range(11, 21)), strict=True))
    for number in during:
        session = wait_status(bng, number, "active", 30)
        ids[number] = session["id"]
        assert (session["authorization"], session["profile"]) == ("local", "bronze")
    carry(bng, during[11], 7)
    kill_control(bng)
    for number in (11, 12, 13):
        act(bng, ids[number], "<disconnect/>")
    kill_control(bng)
    act(bng, ids[2], "<disconnect/>")
    act(bng, ids[14], "<disconnect/>")
    wait_for("the backlog is reported", lambda: health(bng).get("accounting-pending", 0) >= 15)
    (server,) = health(bng)["radius-server"]
    assert (server["accounting-up"], "dead-since" in server) == (False, True)
    kill_control(bng)

    bng.radius.start(users())
    wait_for("all is delivered", lambda: health(bng)["accounting-pending"] == 0, 60)
    for number in range(15, 21):  # a server answers at last: its answer counts
        wait_for("RADIUS has decided", lambda n=number: authorization(bng, n) == "radius", 30)  # type: ignore[misc]
    assert wait_status(bng, 15, "active")["profile"] == "gold"
    for number in (3, *range(15, 21)):
        act(bng, ids[number], "<disconnect/>")
    wait_for("all is delivered", lambda: all(story(bng, one)[-1:] == ["Stop"] for one in ids.values()), 30)
    kill_control(bng)
    for number, session_id in ids.items():
        assert story(bng, session_id) == ["Start", "Stop"], number
        told = [r for r in bng.radius.accounting() if r["Acct-Session-Id"] == session_id]
        assert told[-1]["Acct-Status-Type"] == "Stop"
    (stop,) = accounting(bng, ids[1], "Stop")
    assert (stop["Acct-Input-Octets"], stop["Acct-Output-Octets"]) == ("10000", "10000")
    (stop,) = accounting(bng, ids[11], "Stop")
    assert (stop["Acct-Input-Octets"], stop["Acct-Output-Packets"]) == ("7000", "7")
    assert accounting(bng, ids[11], "Start")[0]["Acct-Authentic"] == "Local"
    assert health(bng)["accounting-lost"] == "0"
    assert "Traceback" not in bng.log()


def test_service_is_ended_on_purpose(bng: World) -> None:
    bng.attach(1, 2, 3)
    ids = [wait_status(bng, n, "active")["id"] for n in (1, 2, 3)]
    with bng.netconf() as netconf:
        reply = rpc(
            netconf, '<end-service xmlns="urn:aether:yang:aether-bng"><reason>move</reason></end-service>'
        )
    assert ">3</disconnected>" in reply
    bng.attach(4)
    later = wait_status(bng, 4, "active")["id"]
    wait_for("all is told", lambda: story(bng, later) == ["Start"])
    told = [(r["Acct-Status-Type"], r["Acct-Session-Id"]) for r in bng.radius.accounting()]
    assert told[0][0] == "Accounting-On"
    assert sorted(told[1:4]) == sorted(("Start", one) for one in ids)
    stops = [r for r in bng.radius.accounting() if r["Acct-Status-Type"] == "Stop"]
    assert {r["Acct-Terminate-Cause"] for r in stops} == {"Admin-Reboot"}
    off = [kind for kind, _ in told].index("Accounting-Off")
    assert {told.index(("Stop", one)) < off for one in ids} == {True}
    assert told.index(("Start", later)) > off


def authorization(bng: World, number: int) -> str:
    with bng.netconf() as netconf:
        found = session_of(netconf, number)
    return found.get("authorization", "") if found else ""


def test_every_octet_is_in_the_stop(bng: World) -> None:
    """Across kill -9, a change of profile, and where 32 bits go round."""
    (subscriber,) = bng.attach(1)
    session_id = wait_status(bng, 1, "active")["id"]
    carry(bng, subscriber, 20)
    kill_control(bng)
    carry(bng, subscriber, 30)
    act(bng, session_id, "<set-profile><profile>bronze</profile></set-profile>")
    carry(bng, subscriber, 25)
    wait_for(
        "a sweep saw it",
        lambda: gnmi_get(bng, "sessions", f"session[id={session_id}]", "counters", "in-packets") == ["75"],
    )
    preload(bng, (1 << 32) - 5 * PACKET - 75 * PACKET)
    carry(bng, subscriber, 15)
    act(bng, session_id, "<disconnect/>")
    (stop,) = wait_for("the Stop is accounted", lambda: accounting(bng, session_id, "Stop"))  # type: ignore[misc]
    for way in ("Input", "Output"):
        assert stop[f"Acct-{way}-Gigawords"] == "1"
        assert stop[f"Acct-{way}-Octets"] == str(10 * PACKET)
        assert stop[f"Acct-{way}-Packets"] == "90"
    assert len(accounting(bng, session_id, "Start")) == 1


def preload(bng: World, octets: int) -> None:
    """Let the session in slot 0 have carried more, by the matrix's offsets, while no control plane runs: what
    a session of weeks has. The kernel's counters are 64 bits and need no help to go round 32."""
    bng.stop()
    matrix = Matrix(bng.state_dir / "matrix", str(uuid.uuid4()))
    with matrix.writing() as rows:
        for column in (0, 1):
            rows[0, OFFSETS][column] += octets
            rows[0, TOTALS][column] += octets
    bng.start()
    wait_for("control serves management again", lambda: obeys(bng))

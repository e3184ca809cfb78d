"""Why a customer is not online, and recordings of a running BNG: real servers, NETCONF, gNMI and the CLI."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from ncclient.operations import RPCError

from tests.support.bng_manager import act, gnmi_get, rpc, wait_status
from tests.support.bng_world import World, users, world
from tests.support.dhcp_client import DISCOVER, Subscriber
from tests.support.marks import WHOLE_BNG
from tests.support.servers import wait_for

pytestmark = WHOLE_BNG

TIMELINE = "urn:aether:yang:aether-timeline"
REJECTED = 'Auth-Type := Reject\n\tReply-Message = "service suspended"'


@pytest.fixture(scope="module")
def bng(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("why"), users(line_7=REJECTED)) as made:
        made.start()
        yield made


def aether(bng: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``aether bng …`` on the BNG."""
    return subprocess.run(
        [sys.executable, "-m", "bng.cli", *arguments],
        env={**os.environ, "AETHER_STATE_DIR": str(bng.state_dir)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def plain(element: etree._Element) -> dict[str, Any]:
    """The leaves of an access line; its steps as a list."""
    found: dict[str, Any] = {"step": []}
    for child in element:
        name = etree.QName(child).localname
        if name == "step":
            found["step"].append({etree.QName(leaf).localname: leaf.text for leaf in child})
        else:
            found[name] = child.text
    return found


def why(bng: World, number: int) -> list[dict[str, Any]]:
    """The answer of the RPC."""
    with bng.netconf() as netconf:
        reply = rpc(netconf, f'<why xmlns="{TIMELINE}"><circuit-id>1/0/{number}</circuit-id></why>')
    tree = etree.fromstring(reply.encode())
    return [plain(line) for line in tree.iter(f"{{{TIMELINE}}}access-line")]


def whats(line: dict[str, Any]) -> list[str]:
    return [step["what"] for step in line["step"]]


def test_a_line_that_is_online(bng: World) -> None:
    (subscriber,) = bng.attach(1)
    session = wait_status(bng, 1, "active")
    (line,) = why(bng, 1)
    assert whats(line) == [
        "DISCOVER", "OFFER", "REQUEST", "ACK", "Access-Request", "Access-Accept", "start",
    ]  # fmt: skip
    assert (line["status"], line["session-id"]) == ("active", session["id"])
    assert line["verdict"].startswith(f"Online: {subscriber.address} forwards at gold 50000/20000 kbit/s")
    accept = line["step"][5]
    assert "from radius" in accept["detail"]
    assert accept["kind"] == "radius"

    with bng.netconf() as netconf:
        wanted = (
            f'<access-lines xmlns="{TIMELINE}"><access-line><remote-id>node-1</remote-id>'
            "<circuit-id>1/0/1</circuit-id></access-line></access-lines>"
        )
        tree = etree.fromstring(netconf.get(("subtree", wanted)).data_xml.encode())
        (read,) = [plain(found) for found in tree.iter(f"{{{TIMELINE}}}access-line")]
        everything = netconf.get(("subtree", f'<access-lines xmlns="{TIMELINE}"/>')).data_xml
    assert read["step"] == line["step"]
    assert "<step>" not in everything, "without keys no line is fetched"

    (value,) = gnmi_get(bng, "access-lines", "access-line[remote-id=node-1][circuit-id=1/0/1]")
    assert [step["what"] for step in value["step"]] == whats(line)
    assert value["status"] == "active"

    shown = aether(bng, "why", "1/0/1")
    assert shown.returncode == 0, shown.stderr
    assert "Access-Accept" in shown.stdout
    assert shown.stdout.rstrip().splitlines()[-1].startswith("Online: ")


def test_a_line_that_is_rejected(bng: World) -> None:
    bng.attach(7)
    wait_status(bng, 7, "rejected")

    def asked_again() -> dict[str, Any] | None:
        (line,) = why(bng, 7)
        return line if int(line["step"][-1]["repeated"]) > 1 else None

    line = wait_for("it was asked again", asked_again, 15)
    assert isinstance(line, dict)
    assert whats(line)[-2:] == ["Access-Request", "Access-Reject"], "a cycle is folded"
    assert line["step"][-1]["reason"] == "service suspended"
    assert line["verdict"].startswith("Rejected: service suspended")
    shown = aether(bng, "why", "1/0/7", "--remote-id", "node-1")
    assert "service suspended" in shown.stdout
    assert "×" in shown.stdout


def test_nothing_is_known_of_a_line(bng: World) -> None:
    shown = aether(bng, "why", "9/9/9")
    assert shown.returncode == 1
    assert "9/9/9" in shown.stderr
    with pytest.raises(RPCError, match="9/9/9"), bng.netconf() as netconf:
        rpc(netconf, f'<why xmlns="{TIMELINE}"><circuit-id>9/9/9</circuit-id></why>')


def limit(bng: World, packets: int) -> None:
    """Change dhcp-relay/rate-limit."""
    with bng.netconf() as netconf:
        netconf.edit_config(
            target="candidate",
            config='<config xmlns="urn:ietf:params:xml:ns:netconf:base:1.0">'
            f'<bng xmlns="urn:aether:yang:aether-bng"><dhcp-relay><rate-limit>{packets}</rate-limit>'
            "</dhcp-relay></bng></config>",
        )
        netconf.commit()


def test_a_line_whose_packets_are_dropped(bng: World) -> None:
    noisy = Subscriber(66)
    limit(bng, 5)
    for _ in range(40):
        bng.subscribers.send(noisy.frame(DISCOVER))

    def dropped() -> dict[str, Any] | None:
        (line,) = why(bng, 66) or [None]
        return line if line and any("rate-limit" in step.get("reason", "") for step in line["step"]) else None

    line = wait_for("a drop is seen", dropped, 10)
    assert isinstance(line, dict)
    assert len(line["step"]) <= 32
    assert line["verdict"].startswith("No session")
    limit(bng, 1000)


def test_several_lines_of_one_name(bng: World) -> None:
    other = Subscriber(1, remote_id="node-2")
    other.mac = b"\x02\xae\xff\xff\x00\x01"
    assert bng.subscribers.exchange([other]) == [other]
    shown = aether(bng, "why", "1/0/1")
    assert shown.returncode == 1
    assert "node-1" in shown.stdout
    assert "node-2" in shown.stdout
    assert {line["remote-id"] for line in why(bng, 1)} == {"node-1", "node-2"}
    assert aether(bng, "why", "1/0/1", "--remote-id", "node-2").returncode == 0


def record(bng: World, path: Path, *which: str) -> subprocess.Popen[str]:
    """Start ``aether bng record``, and wait until it records."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bng.cli", "record", *which, "-o", str(path), "--state-dir",
         str(bng.state_dir)],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert "recording to" in process.stderr.readline()
    return process


def end(process: subprocess.Popen[str], number: int = signal.SIGINT) -> None:
    process.send_signal(number)
    assert process.wait(60) == 0


@pytest.mark.parametrize("which", [("--all",), ("--line", "node-1", "1/0/20")], ids=["all", "line"])
def test_a_recording_replays_bit_for_bit(bng: World, tmp_path: Path, which: tuple[str, ...]) -> None:
    path = tmp_path / "life.jsonl"
    process = record(bng, path, *which)
    try:
        subscriber, _ = bng.attach(20, 21)
        session = wait_status(bng, 20, "active")
        bng.subscribers.renew(subscriber)
        act(bng, session["id"], "<set-profile><profile>bronze</profile></set-profile>")
        bng.subscribers.release(subscriber)
        time.sleep(0.5)
    finally:
        end(process, signal.SIGINT if which[0] == "--all" else signal.SIGTERM)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert "end" in lines[-1]
    text = path.read_text()
    assert "secret" not in text, "neither the RADIUS secret nor a password is in a recording"
    assert ("1/0/21" in text) is (which[0] == "--all")
    played = aether(bng, "replay", str(path))
    assert played.returncode == 0, played.stdout + played.stderr
    assert played.stdout.rstrip().splitlines()[-1].startswith("identical: ")
    assert "RELEASE" in played.stdout


def test_a_recording_does_not_overwrite(bng: World, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    done = aether(bng, "record", "--all", "--seconds", "1", "-o", str(tmp_path / "there"))
    assert done.returncode == 1
    assert "exists" in done.stderr
    assert (tmp_path / "there").read_text() == "mine"


def test_radius_is_silent(bng: World) -> None:
    bng.radius.stop()
    try:
        bng.attach(3)
        (line,) = wait_for("RADIUS was asked", lambda: why(bng, 3), 10)  # type: ignore[misc]
        assert line["verdict"].startswith("Waiting for RADIUS since ")

        def given_up() -> dict[str, Any] | None:
            (found,) = why(bng, 3)
            return found if "no-answer" in whats(found) else None

        line = wait_for("no server answered", given_up, 40)
        assert isinstance(line, dict)
        silence = next(step for step in line["step"] if step["what"] == "no-answer")
        assert silence["reason"] == "no RADIUS server answered"
    finally:
        bng.radius.start(users())
    wait_status(bng, 3, "active", 40)

"""What dies, and what subscribers, servers and managers notice of it: nothing."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bng_manager import accounting, act, gnmi_get, session_of, wait_status
from tests.support.bng_world import INTERNET, World, users, world
from tests.support.marks import WHOLE_BNG
from tests.support.netns import run
from tests.support.servers import wait_for

pytestmark = WHOLE_BNG
PAYLOAD = 972
PACKET = 1000
"""IP octets of an echo request with that payload."""


@pytest.fixture
def bng(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        made.start()
        yield made


class Flow:
    """Echo requests, 100 a second, from the subscribers to the Internet."""

    def __init__(self, bng: World) -> None:
        self.process = bng.namespaces.start(
            "s", "ping", "-q", "-i", "0.01", "-W", "2", "-s", str(PAYLOAD), INTERNET,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def end(self) -> tuple[int, int]:
        """(sent, answered)"""
        self.process.send_signal(signal.SIGINT)
        output, _ = self.process.communicate(timeout=30)
        found = re.search(r"(\d+) packets transmitted, (\d+) received", output)
        assert found, output
        return int(found[1]), int(found[2])


def attach(bng: World, number: int = 1) -> dict[str, Any]:
    (subscriber,) = bng.attach(number)
    bng.give_address(subscriber)
    return wait_status(bng, number, "active")


def wait_recovered(bng: World, times: int) -> None:
    wait_for("control has recovered", lambda: bng.log().count('"recovery.done"') >= times, 20)


def instance(bng: World) -> str:
    return str(gnmi_get(bng, "bng", "identity", "instance-id")[0])


def final_octets(bng: World, session_id: str) -> tuple[int, int]:
    """Disconnect; octets in and out of the one Stop."""
    act(bng, session_id, "<disconnect/>")
    (stop,) = wait_for("the Stop is accounted", lambda: accounting(bng, session_id, "Stop"))  # type: ignore[misc]
    return int(stop["Acct-Input-Octets"]), int(stop["Acct-Output-Octets"])


def test_killing_either_process_is_not_noticed(bng: World) -> None:
    session = attach(bng)
    flow = Flow(bng)
    before = instance(bng)
    for round_number in range(2, 5):
        time.sleep(0.7)
        bng.kill("control")
        wait_recovered(bng, round_number)
        time.sleep(0.5)
        bng.kill("management")
        wait_for("management serves again", bng.is_up, 30)
    sent, answered = flow.end()
    assert sent > 200
    assert answered == sent, "no packet is lost while processes die"

    with bng.netconf() as netconf:
        same = session_of(netconf, 1)
    assert same is not None
    assert (same["id"], same["started"]) == (session["id"], session["started"])
    assert instance(bng) != before
    assert len(accounting(bng, session["id"], "Start")) == 1, "restored is not started"
    assert final_octets(bng, session["id"]) == (sent * PACKET, sent * PACKET), "no octet lost or twice"
    assert bng.log().count('"adopted":1,"removed":0,"installed":0') == 3
    assert "Traceback" not in bng.log()


def test_accounting_that_nobody_took_outlives_control(bng: World) -> None:
    session = attach(bng)
    other = wait_status_of(bng, 2)
    assert bng.ping(10, 0.01, PAYLOAD) == (10, 10)
    time.sleep(0.6)
    bng.radius.stop()
    act(bng, session["id"], "<disconnect/>")
    bng.kill("control")
    wait_recovered(bng, 2)
    bng.radius.start(users())

    def stops() -> list[dict[str, str]]:
        return accounting(bng, session["id"], "Stop")

    (stop,) = wait_for("the Stop is delivered", stops, 30)  # type: ignore[misc]
    assert (stop["Acct-Input-Octets"], stop["Acct-Terminate-Cause"]) == (str(10 * PACKET), "Admin-Reset")
    assert stop["Class"] == "0x626c7565"
    assert len(accounting(bng, other["id"], "Start")) == 1, "what was acknowledged is not sent again"


def wait_status_of(bng: World, number: int) -> dict[str, Any]:
    bng.attach(number)
    return wait_status(bng, number, "active")


def test_a_clean_restart_leaves_the_kernel_at_work(bng: World) -> None:
    session = attach(bng)
    flow = Flow(bng)
    bng.stop()
    assert not (bng.state_dir / "pids.json").exists()
    time.sleep(0.5)
    bng.start()
    wait_recovered(bng, 2)
    sent, answered = flow.end()
    assert answered == sent
    assert wait_status(bng, 1, "active")["id"] == session["id"]
    assert len(accounting(bng, session["id"], "Start")) == 1
    assert not [r for r in bng.radius.accounting() if r["Acct-Status-Type"] == "Accounting-Off"]
    assert final_octets(bng, session["id"]) == (sent * PACKET, sent * PACKET)


def test_a_kernel_that_forgot_is_rebuilt_with_counters_going_on(bng: World) -> None:
    session = attach(bng)
    assert bng.ping(20, 0.01, PAYLOAD) == (20, 20)
    wait_for(
        "a sweep saw it",
        lambda: (
            int(gnmi_get(bng, "sessions", f"session[id={session['id']}]", "counters")[0]["in-packets"]) == 20
        ),
    )
    bng.stop()
    forget(bng)
    bng.start()
    wait_recovered(bng, 2)
    assert bng.ping(10, 0.01, PAYLOAD) == (10, 10)
    assert wait_status(bng, 1, "active")["id"] == session["id"]
    assert len(accounting(bng, session["id"], "Start")) == 1
    assert final_octets(bng, session["id"]) == (30 * PACKET, 30 * PACKET)


def forget(bng: World) -> None:
    """What a reboot does to the kernel's state."""
    inside = ("ip", "netns", "exec", bng.namespaces.name("b"))
    run(*inside, "nft", "flush", "ruleset")
    for interface in ("sub0", "up0"):
        run(*inside, "tc", "qdisc", "delete", "dev", interface, "root", check=False)


def test_interfaces_that_come_late_are_waited_for(tmp_path: Path) -> None:
    with world(tmp_path) as bng:
        bng.namespaces.ip("b", "link", "delete", "sub0")
        bng.start_processes()
        wait_for("it waits for the interface", lambda: '"interfaces.waiting-for"' in bng.log(), 20)
        bng.namespaces.veth("b", "sub0", "s", "s0")
        bng.listen_again()
        wait_for("it took the interface", lambda: "sub0 add 10.64.0.1/16" in bng.log(), 10)
        wait_for("NETCONF and gNMI are served", bng.is_up, 40)
        attach(bng)
        assert bng.ping(3)[1] == 3


def test_interfaces_that_go_down_come_back_to_work(bng: World) -> None:
    attach(bng)
    for _ in range(2):
        bng.namespaces.ip("b", "link", "set", "sub0", "down")
        time.sleep(0.2)
        bng.namespaces.ip("b", "link", "set", "sub0", "up")
        bng.listen_again()
        bng.attach(2)
        wait_for("traffic passes again", lambda: bng.ping(1)[1] == 1)


def test_what_happened_while_control_was_down_is_made_up_for(bng: World) -> None:
    """A lease that ends and a configuration that is sent again."""
    attach(bng)
    log_before = bng.log().count("config.sent-whole")
    bng.kill("control")
    wait_recovered(bng, 2)
    assert bng.log().count("config.sent-whole") == log_before, "equal digests: nothing is sent again"
    (bng.state_dir / "control" / "config.json").write_text('{"bng": {"identity": {"bng-id": "bng-01"}}}')
    bng.kill("control")
    wait_for("the whole configuration is sent", lambda: bng.log().count("config.sent-whole") > log_before)
    wait_recovered(bng, 3)
    assert bng.ping(3)[1] == 3

"""Servers that are away for a while, and a full disk: subscribers notice nothing, all is made up for."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bng_manager import accounting, act, gnmi_get, session_of, wait_status
from tests.support.bng_world import World, users, world
from tests.support.dhcp_client import ACK, DISCOVER, REQUEST, Subscriber
from tests.support.marks import WHOLE_BNG
from tests.support.netns import run
from tests.support.servers import wait_for
from tests.support.traffic import Traffic

pytestmark = WHOLE_BNG


@pytest.fixture
def bng(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        made.start()
        yield made


def test_a_radius_server_that_is_away_is_made_up_for(bng: World) -> None:
    speaking = bng.attach(*range(1, 6))
    ids = [wait_status(bng, subscriber.number, "active")["id"] for subscriber in speaking]
    os.kill(bng.radius.process.pid, signal.SIGKILL)
    bng.radius.process.wait()
    traffic = Traffic(bng, speaking)
    assert bng.subscribers.renew(speaking[0]) == ACK, "a renewal needs no RADIUS server"
    bng.attach(6)
    wait_status(bng, 6, "authorizing")
    time.sleep(11)  # longer than the interval of Interim-Updates
    act(bng, ids[4], "<disconnect><reason>while RADIUS is away</reason></disconnect>")
    counts = traffic.end()
    for subscriber in speaking[:4]:
        assert counts[subscriber.number].received == counts[subscriber.number].sent

    bng.radius.start(users())
    wait_status(bng, 6, "active", 30)
    wait_for("the Stop is made up for", lambda: accounting(bng, ids[4], "Stop"), 30)
    wait_for("an Interim-Update is made up for", lambda: accounting(bng, ids[0], "Interim-Update"), 30)
    for session_id in ids:
        assert len(accounting(bng, session_id, "Start")) == 1
    assert len(accounting(bng, ids[4], "Stop")) == 1


def test_a_dhcp_server_that_is_away_is_made_up_for(bng: World) -> None:
    speaking = bng.attach(*range(1, 4))
    ids = [wait_status(bng, subscriber.number, "active")["id"] for subscriber in speaking]
    # stopped, not killed: this Kea keeps its leases in memory
    os.kill(bng.kea.process.pid, signal.SIGSTOP)
    try:
        traffic = Traffic(bng, speaking)
        assert bng.subscribers.renew(speaking[0], within=2) == 0, "nobody answers a renewal"
        for _ in range(6):
            bng.subscribers.renew(speaking[1], within=0.5)
        wait_for(
            "health says that the server is silent",
            lambda: gnmi_get(bng, "health", "dhcp-server[address=192.0.2.2]", "up") == [False],
        )
        bng.kill("control")
        wait_for("control has recovered", lambda: bng.log().count('"recovery.done"') == 2, 20)
    finally:
        os.kill(bng.kea.process.pid, signal.SIGCONT)
    wait_for("a renewal is answered", lambda: bng.subscribers.renew(speaking[0], within=1) == ACK, 20)
    counts = traffic.end()
    assert all(each.received == each.sent for each in counts.values())
    with bng.netconf() as netconf:
        for subscriber, session_id in zip(speaking, ids, strict=True):
            session = session_of(netconf, subscriber.number)
            assert session is not None
            assert (session["id"], session["status"] in ("active", "idle")) == (session_id, True)
    for session_id in ids:
        assert len(accounting(bng, session_id, "Start")) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[World]:
    """A BNG whose state folder is a file system of its own, of 8 MiB."""
    (tmp_path / "bng").mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", str(tmp_path / "bng"))
    try:
        with world(tmp_path) as made:
            made.start()
            yield made
    finally:
        run("umount", "--lazy", str(tmp_path / "bng"), check=False)


def test_a_full_disk_is_told_and_service_goes_on(small_disk: World) -> None:
    bng = small_disk
    speaking = bng.attach(1, 2)
    first = wait_status(bng, 1, "active")
    filler = bng.state_dir / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    assert shutil.disk_usage(bng.state_dir).free == 0
    traffic = Traffic(bng, speaking)

    # set-up, renewal, disconnect and accounting go on
    late = bng.attach(*range(10, 40))
    assert bng.subscribers.renew(speaking[0]) == ACK
    wait_for("the journal cannot be written", lambda: '"journal.cannot-write"' in bng.log(), 20)
    wait_for(
        "health says why",
        lambda: any("No space left" in told.get("journal-alarm", "") for told in gnmi_get(bng, "health")),
    )
    more = bng.attach(50)
    bng.give_address(more[0])
    wait_for("who comes now forwards", lambda: bng.ping(1)[1] == 1)
    counts = traffic.end()
    assert all(each.received == each.sent for each in counts.values())

    filler.unlink()
    wait_for("the journal is written again", lambda: '"journal.writes-again"' in bng.log(), 20)
    for subscriber in (*late, *more):
        wait_status(bng, subscriber.number, "active")
    bng.kill("control")
    wait_for("control has recovered", lambda: bng.log().count('"recovery.done"') == 2, 20)
    assert wait_status(bng, 1, "active")["id"] == first["id"]
    assert f'"adopted":{len(speaking) + len(late) + len(more)},"removed":0,"installed":0' in bng.log()
    assert "Traceback" not in bng.log()


def test_who_dies_while_the_disk_is_full_is_started_again(small_disk: World) -> None:
    bng = small_disk
    speaking = bng.attach(1, 2)
    first = wait_status(bng, 1, "active")
    traffic = Traffic(bng, speaking)
    filler = bng.state_dir / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert "No space left" in str(error)
    for process in ("control", "management"):
        os.kill(child_of_run(bng, process), signal.SIGKILL)
    wait_for("control has recovered", lambda: bng.log().count('"recovery.done"') == 2, 20)
    wait_for("management serves again", bng.is_up, 30)
    (late,) = bng.attach(3)
    bng.give_address(late)
    wait_for("who comes now forwards", lambda: bng.ping(1)[1] == 1)
    counts = traffic.end()
    assert all(each.received == each.sent for each in counts.values())

    filler.unlink()
    for process in ("control", "management"):
        wait_for("process ids are noted", lambda p=process: bng.pid(p) == child_of_run(bng, p), 20)
    wait_status(bng, 3, "active")
    assert wait_status(bng, 1, "active")["id"] == first["id"]
    assert "Traceback" not in bng.log()


def child_of_run(bng: World, process: str) -> int:
    """Process id as the kernel has it: the file may not tell."""
    assert bng.bng is not None
    parent = bng.bng.pid
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if process in Path(f"/proc/{child}/cmdline").read_text().split("\0"):
            return int(child)
    return 0


def test_a_changed_address_keeps_the_accounts_apart_and_whole(bng: World) -> None:
    """A DHCP server that lost its leases gives a live subscriber another address."""
    (subscriber,) = bng.attach(1)
    bng.give_address(subscriber)
    first = wait_status(bng, 1, "active")
    assert bng.ping(20, 0.01, 972) == (20, 20)
    wait_counted(bng, first["id"], 20)

    bng.kea.restart()
    other = Subscriber(1)
    wait_for("another address is offered", lambda: offered(bng, other, "10.64.99.99"))
    bng.subscribers.send(other.frame(REQUEST, requested="10.64.99.99", server=subscriber.server))

    def changed() -> bool:
        with bng.netconf() as netconf:
            session = session_of(netconf, 1)
        return session is not None and (session["ip-address"], session["status"]) == ("10.64.99.99", "active")

    wait_for("the session has the other address", changed)
    second = wait_status(bng, 1, "active")
    assert second["id"] != first["id"]
    assert bng.ping(2)[1] == 0, "the address before is nobody's"
    other.address = "10.64.99.99"
    bng.give_address(other)
    assert bng.ping(10, 0.01, 972) == (10, 10)
    wait_counted(bng, second["id"], 10)
    act(bng, second["id"], "<disconnect/>")
    for session_id, packets in ((first["id"], 20), (second["id"], 10)):
        (stop,) = wait_for("a Stop", lambda i=session_id: accounting(bng, i, "Stop"))  # type: ignore[misc]
        octets = str(packets * 1000)
        assert (stop["Acct-Input-Octets"], stop["Acct-Output-Octets"]) == (octets, octets)
        assert len(accounting(bng, session_id, "Start")) == 1


def wait_counted(bng: World, session_id: str, packets: int) -> None:
    counter = ("sessions", f"session[id={session_id}]", "counters", "in-packets")
    wait_for("a sweep saw the traffic", lambda: gnmi_get(bng, *counter) == [str(packets)])


def offered(bng: World, subscriber: Subscriber, address: str) -> bool:
    """Ask for this address; whether it is offered soon."""
    bng.subscribers.send(subscriber.frame(DISCOVER, requested=address))
    time.sleep(0.3)
    while True:
        try:
            reply = bng.subscribers.receive()
        except BlockingIOError:
            return False
        if reply is not None and reply[2] == address:
            return True

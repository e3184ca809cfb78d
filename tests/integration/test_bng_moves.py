"""Devices that appear on another access line, with the real Kea: it knows clients, not lines."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.bng_manager import accounting, gnmi_get, session_of, wait_status
from tests.support.bng_world import World, world
from tests.support.dhcp_client import ACK, DISCOVER, REQUEST, Subscriber, parse_reply
from tests.support.marks import WHOLE_BNG
from tests.support.servers import wait_for

pytestmark = WHOLE_BNG

BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"


@pytest.fixture(scope="module")
def bng(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("bng")) as made:
        made.start()
        yield made


def configure(bng: World, policy: str) -> None:
    with bng.netconf() as session:
        session.edit_config(
            target="candidate",
            config=f'<config xmlns="{BASE}"><bng xmlns="urn:aether:yang:aether-bng"><sessions-policy>'
            f"{policy}</sessions-policy></bng></config>",
        )
        session.commit()


def answers(bng: World, frame: bytes, within: float = 1.0) -> list[tuple[int, str]]:
    """(message type, address) of all that comes back for a frame."""
    bng.subscribers.send(frame)
    found, deadline = [], time.monotonic() + within
    while (left := deadline - time.monotonic()) > 0:
        if select.select([bng.subscribers.socket], [], [], left)[0]:
            reply = parse_reply(bng.subscribers.socket.recv(2048))
            if reply is not None:
                found.append((reply[4], reply[2]))
    return found


def events(bng: World, kind: str, remote: str) -> list[dict[str, str]]:
    wanted = f'<events xmlns="urn:aether:yang:aether-events"><event><type>{kind}</type></event></events>'
    with bng.netconf() as session:
        reply = session.get(("subtree", wanted)).data
    space = "{urn:aether:yang:aether-events}"
    found = []
    for event in reply.iter(f"{space}event"):
        new = event.find(f"{space}new-access-line/{space}circuit-id")
        if new is not None and new.text == remote:
            found.append({leaf.tag.rpartition("}")[2]: leaf.text or "" for leaf in event})
    return found


def copy_of(subscriber: Subscriber, number: int, **fields: Any) -> Subscriber:
    """Another line that says it is the same device."""
    copied = Subscriber(number, **fields)
    copied.mac, copied.address, copied.server = subscriber.mac, subscriber.address, subscriber.server
    return copied


def test_a_copied_hardware_address_gets_nothing_and_harms_nobody(bng: World) -> None:
    (victim,) = bng.attach(1)
    found = wait_status(bng, 1, "active")
    bng.give_address(victim)
    assert bng.ping(3)[1] == 3

    thief = copy_of(victim, 901)
    assert answers(bng, thief.frame(DISCOVER, xid=77)) == []
    assert answers(bng, thief.frame(REQUEST, xid=77, requested=victim.address, server=victim.server)) == []
    assert answers(bng, thief.frame(REQUEST, xid=78, ciaddr=victim.address)) == []
    assert answers(bng, thief.frame(REQUEST, xid=79, requested=victim.address)) == []
    bng.subscribers.release(thief)

    assert bng.ping(3)[1] == 3, "the session forwards on"
    assert bng.subscribers.renew(victim) == ACK
    with bng.netconf() as session:
        after = session_of(session, 1)
        assert session_of(session, 901) is None
    assert after is not None
    assert after["id"] == found["id"]
    assert after["lease-expiry"] > found["lease-expiry"]
    (denied,) = events(bng, "session-move-denied", "1/0/901")
    assert denied["session-id"] == found["id"]
    assert accounting(bng, found["id"], "Stop") == []
    drops = {one["reason"]: int(one["packets"]) for one in wait_for_health(bng, "move-denied", 4)}
    assert drops["not-the-holder"] >= 1


def wait_for_health(bng: World, reason: str, packets: int) -> list[dict[str, Any]]:
    def reached() -> list[dict[str, Any]]:
        drops = gnmi_get(bng, "health")[0].get("dhcp-drop", [])
        return drops if any(d["reason"] == reason and int(d["packets"]) >= packets for d in drops) else []

    found = wait_for(f"{packets} {reason} are counted", reached, 10)
    assert isinstance(found, list)
    return found


def test_a_copied_client_identifier_gets_nothing_and_harms_nobody(bng: World) -> None:
    """Kea looks a client up by its identifier first, whatever its hardware address: without the policy a
    REQUEST for another address would take the lease away."""
    victim = Subscriber(2, client_id=b"\1victim")
    assert bng.subscribers.exchange([victim]) == [victim]
    found = wait_status(bng, 2, "active")
    thief = Subscriber(902, client_id=b"\1victim")
    assert answers(bng, thief.frame(DISCOVER, xid=77)) == []
    assert answers(bng, thief.frame(REQUEST, xid=77, requested="10.64.200.1", server=victim.server)) == []
    assert bng.subscribers.renew(victim) == ACK
    with bng.netconf() as session:
        after = session_of(session, 2)
    assert after is not None
    assert (after["id"], after["ip-address"]) == (found["id"], victim.address)


def test_a_device_that_may_move_takes_its_address_along(bng: World) -> None:
    (subscriber,) = bng.attach(3)
    found = wait_status(bng, 3, "active")
    for policy, number in (("move", 903), ("replace", 904)):
        configure(bng, f"<port-move>{policy}</port-move>")
        moved = copy_of(subscriber, number)
        bng.subscribers.exchange([moved])
        assert moved.address == subscriber.address, "Kea gives a client its lease on whatever line"
        again = wait_status(bng, number, "active")
        assert again["id"] != found["id"]
        with bng.netconf() as session:
            assert session_of(session, found_number(found)) is None
        (stop,) = wait_for("its Stop is accounted", lambda: accounting(bng, found["id"], "Stop"))  # type: ignore[misc] # noqa: B023
        assert stop["Acct-Terminate-Cause"] == "NAS-Request"
        assert len(events(bng, "session-moved", f"1/0/{number}")) == 1
        found = again
    configure(bng, "<port-move>deny</port-move>")


def found_number(session: dict[str, str]) -> int:
    return int(session["circuit-id"].rpartition("/")[2])


def test_another_device_on_the_line(bng: World) -> None:
    bng.attach(4)
    first = wait_status(bng, 4, "active")
    second = Subscriber(4)
    second.mac = b"\x02\xae\xff\0\0\x04"
    configure(bng, "<second-device>deny</second-device>")
    assert answers(bng, second.frame(DISCOVER)) == []
    configure(bng, "<second-device>replace</second-device>")
    assert bng.subscribers.exchange([second]) == [second]

    def replaced() -> bool:
        with bng.netconf() as session:
            now = session_of(session, 4)
        return now is not None and now["mac-address"] == second.mac_text and now["id"] != first["id"]

    wait_for("the line's session is the second device's", replaced)


def test_random_hardware_addresses_do_not_take_the_pool(bng: World) -> None:
    """One port asks with 60 hardware addresses, and takes what it is offered: it holds no more than
    max-devices addresses, and others get theirs."""
    flood = []
    for number in range(60):
        device = Subscriber(905)
        device.mac = b"\x02\xbb\0\0\0" + bytes([number])
        flood.append(device)
    got = bng.subscribers.exchange(flood, window=4, within=8)
    assert 1 <= len(got) <= 8
    wait_for_health(bng, "too-many-devices", 1)
    bng.attach(5)
    wait_status(bng, 5, "active")
    summary = gnmi_get(bng, "summary")[0]
    assert "too-many-devices" in {one["cause"] for one in summary["failure"]}


def test_renewals_without_option_82_also_right_after_a_restart(bng: World) -> None:
    (subscriber,) = bng.attach(6)
    found = wait_status(bng, 6, "active")
    subscriber.marked = False
    assert bng.subscribers.renew(subscriber) == ACK
    bng.kill("control")
    wait_for("a renewal is answered", lambda: bng.subscribers.renew(subscriber, within=1) == ACK, 15)
    wait_for("management is connected again", lambda: wait_status(bng, 6, "active"), 15)
    with bng.netconf() as session:
        after = session_of(session, 6)
    assert after is not None
    assert after["id"] == found["id"]
    assert len(accounting(bng, found["id"], "Start")) == 1
    foreign = copy_of(subscriber, 6, marked=False)
    foreign.mac = b"\x02\xae\xff\0\0\x06"
    assert bng.subscribers.renew(foreign, within=1) == 0


def test_an_idle_limit_of_the_operator(bng: World) -> None:
    configure(
        bng, "<idle-after>5</idle-after><idle-timeout>7</idle-timeout><session-timeout>0</session-timeout>"
    )
    (subscriber,) = bng.attach(7)
    found = wait_status(bng, 7, "active")
    assert (found["idle-timeout"], found["routed"]) == ("7", "false")
    (stop,) = wait_for("it ends", lambda: accounting(bng, found["id"], "Stop"), 25)  # type: ignore[misc]
    assert stop["Acct-Terminate-Cause"] == "Idle-Timeout"
    assert bng.subscribers.renew(subscriber) == ACK
    assert wait_status(bng, 7, "active")["id"] != found["id"], "who renews comes back"

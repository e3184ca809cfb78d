"""Carrier NAT on a whole BNG: who gets which public ports, where it is told, and what survives."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from ncclient.operations import RPCError

from tests.support.bng_manager import act, gnmi_get, session_of, sessions, wait_status
from tests.support.bng_world import INTERNET, World, world
from tests.support.dhcp_client import Subscriber
from tests.support.marks import WHOLE_BNG
from tests.support.servers import wait_for

pytestmark = WHOLE_BNG

BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
SHARED = "203.0.113.7"
PORT = 9


@pytest.fixture(scope="module")
def bng(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A pool of one address with two blocks."""
    with world(tmp_path_factory.mktemp("bng")) as made:
        config = json.loads(made.config.read_text())
        config["aether-bng:bng"]["nat"] = {
            "enabled": True,
            "source-prefix": ["10.64.0.0/16"],
            "public-range": [{"first-address": SHARED, "last-address": SHARED}],
            "port-block-size": 32256,
        }
        made.config.write_text(json.dumps(config))
        made.namespaces.ip("w", "route", "add", f"{SHARED}/32", "via", "198.51.100.1")
        made.start()
        yield made


def binding(session: dict[str, str]) -> tuple[str, int, int]:
    return session["address"], int(session["port-first"]), int(session["port-last"])


def seen(bng: World, subscriber: Subscriber, source_port: int = 5000) -> tuple[str, int] | None:
    """Where a packet of a subscriber comes from, as the Internet sees it; None when it does not come."""
    bng.give_address(subscriber)

    def server() -> socket.socket:
        made = socket.socket(type=socket.SOCK_DGRAM)
        made.bind((INTERNET, PORT))
        made.settimeout(0.5)
        return made

    def send() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.bind((subscriber.address, source_port))
            client.sendto(b"x", (INTERNET, PORT))

    with bng.namespaces.inside("w", server) as listening:
        bng.namespaces.inside("s", send)
        try:
            _, (address, port) = listening.recvfrom(10)
        except TimeoutError:
            return None
        return address, port


def events_of(bng: World, session_id: str) -> list[dict[str, Any]]:
    (events,) = gnmi_get(bng, "events")
    return [event for event in events["event"] if event.get("session-id") == session_id]


@pytest.fixture(scope="module")
def two(bng: World) -> list[Subscriber]:
    """Two subscribers, who share the address."""
    subscribers = bng.attach(1, 2)
    for number in (1, 2):
        wait_status(bng, number, "active")
    return subscribers


def test_two_sessions_share_an_address_and_are_told_apart_by_their_ports(
    bng: World, two: list[Subscriber]
) -> None:
    held = []
    for number, subscriber in zip((1, 2), two, strict=True):
        session = wait_status(bng, number, "active")
        address, first, last = binding(session)
        held.append((first, last))
        for source_port in (5000, 6000):
            found = seen(bng, subscriber, source_port)
            assert found is not None
            assert found[0] == address == SHARED
            assert first <= found[1] <= last
        for event in events_of(bng, session["id"]):
            wanted = {"address": address, "port-first": first, "port-last": last}
            assert event.get("nat") == (None if event["type"] == "session-start" else wanted)
    assert sorted(held) == [(1024, 33279), (33280, 65535)]


def test_health_tells_what_is_in_use(bng: World, two: list[Subscriber]) -> None:
    def told() -> bool:
        (health,) = gnmi_get(bng, "health")
        return (int(health["nat-bindings"]), int(health["nat-bindings-limit"])) == (2, 2)

    wait_for("the report tells the bindings", told)
    (health,) = gnmi_get(bng, "health")
    assert 0 < int(health["conntrack-entries"]) < int(health["conntrack-limit"])


def test_bindings_survive_the_control_plane_and_the_ruleset(bng: World, two: list[Subscriber]) -> None:
    with bng.netconf() as netconf:
        before = {one["id"]: binding(one) for one in sessions(netconf)}
    source = seen(bng, two[0])
    recovered = bng.log().count('"recovery.done"')
    bng.kill("control")
    assert seen(bng, two[0]) == source, "the flow goes on while there is no control plane"
    wait_for("control is back", lambda: bng.log().count('"recovery.done"') > recovered, 20)
    assert seen(bng, two[0]) == source
    with bng.netconf() as netconf:
        assert {one["id"]: binding(one) for one in sessions(netconf)} == before
    bng.namespaces.inside("b", lambda: os.system("nft flush ruleset"))
    wait_for("the rules are back", lambda: (seen(bng, two[0], 7000) or ("",))[0] == SHARED)
    assert bng.log().count('"reconcile.repaired"') == 0


def test_who_finds_the_pool_exhausted_waits_for_a_block(bng: World, two: list[Subscriber]) -> None:
    (third,) = bng.attach(3)

    def refused() -> bool:
        with bng.netconf() as netconf:
            session = session_of(netconf, 3)
        return session is not None and any(
            event.get("reason") == "no public address or port block is free"
            for event in events_of(bng, session["id"])
        )

    wait_for("the journal says why", refused)
    assert wait_status(bng, 3, "authorizing").get("address") is None
    assert seen(bng, third) is None
    first = wait_status(bng, 1, "active")
    assert seen(bng, two[0], 8000) is not None
    assert "ok" in act(bng, first["id"], "<disconnect/>")
    freed = wait_status(bng, 3, "active")
    assert binding(freed) == binding(first)
    found = seen(bng, third, 8000)
    assert found is not None
    assert found[0] == SHARED
    last = events_of(bng, first["id"])[-1]
    assert (last["type"], last["nat"]["address"]) == ("session-stop", SHARED)


def test_a_pool_may_be_taken_away_and_given_to_live_sessions(bng: World, two: list[Subscriber]) -> None:
    range_ = f"<public-range OPERATION><first-address>{SHARED}</first-address>LAST</public-range>"
    change = (
        f'<config xmlns="{BASE}"><bng xmlns="urn:aether:yang:aether-bng"><nat>{range_}</nat></bng></config>'
    )
    remove = change.replace("OPERATION", f'xmlns:b="{BASE}" b:operation="delete"').replace("LAST", "")
    create = change.replace("OPERATION", "").replace("LAST", f"<last-address>{SHARED}</last-address>")
    with bng.netconf() as netconf:
        netconf.edit_config(target="candidate", config=remove)
        netconf.commit()

        def without() -> bool:
            found = session_of(netconf, 2)
            return found is not None and "address" not in found

        wait_for("the session has no binding any more", without)
        wait_for(
            "it leaves with the upstream address",
            lambda: (seen(bng, two[1], 5100) or ("",))[0] == "198.51.100.1",
        )
        netconf.edit_config(target="candidate", config=create)
        netconf.commit()

        def bound() -> bool:
            found = session_of(netconf, 2)
            return found is not None and found.get("address") == SHARED

        wait_for("the live session has a binding again", bound)
    wait_for("and leaves with it", lambda: (seen(bng, two[1], 5200) or ("",))[0] == SHARED)


def test_a_range_that_cannot_be_is_refused(bng: World) -> None:
    wrong = (
        f'<config xmlns="{BASE}"><bng xmlns="urn:aether:yang:aether-bng"><nat><public-range>'
        "<first-address>203.0.113.9</first-address><last-address>203.0.113.8</last-address>"
        "</public-range></nat></bng></config>"
    )
    with bng.netconf() as netconf:
        netconf.edit_config(target="candidate", config=wrong)
        with pytest.raises(RPCError, match="ends before"):
            netconf.commit()
        netconf.discard_changes()

"""Permanent neighbours of routed access nodes, with the kernel's own ARP."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from bng.config import Router
from bng.routers import RouterWatch
from tests.support.netns import Namespaces, run
from tests.support.servers import wait_for

pytestmark = [pytest.mark.netns, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

_LOCK = 1.2
"""Seconds after which the kernel believes another answer (locktime is one)."""
NS = 1_000_000_000
NODE, OTHER = "02:00:00:00:00:aa", "02:00:00:00:00:bb"
ROUTER = Router("r", "id-r", routed=True, interface="sub0", address=IPv4Address("10.0.0.2"))


class Fixture:
    """A BNG `b` and a node `x` on a link, and a watch that lives in `b`."""

    def __init__(self, namespaces: Namespaces) -> None:
        self.namespaces = namespaces
        self.now = 10**18
        self.events: list[dict] = []
        namespaces.veth("b", "sub0", "x", "x0")
        namespaces.ip("b", "address", "add", "10.0.0.1/24", "dev", "sub0")
        namespaces.ip("x", "link", "set", "x0", "address", NODE)
        namespaces.ip("x", "address", "add", "10.0.0.2/24", "dev", "x0")
        self.restart()

    def restart(self) -> None:
        self.watch = RouterWatch(self.events.append, lambda _: 0, clock=lambda: self.now)
        self.configure(ROUTER)

    def configure(self, *routers: Router) -> None:
        self.inside(lambda: self.watch.configure({one.name: one for one in routers}))

    def inside(self, action):  # type: ignore[no-untyped-def]
        return self.namespaces.inside("b", action)

    def resolve(self) -> bool:
        """Have the kernel resolve and reach the node."""
        ping = ("ip", "netns", "exec", self.namespaces.name("b"), "ping", "-c1", "-W1", "10.0.0.2")
        return run(*ping, check=False).returncode == 0

    def seen(self, mac_address: str, giaddr: str = "10.0.0.2", interface: str = "sub0") -> None:
        self.now += 2 * NS
        self.inside(lambda: self.watch.seen("id-r", giaddr, mac_address, interface))

    def answer(self) -> None:
        self.inside(lambda: self.watch.probe("id-r"))
        (sequence,) = self.watch._under_way
        self.watch.answered("10.0.0.2", self.watch._identifier, sequence)

    def entry(self) -> tuple[str, bool]:
        text = run("ip", "-n", self.namespaces.name("b"), "neigh", "show", "10.0.0.2", "dev", "sub0").stdout
        found = re.search(r"lladdr (\S+)", text)
        return (found[1] if found else "", "PERMANENT" in text)

    def claim(self, mac_address: str) -> None:
        """Somebody on the link answers ARP for the node."""
        octets = bytes.fromhex(mac_address.replace(":", ""))
        ours = run(
            "ip", "netns", "exec", self.namespaces.name("b"), "cat", "/sys/class/net/sub0/address"
        ).stdout
        target = bytes.fromhex(ours.strip().replace(":", ""))
        arp = (
            bytes.fromhex("0001080006040002") + octets + bytes((10, 0, 0, 2)) + target + bytes((10, 0, 0, 1))
        )

        def send() -> None:
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
                raw.bind(("x0", 0))
                raw.send((target + octets + b"\x08\x06" + arp).ljust(60, b"\0"))

        self.namespaces.inside("x", send)


@pytest.fixture
def link() -> Iterator[Fixture]:
    with Namespaces("b", "x") as namespaces:
        yield Fixture(namespaces)


def test_what_arp_and_dhcp_tell_is_pinned(link: Fixture) -> None:
    link.seen(NODE)
    assert link.entry() == ("", False), "the kernel has not resolved it yet"
    assert link.resolve()
    link.seen(OTHER)
    link.seen(NODE, giaddr="10.0.0.3")
    link.seen(NODE, interface="sub1")
    assert link.entry() == (NODE, False)
    time.sleep(_LOCK)
    link.claim(OTHER)
    wait_for("whoever answers has it", lambda: link.entry() == (OTHER, False), 5)
    link.namespaces.ip("b", "neigh", "flush", "dev", "sub0")
    assert link.resolve()
    link.seen(NODE)
    assert link.entry() == (NODE, True)
    time.sleep(_LOCK)
    link.claim(OTHER)
    link.seen(OTHER)
    assert link.entry() == (NODE, True)
    assert link.resolve()
    assert link.watch.records()["configured"][0]["mac_address"] == NODE


def test_it_outlasts_a_restart_and_a_link_that_was_down_but_not_its_configuration(link: Fixture) -> None:
    link.resolve()
    link.seen(NODE)
    link.restart()
    link.seen(OTHER)
    assert link.entry() == (NODE, True)
    link.namespaces.ip("b", "link", "set", "sub0", "down")
    link.namespaces.ip("b", "link", "set", "sub0", "up")
    assert not link.entry()[1]
    link.inside(lambda: link.watch.probe("id-r"))
    assert link.entry() == (NODE, True)
    link.configure(Router("r", "id-r", routed=True, interface="sub0", address=IPv4Address("10.0.0.3")))
    assert link.entry() == ("", False)


def test_a_node_that_was_replaced(link: Fixture) -> None:
    link.resolve()
    link.seen(NODE)
    link.answer()
    link.namespaces.ip("x", "link", "set", "x0", "address", OTHER)
    for _ in range(2):
        link.seen(OTHER)
    link.answer()  # it is there after all: whoever that was, he begins anew
    for _ in range(4):
        link.seen(OTHER)
        assert link.entry() == (NODE, True)
        assert not link.resolve()
    link.seen(OTHER)
    assert link.entry() == ("", False)
    assert link.resolve()
    link.seen(OTHER)
    assert link.entry() == (OTHER, True)
    (event,) = [event for event in link.events if "reason" in event]
    assert event["reason"] == f"{OTHER} relays instead of {NODE}, which is silent"


def test_one_that_never_answers_is_not_given_up_in_a_hurry(link: Fixture) -> None:
    link.resolve()
    link.seen(NODE)
    for _ in range(100):
        link.seen(OTHER)
    link.seen(NODE)
    for _ in range(100):
        link.seen(OTHER)
    assert link.entry() == (NODE, True)
    link.now += 200 * NS
    link.seen(OTHER)
    assert not link.entry()[1]

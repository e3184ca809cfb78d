"""Ten thousand sessions, and what they notice when the control plane or the kernel's state dies: nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.bng_manager import rpc
from tests.support.bng_world import World, world
from tests.support.dhcp_client import Subscriber
from tests.support.netns import run
from tests.support.servers import wait_for
from tests.support.traffic import Counted, Traffic

pytestmark = [
    pytest.mark.netns,
    pytest.mark.servers,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(
        shutil.which("kea-dhcp4") is None or shutil.which("freeradius") is None,
        reason="Kea or FreeRADIUS is not installed",
    ),
]

SESSIONS = 10_000
SPEAKING = 40
"""Of these, spread over all, send and receive."""


class Crowd:
    """The sessions, and what is known of them."""

    def __init__(self, bng: World) -> None:
        self.bng = bng
        self.subscribers = [Subscriber(number) for number in range(SESSIONS)]
        bound = bng.subscribers.exchange(self.subscribers, window=64, within=90)
        assert len(bound) == SESSIONS, f"{len(bound)} of {SESSIONS} got an address"
        wait_for("all are accounted for", lambda: self.accounted()["Start"] == SESSIONS, 60)
        self.speaking = self.subscribers[:: SESSIONS // SPEAKING]

    def accounted(self) -> Counter[str]:
        """Accounting records by Acct-Status-Type."""
        text = (self.bng.radius.folder / "detail").read_text()
        return Counter(re.findall(r"^\tAcct-Status-Type = (\S+)$", text, re.MULTILINE))

    def ids(self) -> set[str]:
        """Acct-Session-Ids that were started."""
        text = (self.bng.radius.folder / "detail").read_text()
        return set(re.findall(r'^\tAcct-Session-Id = "(\w+)"$', text, re.MULTILINE))

    def access_requests(self) -> int:
        """Access-Requests that reached the RADIUS server's machine."""
        inside = ("ip", "netns", "exec", self.bng.namespaces.name("m"))
        (found,) = re.findall(r"packets (\d+)", run(*inside, "nft", "list", "table", "ip", "asked").stdout)
        return int(found)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    with world(tmp_path_factory.mktemp("crowd"), counters=5, reconcile=5) as bng:
        config = json.loads(bng.config.read_text())
        config["aether-bng:bng"]["aaa"]["interim-interval"] = 600
        bng.config.write_text(json.dumps(config))
        inside = ("ip", "netns", "exec", bng.namespaces.name("m"))
        rules = (
            "table ip asked {\nchain c {\ntype filter hook input priority 0;\nudp dport 1812 counter\n}\n}"
        )
        run(*inside, "nft", "-f", "-", input=rules)
        bng.start()
        yield Crowd(bng)


def lossless(counts: dict[int, Counted]) -> None:
    assert len(counts) == SPEAKING
    assert all(each.sent >= 10 for each in counts.values()), "there was traffic"
    lost = {number: each for number, each in counts.items() if each.received != each.sent}
    assert not lost, "no packet is lost"


carried: Counter[int] = Counter()
"""IP octets that each speaking subscriber sent, and got back, so far."""


def test_a_killed_control_plane_takes_all_over(crowd: Crowd) -> None:
    bng = crowd.bng
    asked, ids = crowd.access_requests(), crowd.ids()
    assert asked >= SESSIONS
    traffic = Traffic(bng, crowd.speaking)
    time.sleep(1)
    for round_number in (2, 3):
        bng.kill("control")
        wait_for("all are adopted", lambda n=round_number: bng.log().count('"recovery.done"') == n, 30)
        time.sleep(1)
    counts = traffic.end()
    lossless(counts)
    carried.update({number: each.octets for number, each in counts.items()})
    assert bng.log().count(f'"adopted":{SESSIONS},"removed":0,"installed":0') == 2
    assert crowd.access_requests() == asked, "nobody is asked for again"
    assert crowd.accounted()["Start"] == SESSIONS, "restored is not started"
    assert crowd.ids() == ids


def test_a_kernel_that_forgets_under_traffic_is_rebuilt(crowd: Crowd) -> None:
    bng = crowd.bng
    asked = crowd.access_requests()
    inside = ("ip", "netns", "exec", bng.namespaces.name("b"))
    run(*inside, "nft", "flush", "ruleset")
    wait_for("the ruleset is back", lambda: gates(bng) == SESSIONS, 10)
    time.sleep(6)  # what no sweep has seen goes with the shapers
    for interface in ("sub0", "up0"):
        run(*inside, "tc", "qdisc", "delete", "dev", interface, "root")
    # the kernel takes longer for each class the more there are: that is its own time
    for interface in ("sub0", "up0"):
        wait_for("the shapers are back", lambda name=interface: classes(bng, name) >= SESSIONS, 120)
    # what leads into the classes is put back after them; others than those that are counted try
    silent = [crowd.subscribers[subscriber.number + 1] for subscriber in crowd.speaking]
    wait_for("traffic passes", lambda: passes(bng, silent), 60)
    traffic = Traffic(bng, crowd.speaking)
    time.sleep(2)
    counts = traffic.end()
    lossless(counts)
    carried.update({number: each.octets for number, each in counts.items()})
    assert crowd.access_requests() == asked


def passes(bng: World, subscribers: list[Subscriber]) -> bool:
    traffic = Traffic(bng, subscribers)
    time.sleep(0.5)
    return all(each.received == each.sent for each in traffic.end().values())


def gates(bng: World) -> int:
    inside = ("ip", "netns", "exec", bng.namespaces.name("b"))
    listed = run(*inside, "nft", "list", "map", "ip", "aether", "dn", check=False).stdout
    return len(re.findall(r"bytes \d+ : ", listed))


def classes(bng: World, interface: str) -> int:
    inside = ("ip", "netns", "exec", bng.namespaces.name("b"))
    return run(*inside, "tc", "class", "show", "dev", interface).stdout.count("class htb")


def test_all_end_at_once_with_what_they_carried(crowd: Crowd) -> None:
    bng = crowd.bng
    ended = disconnect_all(bng)
    assert ended == SESSIONS
    wait_for("all Stops are accounted", lambda: crowd.accounted()["Stop"] == SESSIONS, 60)
    assert crowd.accounted()["Start"] == SESSIONS
    stops: dict[str, list[dict[str, str]]] = {}
    for record in bng.radius.accounting():
        if record.get("Acct-Status-Type") == "Stop":
            stops.setdefault(record["User-Name"], []).append(record)
    assert all(len(each) == 1 for each in stops.values()), "one Stop each"
    for subscriber in crowd.speaking:
        (stop,) = stops[f"bng-01/node-1/{subscriber.circuit_id}"]
        octets = str(carried[subscriber.number])
        assert (stop["Acct-Input-Octets"], stop["Acct-Output-Octets"]) == (octets, octets)
    assert gates(bng) == 0
    assert "Traceback" not in bng.log()


def disconnect_all(bng: World) -> int:
    subscriber = "urn:aether:yang:aether-subscriber"
    with bng.netconf() as netconf:
        reply = rpc(
            netconf,
            f'<disconnect-sessions xmlns="{subscriber}"><remote-id>node-1</remote-id></disconnect-sessions>',
        )
    found: Any = re.search(r"disconnected[^>]*>(\d+)<", reply)
    assert found, reply
    return int(found[1])

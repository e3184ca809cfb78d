"""Sessions, the leases of a real Kea, and the kernel: each can be lost, and comes back from the others."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_bng_recovery import attach, forget, wait_recovered
from tests.support.bng_manager import act, gnmi_get, session_of, wait_status
from tests.support.bng_world import World, world
from tests.support.servers import wait_for

pytestmark = [
    pytest.mark.netns,
    pytest.mark.servers,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(
        shutil.which("kea-ctrl-agent") is None or shutil.which("freeradius") is None,
        reason="Kea's control agent or FreeRADIUS is not installed",
    ),
]


@pytest.fixture
def bng(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, lease_api=True, reconcile=1) as made:
        made.start()
        yield made


def health(bng: World) -> dict[str, Any]:
    (report,) = wait_for("there is a report", lambda: gnmi_get(bng, "health"))  # type: ignore[misc]
    return report  # type: ignore[no-any-return]


def repaired(bng: World) -> dict[str, int]:
    """What was repaired, without zeros."""
    counts = health(bng)["reconcile"]["repaired"]
    return {kind: int(count) for kind, count in counts.items() if int(count)}


def wait_rounds(bng: World, count: int = 1) -> None:
    """Wait until so many rounds of the comparison with the leases have ended from now on."""

    def last_run() -> str:
        return str(health(bng).get("reconcile", {}).get("leases", {}).get("last-run"))

    for _ in range(count):
        before = last_run()
        wait_for("a round ends", lambda before=before: last_run() != before, 20)


def journal_types(bng: World) -> list[str]:
    from bng.seam.reader import JournalReader

    reader = JournalReader(bng.state_dir / "journal")
    return [event["type"] for event in reader.read(reader.oldest, 10_000)]


def test_a_healthy_round_changes_nothing(bng: World) -> None:
    bng.attach(*range(1, 26))
    for number in (1, 25):
        wait_status(bng, number, "active")
    wait_rounds(bng, 1)
    before = journal_types(bng)
    wait_rounds(bng, 2)
    assert journal_types(bng) == before
    report = health(bng)
    assert repaired(bng) == {}
    assert report["reconcile"]["leases"]["sessions-compared"] == 25
    assert report["reconcile"]["leases"]["complete"] is True
    assert report["reconcile"]["kernel"]["sessions-compared"] == 25
    (server,) = report["dhcp-server"]
    assert (server["lease-api"]["up"], int(server["lease-api"]["leases"])) == (True, 25)
    assert server["lease-api"]["latency"] > 0


def test_a_lost_state_folder_comes_back_from_the_leases(bng: World) -> None:
    attach(bng)
    bng.attach(2)
    wait_status(bng, 2, "active")
    assert bng.ping(3)[1] == 3
    bng.stop()
    shutil.rmtree(bng.state_dir)
    forget(bng)
    bng.start()
    wait_for("traffic passes again, without a word of the subscriber", lambda: bng.ping(1)[1] == 1, 15)
    with bng.netconf() as netconf:
        session = session_of(netconf, 1)
    assert session is not None
    assert session["interface"] == "sub0"
    wait_status(bng, 2, "active")
    assert repaired(bng) == {"lease-recovered": 2}
    wait_rounds(bng, 2)
    assert repaired(bng) == {"lease-recovered": 2}


def test_a_renewal_that_was_missed_is_taken_from_the_lease(bng: World) -> None:
    session = attach(bng)
    lease = bng.kea.command("lease4-get", ip_address=session["ip-address"])["arguments"]
    lease["valid-lft"] = 9999
    lease["cltt"] += 1
    bng.kea.command("lease4-update", **lease)
    wait_for("the session has the other end", lambda: repaired(bng) == {"lease-renewed": 1}, 20)
    wait_rounds(bng, 1)
    assert repaired(bng) == {"lease-renewed": 1}
    with bng.netconf() as netconf:
        again = session_of(netconf, 1)
    assert again is not None
    assert again["id"] == session["id"]
    assert again["lease-expiry"] > session["lease-expiry"]


def test_a_lease_that_is_deleted_ends_its_session(bng: World) -> None:
    session = attach(bng)
    bng.attach(2)
    wait_status(bng, 2, "active")
    wait_rounds(bng, 1)
    assert bng.kea.command("lease4-del", ip_address=session["ip-address"])["result"] == 0
    wait_for("its session ends", lambda: repaired(bng) == {"lease-gone": 1}, 30)
    assert bng.ping(1)[1] == 0
    wait_status(bng, 2, "active")


def test_a_server_that_lost_its_leases_ends_nothing(bng: World) -> None:
    session = attach(bng)
    bng.attach(2, 3)
    wait_rounds(bng, 1)
    bng.kea.stop()
    wait_for("the round fails", lambda: not health(bng)["dhcp-server"][0]["lease-api"]["up"], 20)
    assert '"leases.failed"' in bng.log()
    bng.kea.start()
    wait_for("it answers, without leases", lambda: health(bng)["dhcp-server"][0]["lease-api"]["up"], 20)
    assert int(health(bng)["dhcp-server"][0]["lease-api"]["leases"]) == 0
    wait_rounds(bng, 3)
    assert repaired(bng) == {}
    assert wait_status(bng, 1, "active")["id"] == session["id"]
    assert bng.ping(1)[1] == 1


def test_who_was_disconnected_stays_away(bng: World) -> None:
    session = attach(bng)
    act(bng, session["id"], "<disconnect/>")
    wait_rounds(bng, 2)
    bng.kill("control")
    wait_recovered(bng, 2)
    wait_rounds(bng, 2)
    with bng.netconf() as netconf:
        assert session_of(netconf, 1) is None
    assert repaired(bng) == {}


def test_a_wrong_password_is_told(bng: World) -> None:
    session = attach(bng)
    bng.kea.agent.terminate()
    bng.kea.agent.wait(10)
    bng.kea.start_agent("another")
    wait_for("it is told", lambda: "username or password is refused" in bng.log(), 20)
    assert wait_status(bng, 1, "active")["id"] == session["id"]
    time.sleep(1)
    assert json.dumps(health(bng)["reconcile"]["leases"]["complete"]) == "false"

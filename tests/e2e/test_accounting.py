"""What a subscriber carried, told the same by its own count, RADIUS, the journal and PostgreSQL."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest
from ncclient.operations import RPCError

from tests.support.lab_client import Lab, Stream, until
from tests.support.lab_life import come_back, history, pids, sql

pytestmark = [pytest.mark.netns, pytest.mark.servers, pytest.mark.timeout(240)]

PACKET = 1000
"""IP octets of an echo request with 972 octets of data."""


def test_four_counts_are_one_across_kills_and_a_change_of_profile(lab: Lab) -> None:
    subscriber = lab.subscriber("silver")
    lab.action(subscriber, "disconnect")
    come_back(lab, subscriber)  # a session whose every packet is ours
    first = settled(lab, subscriber)
    before = int(first["in-packets"])

    command = ["ip", "netns", "exec", subscriber["netns"], "ping", "-n", "-i", "0.01", "-W", "2"]
    flow = Stream([*command, "-s", "972", "-q", lab.status["internet"]["ip"]])
    time.sleep(1)
    bng = lab.bng(subscriber["bng"])
    os.kill(bng["pids"]["control"], signal.SIGKILL)
    until("control is back", lambda: lab.bng_alive(subscriber["bng"], "control", bng["pids"]["control"]), 30)
    for pid in pids(lab, "collector"):
        os.kill(pid, signal.SIGKILL)
    until("control takes the profile", lambda: _changed(lab, subscriber, "gold"), 30)
    time.sleep(1)
    flow.stop(signal.SIGINT)
    found = re.search(r"(\d+) packets transmitted, (\d+) received", flow.text())
    assert found, flow.text()
    sent, received = int(found[1]), int(found[2])
    assert sent > 100
    assert received == sent

    def swept() -> bool:
        now = lab.session(subscriber)
        return bool(now and int(now["in-packets"]) >= sent + before)

    until("a sweep saw all of it", swept)
    lab.action(subscriber, "disconnect", "<reason>counted</reason>")
    stopped = until("the session in PostgreSQL", lambda: history(lab, first["id"]), 60)
    (radius,) = until(
        "an Accounting-Stop",
        lambda: sql(
            lab.status["postgres"]["radius"],
            "SELECT * FROM radacct WHERE acctsessionid = $1 AND acctstoptime IS NOT NULL",
            first["id"],
        ),
    )
    (event,) = sql(
        lab.status["postgres"]["oss"],
        "SELECT in_octets, out_octets FROM events WHERE session_id = $1 AND type = 'session-stop'",
        first["id"],
    )
    mine = {"in": sent * PACKET, "out": received * PACKET}
    online = {"in": int(first["in-octets"]), "out": int(first["out-octets"])}
    expected = mine["in"] + online["in"], mine["out"] + online["out"]
    assert (stopped["in_octets"], stopped["out_octets"]) == expected
    assert (radius["acctinputoctets"], radius["acctoutputoctets"]) == expected
    assert (event["in_octets"], event["out_octets"]) == expected
    come_back(lab, subscriber)


def settled(lab: Lab, subscriber: dict[str, str]) -> dict[str, str]:
    """The session, after two sweeps have seen all that it carried so far."""
    began = lab.session(subscriber)
    assert began

    def later() -> dict[str, str] | None:
        now = lab.session(subscriber)
        return now if now and int(now["tick"]) >= int(began["tick"]) + 2 else None

    found: dict[str, str] = until("two more sweeps", later)
    return found


def _changed(lab: Lab, subscriber: dict[str, str], profile: str) -> bool:
    """Whether the profile was taken: NETCONF says resource-denied while control is still starting."""
    try:
        lab.action(subscriber, "set-profile", f"<profile>{profile}</profile>")
    except RPCError as error:
        assert error.tag == "resource-denied", error
        return False
    return True

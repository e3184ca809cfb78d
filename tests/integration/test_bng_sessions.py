"""The life of sessions on a whole BNG: real Kea, real FreeRADIUS, real kernel, NETCONF and gNMI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ncclient.operations import RPCError

from tests.support.bng_manager import (
    SUBSCRIBER,
    accounting,
    act,
    gnmi_get,
    rpc,
    session_of,
    sessions,
    wait_status,
)
from tests.support.bng_world import World, users, world
from tests.support.dhcp_client import ACK, Subscriber
from tests.support.marks import WHOLE_BNG
from tests.support.servers import wait_for

pytestmark = WHOLE_BNG

BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
REJECTED = 'Auth-Type := Reject\n\tReply-Message = "service suspended"'


@pytest.fixture(scope="module")
def bng(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("bng"), users(line_7=REJECTED)) as made:
        made.start()
        yield made


def octets(counters: dict[str, Any]) -> int:
    return int(counters["in-octets"])


def test_attach_forward_count_reshape_disconnect(bng: World) -> None:
    (subscriber,) = bng.attach(1)
    bng.give_address(subscriber)
    found = wait_status(bng, 1, "active")
    assert found["username"] == "bng-01/node-1/1/0/1"
    assert (found["ip-address"], found["mac-address"]) == (subscriber.address, subscriber.mac_text)
    assert (found["profile"], found["download-rate"], found["upload-rate"]) == (
        "gold",
        "50000000",
        "20000000",
    )

    assert bng.ping(20, 0.02, size=972) == (20, 20)

    def counted() -> dict[str, Any] | None:
        value = gnmi_get(bng, "sessions", f"session[id={found['id']}]", "counters")[0]
        return value if octets(value) >= 20_000 else None

    counters = wait_for("a sweep saw the traffic", counted, 5)
    assert isinstance(counters, dict)
    # 20 echo requests of 1,000 IP octets each way, and nothing else that is charged
    assert (octets(counters), int(counters["out-octets"])) == (20_000, 20_000)
    assert (int(counters["in-packets"]), int(counters["out-packets"])) == (20, 20)

    reply = act(bng, found["id"], "<set-profile><profile>bronze</profile></set-profile>")
    assert "ok" in reply
    with bng.netconf() as session:
        changed = session_of(session, 1)
    assert changed is not None
    assert (changed["profile"], changed["download-rate"]) == ("bronze", "5000000")
    with pytest.raises(RPCError, match="no shaping profile"):
        act(bng, found["id"], "<set-profile><profile>silver</profile></set-profile>")

    assert "ok" in act(bng, found["id"], "<disconnect><reason>moved out</reason></disconnect>")
    assert bng.ping(2)[1] == 0, "live flows are cut"
    with bng.netconf() as session:
        assert session_of(session, 1) is None
    stop = wait_for("the Stop is accounted", lambda: accounting(bng, found["id"], "Stop"))
    assert isinstance(stop, list)
    assert stop[0]["Acct-Terminate-Cause"] == "Admin-Reset"
    assert (stop[0]["Acct-Input-Octets"], stop[0]["Acct-Output-Octets"]) == ("20000", "20000")
    assert len(accounting(bng, found["id"], "Start")) == 1
    with pytest.raises(RPCError, match=r"no session|no such|not exist"):
        act(bng, found["id"], "<disconnect/>")


def test_disconnected_stays_away_until_it_begins_anew(bng: World) -> None:
    (subscriber,) = bng.attach(2)
    found = wait_status(bng, 2, "active")
    act(bng, found["id"], "<disconnect/>")
    assert bng.subscribers.renew(subscriber, within=1) == 0
    with bng.netconf() as session:
        assert session_of(session, 2) is None
    bng.attach(2)
    assert wait_status(bng, 2, "active")["id"] != found["id"]


def test_rejected_then_accepted_when_asked_again(bng: World) -> None:
    (subscriber,) = bng.attach(7)
    found = wait_status(bng, 7, "rejected")
    bng.give_address(subscriber)
    assert bng.ping(2)[1] == 0, "who is refused does not forward"
    bng.radius.stop()
    bng.radius.start(users())
    act(bng, found["id"], "<reauthenticate/>")
    again = wait_status(bng, 7, "active")
    assert again["id"] == found["id"]
    bng.give_address(subscriber)
    assert bng.ping(3)[1] == 3
    with bng.netconf() as session:
        wanted = "<event><type>session-rejected</type></event>"
        wanted = f'<events xmlns="urn:aether:yang:aether-events">{wanted}</events>'
        events = session.get(("subtree", wanted)).data_xml
    assert "service suspended" in events


def test_renewal_keeps_the_session_release_ends_it(bng: World) -> None:
    (subscriber,) = bng.attach(3)
    found = wait_status(bng, 3, "active")
    assert bng.subscribers.renew(subscriber) == ACK
    with bng.netconf() as session:
        renewed = session_of(session, 3)
    assert renewed is not None
    assert renewed["id"] == found["id"]
    assert renewed["lease-expiry"] > found["lease-expiry"]
    foreign = Subscriber(3)
    foreign.mac, foreign.address, foreign.server = (
        b"\x02\xae\xff\0\0\x01",
        subscriber.address,
        subscriber.server,
    )
    bng.subscribers.release(foreign)
    assert bng.subscribers.renew(subscriber) == ACK, "a release by another device counts nothing"
    bng.subscribers.release(subscriber)

    def stopped() -> list[dict[str, str]]:
        return accounting(bng, found["id"], "Stop")

    (stop,) = wait_for("the release ends the session", stopped)  # type: ignore[misc]
    assert stop["Acct-Terminate-Cause"] == "User-Request"


def test_profile_change_reaches_live_sessions(bng: World) -> None:
    bng.attach(4)
    wait_status(bng, 4, "active")
    change = (
        f'<config xmlns="{BASE}"><shaping-profiles xmlns="urn:aether:yang:aether-shaping"><profile>'
        "<name>gold</name><download><rate>RATE</rate></download></profile></shaping-profiles></config>"
    )
    with bng.netconf() as session:
        session.edit_config(target="candidate", config=change.replace("RATE", "60000000"))
        session.commit()

        def changed() -> bool:
            found = session_of(session, 4)
            return found is not None and found["download-rate"] == "60000000"

        wait_for("the live session has the profile's new rate", changed)
        session.edit_config(target="candidate", config=change.replace("RATE", "50000000"))
        session.commit()


def test_what_control_refuses_is_not_committed(bng: World) -> None:
    wrong = (
        f'<config xmlns="{BASE}"><bng xmlns="urn:aether:yang:aether-bng"><interfaces>'
        "<upstream>sub0</upstream></interfaces></bng></config>"
    )
    with bng.netconf() as session:
        session.edit_config(target="candidate", config=wrong)
        with pytest.raises(RPCError, match="sub0 is a subscriber interface"):
            session.commit()
        session.discard_changes()
        running = session.get_config(
            "running", ("subtree", '<bng xmlns="urn:aether:yang:aether-bng"/>')
        ).data_xml
    assert "<upstream>up0</upstream>" in running


def test_health_routers_and_interfaces_are_told(bng: World) -> None:
    bng.attach(5)
    wait_status(bng, 5, "active")
    first = gnmi_get(bng, "health")[0]
    assert int(first["sessions-active"]) >= 1
    assert first["radius-server"][0]["up"] is True
    assert int(first["memory-usage"]) > 10 << 20
    wait_for("the next report", lambda: gnmi_get(bng, "health")[0]["time"] > first["time"])
    state = gnmi_get(bng, "access-routers", "access-router[name=first]", "state")[0]
    assert state["reachability"] == "up"
    assert int(state["active-sessions"]) >= 1
    interface = gnmi_get(bng, "interfaces", "interface[name=sub0]")[0]
    assert interface["oper-status"] == "up"
    assert int(interface["statistics"]["in-octets"]) > 0
    summary = gnmi_get(bng, "summary")[0]
    assert int(summary["total"]) >= 1


def test_many_at_once(bng: World) -> None:
    bound = bng.attach(*range(100, 300))
    assert len({subscriber.address for subscriber in bound}) == 200
    with bng.netconf() as session:

        def all_active() -> bool:
            found = [one for one in sessions(session) if int(one["circuit-id"][4:]) >= 100]
            return len(found) == 200 and all(one["status"] == "active" for one in found)

        wait_for("all are active", all_active)
        criterion = "<remote-id>node-1</remote-id>"
        reply = rpc(session, f'<disconnect-sessions xmlns="{SUBSCRIBER}">{criterion}</disconnect-sessions>')
        assert "disconnected>" in reply
        wait_for("all are gone", lambda: not sessions(session))

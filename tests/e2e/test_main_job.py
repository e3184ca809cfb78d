"""The main job on a running lab: from a DHCP packet to a row in PostgreSQL, and back over NETCONF.

Real DHCP clients, Kea, FreeRADIUS, PostgreSQL, ncclient and gnmic. Each test leaves the lab as it was.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time

import pytest

from tests.support.lab_client import SHAPING, Json, Lab, Stream, gnmic_binary, inside, until
from tests.support.lab_life import come_back, history, online, pids, sql

pytestmark = [pytest.mark.netns, pytest.mark.servers, pytest.mark.timeout(240)]

SESSION_PATH = "/aether-subscriber:sessions/session"


def with_service(lab: Lab) -> list[Json]:
    return [s for s in lab.status["subscribers"] if s["plan"]]


# -- 1. addresses and authorisation


def test_every_subscriber_has_an_address_and_those_with_a_service_are_online(lab: Lab) -> None:
    assert len(lab.status["bngs"]) == 2
    assert len(lab.status["subscribers"]) == 8
    assert lab.status["ready"] is True
    for subscriber in lab.status["subscribers"]:
        assert subscriber["ip"], subscriber
        assert subscriber["online"] is bool(subscriber["plan"]), subscriber
        assert subscriber["ip"] in inside(subscriber["netns"], "ip", "-4", "addr")
    assert sum(1 for s in lab.status["subscribers"] if s["plan"] is None) == 1


def test_those_with_a_service_reach_the_internet_and_the_other_does_not(lab: Lab) -> None:
    for subscriber in with_service(lab):
        assert lab.ping(subscriber), subscriber["name"]
    assert not lab.ping(lab.subscriber(None))


def test_leases_are_in_postgresql(lab: Lab) -> None:
    leases = {str(row["address"]) for row in sql(lab.status["postgres"]["dhcp"], LEASES)}
    assert {s["ip"] for s in lab.status["subscribers"]} <= leases


LEASES = "SELECT '0.0.0.0'::inet + address AS address FROM lease4 WHERE state = 0"


# -- 2. RADIUS


def test_accounting_starts_and_goes_on(lab: Lab) -> None:
    subscriber = lab.subscriber("bronze")
    session = lab.session(subscriber)
    assert session
    query = "SELECT * FROM radacct WHERE acctsessionid = $1"
    radius = lab.status["postgres"]["radius"]
    (start,) = until("an Accounting-Start", lambda: sql(radius, query, session["id"]))
    assert start["username"] == lab.username(subscriber)
    assert start["acctstoptime"] is None
    lab.ping(subscriber, 20)
    until("an Interim-Update", lambda: sql(radius, query + " AND acctinputoctets > 0", session["id"]), 60)


def test_the_one_without_a_service_is_rejected_with_a_reason(lab: Lab) -> None:
    session = lab.session(lab.subscriber(None))
    assert session
    assert session["status"] == "rejected"
    events = sql(
        lab.status["postgres"]["oss"],
        "SELECT reason FROM events WHERE type = 'session-rejected' AND username = $1",
        lab.username(lab.subscriber(None)),
    )
    assert events
    assert events[0]["reason"]


# -- 3. shaping


@pytest.mark.quiet
@pytest.mark.parametrize("nth", [0, 1, 2], ids=["bridged-1", "routed", "bridged-2"])
@pytest.mark.parametrize("download", [True, False], ids=["download", "upload"])
def test_a_plan_of_10_mbits_gives_10_mbits(lab: Lab, nth: int, download: bool) -> None:
    assert 9.3 <= lab.goodput(lab.subscriber("bronze", nth), download=download) <= 10.1


# -- 4. NETCONF


def test_netconf_shows_the_session_with_its_counters(lab: Lab) -> None:
    subscriber = lab.subscriber("bronze")
    first = lab.session(subscriber)
    assert first
    assert first["ip-address"] == subscriber["ip"]
    assert first["username"] == lab.username(subscriber)
    assert (first["profile"], first["download-rate"]) == ("bronze", "10000000")
    lab.ping(subscriber, 10)
    until(
        "counters grow", lambda: int(lab.session(subscriber)["in-packets"]) >= int(first["in-packets"]) + 10
    )


@pytest.mark.quiet
def test_an_edit_of_a_profile_reaches_live_subscribers(lab: Lab) -> None:
    subscriber = lab.subscriber("bronze")

    def commit(rate: int) -> None:
        config = (
            '<config xmlns="urn:ietf:params:xml:ns:netconf:base:1.0">'
            f'<shaping-profiles xmlns="{SHAPING}"><profile><name>bronze</name>'
            f"<download><rate>{rate}</rate></download></profile></shaping-profiles></config>"
        )
        with lab.netconf(subscriber["bng"]) as session, session.locked("candidate"):
            session.edit_config(target="candidate", config=config)
            session.validate("candidate")
            session.commit()

    before = lab.session(subscriber)
    commit(4_000_000)
    try:
        assert 3.6 <= lab.goodput(subscriber, download=True) <= 4.1
        assert lab.session(subscriber)["id"] == before["id"]
    finally:
        commit(10_000_000)
    assert 9.3 <= lab.goodput(subscriber, download=True) <= 10.1


def test_disconnect_stops_forwarding_at_once(lab: Lab) -> None:
    subscriber = lab.subscriber("bronze", 1)
    before = lab.session(subscriber)
    command = ["ip", "netns", "exec", subscriber["netns"], "ping", "-n", "-i", "0.05", "-W", "1", "-D"]
    flow = Stream([*command, lab.status["internet"]["ip"]])
    try:
        until("answers", lambda: len(re.findall("icmp_seq", flow.text())) > 10)
        lab.action(subscriber, "disconnect", "<reason>test</reason>")
        time.sleep(0.3)
        answered = flow.text().count("icmp_seq")
        time.sleep(1.5)
        assert flow.text().count("icmp_seq") == answered
    finally:
        flow.stop()
    stopped = until("the session in the history", lambda: history(lab, before["id"]))
    assert stopped["terminate_cause"] == "Admin-Reset"
    assert stopped["in_packets"] >= 10
    (record,) = until(
        "an Accounting-Stop",
        lambda: sql(
            lab.status["postgres"]["radius"],
            "SELECT * FROM radacct WHERE acctsessionid = $1 AND acctstoptime IS NOT NULL",
            before["id"],
        ),
    )
    assert (record["acctinputoctets"], record["acctoutputoctets"]) == (
        stopped["in_octets"],
        stopped["out_octets"],
    )
    assert record["acctterminatecause"] == "Admin-Reset"
    come_back(lab, subscriber)


# -- 5. gNMI

needs_gnmic = pytest.mark.skipif(
    gnmic_binary() is None, reason="gnmic is not here: make setup builds it where Go is"
)


@needs_gnmic
def test_gnmic_shows_capabilities_and_gets_a_session(lab: Lab) -> None:
    output = lab.gnmi("bng-01", "capabilities")
    assert "aether-subscriber" in output
    assert "JSON_IETF" in output
    session = lab.session(lab.subscriber("bronze"))
    path = f"{SESSION_PATH}[id={session['id']}]"
    answer = json.loads(lab.gnmi("bng-01", "-e", "json_ietf", "get", "--path", path))
    assert session["username"] in json.dumps(answer)


@needs_gnmic
def test_gnmic_samples_counters(lab: Lab) -> None:
    subscriber = lab.subscriber("bronze")
    session = lab.session(subscriber)
    path = f"{SESSION_PATH}[id={session['id']}]/counters/in-packets"
    arguments = [
        "-e",
        "proto",
        "subscribe",
        "--path",
        path,
        "--stream-mode",
        "sample",
        "--sample-interval",
        "1s",
    ]
    stream = Stream(lab.gnmic(subscriber["bng"], *arguments))
    try:
        until("a first sample", lambda: "in-packets" in stream.text())
        lab.ping(subscriber, 20)
        until(
            "a sample that grew",
            lambda: len(set(re.findall(r'in-packets": "?(\d+)', stream.text()))) > 1,
        )
    finally:
        stream.stop()


@needs_gnmic
def test_gnmic_sees_a_session_go_and_come_on_change(lab: Lab) -> None:
    subscriber = lab.subscriber("bronze", 1)
    old = lab.session(subscriber)["id"]
    arguments = ["-e", "proto", "subscribe", "--path", SESSION_PATH, "--stream-mode", "on-change"]
    stream = Stream(lab.gnmic(subscriber["bng"], *arguments))
    try:
        until("the session", lambda: old in stream.text())
        lab.action(subscriber, "disconnect")
        until("its deletion", lambda: re.search(rf"deletes[^}}]*{old}", stream.text(), re.DOTALL))
        come_back(lab, subscriber)
        new = lab.session(subscriber)["id"]
        assert new != old
        until("the new session", lambda: new in stream.text())
    finally:
        stream.stop()


# -- 6. death


@pytest.mark.parametrize("victim", ["control", "management", "run"])
def test_a_bng_process_dies_and_no_packet_is_lost(lab: Lab, victim: str) -> None:
    subscriber = lab.subscriber("bronze")
    bng = lab.bng(subscriber["bng"])
    before = lab.session(subscriber)
    children = dict(bng["pids"])
    command = ["ip", "netns", "exec", subscriber["netns"], "ping", "-n", "-i", "0.02", "-c", "400", "-q"]
    flow = Stream([*command, lab.status["internet"]["ip"]])
    time.sleep(1)
    os.kill(children[victim], signal.SIGKILL)
    until("ping ends", lambda: "packet loss" in flow.text(), 30)
    flow.stop()
    assert " 0% packet loss" in flow.text(), flow.text()

    def adopted() -> bool:
        try:
            after = lab.session(subscriber)
        except Exception:
            return False
        return bool(
            after
            and after["id"] == before["id"]
            and int(after["in-packets"]) >= int(before["in-packets"]) + 400
        )

    until("the same session, its counters gone on", adopted, 40, 0.5)
    starts = sql(
        lab.status["postgres"]["oss"],
        "SELECT count(*) FROM events WHERE session_id = $1 AND type = 'session-start'",
        before["id"],
    )
    assert starts[0][0] == 1
    until("a new process", lambda: lab.bng_alive(subscriber["bng"], victim, children[victim]), 30)


def test_churn_with_kills_loses_and_doubles_no_event(lab: Lab) -> None:
    """Sessions come and go while the collector and a BNG's control process are killed."""
    oss = lab.status["postgres"]["oss"]
    subscriber = lab.subscriber("bronze", 2)
    for round_number in range(3):
        lab.action(subscriber, "disconnect")
        if round_number == 0:
            for pid in pids(lab, "collector"):
                os.kill(pid, signal.SIGKILL)
        else:
            os.kill(lab.refresh() and lab.bng(subscriber["bng"])["pids"]["control"], signal.SIGKILL)
        come_back(lab, subscriber)

    def complete() -> bool:
        (row,) = sql(
            oss,
            "SELECT count(*) AS n, count(DISTINCT seq) AS d, min(seq) AS first, max(seq) AS last "
            "FROM events WHERE bng_id = $1",
            subscriber["bng"],
        )
        (active,) = sql(
            oss,
            "SELECT count(*) FROM sessions_active WHERE bng_id = $1 AND session_id = $2",
            *(subscriber["bng"], lab.session(subscriber)["id"]),
        )
        return bool(
            row["n"] == row["d"] == row["last"] - row["first"] + 1 and row["first"] == 1 and active[0] == 1
        )

    until("every event once, and the live session", complete, 40)
    gaps = sql(oss, "SELECT * FROM gaps WHERE kind = 'events' AND bng_id = $1", subscriber["bng"])
    assert gaps == []


# -- 7. OSS


def test_the_oss_lists_what_is_there(lab: Lab) -> None:
    oss = lab.oss()
    assert {bng["bng_id"]: bng["state"] for bng in oss.get("/api/bngs")} == {
        "bng-01": "connected",
        "bng-02": "connected",
    }
    sessions = oss.get("/api/sessions")["items"]
    assert {s["username"] for s in sessions} == {lab.username(s) for s in lab.status["subscribers"]}
    assert oss.get("/api/events")["items"]
    assert oss.get("/api/traffic?range=15m")


@pytest.mark.quiet
def test_a_new_service_brings_a_refused_subscriber_online_and_its_end_takes_it_off(lab: Lab) -> None:
    oss = lab.oss()
    refused = lab.subscriber(None)
    suffix = f"{time.time_ns() % 10**9}"
    customer = oss.post("/api/customers", {"name": "Nora Quist", "email": f"nora{suffix}@example.net"})
    plan = oss.post(
        "/api/plans", {"name": f"trial-{suffix}", "download_kbps": 6000, "upload_kbps": 3000, "price": "1.00"}
    )
    plan_id = plan.get("plan", plan)["id"]
    service = oss.post(
        "/api/services",
        {
            "customer_id": customer["id"],
            "plan_id": plan_id,
            "bng_id": refused["bng"],
            "remote_id": refused["remote_id"],
            "circuit_id": refused["circuit_id"],
        },
    )
    try:
        until("it comes online", lambda: online(lab, refused), 30)
        assert 5.4 <= lab.goodput(refused, download=True) <= 6.1
        (session,) = [s for s in oss.get("/api/sessions")["items"] if s["username"] == lab.username(refused)]
        oss.post(f"/api/sessions/{session['bng_id']}/{session['session_id']}/disconnect")
        until("it no longer forwards", lambda: not lab.ping(refused, 1), 10)
    finally:
        oss.patch(f"/api/services/{service['id']}", {"status": "TERMINATED", "disconnect": True})
    come_back_refused(lab, refused)


def come_back_refused(lab: Lab, subscriber: Json) -> None:
    for service in lab.refresh()["services"]:
        if service["netns"] == subscriber["netns"] and service["pid"]:
            os.kill(service["pid"], signal.SIGKILL)

    def refused() -> bool:
        found = lab.session(subscriber)
        return bool(found and found["status"] == "rejected")

    until("it is refused again", refused, 60)
    assert not lab.ping(subscriber)


def test_bad_requests_get_one_clear_answer(lab: Lab) -> None:
    oss = lab.oss()
    answer = oss.call("POST", "/api/services", {"customer_id": 10**9, "plan_id": 1}, expect=422)
    assert answer
    assert oss.call("GET", "/api/sessions/bng-01/none", expect=404)
    if gnmic_binary():
        ended = subprocess.run(
            lab.gnmic("bng-01", "get", "--path", "/no-such:thing"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode != 0
        assert "no-such" in ended.stderr + ended.stdout

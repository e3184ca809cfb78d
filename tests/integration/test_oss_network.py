"""From the OSS over NETCONF to elements, and into the RADIUS database."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from nbi.client import connect
from tests.support import oss, postgres
from tests.support.oss import ROOT, Rows, Server
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

LOGIN = {"username": "admin", "password": "correct horse"}
SHAPING = "{urn:aether:yang:aether-shaping}"


class ElementProcess:
    """A BNG's management side as a process; `actions` are those that were invoked on it."""

    def __init__(self, folder: Path, bng_id: str, refuse: str = "", port: int = 0) -> None:
        folder.mkdir(exist_ok=True)
        self.bng_id = bng_id
        self.actions: queue.Queue[dict[str, Any]] = queue.Queue()
        command = [sys.executable, "-m", "tests.support.oss_element", "--state-dir", str(folder)]
        self._process = subprocess.Popen(
            [*command, "--port", str(port), "--refuse", refuse],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        self.port = int(json.loads(self._process.stdout.readline())["port"])
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.actions.put(json.loads(line))

    @property
    def target(self) -> dict[str, Any]:
        return {"bng_id": self.bng_id, "host": "127.0.0.1", "port": self.port, **LOGIN}

    def profiles(self) -> dict[str, tuple[int, int]]:
        """Rates of the profiles in running."""
        with connect("127.0.0.1", self.port, **LOGIN) as client:
            data = client.get_config('<shaping-profiles xmlns="urn:aether:yang:aether-shaping"/>')
        return {
            entry.findtext(f"{SHAPING}name"): (
                int(entry.findtext(f"{SHAPING}download/{SHAPING}rate")),
                int(entry.findtext(f"{SHAPING}upload/{SHAPING}rate")),
            )
            for entry in data.iter(f"{SHAPING}profile")
        }

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


class Network:
    """Two elements, the OSS, its databases."""

    def __init__(self, server: Server, elements: list[ElementProcess]) -> None:
        self.server = server
        self.elements = elements
        self.client = server.login()

    def plan(self, name: str) -> dict[str, Any]:
        return next(plan for plan in self.client.get("/api/plans").json() if plan["name"] == name)

    def delivery(self, plan: dict[str, Any], destination: str = "network") -> dict[str, Any]:
        return next(d for d in plan["deliveries"] if d["destination"] == destination)

    def rows(self) -> Any:
        return Rows.to(self.server.settings["database"])

    def radius(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        async def fetch() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(self.server.settings["radius_database"])
            try:
                return [tuple(row) for row in await connection.fetch(query, *parameters)]
            finally:
                await connection.close()

        return oss.run(fetch())


@pytest.fixture
def network(cluster: postgres.Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Network]:
    database, radius = oss.run(oss.databases(cluster, request.node.name[:40]))
    elements = [
        ElementProcess(tmp_path / "bng-01", "bng-01"),
        ElementProcess(tmp_path / "bng-02", "bng-02", refuse="toofast"),
    ]
    settings = oss.config(database, radius, bngs=[element.target for element in elements])
    try:
        with oss.server(tmp_path, settings) as server:
            yield Network(server, elements)
    finally:
        for element in elements:
            element.stop()


def test_a_plan_reaches_every_bng_and_radius(network: Network) -> None:
    for element in network.elements:
        wait_for("seeding", lambda e=element: "bronze" in e.profiles(), 30, 0.1)
    new = {"name": "silver", "download_kbps": 60_000, "upload_kbps": 12_000, "price": "25"}
    plan = network.client.post("/api/plans", json=new).json()
    assert {delivery["state"] for delivery in plan["deliveries"]} == {"delivered"}
    states = [(result["bng_id"], result["state"]) for result in network.delivery(plan)["results"]]
    assert states == [("bng-01", "applied"), ("bng-02", "applied")]
    for element in network.elements:
        assert element.profiles()["silver"] == (60_000_000, 12_000_000)
    replies = "SELECT attribute, op, value FROM radgroupreply WHERE groupname = $1 ORDER BY id"
    assert network.radius(replies, "silver") == [
        ("Filter-Id", ":=", "silver"),
        ("OSS-Download-Speed", ":=", "60000"),
        ("OSS-Upload-Speed", ":=", "12000"),
    ]

    network.client.patch(f"/api/plans/{plan['id']}", json={"download_kbps": 70_000})
    assert [e.profiles()["silver"][0] for e in network.elements] == [70_000_000] * 2
    assert network.radius(replies, "silver")[1][2] == "70000"

    assert network.client.delete(f"/api/plans/{plan['id']}").status_code == 200
    assert not any("silver" in e.profiles() for e in network.elements)
    assert network.radius(replies, "silver") == []


def test_what_one_bng_refuses_no_bng_keeps(network: Network) -> None:
    first, second = network.elements
    wait_for("seeding", lambda: "gold" in second.profiles() and "bronze" in second.profiles(), 30, 0.1)
    new = {"name": "toofast", "download_kbps": 900_000, "upload_kbps": 900_000}
    plan = network.client.post("/api/plans", json=new).json()
    delivery = network.delivery(plan)
    assert delivery["state"] == "pending"
    assert "bng-02 refused: no room for profile toofast" in delivery["error"]
    assert [result["state"] for result in delivery["results"]] == ["rolled-back", "refused"]
    assert "toofast" not in first.profiles()
    assert network.delivery(plan, "radius")["state"] == "delivered"

    # another plan is not held up by the one that is refused
    other = network.client.post("/api/plans", json={**new, "name": "slower"}).json()
    assert network.delivery(other)["state"] == "delivered"
    assert "slower" in first.profiles()


def test_a_bng_that_is_locked_is_named_and_tried_again(network: Network) -> None:
    first, second = network.elements
    wait_for("seeding", lambda: "bronze" in second.profiles(), 30, 0.1)
    with connect("127.0.0.1", second.port, **LOGIN) as other:
        other.lock("candidate")
        new = {"name": "patient", "download_kbps": 1000, "upload_kbps": 1000}
        plan = network.client.post("/api/plans", json=new).json()
        assert "bng-02 refused" in network.delivery(plan)["error"]
        assert "patient" not in first.profiles()
    wait_for("the retry", lambda: network.delivery(network.plan("patient"))["state"] == "delivered", 30, 0.1)
    assert all("patient" in element.profiles() for element in network.elements)


def test_what_a_dead_bng_missed_arrives_when_it_is_back(network: Network, tmp_path: Path) -> None:
    second = network.elements[1]
    wait_for("seeding", lambda: "bronze" in second.profiles(), 30, 0.1)
    second.stop()
    new = {"name": "late", "download_kbps": 1000, "upload_kbps": 1000}
    plan = network.client.post("/api/plans", json=new).json()
    assert "bng-02 cannot be reached" in network.delivery(plan)["error"]
    wait_for(
        "the others", lambda: network.client.get("/api/stats").json()["deliveries_pending"] == 1, 30, 0.1
    )
    network.elements[1] = ElementProcess(tmp_path / "bng-02", "bng-02", port=second.port)
    wait_for("the delivery", lambda: network.delivery(network.plan("late"))["state"] == "delivered", 30, 0.1)
    assert all("late" in element.profiles() for element in network.elements)


def test_a_bng_that_started_anew_gets_its_plans_again(network: Network, tmp_path: Path) -> None:
    async def report(instance: uuid.UUID) -> None:
        """As the collector does when it has connected."""
        async with network.rows() as rows:
            await rows.bng("bng-01")
            await rows.db.execute("UPDATE bngs SET instance_id = $1 WHERE bng_id = 'bng-01'", instance)
            await rows.notify("bngs", "bng-01")

    def start_empty(name: str) -> None:
        first = network.elements[0]
        first.stop()
        network.elements[0] = ElementProcess(tmp_path / name, "bng-01", port=first.port)
        assert not has_all()

    def has_all() -> bool:
        wanted = {"bronze": (20_000_000, 5_000_000), "gold": (250_000_000, 50_000_000)}
        return wanted.items() <= network.elements[0].profiles().items()

    wait_for("seeding", has_all, 30, 0.1)
    bronze = network.plan("bronze")["id"]
    network.client.patch(f"/api/plans/{bronze}", json={"is_active": False})
    network.client.patch(f"/api/plans/{network.plan('gold')['id']}", json={"is_active": False})
    network.client.patch(f"/api/plans/{bronze}", json={"is_active": True})

    start_empty("second")
    oss.run(report(uuid.uuid4()))
    wait_for("the delivery to the new instance (gold is no longer sold, but in use)", has_all, 30, 0.1)
    assert "bng-01 started anew" in network.delivery(network.plan("gold"))["summary"]

    network.server.stop()
    start_empty("third")
    instance = uuid.uuid4()
    oss.run(report(instance))
    network.server.start()
    network.client = network.server.login()
    wait_for("the delivery at the start of the OSS", has_all, 30, 0.1)
    wait_for(
        "the record of it", lambda: network.delivery(network.plan("gold"))["state"] == "delivered", 30, 0.1
    )

    last = network.delivery(network.plan("gold"))["id"]
    oss.run(report(instance))
    new = {"name": "later", "download_kbps": 1000, "upload_kbps": 1000}
    assert network.delivery(network.client.post("/api/plans", json=new).json())["state"] == "delivered"
    assert network.delivery(network.plan("gold"))["id"] == last, "the same instance again is no reason"


def test_a_new_service_admits_the_line_and_wakes_its_session(network: Network) -> None:
    first = network.elements[0]
    username = "bng-01/an-01/1/0/5"

    async def waiting() -> None:
        async with network.rows() as rows:
            await rows.session(5, port=5, status="rejected")

    oss.run(waiting())
    alan = network.client.get("/api/customers", params={"q": "turing"}).json()["items"][0]["id"]
    new = {"customer_id": alan, "plan_id": network.plan("gold")["id"]}
    line = {"bng_id": "bng-01", "remote_id": "an-01", "circuit_id": "1/0/5"}
    service = network.client.post("/api/services", json={**new, **line}).json()
    check = "SELECT attribute, op, value FROM radcheck WHERE username = $1"
    assert network.radius(check, username) == [("Cleartext-Password", ":=", "line-secret")]
    group = "SELECT groupname FROM radusergroup WHERE username = $1"
    assert network.radius(group, username) == [("gold",)]
    assert first.actions.get(timeout=60)["action"] == "reauthenticate"

    path = f"/api/services/{service['id']}"
    network.client.patch(path, json={"plan_id": network.plan("bronze")["id"]})
    assert network.radius(group, username) == [("bronze",)]
    assert first.actions.get(timeout=60) == {"action": "reauthenticate", "session": f"{5:016x}", "input": {}}

    network.client.patch(path, json={"status": "SUSPENDED", "disconnect": True})
    assert network.radius(check, username) == []
    ended = first.actions.get(timeout=60)
    assert (ended["action"], ended["session"]) == ("disconnect", f"{5:016x}")

    network.client.patch(path, json={"status": "ACTIVE"})
    assert network.radius(group, username) == [("bronze",)]
    network.client.patch(path, json={"status": "TERMINATED"})
    assert network.radius(group, username) == []
    assert network.client.patch(path, json={"status": "ACTIVE"}).status_code == 409
    assert network.client.post("/api/services", json={**new, **line}).status_code == 201, "the port is free"


def test_actions_and_a_fresh_look(network: Network) -> None:
    client, first = network.client, network.elements[0]
    one = f"/api/sessions/bng-01/{3:016x}"
    fresh = client.get(f"{one}/fresh").json()
    assert (fresh["username"], fresh["in_octets"]) == ("bng-01/an-0000/1/0/3", str(3 * 1_000_003))
    answer = client.post(f"{one}/set-profile", json={"profile": "gold"})
    assert answer.status_code == 204, answer.text
    assert first.actions.get(timeout=60)["input"] == {"profile": "gold"}
    assert client.post(f"{one}/disconnect", json={"reason": "<test> & more"}).status_code == 204
    assert first.actions.get(timeout=60)["input"] == {"reason": "<test> & more"}
    assert client.get(f"{one}/fresh").status_code == 404
    assert client.post(f"{one}/disconnect").status_code == 404
    first.stop()
    gone = client.post(f"/api/sessions/bng-01/{4:016x}/reauthenticate")
    assert gone.status_code == 502
    assert "bng-01 cannot be reached" in gone.json()["detail"]
    audit = client.get("/api/audit", params={"object": f"session:bng-01/{3:016x}"}).json()["items"]
    assert [entry["action"] for entry in audit] == ["disconnect", "set-profile"]


def test_the_outbox_survives_the_process(network: Network, tmp_path: Path) -> None:
    for element in network.elements:
        element.stop()
    new = {"name": "durable", "download_kbps": 1000, "upload_kbps": 1000}
    answer = network.client.post("/api/plans", json=new)
    assert network.delivery(answer.json())["state"] == "pending"
    network.server.stop()
    ports = [element.port for element in network.elements]
    network.elements[:] = [
        ElementProcess(tmp_path / f"bng-0{n}", f"bng-0{n}", port=port) for n, port in enumerate(ports, 1)
    ]
    network.server.start()
    network.client = network.server.login()
    wait_for(
        "the delivery", lambda: network.delivery(network.plan("durable"))["state"] == "delivered", 30, 0.1
    )
    assert all("durable" in element.profiles() for element in network.elements)


def test_a_wrong_password_is_unreachable_not_a_crash(cluster: postgres.Cluster, tmp_path: Path) -> None:
    database, radius = oss.run(oss.databases(cluster, "password"))
    element = ElementProcess(tmp_path / "bng-01", "bng-01")
    settings = oss.config(database, radius, bngs=[{**element.target, "password": "wrong"}])
    try:
        with oss.server(tmp_path, settings) as server, httpx.Client():
            answer = server.login().get(f"/api/sessions/bng-01/{1:016x}/fresh")
            assert answer.status_code == 502
            assert "refused user admin" in answer.json()["detail"]
    finally:
        element.stop()

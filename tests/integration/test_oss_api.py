"""The OSS as a process on a real PostgreSQL, with rows as the collector writes them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from collector import partitions, rollup
from tests.support import oss, postgres
from tests.support.oss import ADMIN, Rows, Server

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

SESSIONS = 25


@pytest.fixture(scope="module")
def server(cluster: postgres.Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    database, radius = oss.run(oss.databases(cluster, "api"))
    oss.run(fill(database))
    with oss.server(tmp_path_factory.mktemp("oss"), oss.config(database, radius)) as made:
        yield made


async def fill(database: str) -> None:
    async with Rows.to(database) as rows:
        await rows.bng("bng-01")
        await rows.router("bng-01", "an-01")
        for number in range(1, SESSIONS + 1):
            status = ("active", "idle", "rejected")[number % 3]
            await rows.session(number, port=number, status=status, profile="gold" if number % 2 else None)
        await rows.health("bng-01")


@pytest.fixture
def admin(server: Server) -> Iterator[httpx.Client]:
    client = server.login()
    yield client
    client.close()


def everything(client: httpx.Client, path: str, **query: Any) -> list[dict[str, Any]]:
    """All pages."""
    items, cursor = [], None
    while True:
        page = client.get(path, params={**query, **({"cursor": cursor} if cursor else {})}).json()
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items


# -- who may


def test_nothing_but_health_is_open(server: Server) -> None:
    document = server.login().get("/api/openapi.json").json()
    anonymous = httpx.Client(base_url=server.url)
    for path, methods in document["paths"].items():
        for method in methods:
            if path in ("/healthz", "/api/auth/login"):
                continue
            url = path.replace("{", "").replace("}", "")
            assert anonymous.request(method, url).status_code == 401, f"{method} {path}"


def test_a_write_without_the_csrf_token_is_refused(server: Server) -> None:
    client = server.login()
    del client.headers["X-CSRF-Token"]
    answer = client.post("/api/customers", json={"name": "Mallory"})
    assert answer.status_code == 403
    assert "X-CSRF-Token" in answer.json()["detail"]


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(server: Server) -> None:
    answer = httpx.post(f"{server.url}/api/auth/login", json=ADMIN)
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_logout_ends_the_session(server: Server) -> None:
    client = server.login()
    assert client.get("/api/auth/me").json()["username"] == "admin"
    cookie = dict(client.cookies)
    assert client.post("/api/auth/logout").status_code == 204
    assert httpx.get(f"{server.url}/api/auth/me", cookies=cookie).status_code == 401


def test_roles_and_tokens(server: Server, admin: httpx.Client) -> None:
    new = {"username": "watcher", "password": "only watching", "role": "viewer"}
    assert admin.post("/api/users", json=new).status_code == 201
    assert admin.post("/api/users", json=new).status_code == 409
    viewer = server.login("watcher", "only watching")
    assert viewer.get("/api/plans").status_code == 200
    assert viewer.post("/api/customers", json={"name": "X"}).status_code == 403
    assert viewer.get("/api/users").status_code == 403

    made = admin.post("/api/tokens", json={"name": "robot", "role": "operator"}).json()
    robot = httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {made['token']}"})
    assert robot.post("/api/customers", json={"name": "By Robot"}).status_code == 201
    assert robot.get("/api/users").status_code == 403
    assert admin.delete(f"/api/tokens/{made['id']}").status_code == 204
    assert robot.get("/api/plans").status_code == 401
    assert "token" not in admin.get("/api/tokens").text.replace("tokens", "")


def test_the_last_admin_stays(admin: httpx.Client) -> None:
    me = next(user for user in admin.get("/api/users").json() if user["username"] == "admin")
    answer = admin.patch(f"/api/users/{me['id']}", json={"role": "viewer"})
    assert answer.status_code == 409
    assert admin.get("/api/users").status_code == 200, "nothing has changed"


def test_failed_logins_must_wait(cluster: postgres.Cluster, tmp_path: Path) -> None:
    database, radius = oss.run(oss.databases(cluster, "throttle"))
    with oss.server(tmp_path, oss.config(database, radius)) as server:
        answers = [
            httpx.post(f"{server.url}/api/auth/login", json={"username": "admin", "password": "guess"})
            for _ in range(6)
        ]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert httpx.post(f"{server.url}/api/auth/login", json=ADMIN).status_code == 429


# -- inventory


def test_customers(admin: httpx.Client) -> None:
    new = {"name": " Grace Hopper ", "email": "grace@example.net", "city": "Arlington"}
    made = admin.post("/api/customers", json=new).json()
    assert (made["name"], made["services"], made["online"]) == ("Grace Hopper", 0, 0)
    answer = admin.post("/api/customers", json={"name": "Other", "email": "GRACE@example.net"})
    assert answer.status_code == 409
    assert "grace@example.net" in answer.json()["detail"].lower()
    assert admin.post("/api/customers", json={"name": "X", "email": "nonsense"}).status_code == 422
    assert admin.post("/api/customers", json={"name": "X", "emial": "a@b.c"}).status_code == 422
    found = everything(admin, "/api/customers", q="hopper")
    assert [customer["id"] for customer in found] == [made["id"]]
    assert everything(admin, "/api/customers", q="%") == [], "wildcards mean themselves"
    assert admin.delete(f"/api/customers/{made['id']}").status_code == 204
    assert admin.get(f"/api/customers/{made['id']}").status_code == 404


def test_a_customer_with_a_service_is_kept(admin: httpx.Client) -> None:
    ada = everything(admin, "/api/customers", q="lovelace")[0]
    assert (ada["services"], ada["online"]) == (1, 1)
    assert admin.delete(f"/api/customers/{ada['id']}").status_code == 409
    assert [c["name"] for c in everything(admin, "/api/customers", presence="online")] == ["Ada Lovelace"]


def test_ports_and_conflicts(admin: httpx.Client) -> None:
    ports = admin.get("/api/access-routers/bng-01/an-01/ports").json()
    assert [port["state"] for port in ports] == ["occupied"] + ["free"] * 7
    assert (ports[0]["customer_name"], ports[0]["plan_name"]) == ("Ada Lovelace", "gold")
    assert ports[1]["session_status"] == "rejected"

    alan = everything(admin, "/api/customers", q="turing")[0]["id"]
    gold = next(plan["id"] for plan in admin.get("/api/plans").json() if plan["name"] == "gold")
    new = {"customer_id": alan, "plan_id": gold, "bng_id": "bng-01", "remote_id": "an-01"}
    taken = admin.post("/api/services", json={**new, "circuit_id": "1/0/1"})
    assert taken.status_code == 409
    assert "bng-01/an-01/1/0/1" in taken.json()["detail"]
    for circuit_id in ("1/0/9", "1/0/0", "1/0/01", "1/0/x", "2/0/1"):
        assert admin.post("/api/services", json={**new, "circuit_id": circuit_id}).status_code == 422
    wrong = {**new, "circuit_id": "1/0/3"}
    assert admin.post("/api/services", json={**wrong, "customer_id": 10**6}).status_code == 422
    assert admin.post("/api/services", json={**wrong, "plan_id": 10**6}).status_code == 422
    assert admin.post("/api/services", json={**wrong, "remote_id": "an-99"}).status_code == 422


def test_a_plan_in_use_cannot_be_deleted(admin: httpx.Client) -> None:
    gold = next(plan for plan in admin.get("/api/plans").json() if plan["name"] == "gold")
    assert admin.delete(f"/api/plans/{gold['id']}").status_code == 409
    assert admin.get("/api/plans/1000000").status_code == 404


def test_what_changed_is_in_the_audit_log(admin: httpx.Client) -> None:
    plan = next(plan for plan in admin.get("/api/plans").json() if plan["name"] == "bronze")
    answer = admin.patch(f"/api/plans/{plan['id']}", json={"price": "21.50"})
    assert answer.json()["price"] == 21.5
    entry = admin.get("/api/audit", params={"object": "plan:bronze", "limit": 1}).json()["items"][0]
    assert (entry["username"], entry["action"]) == ("admin", "change")
    assert (entry["before"]["price"], entry["after"]["price"]) == ("19.90", "21.50")
    assert entry["request_id"] == answer.headers["x-request-id"]


# -- reads


@pytest.mark.parametrize("sort", ["username", "ip_address", "status", "profile", "customer_name", "started"])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_hold_every_session_once_in_order(admin: httpx.Client, sort: str, order: str) -> None:
    query = {"sort": sort, "order": order}
    paged = everything(admin, "/api/sessions", limit=4, **query)
    assert len(paged) == SESSIONS
    whole = admin.get("/api/sessions", params={**query, "limit": 500}).json()["items"]
    assert [s["session_id"] for s in paged] == [s["session_id"] for s in whole]
    assert len({s["session_id"] for s in paged}) == SESSIONS


def test_filters(admin: httpx.Client) -> None:
    rejected = everything(admin, "/api/sessions", status="rejected")
    assert {session["status"] for session in rejected} == {"rejected"}
    both = everything(admin, "/api/sessions", status=["rejected", "idle"])
    assert {session["status"] for session in both} == {"rejected", "idle"}
    assert [s["session_id"] for s in everything(admin, "/api/sessions", q="02:00:00:00:00:07")] == [
        f"{7:016x}"
    ]
    assert everything(admin, "/api/sessions", q="LOVELACE")[0]["circuit_id"] == "1/0/1"
    assert everything(admin, "/api/sessions", bng_id="bng-99") == []
    assert len(everything(admin, "/api/events", type="session-rejected", limit=3)) == len(rejected)
    assert admin.get("/api/sessions", params={"sort": "password"}).status_code == 422
    assert admin.get("/api/sessions", params={"limit": 10**9}).status_code == 422


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/customers?q=%00", 422),
        ("/api/traffic?bng_id=%00", 422),
        ("/api/sessions/%00/x", 422),
        ("/api/customers/9999999999999999999999", 422),
        ("/api/services?plan_id=9999999999999999999999", 422),
        ("/assets/" + "a" * 9000, 404),
        ("/assets/%00", 404),
    ],
)
def test_what_no_column_and_no_file_takes_is_the_callers_fault(
    admin: httpx.Client, path: str, status: int
) -> None:
    answer = admin.get(path)
    assert answer.status_code == status, answer.text


def test_bngs_and_stats(admin: httpx.Client) -> None:
    (bng,) = admin.get("/api/bngs").json()
    assert (bng["state"], bng["configured"], sum(bng["sessions"].values())) == ("connected", False, SESSIONS)
    assert bng["health"]["radius_servers"][0]["up"] is True
    assert admin.get("/api/bngs/bng-99").status_code == 404
    assert len(admin.get("/api/bngs/bng-01/health", params={"range": "15m"}).json()["points"]) <= 1
    stats = admin.get("/api/stats").json()
    assert (stats["bngs_connected"], stats["access_routers_up"]) == (1, 1)
    assert sum(stats["sessions"].values()) == SESSIONS


def test_traffic_loses_and_invents_no_octet(cluster: postgres.Cluster, tmp_path: Path) -> None:
    """Samples with gaps, off the buckets' bounds, and with a counter that restarts."""
    database, radius = oss.run(oss.databases(cluster, "traffic"))
    end = datetime.fromtimestamp(datetime.now(UTC).timestamp() // 10 * 10, UTC)
    start = end - timedelta(seconds=600)

    async def samples() -> None:
        async with Rows.to(database) as rows:
            for seconds, into, out in (
                (3, 1_000, 5_000_000),
                (8, 2_000, 6_000_000),
                (61, 3_000, 9_000_000),  # a long gap
                (66, 500, 1_000_000),  # counted anew
                (71.5, 500, 1_000_000),  # nothing passed
            ):
                totals = {"a": (into, out), "b": (2 * into, 2 * out)}
                await rows.sample("bng-01", totals, start + timedelta(seconds=seconds), live=False)

    async def rolled_up() -> int:
        """As the collector does it: what came before now is in the rollup of a minute."""
        connection = await asyncpg.connect(database)
        try:
            await partitions.ensure(connection, end)
            await connection.execute(
                "UPDATE rollups SET closed_to = $1, rolled_to = $1", start.replace(second=0)
            )
            await rollup.turn(connection)
            return await connection.fetchval("SELECT count(*) FROM session_samples_1m")
        finally:
            await connection.close()

    oss.run(samples())
    assert oss.run(rolled_up()) > 0
    with oss.server(tmp_path, oss.config(database, radius)) as server:
        client = server.login()
        for query, factor in (({}, 3), ({"session_id": "a"}, 1), ({"session_id": "b"}, 2)):
            series = client.get("/api/traffic", params={"range": "15m", "bucket": 10, **query}).json()
            octets = [
                sum(p[name] or 0 for p in series["points"]) * series["bucket"] / 8
                for name in ("in_rate", "out_rate")
            ]
            # 1000 → 3000, then 500 anew; 5 M → 9 M, then 1 M anew
            assert octets == pytest.approx([2_500 * factor, 5_000_000 * factor])
        by_time = {p["time"]: p["out_rate"] for p in series["points"]}
        in_gap = (start + timedelta(seconds=30)).isoformat().replace("+00:00", "Z")
        assert by_time[in_gap] == pytest.approx(2 * 3_000_000 * 8 / 53), "the gap is filled with its mean"
        assert len(by_time) == 90
        assert {rate for time, rate in by_time.items() if time < start.isoformat()} == {None}
        # long ranges are read from the rollup, and nothing else is in reach of them
        oss.run(rows_deleted(database))
        coarse = client.get("/api/traffic", params={"range": "1h", "bucket": 120, "session_id": "a"}).json()
        assert sum(p["in_rate"] or 0 for p in coarse["points"]) * 120 / 8 == pytest.approx(2_500)
        none = client.get("/api/traffic", params={"bng_id": "bng-99"}).json()["points"]
        assert {point["out_rate"] for point in none} == {None}, "what was not sampled is not nought"


async def rows_deleted(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("DELETE FROM session_samples")
    await connection.close()


def test_a_series_ends_with_a_bucket_that_is_complete(cluster: postgres.Cluster) -> None:
    from oss.database import open_pool
    from oss.domain.traffic import series

    database, _ = oss.run(oss.databases(cluster, "edge"))
    now = datetime(2026, 11, 21, 12, 0, 3, tzinfo=UTC)

    async def ask() -> list[list[tuple[datetime, float | None]]]:
        found = []
        async with Rows.to(database) as rows:
            for number in range(20):  # steady 8000 bit/s, the last sample 4 s before the bucket's end
                at = now - timedelta(seconds=7 + 5 * number)
                await rows.sample("bng-01", {"a": (0, 100_000 - 5000 * number)}, at, live=False)
        pool = await open_pool(database)
        try:
            for later in (0, 5, 600):
                answer = await series(pool, "15m", 10, now=now + timedelta(seconds=later))
                found.append([(point.time, point.out_rate) for point in answer.points])
        finally:
            await pool.close()
        return found

    first, then, silent = oss.run(ask())
    assert first == then, "the bucket from 11:59:50 on has no sample of its end yet"
    assert first[-1] == (now - timedelta(seconds=23), 8000.0)
    assert silent[-1][1] is None, "the samples have stopped: a gap"


def test_a_line_sold_anew_keeps_its_history_apart(cluster: postgres.Cluster, tmp_path: Path) -> None:
    database, radius = oss.run(oss.databases(cluster, "owners"))
    before, start = f"{70:016x}", datetime.now(UTC)

    async def use(number: int, at: datetime | None = None) -> str:
        async with Rows.to(database) as rows:
            rows.seq["bng-01"] = 10 * number
            session = await rows.session(number, port=1, started=at)
            await rows.stop("bng-01", session)
            if at is not None:
                await rows.db.execute(
                    "UPDATE sessions_history SET stopped = $1 WHERE session_id = $2", at, session
                )
                await rows.db.execute("UPDATE events SET time = $1 WHERE session_id = $2", at, session)
            return session

    with oss.server(tmp_path, oss.config(database, radius)) as server:
        client = server.login()
        (service,) = everything(client, "/api/services")
        ada, alan = service["customer_id"], everything(client, "/api/customers", q="turing")[0]["id"]
        assert oss.run(use(70, start - timedelta(days=1))) == before
        first = oss.run(use(71))
        assert client.patch(f"/api/services/{service['id']}", json={"status": "TERMINATED"}).is_success
        late = oss.run(use(72))
        sold = {name: service[name] for name in ("plan_id", "bng_id", "remote_id", "circuit_id")}
        assert client.post("/api/services", json={**sold, "customer_id": alan}).is_success
        second = oss.run(use(73))
        owners = {first: ada, late: ada, second: alan, before: None}
        for path in ("/api/sessions/history", "/api/events"):
            found = [(row["session_id"], row["customer_id"]) for row in everything(client, path)]
            assert set(found) == set(owners.items()), path
            for customer in (ada, alan):
                theirs = everything(client, path, customer_id=customer)
                assert {row["session_id"] for row in theirs} == {s for s in owners if owners[s] == customer}
        assert client.get(f"/api/sessions/bng-01/{first}").json()["customer_name"] == "Ada Lovelace"
        assert client.get("/api/traffic", params={"customer_id": alan}).json()["points"]


def test_an_update_says_whether_it_renewed_the_lease(cluster: postgres.Cluster, tmp_path: Path) -> None:
    database, radius = oss.run(oss.databases(cluster, "renewals"))
    end = datetime.now(UTC) + timedelta(minutes=10)

    async def updates() -> None:
        async with Rows.to(database) as rows:
            known = {"session_id": "1", "status": "active"}
            await rows.event("bng-01", "session-start", known, lease_expiry=end)
            await rows.event("bng-01", "session-update", {**known, "status": "idle"}, lease_expiry=end)
            later = end + timedelta(minutes=5)
            await rows.event("bng-01", "session-update", known, lease_expiry=later)
            await rows.event("bng-01", "session-update", known, lease_expiry=later)

    with oss.server(tmp_path, oss.config(database, radius)) as server:
        oss.run(updates())
        found = everything(server.login(), "/api/events", order="asc")
        assert [event["renewed"] for event in found] == [False, False, True, False]

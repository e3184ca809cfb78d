"""`aether lab` as its users have it: up, status, exec, logs, plan, and what happens when a program dies."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.support.running_lab import ROOT, RunningLab
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.netns, pytest.mark.servers, pytest.mark.timeout(300)]

Json = dict[str, Any]


def service(status: Json, name: str) -> Json:
    return next(entry for entry in status["services"] if entry["name"] == name)


def test_status_keeps_its_contract(running_lab: RunningLab) -> None:
    status = running_lab.status()
    assert status["ready"] is True
    assert set(status) == {"ready", "console", "postgres", "bngs", "subscribers", "services", "internet"}
    assert set(status["console"]) == {"url", "username", "password"}
    assert set(status["postgres"]) == {"oss", "radius", "dhcp"}
    assert set(status["internet"]) == {"ip", "iperf3_port", "http_port"}
    for bng in status["bngs"]:
        assert {"id", "netns", "pid", "netconf", "gnmi"} <= set(bng)
        assert set(bng["netconf"]) == {"host", "port", "username", "password"}
        assert set(bng["gnmi"]) == {"host", "port", "username", "password", "ca"}
        assert Path(bng["gnmi"]["ca"]).read_text().startswith("-----BEGIN CERTIFICATE-----")
    for subscriber in status["subscribers"]:
        keys = {"name", "netns", "bng", "remote_id", "circuit_id", "ip", "plan", "online"}
        assert set(subscriber) == keys
    for entry in status["services"]:
        assert set(entry) == {"name", "netns", "pid", "up"}
        assert entry["up"] is True


def test_processes_are_in_the_namespaces_that_status_names(running_lab: RunningLab) -> None:
    status = running_lab.status()
    for entry in [*status["bngs"], *status["services"]]:
        wanted = Path("/run/netns", entry["netns"]).stat().st_ino
        assert Path(f"/proc/{entry['pid']}/ns/net").stat().st_ino == wanted, entry


def test_every_subscriber_with_a_service_is_online_and_the_other_is_not(running_lab: RunningLab) -> None:
    subscribers = running_lab.status()["subscribers"]
    assert [one["name"] for one in subscribers if not one["online"]] == ["host-an-21-3"]
    assert [one["plan"] for one in subscribers].count(None) == 1
    assert all(one["ip"] for one in subscribers)
    assert len({one["ip"] for one in subscribers}) == 8


def test_what_is_published_answers_on_loopback(running_lab: RunningLab) -> None:
    status = running_lab.status()

    async def database(dsn: str) -> object:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval("SELECT current_database()")
        finally:
            await connection.close()

    for name, dsn in status["postgres"].items():
        assert asyncio.run(database(dsn)) == name
    for bng in status["bngs"]:
        with socket.create_connection((bng["netconf"]["host"], bng["netconf"]["port"]), 5) as sock:
            assert sock.recv(4) == b"SSH-"
        socket.create_connection((bng["gnmi"]["host"], bng["gnmi"]["port"]), 5).close()
    url = urlsplit(status["console"]["url"])
    assert url.hostname
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200


def test_a_database_role_sees_only_its_own_database(running_lab: RunningLab) -> None:
    dsn = running_lab.status()["postgres"]["radius"]

    async def intrude() -> None:
        connection = await asyncpg.connect(dsn.rpartition("/")[0] + "/oss")
        await connection.close()

    with pytest.raises(asyncpg.PostgresError):
        asyncio.run(intrude())


def test_up_again_changes_nothing(running_lab: RunningLab) -> None:
    before = running_lab.status()
    result = running_lab.up()
    assert result.returncode == 0, result.stderr
    assert "already running" in result.stdout
    after = running_lab.status()
    assert [bng["pid"] for bng in after["bngs"]] == [bng["pid"] for bng in before["bngs"]]
    assert after["console"] == before["console"]


def test_secrets_are_private_and_none_is_a_default(running_lab: RunningLab, tmp_path: Path) -> None:
    folder = running_lab.state / "secrets"
    assert folder.stat().st_mode & 0o077 == 0 and running_lab.state.stat().st_mode & 0o077 == 0
    values = json.loads((folder / "secrets.json").read_text())
    plain = [value for name, value in values.items() if not name.endswith("/hash")]
    assert len(set(plain)) == len(plain) and all(len(value) >= 20 for value in plain)


def test_exec_runs_on_a_node(running_lab: RunningLab) -> None:
    status = running_lab.status()
    one = next(one for one in status["subscribers"] if one["online"])
    result = running_lab.run("lab", "exec", one["name"], "--", "cat", "/etc/resolv.conf")
    assert result.stdout == f"nameserver {status['internet']['ip']}\n"
    result = running_lab.run("lab", "exec", one["name"], "--", "sh", "-c", "exit 7")
    assert result.returncode == 7
    result = running_lab.run("lab", "exec", "host-an-11-9", "--", "true")
    assert result.returncode == 1 and "did you mean" in result.stderr


def test_exec_finds_this_aether(running_lab: RunningLab) -> None:
    result = running_lab.run("lab", "exec", "collector", "--", "aether", "--version")
    assert result.returncode == 0 and result.stdout.startswith("aether "), result.stderr


def test_release_ends_a_session_and_renew_begins_anew(running_lab: RunningLab) -> None:
    def online() -> bool:
        entries = running_lab.status()["subscribers"]
        return bool(next(one["online"] for one in entries if one["name"] == "host-an-11-1"))

    assert running_lab.run("lab", "release", "host-an-11-1").returncode == 0
    wait_for("the end of its session", lambda: not online())
    assert "aether lab renew host-an-11-1" in running_lab.run("lab", "status").stdout
    assert running_lab.run("lab", "renew", "host-an-11-1").returncode == 0
    wait_for("its next session", online)
    result = running_lab.run("lab", "renew", "bng-01")
    assert result.returncode == 1 and '"bng-01" is no subscriber' in result.stderr


def test_names_and_pages_of_the_internet(running_lab: RunningLab) -> None:
    one = next(one for one in running_lab.status()["subscribers"] if one["online"])
    url = "http://www.example.com/100K"
    result = running_lab.run("lab", "exec", one["name"], "--", "curl", "-s", "-m", "10", url)
    assert len(result.stdout) == 100 << 10


def test_logs_of_a_node(running_lab: RunningLab) -> None:
    assert "accessnode.ready" in running_lab.run("lab", "logs", "an-11").stdout
    assert "Ready to process requests" in running_lab.run("lab", "logs", "radius", "-n", "50").stdout
    result = running_lab.run("lab", "logs", "nobody")
    assert result.returncode == 1 and 'no log of "nobody"' in result.stderr


def test_a_program_that_dies_is_started_again(running_lab: RunningLab) -> None:
    before = service(running_lab.status(), "an-11")["pid"]
    os.kill(before, signal.SIGKILL)
    wait_for("its restart", lambda: service(running_lab.status(), "an-11")["pid"] not in (None, before))
    wait_for("readiness", lambda: running_lab.status()["ready"])
    assert "SIGKILL" in running_lab.run("lab", "status").stdout


def test_plan_shows_a_change_and_hides_secrets(running_lab: RunningLab, tmp_path: Path) -> None:
    result = running_lab.run("config", "plan", "--config", str(running_lab.config))
    assert result.stdout == "nothing would change\n"
    changed = tmp_path / "aether.config.yaml"
    changed.write_text(running_lab.config.read_text().replace("100.64.1.99", "100.64.1.98"))
    result = running_lab.run("config", "plan", "--config", str(changed))
    assert "changed  kea/etc/kea-dhcp4.conf" in result.stdout and "100.64.1.98" in result.stdout
    assert (
        json.loads((running_lab.state / "secrets/secrets.json").read_text())["console"] not in result.stdout
    )


def test_a_port_that_is_taken_names_its_owner_and_the_key(tmp_path: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        lab = RunningLab(tmp_path, console=port)
        result = lab.up()
    assert result.returncode == 1
    assert f"port {port} of 127.0.0.1 is taken by process {os.getpid()}" in result.stderr
    assert "shared.publish.console" in result.stderr
    assert lab.namespaces() == []


def test_a_third_bng_comes_up_and_down_leaves_nothing(tmp_path: Path) -> None:
    lab = RunningLab(tmp_path, ROOT / "examples/three-bngs.yaml")
    try:
        result = lab.up()
        assert result.returncode == 0, result.stdout + result.stderr
        status = lab.status()
        assert all(one["online"] for one in status["subscribers"] if one["plan"])
        pids = [entry["pid"] for entry in [*status["bngs"], *status["services"]]]
    finally:
        result = lab.down()
    assert result.returncode == 0
    assert_gone(lab, pids)
    assert "no lab is up" in lab.down().stdout


def test_a_single_bng_survives_the_death_of_the_supervisor(tmp_path: Path) -> None:
    lab = RunningLab(tmp_path, ROOT / "examples/single-bng.yaml")
    try:
        assert lab.up().returncode == 0
        pids = kill_supervisor(lab)
        result = lab.up()
        assert result.returncode == 0, result.stdout + result.stderr
        assert "its supervisor is gone" in result.stdout
        assert lab.status()["ready"] is True
        assert not any(alive(pid) for pid in pids)
        pids = kill_supervisor(lab)
    finally:
        lab.down()
    assert_gone(lab, pids)


def kill_supervisor(lab: RunningLab) -> list[int]:
    """Kill it without warning; returns the programs that it leaves."""
    status = lab.status()
    os.kill(json.loads((lab.state / "state.json").read_text())["pid"], signal.SIGKILL)
    return [entry["pid"] for entry in [*status["bngs"], *status["services"]]]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def assert_gone(lab: RunningLab, pids: list[int]) -> None:
    assert lab.namespaces() == []
    assert [pid for pid in pids if alive(pid)] == []
    assert list(Path("/etc/netns").glob(f"{lab.name}-*")) == []
    assert not Path("/run/aether", lab.name).exists()

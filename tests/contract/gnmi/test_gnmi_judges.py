"""gnmic with a configuration file and outputs of its own, with a certificate, at its prompt for polls, and
asking for the past; pygnmi's other modes."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from telemetry.protocol import gnmi_pb2 as pb
from tests.contract.gnmi.client import path
from tests.contract.gnmi.element import PASSWORDS, make_session
from tests.contract.gnmi.test_gnmi_clients import (
    COUNTERS,
    DEADLINE,
    EVENTS,
    GNMIC,
    SESSION,
    gnmic_command,
    gnmic_stream,
    needs_gnmic,
    run,
)
from tests.support.certificates import Authority
from tests.support.ports import free_port

STATUS = "/aether-subscriber:sessions/session/status"


def now() -> str:
    """RFC 3339 with nanoseconds, the only form of a time that gnmic takes."""
    at = time.time_ns()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 10**9)) + f".{at % 10**9:09d}Z"


async def until(found: Callable[[], Any], process: asyncio.subprocess.Process) -> Any:
    """What a function gives as soon as it gives something."""
    async with asyncio.timeout(DEADLINE):
        while True:
            assert process.returncode is None
            if result := await asyncio.to_thread(found):
                return result
            await asyncio.sleep(0.05)


def scrape(port: int, name: str) -> dict[str, float]:
    """Values of a metric by session."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
    except OSError:
        return {}
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#") and name in line]
    return {labels.partition('session_id="')[2][:16]: float(value) for labels, _, value in lines}


def lines_of(file: Path) -> list[dict[str, Any]]:
    """Events that gnmic has written so far."""
    if not file.exists():
        return []
    complete = file.read_text().rpartition("\n")[0].splitlines()
    return [event for line in complete for event in json.loads(line or "[]")]


@needs_gnmic
async def test_gnmic_with_its_own_configuration_and_outputs(target, tmp_path):
    port, file = free_port(), tmp_path / "events.json"
    configuration = {
        "username": "admin",
        "password": PASSWORDS["admin"],
        "tls-ca": str(target.certificate),
        "encoding": "proto",
        "targets": {
            f"127.0.0.1:{target.port}": {"name": "bng-01", "subscriptions": ["counters", "state", "log"]}
        },
        "subscriptions": {
            "counters": {"paths": [COUNTERS], "stream-mode": "sample", "sample-interval": "100ms"},
            "state": {"paths": [STATUS], "stream-mode": "on-change"},
            "log": {"paths": [EVENTS], "stream-mode": "on-change", "outputs": ["written"]},
        },
        "outputs": {
            "written": {"type": "file", "filename": str(file), "format": "event"},
            "metrics": {"type": "prometheus", "listen": f"127.0.0.1:{port}", "path": "/metrics"},
        },
    }  # fmt: skip
    config = tmp_path / "gnmic.yaml"
    config.write_text(json.dumps(configuration))  # JSON is YAML
    process = await asyncio.create_subprocess_exec(
        str(GNMIC), "--config", str(config), "subscribe", "--quiet",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip

    def statuses() -> set[str]:
        return {str(event["values"].popitem()[1]) for event in lines_of(file) if event["name"] == "state"}

    def numbers() -> set[str]:
        return {event["tags"]["event_seq"] for event in lines_of(file) if event["name"] == "log"}

    try:
        ids = [f"{number:016x}" for number in range(3)]
        await until(lambda: len(scrape(port, "in_octets")) == 3, process)
        assert scrape(port, "in_octets") == {ids[0]: 0, ids[1]: 1000, ids[2]: 2000}
        await until(lambda: numbers() == {"1", "2", "3"} and statuses() == {"active"}, process)
        target.element.sessions.sweep()
        session = make_session(1)
        session.status = "idle"
        target.element.sessions.put(session)
        target.element.journal.append("session-stop", session)
        await until(lambda: scrape(port, "in_octets").get(ids[1]) == 1007, process)
        await until(lambda: "4" in numbers() and "idle" in statuses(), process)
    finally:
        process.kill()
        await process.wait()


@needs_gnmic
async def test_gnmic_with_a_certificate_instead_of_a_password(serve, tmp_path):
    authority = Authority()
    target = await serve(client_ca=authority.certificate, certificate_users=True)
    key, certificate = authority.issue("viewer")
    (tmp_path / "client.key").write_bytes(key)
    (tmp_path / "client.pem").write_bytes(certificate)
    common = [str(GNMIC), "-a", f"127.0.0.1:{target.port}", "--tls-ca", str(target.certificate)]
    shown = ["--tls-cert", str(tmp_path / "client.pem"), "--tls-key", str(tmp_path / "client.key")]
    arguments = ["-e", "proto", "get", "--path", f"{SESSION}/status"]
    code, out, error = await run(*common, *shown, *arguments)
    assert (code, "active" in out) == (0, True), error
    code, _, error = await run(*common, "--timeout", "2s", *arguments)
    assert code != 0, error


@needs_gnmic
async def test_gnmic_polls_at_its_prompt(target):
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    arguments = ["-e", "proto", "subscribe", "--mode", "poll", "--path", f"{SESSION}/counters/in-octets"]
    process = await asyncio.create_subprocess_exec(
        *gnmic_command(target, *arguments), stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "TERM": "xterm"}, start_new_session=True,
    )  # fmt: skip
    said = ""

    async def until_said(*texts: str) -> None:
        nonlocal said
        async with asyncio.timeout(DEADLINE):
            while not all(text in said for text in texts):
                with suppress(BlockingIOError):
                    said += os.read(ours, 65536).decode()
                await asyncio.sleep(0.02)
        said = ""

    try:
        await until_said('in-octets": 1000', "sync response", "target to poll", str(target.port))
        target.element.sessions.sweep()
        os.write(ours, b"\r")
        await until_said("subscription to poll", "default-")
        os.write(ours, b"\r")
        await until_said('in-octets": 1007', "sync response")
    finally:
        process.kill()
        await process.wait()
        os.close(ours)
        os.close(theirs)


@needs_gnmic
async def test_gnmic_replaces_by_a_union(target, tmp_path):
    profiles = tmp_path / "profiles.json"
    rate = {"rate": "1000000"}
    entry = {"name": "iron", "download": rate, "upload": rate}
    profiles.write_text(json.dumps({"profile": [entry]}))
    place = "/aether-shaping:shaping-profiles"
    arguments = ["--union-replace-path", place, "--union-replace-file", str(profiles)]
    code, out, error = await run(*gnmic_command(target, "-e", "json_ietf", "set", *arguments))
    assert (code, "UNION_REPLACE" in out) == (0, True), error
    names = await run(*gnmic_command(target, "-e", "proto", "get", "--path", f"{place}/profile/name"))
    assert ("iron" in names[1], "gold" in names[1]) == (True, False)


@needs_gnmic
async def test_gnmic_asks_for_the_past(target, client):
    rate = "/aether-shaping:shaping-profiles/profile[name=gold]/download/rate"
    times = [now()]
    for value in (1_000_000, 2_000_000):
        await client.set(update=[pb.Update(path=path(rate), val=pb.TypedValue(uint_val=value))])
        times.append(now())
    common = ["-e", "proto", "subscribe", "--format", "flat", "--path", rate]
    code, out, error = await run(
        *gnmic_command(target, *common, "--mode", "once", "--history-snapshot", times[1])
    )
    assert (code, out.split()[-1:]) == (0, ["1000000"]), error
    span = ["--history-start", times[0], "--history-end", times[2]]
    arguments = ["--stream-mode", "on-change", "-e", "proto", "--path", rate, *span]
    async with gnmic_stream(target, *arguments) as next_event:
        found = {(await next_event())["values"].popitem()[1] for _ in range(3)}
    assert found == {100_000_000, 1_000_000, 2_000_000}


PYGNMI = """
import json, sys
from pygnmi.client import gNMIclient
port, certificate, password = sys.argv[1:4]
counter = "/aether-subscriber:sessions/session[id=0000000000000001]/counters/in-octets"
status = "/aether-subscriber:sessions/session/status"
found = {}
target = {"target": ("127.0.0.1", port), "username": "admin", "password": password, "path_root": certificate}

def values(message):
    return [update["val"] for update in message["update"]["update"]]

with gNMIclient(**target) as client:
    wanted = [{"path": counter}]
    once = client.subscribe2({"subscription": wanted, "mode": "once", "encoding": "proto"})
    found["once"] = values(next(once))
    polls = client.subscribe2({"subscription": wanted, "mode": "poll", "encoding": "proto"})
    found["polls"] = [values(polls.get_update(timeout=30)) for _ in range(2)]
    changes = client.subscribe2(
        {"subscription": [{"path": status, "mode": "on_change"}], "mode": "stream", "encoding": "proto"}
    )
    found["changes"] = [values(changes.get_update(timeout=30))]
    print("ready", flush=True)
    found["changes"].append(values(changes.get_update(timeout=30)))
    changes.close()
    parent = "/aether-subscriber:sessions"
    found["prefix"] = client.get(prefix=parent, path=["session/status"], encoding="proto")
    found["delete"] = client.set(delete=["/aether-shaping:shaping-profiles/profile[name=*]"])
    try:
        client.get(path=["/no-such-module:x"])
    except BaseException as error:
        found["error"] = str(error)
json.dump(found, sys.stdout)
"""


async def test_pygnmi_polls_and_follows_changes(target):
    command = [sys.executable, "-c", PYGNMI, str(target.port), str(target.certificate), PASSWORDS["admin"]]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE):
            assert await process.stdout.readline() == b"ready\n"
            session = make_session(1)
            session.status = "idle"
            target.element.sessions.put(session)
            out, error = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, error.decode()
    found = json.loads(out.splitlines()[-1])  # what pygnmi prints comes before
    assert found["once"] == [1000]
    assert found["polls"] == [[1000], [1000]]
    assert found["changes"] == [["active"] * 3, ["idle"]]
    assert [update["val"] for update in found["prefix"]["notification"][0]["update"]] == [
        "active",
        "idle",
        "active",
    ]
    assert found["delete"]["response"][0]["op"] == "DELETE"
    assert found["error"]

"""Independent clients as judges: gnmic (skipped where it is not installed) and pygnmi.

pygnmi brings its own stubs with our full names, so it runs in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from tests.contract.gnmi.element import PASSWORDS, make_session

GNMIC = os.environ.get("GNMIC") or shutil.which("gnmic")
SESSION = "/aether-subscriber:sessions/session[id=0000000000000001]"
COUNTERS = "/aether-subscriber:sessions/session/counters"
EVENTS = "/aether-events:events/event"
GOLD = "/aether-shaping:shaping-profiles/profile[name=gold]"
needs_gnmic = pytest.mark.skipif(GNMIC is None, reason="gnmic is not installed")
DEADLINE = 30.0


def gnmic_command(target: Any, *arguments: str) -> list[str]:
    common = ["-a", f"127.0.0.1:{target.port}", "-u", "admin", "-p", PASSWORDS["admin"]]
    return [str(GNMIC), *common, "--tls-ca", str(target.certificate), "--timeout", "15s", *arguments]


async def run(*command: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(DEADLINE):
            out, error = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out.decode(), error.decode()


async def gnmic(target: Any, *arguments: str) -> Any:
    code, out, error = await run(*gnmic_command(target, *arguments))
    assert code == 0, error
    return json.loads(out)


@asynccontextmanager
async def gnmic_stream(target: Any, *arguments: str) -> AsyncIterator[Callable[[], Any]]:
    """Runs `gnmic subscribe`; yields a function that waits for the next event."""
    command = gnmic_command(target, "subscribe", "--format", "event", *arguments)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, limit=2**24
    )
    assert process.stdout is not None
    stdout = process.stdout
    waiting: list[dict[str, Any]] = []

    async def next_event() -> dict[str, Any]:
        text = ""
        async with asyncio.timeout(DEADLINE):
            while not waiting:
                line = await stdout.readline()
                assert line, "gnmic ended"
                text += line.decode()
                with suppress(json.JSONDecodeError):
                    found = json.loads(text)
                    waiting.extend(found if isinstance(found, list) else [found])
                    text = ""
        return waiting.pop(0)

    try:
        yield next_event
    finally:
        process.terminate()
        await process.wait()


def values(event: dict[str, Any]) -> dict[str, Any]:
    return {name.rpartition("/")[2]: value for name, value in (event.get("values") or {}).items()}


# --- gnmic


@needs_gnmic
async def test_gnmic_capabilities(target):
    found = await gnmic(target, "capabilities", "--format", "json")
    assert found["version"] == "0.10.0"
    assert set(found["encodings"]) == {"JSON", "JSON_IETF", "PROTO", "ASCII"}
    assert "aether-subscriber" in {model["name"] for model in found["supported-models"]}


@needs_gnmic
@pytest.mark.parametrize(
    ("encoding", "expected"), [("json_ietf", "1000"), ("json", 1000), ("proto", 1000), ("ascii", "1000")]
)
async def test_gnmic_get(target, encoding, expected):
    (answer,) = await gnmic(target, "-e", encoding, "get", "--path", f"{SESSION}/counters/in-octets")
    (update,) = answer["updates"]
    assert list(update["values"].values()) == [expected]


@needs_gnmic
async def test_gnmic_get_a_tree(target):
    (answer,) = await gnmic(target, "-e", "json_ietf", "get", "--path", "/aether-subscriber:sessions")
    (value,) = answer["updates"][0]["values"].values()
    (sessions,) = (item for name, item in value.items() if name.endswith("session"))
    assert len(sessions) == 3
    assert sessions[1]["access-line"]["circuit-id"] == "1/0/1"


@needs_gnmic
async def test_gnmic_get_what_does_not_exist(target):
    code, _, error = await run(
        *gnmic_command(target, "get", "--path", "/aether-subscriber:sessions/session[id=ffffffffffffffff]")
    )
    assert code != 0
    assert "NotFound" in error


@needs_gnmic
async def test_gnmic_set(target):
    answer = await gnmic(
        target,
        "set",
        "--update-path",
        f"{GOLD}/download/rate",
        "--update-value",
        "2000000",
        "-e",
        "json_ietf",
    )
    assert answer["results"][0]["operation"] == "UPDATE"
    (answer,) = await gnmic(
        target, "-e", "proto", "get", "--path", f"{GOLD}/download/rate", "--type", "config"
    )
    assert list(answer["updates"][0]["values"].values()) == [2_000_000]
    await gnmic(target, "set", "--delete", "/aether-shaping:shaping-profiles/profile[name=silver]")
    (answer,) = await gnmic(
        target, "-e", "proto", "get", "--path", "/aether-shaping:shaping-profiles/profile/name"
    )
    assert [list(update["values"].values()) for update in answer["updates"]] == [["gold"]]


@needs_gnmic
@pytest.mark.parametrize("encoding", ["proto", "json_ietf"])
async def test_gnmic_subscribe_once(target, encoding):
    arguments = ["subscribe", "--mode", "once", "--path", COUNTERS, "-e", encoding, "--format", "flat"]
    code, out, error = await run(*gnmic_command(target, *arguments))
    assert code == 0, error
    assert len([line for line in out.splitlines() if "in-octets" in line]) == 3


@needs_gnmic
async def test_gnmic_samples(target):
    arguments = ["--stream-mode", "sample", "-i", "100ms", "-e", "proto", "--path", COUNTERS]
    async with gnmic_stream(target, *arguments) as next_event:
        while values(await next_event()).get("in-octets") != 1000:
            pass
        target.element.sessions.sweep()
        while values(await next_event()).get("in-octets") != 1007:
            pass


@needs_gnmic
async def test_gnmic_changes(target):
    path = "/aether-subscriber:sessions/session/status"
    async with gnmic_stream(
        target, "--stream-mode", "on-change", "-e", "proto", "--path", path
    ) as next_event:
        for _ in range(3):
            assert values(await next_event()) == {"status": "active"}
        session = make_session(1)
        session.status = "idle"
        target.element.sessions.put(session)
        event = await next_event()
        assert values(event) == {"status": "idle"}
        assert event["tags"]["session_id"] == f"{1:016x}"


@needs_gnmic
async def test_gnmic_journal(target):
    async with gnmic_stream(
        target, "--stream-mode", "on-change", "-e", "proto", "--path", EVENTS
    ) as next_event:
        seen: dict[str, int] = {}
        while len(seen) < 3:
            event = await next_event()
            seen[event["tags"]["event_seq"]] = event["timestamp"]
        target.element.journal.append("session-stop", make_session(1))
        while "4" not in seen:
            event = await next_event()
            seen[event["tags"]["event_seq"]] = event["timestamp"]
        assert seen == {str(number): at for number, (at, _) in target.element.journal.events.items()}


# --- pygnmi

PYGNMI = """
import json, sys
from pygnmi.client import gNMIclient
port, certificate, password = sys.argv[1:4]
session = "/aether-subscriber:sessions/session[id=0000000000000001]"
counters = "/aether-subscriber:sessions/session/counters"
rate = "/aether-shaping:shaping-profiles/profile[name=gold]/download/rate"
found = {}
target = {"target": ("127.0.0.1", port), "username": "admin", "password": password, "path_root": certificate}
with gNMIclient(**target) as client:

    def messages(number, path, mode, **more):
        wanted = [{"path": path, "mode": mode, **more}]
        stream = client.subscribe2({"subscription": wanted, "mode": "stream", "encoding": "proto"})
        taken = [next(stream) for _ in range(number)]
        stream.close()
        return taken

    found["capabilities"] = client.capabilities()
    found["get"] = client.get(path=[session + "/counters"], encoding="json_ietf")
    found["set"] = client.set(update=[(rate, "4000000")], encoding="json_ietf")
    found["rate"] = client.get(path=[rate], encoding="json_ietf", datatype="config")
    found["sample"] = messages(2, counters, "sample", sample_interval=100_000_000)
    found["events"] = messages(1, "/aether-events:events/event", "on_change")
json.dump(found, sys.stdout)
"""


async def test_pygnmi(target):
    command = [sys.executable, "-c", PYGNMI, str(target.port), str(target.certificate), PASSWORDS["admin"]]
    code, out, error = await run(*command)
    assert code == 0, error
    found = json.loads(out)
    assert found["capabilities"]["gnmi_version"] == "0.10.0"
    (update,) = found["get"]["notification"][0]["update"]
    counters = {name.rpartition(":")[2]: value for name, value in update["val"].items()}
    assert counters["in-octets"] == "1000"
    assert found["set"]["response"][0]["op"] == "UPDATE"
    assert found["rate"]["notification"][0]["update"][0]["val"] == "4000000"
    # the first message is all that came before the sync_response
    assert [len(message["update"]["update"]) for message in found["sample"]] == [21, 21]
    numbers = [update["val"] for update in found["events"][0]["update"]["update"] if update["path"] == "seq"]
    assert numbers == [1, 2, 3]

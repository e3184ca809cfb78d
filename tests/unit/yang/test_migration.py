"""Stored configurations of other revisions of the model: taken, migrated, or refused with what to do.

``revisions/`` holds the first revisions of modules, as they were published.
"""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import libyang
import pytest
import structlog

from yang.access import User
from yang.datastore import migration
from yang.datastore.deviated import DEVIATED
from yang.datastore.migration import MigrationStep
from yang.datastore.model import PathOperation
from yang.datastore.sources import own_dir, standard_dirs
from yang.path import DataPath
from yang.provider import OperationError, Registration
from yang.sealing import PREFIX, Sealer
from yang.tree import Tree

REVISIONS = Path(__file__).with_name("revisions")
FIRST = "2026-11-21"
ROOT = User("root", recovery=True)
HOSTNAME = DataPath.parse("/ietf-system:system/hostname")
NOTE = "aether-configuration:modules"

OLD: dict[str, Any] = {
    "ietf-interfaces:interfaces": {
        "interface": [{"name": name, "type": "iana-if-type:ethernetCsmacd"} for name in ("eth0", "eth1")]
    },
    "aether-bng:bng": {
        "identity": {"bng-id": "bng-1"},
        "interfaces": {"subscriber": ["eth1"], "upstream": "eth0"},
        "dhcp-relay": {"server": [{"address": "10.0.0.2"}], "rate-limit": 10},
        "aaa": {"server": [{"name": "r1", "address": "10.0.0.1", "secret": "s3cret"}]},
        "sessions-policy": {"idle-after": 7, "max-sessions": 100},
        "timers": {"counters": 2, "health": 9},
    },
    "aether-access-router:access-routers": {
        "access-router": [{"name": "an-1", "remote-id": "an-1", "subnet": ["10.9.0.0/24"]}]
    },
}


def stored(folder: Path, members: Any = OLD, revisions: str | None = f"aether-bng@{FIRST}") -> bytes:
    """Write the running configuration of an element that stopped."""
    note = {} if revisions is None else {"@": {NOTE: revisions}}
    data = json.dumps({**note, **members}).encode()
    (folder / "config").mkdir(parents=True, exist_ok=True)
    (folder / "config/running.json").write_bytes(data)
    return data


async def start(folder: Path) -> Tree:
    return await Tree.open(Registration(), folder)


async def refused(folder: Path) -> str:
    before = (folder / "config/running.json").read_bytes()
    with pytest.raises(OperationError) as caught:
        await start(folder)
    assert (folder / "config/running.json").read_bytes() == before
    return caught.value.message


def rename(members: dict[str, Any]) -> dict[str, Any]:
    timers = members.get("aether-bng:bng", {}).get("timers", {})
    if "pulse" in timers:
        timers["health"] = timers.pop("pulse")
    return members


RENAME = MigrationStep("aether-bng", FIRST, rename, "timers/pulse is timers/health now")


def with_pulse(seconds: int = 9) -> dict[str, Any]:
    bng = {**OLD["aether-bng:bng"], "timers": {"counters": 2, "pulse": seconds}}
    return {**OLD, "aether-bng:bng": bng}


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "STEPS", (RENAME,))


def test_the_old_configuration_is_one_of_the_first_revision() -> None:
    folders = (REVISIONS, *standard_dirs(), own_dir())
    context = libyang.Context(":".join(map(str, folders)))
    for name in ("aether-bng", "aether-access-router"):
        with (REVISIONS / f"{name}@{FIRST}.yang").open() as file:
            assert context.parse_module_file(file).revisions().__next__().date() == FIRST
    context.load_module("iana-if-type")
    context.parse_data_mem(json.dumps(OLD), "json", no_state=True, strict=True).free()


@pytest.mark.parametrize("revisions", [None, f"aether-bng@{FIRST} aether-access-router@{FIRST}"])
async def test_the_first_revision_is_taken_as_it_is(tmp_path: Path, revisions: str | None) -> None:
    stored(tmp_path, revisions=revisions)
    tree = await start(tmp_path)
    try:
        assert tree.running_json(defaults=False) == OLD
        assert tree.running_json()["aether-bng:bng"]["sessions-policy"]["port-move"] == "deny"
        assert not (tmp_path / "config/migrated").exists()
        await tree.transaction(ROOT, "test", [PathOperation("update", HOSTNAME, "x")])
    finally:
        await tree.close()
    note = json.loads((tmp_path / "config/running.json").read_text())["@"]
    assert f"aether-bng@{tree.schema.module('aether-bng').revision}" in note[NOTE].split()
    assert note["aether-configuration:commit"] == 0


@pytest.mark.usefixtures("step")
async def test_a_step_is_carried_out_once_and_the_old_file_is_kept(tmp_path: Path) -> None:
    before = stored(tmp_path, with_pulse())
    tree = await start(tmp_path)
    try:
        assert tree.running_json(defaults=False) == OLD
        [commit] = tree.datastores.history()
        assert (commit["kind"], commit["comment"]) == (
            "migration",
            "aether-bng: timers/pulse is timers/health now",
        )
    finally:
        await tree.close()
    [kept] = (tmp_path / "config/migrated").iterdir()
    assert kept.read_bytes() == before
    assert kept.stat().st_mode & 0o077 == 0
    again = await start(tmp_path)
    await again.close()
    assert len(again.datastores.history()) == 1


@pytest.mark.usefixtures("step")
async def test_earlier_commits_are_migrated_when_they_are_read(tmp_path: Path) -> None:
    stored(tmp_path, with_pulse())
    history = tmp_path / "config/history"
    history.mkdir()
    head = {
        "number": 4,
        "time": "2026-11-22T00:00:00Z",
        "user": "u",
        "origin": "gnmi",
        "comment": "",
        "changed": [],
    }
    document = {"@": {NOTE: f"aether-bng@{FIRST}"}, **with_pulse(8)}
    packed = gzip.compress(json.dumps(head).encode() + b"\n" + json.dumps(document).encode())
    (history / "0000000004.json.gz").write_bytes(packed)
    tree = await start(tmp_path)
    try:
        output = await tree.invoke("/aether-configuration:get-commit-diff", (), {"number": 5}, ROOT)
        assert output is not None
        [change] = output["change"]
        assert (change["path"], change["old"], change["new"]) == ("/aether-bng:bng/timers/health", "8", "9")
        await tree.invoke("/aether-configuration:rollback-to", (), {"number": 4}, ROOT)
        assert tree.running_json()["aether-bng:bng"]["timers"]["health"] == 8
    finally:
        await tree.close()


@pytest.mark.usefixtures("step")
async def test_what_a_confirmed_commit_reverts_to_is_migrated(tmp_path: Path) -> None:
    stored(tmp_path, with_pulse())
    document = {"@": {NOTE: f"aether-bng@{FIRST}"}, **with_pulse(7)}
    (tmp_path / "config/unconfirmed.json").write_text(json.dumps(document))
    tree = await start(tmp_path)
    try:
        assert tree.running_json()["aether-bng:bng"]["timers"]["health"] == 7
        assert tree.datastores.history()[0]["kind"] == "revert"
    finally:
        await tree.close()
    assert not (tmp_path / "config/unconfirmed.json").exists()


async def test_steps_are_carried_out_in_order_from_the_revision_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def note(name: str, module: str, revision: str) -> MigrationStep:
        return MigrationStep(module, revision, lambda members: seen.append(name) or members, name)

    steps = (
        note("too old", "aether-bng", "2026-11-20"),
        note("first", "aether-bng", FIRST),
        note("of another module", "aether-types", FIRST),
        note("second", "aether-bng", "2026-11-24"),
    )
    monkeypatch.setattr(migration, "STEPS", steps)
    stored(tmp_path)
    await (await start(tmp_path)).close()
    assert seen == ["first", "second"]


async def test_a_step_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_members: dict[str, Any]) -> dict[str, Any]:
        raise KeyError("pulse")

    monkeypatch.setattr(migration, "STEPS", (MigrationStep("aether-bng", FIRST, fail, "a move"),))
    stored(tmp_path)
    message = await refused(tmp_path)
    assert f"the migration of aether-bng@{FIRST} failed (a move): KeyError('pulse')" in message
    assert "start the software that wrote the file" in message


async def test_a_node_that_the_model_lacks_is_named_with_what_to_do(tmp_path: Path) -> None:
    stored(tmp_path, with_pulse())
    message = await refused(tmp_path)
    assert "the model has no /aether-bng:bng/timers/pulse" in message
    assert f"the file was written for aether-bng@{FIRST}, this is aether-bng@" in message
    assert "take it out of the file, or start the software that wrote it" in message


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"aether-gone:gone": {}}, "/aether-gone:gone (there is no module aether-gone)"),
        ({"gone": {}}, "/gone (its name needs a module"),
        ({"aether-bng:gone": {}}, "/aether-bng:gone"),
        (
            {"aether-bng:bng": {"aaa": {"server": [{"name": "a"}, {"name": "b", "gone": 1}]}}},
            "/aether-bng:bng/aaa/server[name='b']/gone",
        ),
        ({"aether-bng:bng": {"aether-gone:gone": {}}}, "/aether-bng:bng/aether-gone:gone"),
    ],
)
async def test_unknown_nodes_have_their_path(tmp_path: Path, members: Any, path: str) -> None:
    stored(tmp_path, members)
    assert f"the model has no {path}" in await refused(tmp_path)


async def test_a_newer_model_is_refused(tmp_path: Path) -> None:
    """Even where its data would fit, and though the history has what could be taken instead."""
    tree = await start(tmp_path)
    await tree.transaction(ROOT, "test", [PathOperation("update", HOSTNAME, "x")])
    await tree.close()
    stored(tmp_path, revisions="aether-bng@2099-01-01")
    message = await refused(tmp_path)
    assert "was written for aether-bng@2099-01-01, which is newer than aether-bng@" in message
    assert "start the software that wrote it" in message


async def test_a_startup_file_may_be_of_an_older_model(tmp_path: Path, step: None) -> None:
    startup = tmp_path / "startup.json"
    startup.write_text(json.dumps({"@": {NOTE: f"aether-bng@{FIRST}"}, **with_pulse()}))
    tree = await Tree.open(Registration(), tmp_path / "state", startup)
    await tree.close()
    assert tree.running_json(defaults=False) == OLD


# --- what aether-deviations took out of the model ------------------------------------------------

WITH_DEVIATED: dict[str, Any] = {
    **OLD,
    "ietf-interfaces:interfaces": {
        "interface": [
            {
                "name": name,
                "type": "iana-if-type:ethernetCsmacd",
                "ietf-ip:ipv4": {"forwarding": True, "mtu": 1500},
                "ietf-ip:ipv6": {"enabled": True},
            }
            for name in ("eth0", "eth1")
        ]
    },
    "ietf-system:system": {
        "contact": "noc",
        "clock": {"timezone-utc-offset": 60},
        "dns-resolver": {"search": ["example.net"]},
    },
}


@pytest.mark.parametrize("revisions", [None, f"aether-bng@{FIRST} ietf-system@2014-08-06"])
async def test_nodes_that_are_deviated_since_are_left_out(tmp_path: Path, revisions: str | None) -> None:
    before = stored(tmp_path, WITH_DEVIATED, revisions)
    with structlog.testing.capture_logs() as logged:
        tree = await start(tmp_path)
    running = tree.running_json(defaults=False)
    await tree.close()
    assert running["ietf-system:system"] == {"contact": "noc"}
    assert [entry["ietf-ip:ipv4"] for entry in running["ietf-interfaces:interfaces"]["interface"]] == [
        {"mtu": 1500},
        {"mtu": 1500},
    ]
    assert [entry["path"] for entry in logged if entry["event"] == "config.left-out"] == [
        "/ietf-interfaces:interfaces/interface[name='eth0']/ietf-ip:ipv4/forwarding",
        "/ietf-interfaces:interfaces/interface[name='eth1']/ietf-ip:ipv4/forwarding",
        "/ietf-interfaces:interfaces/interface[name='eth0']/ietf-ip:ipv6",
        "/ietf-interfaces:interfaces/interface[name='eth1']/ietf-ip:ipv6",
        "/ietf-system:system/clock",
        "/ietf-system:system/dns-resolver",
    ]
    [commit] = tree.datastores.history()
    assert commit["kind"] == "migration"
    [kept] = (tmp_path / "config/migrated").iterdir()
    assert kept.read_bytes() == before


async def test_a_file_of_this_model_has_them_refused(tmp_path: Path) -> None:
    await (await start(tmp_path / "another")).close()
    note = json.loads((tmp_path / "another/config/running.json").read_text())["@"][NOTE]
    assert "aether-deviations@2026-11-25" in note.split()
    stored(tmp_path, {"ietf-system:system": {"clock": {}}}, note)
    assert "the model has no /ietf-system:system/clock" in await refused(tmp_path)


def test_all_that_was_configuration_is_left_out() -> None:
    """By the text of the module; state that is not supported was never in a file."""
    text = (own_dir() / "aether-deviations.yang").read_text()
    pattern = r'deviation\s+"([^"]+)" \{[^}]*?deviate (?:not-supported;|add \{\s+config false;)'
    state = ("statistics", "interfaces-state", "higher-layer-if", "lower-layer-if")
    found = {
        path
        for path in re.findall(pattern, text)
        if path.startswith(("/if:", "/sys:system/")) and not any(word in path for word in state)
    }
    modules = {"if": "ietf-interfaces", "ip": "ietf-ip", "sys": "ietf-system"}
    plain = {re.sub(r"(\w+):", lambda found: f"{modules[found[1]]}:", path) for path in found}
    deviated = {str(DataPath.parse(f"/{path}")) for path in DEVIATED}
    assert {str(DataPath.parse(path)) for path in plain} == deviated


# --- secrets -------------------------------------------------------------------------------------


async def test_a_secret_that_moves_is_opened_as_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def move(members: dict[str, Any]) -> dict[str, Any]:
        for server in members["aether-bng:bng"]["aaa"]["server"]:
            server["secret"] = server.pop("shared-key")
        return members

    monkeypatch.setattr(migration, "STEPS", (MigrationStep("aether-bng", FIRST, move, "a move"),))
    sealed = Sealer(tmp_path).seal("s3cret", "/aether-bng:bng/aaa/server/shared-key")
    server = {"name": "r1", "address": "10.0.0.1", "shared-key": sealed}
    stored(tmp_path, {**OLD, "aether-bng:bng": {**OLD["aether-bng:bng"], "aaa": {"server": [server]}}})
    tree = await start(tmp_path)
    await tree.close()
    assert tree.running_json(defaults=False) == OLD
    assert b"s3cret" not in (tmp_path / "config/running.json").read_bytes()


async def test_a_damaged_secret_of_a_node_that_is_gone_is_named(tmp_path: Path) -> None:
    stored(tmp_path, {"aether-gone:gone": {"list": [{"key": PREFIX + "x:AAAA"}]}})
    assert "the secret /aether-gone:gone/list/key cannot be opened" in await refused(tmp_path)

"""Secrets are sealed in every file that an element writes, and cleartext in memory only."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from yang.access import User
from yang.datastore.model import PathOperation, Session
from yang.path import DataPath
from yang.provider import OperationError, Registration
from yang.schema import Schema
from yang.sealing import KEY_FILE, PREFIX, Sealer, SealError
from yang.tree import Tree

SECRET = "correct horse battery staple"
ADMIN = User("admin", recovery=True)
SERVER = "/aether-bng:bng/aaa/server[name='r1']"


def startup(secret: str = SECRET) -> dict[str, Any]:
    return {
        "aether-bng:bng": {
            "identity": {"bng-id": "bng-1"},
            "aaa": {"server": [{"name": "r1", "address": "10.0.0.1", "secret": secret}]},
        },
        "ietf-system:system": {"authentication": {"user": [{"name": "admin", "password": "$0$" + SECRET}]}},
    }


async def opened(folder: Path, config: dict[str, Any] | None = None) -> Tree:
    file = folder / "startup.json"
    if config is not None:
        file.write_text(json.dumps(config))
    return await Tree.open(Registration(), folder / "state", file if config is not None else None)


def contents(folder: Path) -> dict[str, bytes]:
    """Everything that is in a folder, unpacked."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found[path.name] = gzip.decompress(data) if path.suffix == ".gz" else data
    return found


async def change(tree: Tree, leaf: str, value: Any, **options: Any) -> None:
    await tree.transaction(
        ADMIN, "test", [PathOperation("update", DataPath.parse(f"{SERVER}/{leaf}"), value)], **options
    )


def secret_of(tree: Tree) -> str:
    return str(tree.running_json()["aether-bng:bng"]["aaa"]["server"][0]["secret"])


async def test_no_file_of_an_element_has_a_secret_in_cleartext(tmp_path: Path) -> None:
    tree = await opened(tmp_path, startup())
    await change(tree, "secret", SECRET + " 2")
    await change(tree, "auth-port", 1645, confirm_timeout=600, persist_id="later")
    files = contents(tmp_path / "state")
    assert {"running.json", "unconfirmed.json", KEY_FILE, "0000000000.json.gz"} <= set(files)
    assert not [name for name, data in files.items() if SECRET.encode() in data]
    assert files["running.json"].count(PREFIX.encode()) == 1
    assert secret_of(tree) == SECRET + " 2"
    await tree.datastores.confirm_commit("later")
    await tree.close()

    again = await opened(tmp_path)
    assert secret_of(again) == SECRET + " 2"
    await again.close()


async def test_the_key_is_the_owners_alone(tmp_path: Path) -> None:
    tree = await opened(tmp_path, startup())
    await tree.close()
    key = tmp_path / "state" / KEY_FILE
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(key.read_bytes()) == 32
    key.chmod(0o644)
    await (await opened(tmp_path)).close()
    assert key.stat().st_mode & 0o777 == 0o600


async def test_an_older_file_in_cleartext_is_taken_and_sealed(tmp_path: Path) -> None:
    config = tmp_path / "state" / "config"
    config.mkdir(parents=True)
    (config / "running.json").write_text(json.dumps(startup()))
    tree = await opened(tmp_path)
    assert secret_of(tree) == SECRET
    assert SECRET not in (config / "running.json").read_text()
    assert tree.datastores.history() == []
    await tree.close()


async def test_an_older_history_in_cleartext_is_sealed(tmp_path: Path) -> None:
    config = tmp_path / "state" / "config"
    (config / "history").mkdir(parents=True)
    (config / "running.json").write_text(json.dumps(startup()))
    entry = {"time": "2026-11-22T00:00:00Z", "user": "u", "origin": "gnmi", "comment": "", "changed": []}
    for number in (3, 4):
        members = startup(f"{SECRET} {number}")
        del members["ietf-system:system"]  # its password was a hash in the history
        document = json.dumps({"number": number, **entry}) + "\n" + json.dumps(members)
        (config / f"history/{number:010d}.json.gz").write_bytes(gzip.compress(document.encode()))
    damaged = config / "history/0000000004.json.gz"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    tree = await opened(tmp_path)
    damaged.unlink()
    assert not [name for name, data in contents(tmp_path / "state").items() if SECRET.encode() in data]
    await tree.invoke("/aether-configuration:rollback-to", (), {"number": 3}, ADMIN)
    assert secret_of(tree) == f"{SECRET} 3"
    await tree.close()


async def test_the_startup_file_may_be_xml_with_sealed_secrets(tmp_path: Path) -> None:
    state, file = tmp_path / "state", tmp_path / "startup.xml"
    state.mkdir()
    sealed = Sealer(state).seal(SECRET, "/aether-bng:bng/aaa/server/secret")
    file.write_text(
        "<config><bng xmlns='urn:aether:yang:aether-bng'><identity><bng-id>b</bng-id></identity><aaa><server>"
        f"<name>r1</name><address>10.0.0.1</address><secret>{sealed}</secret></server></aaa></bng></config>"
    )
    tree = await Tree.open(Registration(), state, file)
    assert secret_of(tree) == SECRET
    await tree.close()


@pytest.mark.parametrize(
    ("key", "reason"), [(None, "is missing"), (b"k" * 32, "another key"), (b"", "damaged")]
)
async def test_without_the_right_key_the_element_says_which_secret(
    tmp_path: Path, key: bytes | None, reason: str
) -> None:
    tree = await opened(tmp_path, startup())
    await tree.close()
    file = tmp_path / "state" / KEY_FILE
    file.unlink()
    if key is not None:
        file.write_bytes(key)
    with pytest.raises(OperationError) as caught:
        await opened(tmp_path)
    assert caught.value.path == f"{SERVER}/secret"
    assert reason in caught.value.message
    assert str(file) in caught.value.message
    assert file.exists() is (key is not None), "a new key would hide that the old one is gone"


async def test_an_old_commit_can_be_gone_back_to(tmp_path: Path) -> None:
    tree = await opened(tmp_path, startup())
    await change(tree, "secret", "another")
    await tree.invoke("/aether-configuration:rollback-to", (), {"number": 0}, ADMIN, Session(1, ADMIN))
    assert secret_of(tree) == SECRET
    await tree.close()


def test_a_sealed_value_opens_as_what_it_is_only(tmp_path: Path) -> None:
    sealer = Sealer(tmp_path)
    sealed = sealer.seal("text", "/a:b")
    assert sealer.open(sealed, "/a:b") == "text"
    assert Sealer(tmp_path).open(sealed, "/a:b") == "text"
    assert sealer.seal("text", "/a:b") != sealed
    for wrong in (sealed[:-6] + "AAAA==", sealed + "?", f"{PREFIX}", sealed[: len(PREFIX) + 9]):
        with pytest.raises(SealError):
            sealer.open(wrong, "/a:b")
    with pytest.raises(SealError, match="another leaf"):
        sealer.open(sealed, "/a:c")
    assert sealer.open(sealer.seal(sealed, "/a:b"), "/a:b") == sealed, "what looks sealed is sealed as well"


def test_what_is_sealed(schema: Schema) -> None:
    assert [node.path for node in schema.root.walk() if node.secret] == [
        "/aether-bng:bng/dhcp-relay/server/lease-api/password",
        "/aether-bng:bng/aaa/user-password",
        "/aether-bng:bng/aaa/server/secret",
        "/aether-bng:bng/aaa/dynamic-authorization/client/secret",
    ]

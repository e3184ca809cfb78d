"""The three roles that a BNG comes with."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bng.roles import FACTORY
from lab.render.bng import _access_control
from nbi.server import MODULES_DIR
from yang.access import User
from yang.datastore.model import PathOperation
from yang.path import DataPath
from yang.provider import OperationError, Registration
from yang.tree import Tree

NACM = "ietf-netconf-acm:nacm"
BNG = {"aether-bng:bng": {"identity": {"bng-id": "b"}, "aaa": {"user-password": "secret"}}}
USERS = {role: User(role) for role in ("admin", "operator", "viewer")}
SHAPING = "/aether-shaping:shaping-profiles/profile[name='gold']"
RATES = {"download": {"rate": "9000"}, "upload": {"rate": "9000"}}


async def opened(folder: Path, config: dict[str, Any]) -> Tree:
    (folder / "startup.json").write_text(json.dumps(config))
    return await Tree.open(
        Registration(), folder / "state", folder / "startup.json", module_dirs=[MODULES_DIR], factory=FACTORY
    )


@pytest.fixture
async def tree(tmp_path: Path) -> AsyncIterator[Tree]:
    """An element whose startup configuration is the lab's: it says who has which role, and nothing else."""
    tree = await opened(tmp_path, {**BNG, NACM: _access_control()})
    yield tree
    await tree.close()


def may(tree: Tree, role: str, rpc: str) -> bool:
    try:
        tree.check_exec(rpc, USERS[role])
    except OperationError:
        return False
    return True


def test_the_rpcs_of_each_role(tree: Tree) -> None:
    everybody = {"get", "get-config", "close-session"}
    writers = everybody | {
        *(
            "lock",
            "unlock",
            "edit-config",
            "copy-config",
            "commit",
            "cancel-commit",
            "discard-changes",
            "validate",
        )
    }
    allowed = {"viewer": everybody, "operator": writers, "admin": writers | {"kill-session", "delete-config"}}
    rpcs = [node for node in tree.schema.root.children.values() if node.kind == "rpc"]
    for role, names in allowed.items():
        assert {
            node.name for node in rpcs if node.module == "ietf-netconf" and may(tree, role, node.path)
        } == names
        assert may(tree, role, "/notifications:create-subscription")
        assert may(tree, role, "/ietf-netconf-monitoring:get-schema")
        assert may(tree, role, "/ietf-netconf-nmda:get-data")
        for rpc in ("establish", "modify", "delete"):
            assert may(tree, role, f"/ietf-subscribed-notifications:{rpc}-subscription")
        assert may(tree, role, "/ietf-yang-push:resync-subscription")
        assert may(tree, role, "/ietf-subscribed-notifications:kill-subscription") is (role == "admin")
        assert may(tree, role, "/ietf-netconf-nmda:edit-data") is (role != "viewer")
        assert may(tree, role, "/ietf-netconf-private-candidate:update") is (role != "viewer")
        assert may(tree, role, "/aether-subscriber:disconnect-sessions") is (role != "viewer")
        assert may(tree, role, "/ietf-netconf-partial-lock:partial-lock") is (role != "viewer")
        assert may(tree, role, "/aether-configuration:get-commit-diff")
        assert may(tree, role, "/aether-configuration:rollback-to") is (role != "viewer")


async def test_a_rollback_is_whose_the_changes_are(tree: Tree) -> None:
    async def back(number: int) -> None:
        await tree.invoke("/aether-configuration:rollback-to", (), {"number": number}, USERS["operator"])

    for path, value in ((SHAPING, RATES), ("/aether-bng:bng/identity/location", "here"), (SHAPING, None)):
        operation = PathOperation("delete" if value is None else "update", DataPath.parse(path), value)
        await tree.transaction(USERS["admin"], "test", [operation])
    await back(2)
    with pytest.raises(OperationError, match="may not delete") as caught:
        await back(1)
    assert (caught.value.tag, caught.value.path) == ("access-denied", "/aether-bng:bng/identity/location")


@pytest.mark.parametrize(
    ("role", "path", "value", "permitted"),
    [
        ("viewer", SHAPING, RATES, False),
        ("operator", SHAPING, RATES, True),
        ("admin", SHAPING, RATES, True),
        ("operator", "/aether-bng:bng/identity/location", "here", False),
        ("admin", "/aether-bng:bng/identity/location", "here", True),
        ("operator", f"/{NACM}/enable-nacm", False, False),
        ("operator", "/aether-bng:bng/aaa/user-password", "x", False),
        ("admin", "/aether-bng:bng/aaa/user-password", "x", True),
    ],
)
async def test_what_each_role_may_write(
    tree: Tree, role: str, path: str, value: Any, permitted: bool
) -> None:
    change = tree.transaction(USERS[role], "test", [PathOperation("update", DataPath.parse(path), value)])
    if permitted:
        await change
        return
    with pytest.raises(OperationError) as caught:
        await change
    assert caught.value.tag == "access-denied"


def test_secrets_are_the_admins(tree: Tree) -> None:
    for role, user in USERS.items():
        text = b"".join(tree.read_xml(tree.select_all(), user)).decode()
        assert ("<user-password>" in text) is (role == "admin")
        assert ("<nacm" in text) is (role == "admin")
        assert "<bng-id>" in text


async def test_without_members_nobody_may_write(tmp_path: Path) -> None:
    """RFC 8341 section 3.4.1: at the very first start only a recovery session writes."""
    tree = await opened(tmp_path, BNG)
    groups = tree.running_json()[NACM]["groups"]["group"]
    assert [group["name"] for group in groups] == ["admin", "operator", "viewer"]
    operation = [PathOperation("update", DataPath.parse("/aether-bng:bng/identity/location"), "here")]
    for user in USERS.values():
        with pytest.raises(OperationError):
            await tree.transaction(user, "test", operation)
    await tree.transaction(User("root", recovery=True), "test", operation)
    await tree.close()


async def test_rules_of_ones_own_stay(tmp_path: Path) -> None:
    own = {
        "groups": {"group": [{"name": "x"}]},
        "rule-list": [{"name": "y", "group": ["x"]}],
        "read-default": "deny",
    }
    tree = await opened(tmp_path, {**BNG, NACM: own})
    nacm = tree.running_json(defaults=False)[NACM]
    assert (nacm["groups"], nacm["rule-list"], nacm["read-default"]) == (
        own["groups"], own["rule-list"], "deny",
    )  # fmt: skip
    await tree.close()
    again = await Tree.open(Registration(), tmp_path / "state", module_dirs=[MODULES_DIR], factory=FACTORY)
    assert again.running_json(defaults=False)[NACM] == nacm
    await again.close()

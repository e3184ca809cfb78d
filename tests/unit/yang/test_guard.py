"""Commits after which nobody could manage the element: only as confirmed commits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from yang.access import User
from yang.datastore.guard import APP_TAG, ManagementGuard
from yang.datastore.model import PathOperation, Session
from yang.path import DataPath
from yang.provider import OperationError

USERS = "<sys:system><sys:authentication>{}</sys:authentication></sys:system>"
NO_USERS = "<sys:system nc:operation='delete'/>"
NO_ADMIN = USERS.format("<sys:user nc:operation='delete'><sys:name>admin</sys:name></sys:user>")
NO_LOGINS = USERS.format(
    "".join(
        f"<sys:user><sys:name>{name}</sys:name><sys:password nc:operation='delete'/>{key}</sys:user>"
        for name, key in (
            (
                "admin",
                "<sys:authorized-key nc:operation='delete'><sys:name>k</sys:name></sys:authorized-key>",
            ),
            ("guest", ""),
        )
    )
)
NO_NACM = "<nacm:nacm nc:operation='delete'/>"
NOT_IN_GROUP = (
    "<nacm:nacm><nacm:groups><nacm:group><nacm:name>admins</nacm:name>"
    "<nacm:user-name nc:operation='delete'>admin</nacm:user-name></nacm:group></nacm:groups></nacm:nacm>"
)
DENIED = (
    "<nacm:nacm><nacm:rule-list><nacm:name>admins</nacm:name><nacm:rule yang:insert='first'>"
    "<nacm:name>no</nacm:name><nacm:module-name>ietf-netconf</nacm:module-name>"
    "<nacm:rpc-name>commit</nacm:rpc-name><nacm:action>deny</nacm:action></nacm:rule></nacm:rule-list>"
    "</nacm:nacm>"
)
NO_BNG = "<ab:bng nc:operation='delete'/>"
OTHER_ADMIN = USERS.format(
    "<sys:user><sys:name>boss</sys:name><sys:password>$0$x</sys:password></sys:user>"
) + (
    "<nacm:nacm><nacm:groups><nacm:group><nacm:name>admins</nacm:name><nacm:user-name>boss</nacm:user-name>"
    "</nacm:group></nacm:groups></nacm:nacm>"
)
OFF = "<nacm:nacm><nacm:enable-nacm>false</nacm:enable-nacm></nacm:nacm>"


@pytest.fixture
async def guarded(net: Any) -> AsyncIterator[Any]:
    net.tree.datastores.guard = ManagementGuard(net.tree.schema, ["aether-bng:bng"])
    yield net


@pytest.fixture
def one(net: Any) -> Session:
    return Session(1, net.admin, "netconf one")


@pytest.mark.parametrize(
    ("edit", "path", "what"),
    [
        (NO_USERS, "/ietf-system:system/authentication", "no user who can log in:"),
        (NO_LOGINS, "/ietf-system:system/authentication", "no user who can log in:"),
        (NO_ADMIN, "/ietf-netconf-acm:nacm", "no user who can log in and change the access rules"),
        (NO_NACM, "/ietf-netconf-acm:nacm", "change the access rules"),
        (NOT_IN_GROUP, "/ietf-netconf-acm:nacm", "change the access rules"),
        (DENIED, "/ietf-netconf-acm:nacm", "change the access rules"),
        (NO_BNG, "/aether-bng:bng", "removes /aether-bng:bng, which the element needs"),
    ],
)
async def test_it_takes_a_confirmed_commit(
    guarded: Any, one: Session, edit: str, path: str, what: str
) -> None:
    await guarded.edit(edit, one)
    before = guarded.tree.running_json(defaults=False)
    with pytest.raises(OperationError, match=what) as caught:
        await guarded.commit(one)
    assert (caught.value.tag, caught.value.app_tag, caught.value.path) == ("operation-failed", APP_TAG, path)
    assert "<confirmed/>" in caught.value.message
    assert guarded.handler.calls == []
    assert guarded.tree.running_json(defaults=False) == before
    await guarded.commit(one, confirmed=True, confirm_timeout=60)
    assert guarded.tree.running_json(defaults=False) != before
    await guarded.commit(one)  # whoever confirms it still can
    await guarded.tree.datastores.close_session(1)
    assert guarded.tree.running_json(defaults=False) != before


@pytest.mark.parametrize("edits", [(OTHER_ADMIN,), (OTHER_ADMIN, NO_ADMIN), (OFF,)])
async def test_what_leaves_somebody_who_can_repair_it_does_not(
    guarded: Any, one: Session, edits: Any
) -> None:
    for edit in edits:
        await guarded.edit(edit, one)
    assert (await guarded.commit(one)).number == 1


async def test_gnmi_and_rollback_are_guarded_too(guarded: Any, one: Session) -> None:
    delete = [PathOperation("delete", DataPath.parse("/ietf-system:system"))]
    with pytest.raises(OperationError, match="no user who can log in"):
        await guarded.tree.transaction(guarded.admin, "gnmi", delete)
    await guarded.tree.transaction(guarded.admin, "gnmi", delete, confirm_timeout=60, persist_id="x")
    await guarded.tree.datastores.confirm_commit("x")
    rollback = "/aether-configuration:rollback-to"
    await guarded.tree.invoke(rollback, (), {"number": 0}, guarded.admin, one)
    with pytest.raises(OperationError, match="no user who can log in"):
        await guarded.tree.invoke(rollback, (), {"number": 1}, guarded.admin, one)
    await guarded.tree.invoke(rollback, (), {"number": 1, "confirmed": [None]}, guarded.admin, one)


async def test_the_element_itself_may(guarded: Any) -> None:
    root = User("root", recovery=True)
    delete = [PathOperation("delete", DataPath.parse("/ietf-system:system"))]
    assert (await guarded.tree.transaction(root, "console", delete)).number == 1

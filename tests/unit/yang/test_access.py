"""NACM: who reads, writes and executes what (RFC 8341)."""

from __future__ import annotations

from typing import Any

import pytest

from yang.access import AccessControl, User
from yang.datastore.data import from_json
from yang.datastore.model import PathOperation
from yang.path import DataPath
from yang.provider import OperationError
from yang.schema import Schema


def configure(schema: Schema, *rules: dict[str, Any], **nacm: Any) -> AccessControl:
    access = AccessControl(schema)
    members = {
        "groups": {"group": [{"name": "ops", "user-name": ["bob"]}]},
        "rule-list": [
            {
                "name": "l",
                "group": ["ops"],
                "rule": [
                    {"name": str(n), "action": "permit", "module-name": "*", "access-operations": "*", **rule}
                    for n, rule in enumerate(rules)
                ],
            }
        ],
        **nacm,
    }
    access.configure(from_json(schema.root, {"ietf-netconf-acm:nacm": members}))
    return access


def allowed(access: AccessControl, schema: Schema, user: str, operation: str, path: str) -> bool:
    rules = access.rules_for(User(user))
    context = rules.start
    data = DataPath.parse(path)
    node = schema.root
    for step in data.steps:
        child = node.child(step.name, step.module)
        assert child is not None
        node = child
        context = rules.enter(context, node, tuple(value for _, value in step.keys) or None)
    return rules.permits(context, node, operation)


BNG = "/aether-bng:bng"
SECRET = "/aether-bng:bng/aaa/server[name='r1']/secret"


def test_defaults_permit_reading_only(schema: Schema) -> None:
    access = configure(schema)
    assert allowed(access, schema, "bob", "read", BNG)
    assert not allowed(access, schema, "bob", "update", BNG)
    assert not allowed(access, schema, "bob", "read", SECRET)


def test_rules_are_taken_in_order(schema: Schema) -> None:
    access = configure(
        schema,
        {"path": "/aether-bng:bng/nat", "access-operations": "create update", "action": "deny"},
        {"module-name": "aether-bng"},
    )
    assert allowed(access, schema, "bob", "update", f"{BNG}/timers")
    assert not allowed(access, schema, "bob", "update", f"{BNG}/nat/enabled")
    assert allowed(access, schema, "bob", "delete", f"{BNG}/nat/enabled")
    assert allowed(access, schema, "bob", "read", SECRET)
    assert not allowed(access, schema, "eve", "update", f"{BNG}/timers")


def test_rules_for_one_entry(schema: Schema) -> None:
    profile = "/aether-shaping:shaping-profiles/profile"
    access = configure(schema, {"path": f"{profile}[name='gold']"})
    assert allowed(access, schema, "bob", "update", f"{profile}[name='gold']/download/rate")
    assert not allowed(access, schema, "bob", "update", f"{profile}[name='silver']/download/rate")


def test_a_rule_for_the_root_matches_all_data(schema: Schema) -> None:
    access = configure(schema, {"path": "/"})
    assert allowed(access, schema, "bob", "delete", SECRET)


def test_switched_off(schema: Schema) -> None:
    access = configure(schema, **{"enable-nacm": False})
    assert allowed(access, schema, "eve", "update", SECRET)


def test_external_groups(schema: Schema) -> None:
    member = User("eve", frozenset({"ops"}))
    for enabled in (True, False):
        access = configure(schema, {}, **{"enable-external-groups": enabled})
        node = schema.node("/aether-bng:bng")
        rules = access.rules_for(member)
        assert rules.permits(rules.start, node, "update") is enabled


def test_the_element_itself_may_do_anything(schema: Schema) -> None:
    access = configure(schema)
    rules = access.rules_for(User("", recovery=True))
    assert rules.permits((), schema.node("/aether-bng:bng/aaa/server/secret"), "delete")


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        ((), "/ietf-netconf:get", True),
        ((), "/ietf-netconf:kill-session", False),
        ((), "/ietf-netconf:delete-config", False),
        (({"rpc-name": "kill-session", "module-name": "ietf-netconf"},), "/ietf-netconf:kill-session", True),
        (({"rpc-name": "*", "action": "deny"},), "/ietf-netconf:get", False),
        (({"rpc-name": "*", "action": "deny"},), "/ietf-netconf:close-session", True),
        (({"rpc-name": "get", "access-operations": "read", "action": "deny"},), "/ietf-netconf:get", True),
    ],
)
def test_operations(schema: Schema, rules: Any, path: str, expected: bool) -> None:
    access = configure(schema, *rules)
    assert access.rules_for(User("bob")).permits_exec(schema.node(path)) is expected


def test_notifications(schema: Schema) -> None:
    start, stop = (schema.node(f"/aether-subscriber:session-{name}") for name in ("start", "stop"))
    access = configure(schema, {"notification-name": "session-start", "action": "deny"})
    assert not access.may_receive(start, User("bob"))
    assert access.may_receive(stop, User("bob"))
    assert access.denied_notifications == 1


async def test_reads_leave_out_what_is_denied(net: Any) -> None:
    everything = net.tree.select_all()
    assert "s3cret" in net.xml(everything)
    text = net.xml(everything, net.guest)
    assert "s3cret" not in text
    assert "$6$" not in text
    assert "<nacm" not in text
    assert "<bng-id>" in text
    asked = net.get("<ab:bng><ab:aaa><ab:server><ab:secret/></ab:server></ab:aaa></ab:bng>", net.guest)
    assert "s3cret" not in asked


async def test_a_condition_on_a_secret_tells_nothing(net: Any) -> None:
    """Whoever may not read a leaf learns nothing from filtering by it."""
    probe = "<ab:bng><ab:aaa><ab:server><ab:secret>{}</ab:secret><ab:name/></ab:server></ab:aaa></ab:bng>"
    assert "<name>r1</name>" in net.get(probe.format("s3cret"))
    assert net.get(probe.format("s3cret"), net.guest) == net.get(probe.format("wrong"), net.guest) == ""


async def test_rules_for_entries_prune_lists(net: Any) -> None:
    path = DataPath.parse("/ietf-netconf-acm:nacm/rule-list[name='guests']")
    rules = [
        {
            "name": "one",
            "path": "/aether-subscriber:sessions/session[id='0000000000000002']",
            "action": "deny",
        },
        {
            "name": "two",
            "path": "/aether-shaping:shaping-profiles/profile[name='gold']/download",
            "action": "deny",
        },
    ]
    await net.tree.transaction(
        net.admin, "test", [PathOperation("update", path, {"group": ["*"], "rule": rules})]
    )
    group = DataPath.parse("/ietf-netconf-acm:nacm/groups/group[name='guests']")
    await net.tree.transaction(net.admin, "test", [PathOperation("update", group, {"user-name": ["guest"]})])
    text = net.get("<asub:sessions/><ash:shaping-profiles/>", net.guest)
    assert "0000000000000001" in text
    assert "0000000000000002" not in text
    assert ">100000000</rate>" not in text
    assert ">50000000</rate>" in text
    assert "0000000000000002" in net.get("<asub:sessions/>")


async def test_actions_need_permission(net: Any) -> None:
    path = DataPath.parse("/ietf-netconf-acm:nacm/exec-default")
    await net.tree.transaction(net.admin, "test", [PathOperation("update", path, "deny")])
    with pytest.raises(OperationError) as caught:
        await net.tree.invoke("/aether-subscriber:disconnect-sessions", (), {"remote-id": "an-1"}, net.guest)
    assert caught.value.tag == "access-denied"
    assert net.operations == []
    with pytest.raises(OperationError):
        net.tree.check_exec("/ietf-netconf:get", net.guest)
    net.tree.check_exec("/ietf-netconf:get", net.admin)

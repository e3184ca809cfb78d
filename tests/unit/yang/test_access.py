"""NACM: who reads, writes and executes what (RFC 8341)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from yang.access import AccessControl, User
from yang.datastore.context import SchemaBuilder, load_context
from yang.datastore.data import from_json
from yang.datastore.model import PathOperation, Session
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


async def test_implicit_deletions_need_no_permission(net: Any) -> None:
    """RFC 8341 section 3.2.5: a node that leaves because another case of its choice came up."""
    path = DataPath.parse("/ietf-netconf-acm:nacm/rule-list[name='guests']")
    system = "/ietf-netconf-acm:nacm/rule-list/rule"
    rules = [
        {"name": "names", "path": f"{system}/rpc-name", "access-operations": "create", "action": "permit"},
        {"name": "see", "path": "/ietf-netconf-acm:nacm", "access-operations": "read", "action": "permit"},
        {"name": "target", "path": "/aether-bng:bng", "access-operations": "read", "action": "permit"},
    ]
    group = DataPath.parse("/ietf-netconf-acm:nacm/groups/group[name='guests']")
    await net.tree.transaction(
        net.admin,
        "test",
        [
            PathOperation("update", path, {"group": ["guests"], "rule": rules}),
            PathOperation("update", group, {"user-name": ["guest"]}),
        ],
    )
    rule = DataPath.parse("/ietf-netconf-acm:nacm/rule-list[name='guests']/rule[name='target']")
    leaf = rule.child("rpc-name")
    await net.tree.transaction(net.guest, "test", [PathOperation("update", leaf, "get")])
    found = net.tree.running_json(defaults=False)["ietf-netconf-acm:nacm"]["rule-list"][-1]["rule"][2]
    assert found["rpc-name"] == "get"
    assert "path" not in found
    with pytest.raises(OperationError) as caught:  # by itself it may not be deleted
        await net.tree.transaction(net.guest, "test", [PathOperation("delete", leaf)])
    assert caught.value.tag == "access-denied"


async def test_a_copy_leaves_out_what_may_not_be_read(net: Any) -> None:
    """RFC 8341 section 3.2.6: the copy would delete the secret, which the user may not do either."""
    path = DataPath.parse("/ietf-netconf-acm:nacm/write-default")
    await net.tree.transaction(net.admin, "test", [PathOperation("update", path, "permit")])
    guest = Session(9, net.guest)
    with pytest.raises(OperationError) as caught:
        await net.tree.datastores.copy(guest, "candidate", "running")
    assert caught.value.tag == "access-denied"
    await net.tree.datastores.copy(Session(9, net.admin), "candidate", "running")
    assert not net.tree.datastores.is_dirty()


async def test_a_partial_lock_needs_what_it_locks_to_be_readable(net: Any) -> None:
    guest = Session(9, net.guest)
    with pytest.raises(OperationError) as caught:
        await net.tree.datastores.partial_lock(guest, ["/aether-bng:bng/aaa/server[name='r1']/secret"])
    assert caught.value.tag == "access-denied"
    await net.tree.datastores.partial_lock(guest, ["/aether-bng:bng/aaa"])


async def test_errors_do_not_tell_what_may_not_be_read(net: Any) -> None:
    """A fault of somebody else's edit, at a place that the user may not see, is not described."""
    await net.edit(
        "<nacm:nacm><nacm:rule-list><nacm:name>x</nacm:name><nacm:rule><nacm:name>hidden</nacm:name></nacm:rule></nacm:rule-list></nacm:nacm>"
    )
    with pytest.raises(OperationError) as caught:
        await net.tree.datastores.validate(Session(9, net.guest), "candidate")
    assert "hidden" not in caught.value.message
    assert caught.value.path is None
    with pytest.raises(OperationError) as caught:
        await net.tree.datastores.validate(Session(9, net.admin), "candidate")
    assert "hidden" in caught.value.message


def test_denied_operations_are_counted(schema: Schema) -> None:
    access = configure(schema, {"path": "/aether-subscriber:sessions/session[id='a']", "action": "deny"})
    action = schema.node("/aether-subscriber:sessions/session/disconnect")
    access.check_exec(action, User("bob"), ("b",))
    with pytest.raises(OperationError) as caught:
        access.check_exec(action, User("bob"), ("a",))
    assert caught.value.path == "/aether-subscriber:sessions/session[id='a']/disconnect"
    assert access.denied_operations == 1


async def test_notifications_of_data_nodes_are_guarded_like_data(tmp_path: Path) -> None:
    """RFC 8341 section 3.1.3: what leads to them must be readable, and so must they."""
    (tmp_path / "t.yang").write_text(
        """module t { yang-version 1.1; namespace "urn:t"; prefix t;
          list line { key id; leaf id { type string; } notification down { leaf why { type string; } } } }"""
    )
    schema = SchemaBuilder(load_context([tmp_path])).build()
    down = schema.node("/t:line/down")
    access = configure(
        schema,
        {"path": "/t:line[id='1']", "action": "deny"},
        {"path": "/t:line[id='2']/down", "access-operations": "read", "action": "deny"},
        {"notification-name": "down", "action": "deny"},
    )
    assert [access.may_receive(down, User("bob"), (key,)) for key in "123"] == [False, False, True]
    assert access.denied_notifications == 2


async def test_a_path_with_the_name_of_the_user(net: Any) -> None:
    """$USER: everybody may change their own entry (RFC 8341, node-instance-identifier)."""
    rule = (
        "<nacm:rule><nacm:name>own</nacm:name><nacm:action>permit</nacm:action>"
        "<nacm:path>/sys:system/sys:authentication/sys:user[sys:name=$USER]</nacm:path></nacm:rule>"
    )
    members = "<nacm:group><nacm:name>all</nacm:name><nacm:user-name>guest</nacm:user-name></nacm:group>"
    await net.edit(
        f"<nacm:nacm><nacm:groups>{members}</nacm:groups><nacm:rule-list><nacm:name>all</nacm:name>"
        f"<nacm:group>all</nacm:group>{rule}</nacm:rule-list></nacm:nacm>"
    )
    await net.commit()
    assert "user[ietf-system:name=$USER]" in net.get("<nacm:nacm/>").replace("sys:", "ietf-system:")
    users = "/ietf-system:system/authentication/user"
    own = DataPath.parse(f"{users}[name='guest']/password")
    await net.tree.transaction(net.guest, "test", [PathOperation("update", own, "$0$new")])
    other = DataPath.parse(f"{users}[name='admin']/password")
    with pytest.raises(OperationError) as caught:
        await net.tree.transaction(net.guest, "test", [PathOperation("update", other, "$0$new")])
    assert caught.value.tag == "access-denied"
    text = net.get("<sys:system/>", net.guest)
    assert text.count("<password>") == 1

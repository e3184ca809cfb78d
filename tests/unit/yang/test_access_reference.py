"""NACM against a slow implementation that follows RFC 8341 section 3.4 word for word, on random rules."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import pytest

from yang.access import AccessControl, User
from yang.datastore.data import from_json, to_json
from yang.datastore.edits import Edits
from yang.datastore.running import Snapshot
from yang.provider import OperationError
from yang.schema import Schema, SchemaNode

Place = tuple[tuple[str, str, Mapping[str, str]], ...]
"""An instance: for each level module, name, keys (of a leaf-list entry its value under ``.``)."""

BNG, PROFILE = "/aether-bng:bng", "/aether-shaping:shaping-profiles/profile"
INTERFACE = "/ietf-interfaces:interfaces/interface"
PATHS = (
    "/",
    "/aether-shaping:shaping-profiles",
    PROFILE,
    f"{PROFILE}[name='gold']",
    f"{PROFILE}[name=$USER]",
    f"{PROFILE}[name='gold']/download",
    f"{PROFILE}/download/rate",
    f"{PROFILE}/name",
    BNG,
    f"{BNG}/aaa",
    f"{BNG}/aaa/server/secret",
    f"{BNG}/aaa/server[name='r1']/secret",
    f"{BNG}/interfaces/subscriber",
    f"{BNG}/interfaces/subscriber[.='eth1']",
    f"{INTERFACE}[name='eth0']/ietf-ip:ipv4",
    f"{INTERFACE}/ietf-ip:ipv4/address[ip='192.0.2.1']",
    "/ietf-netconf-acm:nacm",
    "/aether-subscriber:sessions/session[id='00000000000000aa']",
    "/aether-subscriber:sessions/session/disconnect",
    "/aether-nothing:nowhere",
)
MODULES = (
    "*",
    "*",
    "*",
    "aether-bng",
    "aether-shaping",
    "ietf-interfaces",
    "ietf-ip",
    "aether-subscriber",
    "ietf-netconf",
)
OPERATIONS = ("create", "read", "update", "delete", "exec")
RPCS = (
    "/ietf-netconf:get",
    "/ietf-netconf:close-session",
    "/ietf-netconf:kill-session",
    "/ietf-netconf:delete-config",
    "/ietf-netconf-monitoring:get-schema",
    "/aether-subscriber:disconnect-sessions",
)
NOTIFICATIONS = ("/aether-subscriber:session-start", "/aether-subscriber:session-stop")
ACTION = "/aether-subscriber:sessions/session/disconnect"
USERS = (User("gold"), User("bob"), User("nobody"), User("nobody", frozenset({"dev"})))


class Reference:
    """The decisions of RFC 8341 section 3.4, for one NACM configuration and user."""

    def __init__(self, schema: Schema, nacm: Mapping[str, Any], user: User) -> None:
        self.schema = schema
        self.nacm = nacm
        self.user = user

    def decide(self, operation: str, place: Place, node: SchemaNode) -> bool:
        if not self.nacm["enable-nacm"] or self.user.recovery:
            return True
        if node.path == "/ietf-netconf:close-session":
            return True
        groups = {g["name"] for g in self.nacm["groups"]["group"] if self.user.name in g["user-name"]}
        if self.nacm["enable-external-groups"]:
            groups |= self.user.groups
        if groups:
            for rule_list in self.nacm["rule-list"]:
                if not ("*" in rule_list["group"] or groups & set(rule_list["group"])):
                    continue
                for rule in rule_list["rule"]:
                    if self.matches(rule, operation, place, node):
                        return bool(rule["action"] == "permit")
        if node.kind in ("rpc", "notification") and self.says(node, "deny_all"):
            return False
        if node.kind not in ("rpc", "notification") and self.guarded(node, operation):
            return False
        if node.path in ("/ietf-netconf:kill-session", "/ietf-netconf:delete-config"):
            return False
        which = {"read": "read-default", "exec": "exec-default"}.get(operation, "write-default")
        return bool(self.nacm[which] == "permit")

    @staticmethod
    def says(node: SchemaNode, what: str) -> bool:
        return bool(getattr(node, what))

    def guarded(self, node: SchemaNode, operation: str) -> bool:
        """default-deny-all and default-deny-write, of the node or of what it is inside of."""
        return any(
            level.deny_all or (level.deny_write and operation not in ("read", "exec")) for level in node.chain
        )

    def matches(self, rule: Mapping[str, Any], operation: str, place: Place, node: SchemaNode) -> bool:
        if rule["module-name"] not in ("*", node.module):
            return False
        if rule["access-operations"] != "*" and operation not in rule["access-operations"].split():
            return False
        if "rpc-name" in rule:
            return node.kind == "rpc" and rule["rpc-name"] in ("*", node.name)
        if "notification-name" in rule:
            return node.kind == "notification" and rule["notification-name"] in ("*", node.name)
        if "path" in rule:
            return node.kind not in ("rpc", "notification") and self.covers(rule["path"], place)
        return True

    def covers(self, path: str, place: Place) -> bool:
        """Whether the instance is the one that a path names, or inside of one."""
        if path == "/":
            return True
        steps = re.findall(r"/(?:([\w-]+):)?([\w-]+)((?:\[[^]]*\])*)", path)
        if len(steps) > len(place):
            return False
        module = ""
        for (prefix, name, predicates), (own_module, own_name, keys) in zip(steps, place, strict=False):
            module = prefix or module
            if (module, name) != (own_module, own_name):
                return False
            for key, value in re.findall(r"\[([\w.-]+)=('[^']*'|\$USER)\]", predicates):
                wanted = self.user.name if value == "$USER" else value[1:-1]
                if keys.get(key) != wanted:
                    return False
        return True

    # --- what follows from the decisions ---------------------------------------------------------

    def visible(self, node: SchemaNode, members: Mapping[str, Any], place: Place) -> dict[str, Any]:
        """RFC 7951 members without what may not be read, empty containers left out."""
        result: dict[str, Any] = {}
        for child, name, value, at in children(node, members, place):
            if not self.decide("read", at, child):
                continue
            if child.kind == "list":
                if all(self.decide("read", (*at, (k.module, k.name, {})), k) for k in child.key_nodes):
                    result.setdefault(name, []).append(self.visible(child, value, at))
            elif child.kind == "leaf-list":
                result.setdefault(name, []).append(value)
            elif child.kind == "container":
                inner = self.visible(child, value, at)
                if inner:
                    result[name] = inner
            else:
                result[name] = value
        return result

    def may_change(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
        old, new = (dict(flat(self.schema.root, members, ())) for members in (before, after))
        for at in {**old, **new}:
            node, value = new.get(at) or old[at]
            if at not in old:
                operation = "create"
            elif at not in new:
                operation = "delete"
            elif old[at][1] != value:
                operation = "update"
            else:
                continue
            if not self.decide(operation, thawed(at), node):
                return False
        return True


def children(
    node: SchemaNode, members: Mapping[str, Any], place: Place
) -> Iterator[tuple[SchemaNode, str, Any, Place]]:
    for name, value in members.items():
        child = node.child_json(name)
        assert child is not None
        for item in value if child.kind in ("list", "leaf-list") else [value]:
            keys: dict[str, str] = {}
            if child.kind == "list":
                keys = {key.name: str(item[key.json_name]) for key in child.key_nodes}
            elif child.kind == "leaf-list":
                keys = {".": str(item)}
            yield child, name, item, (*place, (child.module, child.name, keys))


def flat(
    node: SchemaNode, members: Mapping[str, Any], place: Place
) -> Iterator[tuple[Any, tuple[SchemaNode, Any]]]:
    """All nodes that a tree has, each with its value."""
    for child, _, value, at in children(node, members, place):
        if child.kind in ("list", "container"):
            if child.kind == "list" or child.presence:
                yield frozen(at), (child, None)
            yield from flat(child, value, at)
        else:
            yield frozen(at), (child, value)


def frozen(place: Place) -> Any:
    return tuple((module, name, tuple(keys.items())) for module, name, keys in place)


def thawed(place: Any) -> Place:
    return tuple((module, name, dict(keys)) for module, name, keys in place)


# --- random rules and trees --------------------------------------------------------------------------


def random_rule(random: Random, number: int) -> dict[str, Any]:
    operations = (
        "*" if random.random() < 0.4 else " ".join(o for o in OPERATIONS if random.random() < 0.5) or "read"
    )
    rule = {
        "name": str(number),
        "module-name": random.choice(MODULES),
        "access-operations": operations,
        "action": random.choice(("permit", "permit", "deny")),
    }
    kind = random.random()
    if kind < 0.7:
        rule["path"] = random.choice(PATHS)
    elif kind < 0.78:
        rule["rpc-name"] = random.choice(("*", "get", "kill-session", "disconnect-sessions", "disconnect"))
    elif kind < 0.86:
        rule["notification-name"] = random.choice(("*", "session-start"))
    return rule


def random_nacm(random: Random) -> dict[str, Any]:
    groups, users = ("ops", "dev"), ("gold", "bob")
    return {
        "enable-nacm": random.random() < 0.95,
        "enable-external-groups": random.random() < 0.5,
        **{f"{what}-default": random.choice(("permit", "deny")) for what in ("read", "write", "exec")},
        "groups": {
            "group": [
                {"name": g, "user-name": [u for u in users if random.random() < 0.6]} for g in groups
            ]
        },
        "rule-list": [
            {
                "name": str(n),
                "group": random.choice((["ops"], ["dev"], ["ops", "dev"], ["*"])),
                "rule": [random_rule(random, m) for m in range(random.randrange(5))],
            }
            for n in range(random.randrange(1, 4))
        ],
    }  # fmt: skip


def random_tree(random: Random) -> dict[str, Any]:
    def some(items: Any) -> Any:
        return [copy.deepcopy(item) for item in items if random.random() < 0.7]

    rate = random.choice(("9000", "10000"))
    tree: dict[str, Any] = {
        "aether-shaping:shaping-profiles": {
            "profile": some(
                {"name": n, "download": {"rate": rate}, "upload": {"rate": "9000"}}
                for n in ("gold", "bob", "tin")
            )
        },
        "aether-bng:bng": {
            "identity": {"bng-id": random.choice(("one", "two"))},
            "interfaces": {"subscriber": some(("eth0", "eth1", "eth2"))},
            "aaa": {
                "server": some(
                    {"name": n, "address": "10.0.0.1", "secret": random.choice("xy")} for n in ("r1", "r2")
                )
            },
        },
        "ietf-interfaces:interfaces": {
            "interface": some(
                {"name": n, "type": "iana-if-type:other",
                 "ietf-ip:ipv4": {
                     "address": some({"ip": f"192.0.2.{k}", "prefix-length": 24} for k in (1, 2))
                 }}
                for n in ("eth0", "eth1")
            )
        },
    }  # fmt: skip
    pruned: dict[str, Any] = prune(tree)
    return pruned


def prune(value: Any) -> Any:
    """Without containers, lists and leaf-lists that have nothing in them."""
    if isinstance(value, dict):
        kept = {name: prune(inner) for name, inner in value.items()}
        return {name: inner for name, inner in kept.items() if inner not in ({}, [])}
    return [prune(item) for item in value] if isinstance(value, list) else value


def in_order(value: Any) -> Any:
    """Comparable: members sorted, names without their modules (no two of ours differ by that only)."""
    if isinstance(value, dict):
        return {name.rpartition(":")[2]: in_order(inner) for name, inner in sorted(value.items())}
    return [in_order(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("seed", range(5))
async def test_as_the_rfc_says(net: Any, seed: int) -> None:
    random, tree, schema = Random(seed), net.tree, net.tree.schema
    access: AccessControl = tree.access
    edits: Edits = tree.datastores._edits
    seen = {True: 0, False: 0}
    for _ in range(25):
        nacm = random_nacm(random)
        access.configure(from_json(schema.root, {"ietf-netconf-acm:nacm": nacm}))
        before, after = random_tree(random), random_tree(random)
        if random.random() < 0.7:  # a small change
            after = {**before, **dict(random.sample(list(after.items()), min(1, len(after))))}
        old, new = from_json(schema.root, before), from_json(schema.root, after)
        tree._running.snapshot = Snapshot(old, before, old)
        for user in USERS:
            reference = Reference(schema, nacm, user)
            shown = dict(
                pair
                for path, value in tree.read_json(tree.select_all(), user, content="config")
                for pair in [(str(path)[1:], value)]
            )
            wanted = prune(reference.visible(schema.root, before, ()))
            assert in_order(prune(shown)) == in_order(wanted)
            copied = to_json(schema.root, edits.readable(old, access.rules_for(user)))
            assert in_order(prune(copied)) == in_order(wanted)

            expected = reference.may_change(before, after)
            seen[expected] += 1
            try:
                edits.check_access(old, new, access.rules_for(user))
                permitted = True
            except OperationError as error:
                permitted = error.tag != "access-denied"
            assert permitted is expected

            rules = access.rules_for(user)
            for path in RPCS:
                node = schema.node(path)
                assert rules.permits_exec(node) is reference.decide("exec", (), node), path
            for path in NOTIFICATIONS:
                node = schema.node(path)
                assert access.may_receive(node, user) is reference.decide("read", (), node), path
            for key in ("00000000000000aa", "00000000000000bb"):
                assert may_act(access, schema, user, key) is reference_action(reference, schema, key)
    assert min(seen.values()) > 5


def may_act(access: AccessControl, schema: Schema, user: User, key: str) -> bool:
    try:
        access.check_exec(schema.node(ACTION), user, (key,))
    except OperationError:
        return False
    return True


def reference_action(reference: Reference, schema: Schema, key: str) -> bool:
    module = "aether-subscriber"
    place: Place = ((module, "sessions", {}), (module, "session", {"id": key}), (module, "disconnect", {}))
    nodes = schema.node(ACTION).chain
    leading = all(reference.decide("read", place[: n + 1], nodes[n]) for n in range(2))
    return leading and reference.decide("exec", place, nodes[2])

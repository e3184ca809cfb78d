"""Who may do what: NACM (RFC 8341), compiled per set of groups and version of the rules.

Rules are evaluated along the schema: a `Context` says which path rules can still match below a node and
which have matched, so that a walk down the tree, whether it reads or edits, decides at each node without
looking up a path. Without path rules the context is always the same, and so is every decision.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from yang.access_rules import Rule, read_rule
from yang.path import DataPath, Step
from yang.provider import OperationError
from yang.schema import Schema, SchemaNode

# Denied to all but those whom a rule permits (RFC 8341 section 3.4.4, step 10).
_GUARDED_OPERATIONS: Final = frozenset({"/ietf-netconf:kill-session", "/ietf-netconf:delete-config"})
# Always permitted (section 3.4.4, step 1).
_FREE_OPERATIONS: Final = frozenset({"/ietf-netconf:close-session"})
_WRITES: Final = frozenset({"create", "update", "delete"})
_MAX_RULE_SETS: Final = 256

Context = tuple[tuple[int, tuple[Step, ...]], ...]
"""Path rules that are alive: (number of the rule, steps that are left; none left: it has matched)."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who has been authenticated.

    Attributes:
        name: user name.
        groups: groups that the transport or AAA gave; those of the NACM configuration are looked up
            whenever a decision is made, so that a change of NACM takes effect at once.
        recovery: NACM does not apply (RFC 8341 section 3.1.2): the element itself and its startup.
    """

    name: str
    groups: frozenset[str] = frozenset()
    recovery: bool = False


@dataclass(slots=True, eq=False)
class Rules:
    """The decisions for one set of groups."""

    rules: tuple[Rule, ...] = ()
    enabled: bool = True
    defaults: Mapping[str, bool] = field(default_factory=dict)
    start: Context = ()
    _decisions: dict[tuple[Context, SchemaNode, str], bool] = field(default_factory=dict)

    @property
    def read_everything(self) -> bool:
        """True where nothing at all is hidden, for a rule that permits everything comes before any that
        denies. False may be said of rules that come to the same in another way."""
        for rule in self.rules:
            if rule.kind == "any" and rule.module == "*" and rule.permit and "read" in rule.operations:
                return True
            if not rule.permit and rule.kind in ("any", "data") and "read" in rule.operations:
                return False
        return not self.enabled

    def conditional(self, context: Context, node: SchemaNode) -> bool:
        """True when what `enter` answers depends on the keys of the entry."""
        return any(
            steps and steps[0].keys and steps[0].name == node.name and steps[0].module == node.module
            for _, steps in context
        )

    def enter(self, context: Context, node: SchemaNode, keys: tuple[Any, ...] | None = None) -> Context:
        """The context at `node`, given that of its parent.

        Args:
            keys: values of the entry's own keys; of a leaf-list entry its value. None: whatever entry, a rule
                for a particular one does not match.
        """
        if not context:
            return context
        result = []
        for number, steps in context:
            if not steps:
                result.append((number, steps))
            elif (
                steps[0].name == node.name
                and steps[0].module == node.module
                and _same_entry(steps[0], node, keys)
            ):
                result.append((number, steps[1:]))
        return tuple(result)

    def permits(self, context: Context, node: SchemaNode, operation: str) -> bool:
        """Whether `operation` (read, create, update, delete) on this node is permitted.

        Args:
            context: of the node itself.
        """
        if not self.enabled:
            return True
        question = (context, node, operation)
        known = self._decisions.get(question)
        if known is None:
            if len(self._decisions) > 100_000:
                self._decisions.clear()
            known = self._decisions[question] = self._decide(context, node, operation)
        return known

    def _decide(self, context: Context, node: SchemaNode, operation: str) -> bool:
        matched = {number for number, steps in context if not steps}
        for number, rule in enumerate(self.rules):
            if rule.module not in ("*", node.module) or operation not in rule.operations:
                continue
            if rule.kind == "any" or (rule.kind == "data" and number in matched):
                return rule.permit
        if node.deny_all or (node.deny_write and operation in _WRITES):
            return False
        return self.defaults["read" if operation == "read" else "write"]

    def reads(self, node: SchemaNode, steps: Sequence[Step], context: Context | None = None) -> bool:
        """Whether an instance, and every one that it is inside of, may be read.

        Args:
            node, context: where the steps begin; None: at the root.
        """
        if not self.enabled:
            return True
        context = self.start if context is None else context
        for step in steps:
            child = node.child(step.name, step.module or None)
            if child is None:
                return True  # what does not exist tells nothing
            node = child
            context = self.enter(context, node, _keys_of(node, step))
            if not self.permits(context, node, "read"):
                return False
        return True

    def permits_exec(self, operation: SchemaNode, context: Context = ()) -> bool:
        """Whether an RPC, or an action whose node has this context, may be carried out."""
        if not self.enabled or operation.path in _FREE_OPERATIONS:
            return True
        matched = {number for number, steps in context if not steps}
        for number, rule in enumerate(self.rules):
            if rule.module not in ("*", operation.module) or "exec" not in rule.operations:
                continue
            if operation.kind == "rpc":
                applies = rule.kind == "any" or (rule.kind == "rpc" and rule.name in ("*", operation.name))
            else:
                applies = rule.kind == "any" or (rule.kind == "data" and number in matched)
            if applies:
                return rule.permit
        if operation.deny_all or operation.path in _GUARDED_OPERATIONS:
            return False
        return self.defaults["exec"]

    def permits_notification(self, notification: SchemaNode, context: Context = ()) -> bool:
        """Whether a notification may be received.

        Args:
            context: of a notification that is tied to a data node; such a one is guarded like data.
        """
        if not self.enabled:
            return True
        if notification.parent is not None and notification.parent.kind != "root":
            return self.permits(context, notification, "read")
        for rule in self.rules:
            if rule.module not in ("*", notification.module) or "read" not in rule.operations:
                continue
            named = rule.kind == "notification" and rule.name in ("*", notification.name)
            if rule.kind == "any" or named:
                return rule.permit
        return False if notification.deny_all else self.defaults["read"]


ALLOW_ALL: Final = Rules(enabled=False)


def _same_entry(step: Step, node: SchemaNode, keys: tuple[Any, ...] | None) -> bool:
    if not step.keys:
        return True
    if keys is None:
        return False
    if node.kind == "list":
        named = {
            key.name: key.type.format(value)
            for key, value in zip(node.key_nodes, keys, strict=False)
            if key.type is not None
        }
    elif node.type is not None and keys:
        named = {".": node.type.format(keys[0])}
    else:
        return False
    return all(named.get(name) == value for name, value in step.keys)


def _keys_of(node: SchemaNode, step: Step) -> tuple[Any, ...] | None:
    """The keys that a step names, as Python values; None unless it names one entry."""
    given = dict(step.keys)
    leaves = node.key_nodes if node.kind == "list" else (node,)
    values = []
    for leaf in leaves:
        text = given.get(leaf.name if node.kind == "list" else ".")
        if text is None or leaf.type is None:
            return None
        try:
            values.append(leaf.type.parse(text))
        except ValueError:
            return None
    return tuple(values)


class AccessControl:
    """The NACM configuration in force, and the decisions that follow from it."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._enabled = True
        self._external_groups = True
        self._defaults: dict[str, bool] = {"read": True, "write": False, "exec": True}
        self._groups: dict[str, frozenset[str]] = {}
        self._rule_lists: list[tuple[frozenset[str], list[Rule]]] = []
        self._compiled: dict[tuple[frozenset[str], str], Rules] = {}
        self._personal = False
        self._lock = threading.Lock()
        self.denied_operations = 0
        self.denied_data_writes = 0
        self.denied_notifications = 0

    def configure(self, running: Mapping[str, Any]) -> None:
        """Take over the NACM part of a running configuration (in the form of `yang.datastore.data`)."""
        nacm = running.get("ietf-netconf-acm:nacm") or {}
        groups: dict[str, set[str]] = {}
        for (group,), entry in (nacm.get("groups") or {}).get("group", {}).items():
            for user in entry.get("user-name", ()):
                groups.setdefault(user, set()).add(group)
        rule_lists = [
            (
                frozenset(entry.get("group", ())),
                [read_rule(self._schema, rule) for rule in entry.get("rule", {}).values()],
            )
            for entry in nacm.get("rule-list", {}).values()
        ]
        personal = any(rule.is_personal for _, rules in rule_lists for rule in rules)
        with self._lock:
            self._personal = personal
            self._enabled = nacm.get("enable-nacm", True)
            self._external_groups = nacm.get("enable-external-groups", True)
            self._defaults = {
                "read": nacm.get("read-default", "permit") == "permit",
                "write": nacm.get("write-default", "deny") == "permit",
                "exec": nacm.get("exec-default", "permit") == "permit",
            }
            self._groups = {user: frozenset(names) for user, names in groups.items()}
            self._rule_lists = rule_lists
            self._compiled = {}

    def groups_of(self, user: User) -> frozenset[str]:
        """The NACM groups that a user is in."""
        own = self._groups.get(user.name, frozenset())
        return own | user.groups if self._external_groups else own

    def rules_for(self, user: User) -> Rules:
        """The decisions for a user, as of now. Hold on to it for one request only."""
        if user.recovery or not self._enabled:
            return ALLOW_ALL
        with self._lock:
            groups = self.groups_of(user)
            known = (groups, user.name if self._personal else "")
            compiled = self._compiled.get(known)
            if compiled is None:
                if len(self._compiled) >= _MAX_RULE_SETS:
                    self._compiled.clear()
                compiled = self._compiled[known] = self._compile(groups, user.name)
            return compiled

    def _compile(self, groups: frozenset[str], user: str) -> Rules:
        rules: list[Rule] = []
        if groups:  # a user without a group has the defaults only (section 3.4.5, step 5)
            for members, entries in self._rule_lists:
                if "*" in members or members & groups:
                    rules.extend(rule.for_user(user) for rule in entries)
        start = tuple((number, rule.path) for number, rule in enumerate(rules) if rule.kind == "data")
        return Rules(tuple(rules), True, dict(self._defaults), start)

    def check_exec(self, operation: SchemaNode, user: User, keys: tuple[Any, ...] = ()) -> None:
        """Raise ``access-denied`` unless the user may carry out this RPC or action.

        Args:
            keys: values of all keys around an action. The instances that lead to it must be readable
                (RFC 8341 section 3.1.3).
        """
        rules = self.rules_for(user)
        context = self._context_of(rules, operation, keys)
        if context is None or not rules.permits_exec(operation, context):
            self.denied_operations += 1
            path = f"/ietf-netconf:rpc/{operation.json_name}"
            if operation.kind == "action":
                path = str(DataPath.of_node(operation, keys))
            raise OperationError(
                "access-denied",
                f"user {user.name} may not execute {operation.module}:{operation.name}",
                error_type="protocol",
                path=path,
            )

    def check_read(self, path: DataPath, user: User) -> None:
        """Raise ``access-denied`` unless the user may read an instance, and what it is inside of."""
        if not self.rules_for(user).reads(self._schema.root, path.steps):
            self.denied_operations += 1
            raise OperationError("access-denied", f"user {user.name} may not see {path}", path=str(path))

    @staticmethod
    def _context_of(rules: Rules, node: SchemaNode, keys: tuple[Any, ...]) -> Context | None:
        """The context of an action or notification; None when what it is inside of may not be read."""
        context, rest = rules.start, keys
        for level in node.chain[:-1]:
            own, rest = rest[: len(level.keys)], rest[len(level.keys) :]
            context = rules.enter(context, level, own or None)
            if not rules.permits(context, level, "read"):
                return None
        return rules.enter(context, node)

    def may_receive(self, notification: SchemaNode, user: User, keys: tuple[Any, ...] = ()) -> bool:
        """Whether a user may receive a notification; counts those that are denied.

        Args:
            keys: values of all keys around a notification that is tied to a data node.
        """
        rules = self.rules_for(user)
        context = self._context_of(rules, notification, keys)
        if context is not None and rules.permits_notification(notification, context):
            return True
        self.denied_notifications += 1
        return False

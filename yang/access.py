"""Who may do what: NACM (RFC 8341), compiled per set of groups and version of the rules.

Rules are evaluated along the schema: a `Context` says which path rules can still match below a node and
which have matched, so that a walk down the tree, whether it reads or edits, decides at each node without
looking up a path. Without path rules the context is always the same, and so is every decision.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from yang.path import DataPath, PathError, Step
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


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a rule-list.

    Attributes:
        module: module name or ``*``.
        kind: ``any``, ``data``, ``rpc`` or ``notification``.
        name: of the RPC or notification, or ``*``.
        path: steps of a data rule; () is the root, which matches everything.
        operations: create, read, update, delete, exec.
        permit: the action.
    """

    module: str
    kind: str
    name: str
    path: tuple[Step, ...]
    operations: frozenset[str]
    permit: bool


@dataclass(slots=True, eq=False)
class Rules:
    """The decisions for one set of groups."""

    rules: tuple[Rule, ...] = ()
    enabled: bool = True
    defaults: Mapping[str, bool] = field(default_factory=dict)
    start: Context = ()
    _decisions: dict[tuple[Context, SchemaNode, str], bool] = field(default_factory=dict)

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

    def permits_notification(self, notification: SchemaNode) -> bool:
        """Whether a notification may be received."""
        if not self.enabled:
            return True
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


class AccessControl:
    """The NACM configuration in force, and the decisions that follow from it."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._enabled = True
        self._external_groups = True
        self._defaults: dict[str, bool] = {"read": True, "write": False, "exec": True}
        self._groups: dict[str, frozenset[str]] = {}
        self._rule_lists: list[tuple[frozenset[str], list[Rule]]] = []
        self._compiled: dict[frozenset[str], Rules] = {}
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
                [self._rule(rule) for rule in entry.get("rule", {}).values()],
            )
            for entry in nacm.get("rule-list", {}).values()
        ]
        with self._lock:
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

    def _rule(self, entry: Mapping[str, Any]) -> Rule:
        kind, name = "any", "*"
        steps: tuple[Step, ...] = ()
        if "path" in entry:
            kind = "data"
            try:
                steps = DataPath.parse_xpath(entry["path"], {}, self._schema).steps
            except PathError:
                steps = (Step("", "", ()),)  # names what the schema does not have: it matches nothing
        elif "rpc-name" in entry:
            kind, name = "rpc", entry["rpc-name"]
        elif "notification-name" in entry:
            kind, name = "notification", entry["notification-name"]
        operations = entry.get("access-operations", "*")
        return Rule(
            module=entry.get("module-name", "*"),
            kind=kind,
            name=name,
            path=steps,
            operations=frozenset(
                ("create", "read", "update", "delete", "exec") if operations == "*" else operations.split()
            ),
            permit=entry["action"] == "permit",
        )

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
            compiled = self._compiled.get(groups)
            if compiled is None:
                if len(self._compiled) >= _MAX_RULE_SETS:
                    self._compiled.clear()
                compiled = self._compiled[groups] = self._compile(groups)
            return compiled

    def _compile(self, groups: frozenset[str]) -> Rules:
        rules: list[Rule] = []
        if groups:  # a user without a group has the defaults only (section 3.4.5, step 5)
            for members, entries in self._rule_lists:
                if "*" in members or members & groups:
                    rules.extend(entries)
        start = tuple((number, rule.path) for number, rule in enumerate(rules) if rule.kind == "data")
        return Rules(tuple(rules), True, dict(self._defaults), start)

    def check_exec(self, operation: SchemaNode, user: User, context: Context = ()) -> None:
        """Raise ``access-denied`` unless the user may carry out this RPC or action."""
        if not self.rules_for(user).permits_exec(operation, context):
            self.denied_operations += 1
            raise OperationError(
                "access-denied",
                f"user {user.name} may not execute {operation.module}:{operation.name}",
                error_type="protocol",
                path=operation.path,
            )

    def may_receive(self, notification: SchemaNode, user: User) -> bool:
        """Whether a user may receive a notification; counts those that are denied."""
        if self.rules_for(user).permits_notification(notification):
            return True
        self.denied_notifications += 1
        return False

"""The rules of NACM (RFC 8341), as a configuration has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from yang.path import USER, DataPath, PathError, Step
from yang.schema import Schema

_NOWHERE: Final = (Step("", "", ()),)
"""Steps of a path that names what the schema does not have: they match nothing."""


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

    @property
    def is_personal(self) -> bool:
        """Whether the path has the variable ``$USER``."""
        return any(value == USER for step in self.path for _, value in step.keys)

    def for_user(self, user: str) -> Rule:
        """The rule with ``$USER`` replaced by the name of the user (RFC 8341, node-instance-identifier)."""
        if not self.is_personal:
            return self
        steps = tuple(
            step._replace(keys=tuple((key, user if value == USER else value) for key, value in step.keys))
            for step in self.path
        )
        return replace(self, path=steps)


def read_rule(schema: Schema, entry: Mapping[str, Any]) -> Rule:
    """A rule as the configuration has it. One whose path the schema lacks matches nothing."""
    kind, name = "any", "*"
    steps: tuple[Step, ...] = ()
    if "path" in entry:
        kind = "data"
        try:
            steps = _canonical(schema, DataPath.parse(entry["path"], variables=True).steps)
        except PathError:
            steps = _NOWHERE
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


def _canonical(schema: Schema, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps with the values of keys in canonical form, as those of instances are compared."""
    node, result = schema.root, []
    for step in steps:
        child = node.child(step.name, step.module or None)
        if child is None:
            return _NOWHERE
        node = child
        keys = []
        for name, text in step.keys:
            is_value = name == "." and node.kind == "leaf-list"
            leaf = node if is_value else node.child(name)
            if leaf is None or leaf.type is None or not (is_value or leaf.is_key):
                return _NOWHERE
            try:
                keys.append((name, text if text == USER else leaf.type.format(leaf.type.parse(text))))
            except ValueError:
                return _NOWHERE
        result.append(Step(node.module, node.name, tuple(keys)))
    return tuple(result)

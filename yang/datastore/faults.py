"""What libyang found in a configuration, as the errors that a client gets (RFC 7950 section 15)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from yang.datastore.data import Tree, entry_step
from yang.datastore.messages import MAX_MESSAGE, bad_value, readable, what_is_wrong
from yang.path import DataPath, PathError, Step
from yang.provider import OperationError, OperationErrors
from yang.schema import Schema, SchemaNode

MAX_ERRORS: Final = 20
"""Errors that one reply holds at most."""

_DATA_LOCATION: Final = re.compile(r'[Dd]ata location "((?:[^"\\]|\\.|"(?=[^,.]))*)"')
_SCHEMA_LOCATION: Final = re.compile(r'[Ss]chema location "([^"]*)"')
_TAGS: Final = {
    "data-not-unique": "operation-failed",
    "instance-required": "data-missing",
    "too-many-elements": "operation-failed",
    "too-few-elements": "operation-failed",
    "must-violation": "operation-failed",
    "missing-choice": "data-missing",
}
_VALUE: Final = re.compile(
    r'^(?:Unsatisfied|Invalid (?!leafref|JSON)|Failed to convert|Value|Unexpected XPath|Not found node)[^"]*'
    r'(?:"(.*?)"(?: does not conform| is out| length|\.| value| -|$))?',
    re.DOTALL,
)
_UNIQUE: Final = re.compile(r'Unique data leaf\(s\) "(.*)" not satisfied in "(.*)" and "(.*)"\.', re.DOTALL)
_UNKNOWN: Final = re.compile(r'Node "([^"]*)" not found|No module named "([^"]*)"')
_LAST_PREDICATES: Final = re.compile(r"(?:\[[^\[\]]*\])+$")


def fault(schema: Schema, tree: Tree | None, message: str, location: str, app_tag: str) -> OperationError:
    """The error, or `OperationErrors` with several that do not depend on each other.

    Args:
        tree: what was validated; None for a document that could not be read.
        message, location, app_tag: libyang's.
    """
    data = _DATA_LOCATION.search(location)
    where = _SCHEMA_LOCATION.search(location)
    path = data[1].replace('\\"', '"') if data else (where[1] if where else None)
    if message.startswith("Mandatory"):
        return _missing(schema, tree, message, path, app_tag)
    unique = _UNIQUE.fullmatch(message)
    if unique:
        leaves = [f"{entry}/{leaf}" for entry in unique.groups()[1:] for leaf in unique[1].split()]
        return OperationError(
            "operation-failed",
            readable(message),
            path=path,
            app_tag=app_tag or "data-not-unique",
            info={"non-unique": "\n".join(leaves)},
        )
    unknown = _UNKNOWN.match(message)
    if unknown:
        name = unknown[1] or unknown[2]
        return OperationError("unknown-element", readable(message), path=path, info={"bad-element": name})
    if app_tag in ("too-many-elements", "too-few-elements") and path is not None:
        path = _LAST_PREDICATES.sub("", path)
    node = _node(schema, path)
    if node is not None and node.type is not None:
        message = _about_value(node, message)
    # values have been looked at before: of what is validated only a "must" has an app-tag of the model's own
    tag = _TAGS.get(app_tag, "operation-failed" if app_tag and tree is not None else "invalid-value")
    return OperationError(tag, readable(message), path=path, app_tag=app_tag or None)


def _about_value(node: SchemaNode, message: str) -> str:
    """A message about a leaf: that a value is not of its type is said in our own words."""
    assert node.type is not None
    wrong = _VALUE.match(message)
    if wrong is None:
        return f"{node.path}: the value is not allowed" if node.deny_all and '"' in message else message
    value = wrong[1] or ""
    return bad_value(node, value, what_is_wrong(node.type, value))


def _node(schema: Schema, path: str | None) -> SchemaNode | None:
    try:
        return DataPath.parse(path).schema_node(schema) if path else None
    except PathError:
        return None


def _missing(
    schema: Schema, tree: Tree | None, message: str, schema_path: str | None, app_tag: str
) -> OperationError:
    """A mandatory node, or choice, is missing: libyang names the schema node only, and the first one."""
    parent_path, _, name = (schema_path or "").rpartition("/")
    parent = _node(schema, parent_path) if parent_path else schema.root
    if parent is None:
        return OperationError("data-missing", readable(message), path=schema_path, app_tag=app_tag or None)
    name = name.rpartition(":")[2]
    errors = []
    for steps, instance in _instances(parent.chain, tree or {}, ()):
        at = str(DataPath(steps))
        if parent.child(name) is None:
            if not _has_case(parent, name, instance):
                errors.append(_no_choice(parent, name, at))
            continue
        errors.extend(
            OperationError(
                "data-missing",
                f'"{leaf.name}" is mandatory, and missing in {at}'[:MAX_MESSAGE],
                path=str(DataPath((*steps, Step(leaf.module, leaf.name)))),
            )
            for leaf in parent.data_children
            if (leaf.name == name or (leaf.mandatory and leaf.type is not None and not leaf.cases))
            and leaf.json_name not in instance
        )
        if len(errors) >= MAX_ERRORS:
            break
    if not errors:
        return OperationError("data-missing", readable(message), path=schema_path, app_tag=app_tag or None)
    return errors[0] if len(errors) == 1 else OperationErrors(errors[:MAX_ERRORS])


def _no_choice(parent: SchemaNode, name: str, at: str) -> OperationError:
    cases = [
        child.name for child in parent.data_children if any(_is(name, choice) for choice, _ in child.cases)
    ]
    return OperationError(
        "data-missing",
        f"{at} needs {'one of ' if len(cases) > 1 else ''}{', '.join(cases) or name}"[:MAX_MESSAGE],
        path=at,
        app_tag="missing-choice",
        info={"missing-choice": name},
    )


def _is(name: str, choice: str) -> bool:
    """Whether a choice has this name; `yang.schema` tells choices of one name apart by a number."""
    return choice.partition("#")[0] == name


def _has_case(parent: SchemaNode, name: str, instance: Mapping[str, Any]) -> bool:
    found = (parent.child_json(member) for member in instance)
    return any(_is(name, choice) for child in found if child is not None for choice, _ in child.cases)


def _instances(
    chain: tuple[SchemaNode, ...], tree: Mapping[str, Any], steps: tuple[Step, ...]
) -> Iterator[tuple[tuple[Step, ...], Mapping[str, Any]]]:
    """All instances of the last node of a chain, those of containers without presence included."""
    if not chain:
        yield steps, tree
        return
    node, *rest = chain
    value = tree.get(node.json_name)
    if node.kind == "list":
        for keys, entry in (value or {}).items():
            yield from _instances(tuple(rest), entry, (*steps, entry_step(node, keys)))
    elif value is not None or not node.presence:
        yield from _instances(tuple(rest), value or {}, (*steps, Step(node.module, node.name)))

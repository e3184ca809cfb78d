"""Edits: what an edit-config or a path operation says, and how it changes a tree (RFC 6241 section 7.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from yang.datastore.data import Tree, entry_step, value_step
from yang.datastore.messages import bad_value, what_is_wrong
from yang.path import DataPath, Step
from yang.provider import Keys, OperationError
from yang.schema import SchemaNode

OPERATIONS: Final = frozenset({"merge", "replace", "create", "delete", "remove", "none"})
INSERTS: Final = frozenset({"first", "last", "before", "after"})


@dataclass(frozen=True, slots=True)
class Insert:
    """Where an entry of a user-ordered list goes (RFC 7950 section 7.8.6).

    Attributes:
        anchor: keys (or the value, as a 1-tuple) of the entry that before and after speak of.
    """

    where: str
    anchor: Keys | None = None


@dataclass(slots=True)
class Edit:
    """One node of an edit.

    Attributes:
        operation: what it says itself; None: inherited.
        keys: of a list entry.
        value: of a leaf or leaf-list entry; None in a deletion that names none.
    """

    node: SchemaNode
    operation: str | None = None
    keys: Keys = ()
    value: Any = None
    children: Sequence[Edit] = ()
    insert: Insert | None = None

    @property
    def step(self) -> Step:
        """Its step in a path."""
        if self.node.kind == "list":
            return entry_step(self.node, self.keys) if self.keys else Step(self.node.module, self.node.name)
        if self.node.kind == "leaf-list" and self.value is not None:
            return value_step(self.node, self.value)
        return Step(self.node.module, self.node.name)


_Where = tuple[Any, Edit] | None
"""An edit with the edits around it: the path is made only for who has to be told of it."""


def _path(where: _Where) -> str:
    """Instance-identifier of what an edit is about."""
    steps: list[Step] = []
    while where is not None:
        where, edit = where
        steps.append(edit.step)
    return str(DataPath(tuple(reversed(steps))))


class Editor:
    """Applies edits to a tree, which stays as it is: the result is a new one.

    Args:
        keep_going: continue-on-error: what fails is left out and collected in `errors`.
    """

    def __init__(self, *, keep_going: bool = False) -> None:
        self._keep_going = keep_going
        self.errors: list[OperationError] = []

    def apply(self, tree: Tree, edits: Iterable[Edit], operation: str) -> dict[str, Any]:
        """The tree after the edits.

        Args:
            operation: the default operation.

        Raises:
            OperationError: ``data-exists``, ``data-missing``, ``bad-attribute`` …
        """
        return self._children(tree, edits, operation, None)

    def _children(self, tree: Tree, edits: Iterable[Edit], operation: str, where: _Where) -> dict[str, Any]:
        result = dict(tree)
        opened: dict[str, SchemaNode] = {}
        for edit in edits:
            try:
                self._one(result, opened, edit, edit.operation or operation, (where, edit))
            except OperationError as error:
                if not self._keep_going:
                    raise
                self.errors.append(error)
        for name, node in opened.items():
            if not result.get(name):
                result.pop(name, None)
            elif node.kind == "leaf-list":
                result[name] = tuple(result[name])
        return result

    def _one(
        self,
        parent: dict[str, Any],
        opened: dict[str, SchemaNode],
        edit: Edit,
        operation: str,
        where: _Where,
    ) -> None:
        """One edit; lists and leaf-lists that were touched are in `opened`, as dicts of our own."""
        node = edit.node
        if node.is_key:
            return
        name, kind = node.json_name, node.kind
        if kind == "leaf":
            _leaf(parent, edit, operation, where)
        elif kind == "container":
            self._container(parent, edit, operation, where)
        elif kind == "list" or kind == "leaf-list":
            if name not in opened or name not in parent:
                opened[name] = node
                known = parent.get(name, ())
                parent[name] = dict(known) if node.kind == "list" else dict.fromkeys(known)
            if node.kind == "list":
                self._entry(parent[name], edit, operation, where)
            else:
                _value(parent[name], edit, operation, where)
        else:
            _leaf(parent, edit, operation, where)
        if node.cases and name in parent and operation not in ("delete", "remove", "none"):
            leave_other_cases(parent, node)

    def _container(self, parent: dict[str, Any], edit: Edit, operation: str, where: _Where) -> None:
        name = edit.node.json_name
        present = name in parent
        _check_existence(present, operation, where, implicit=not edit.node.presence)
        if operation in ("delete", "remove"):
            parent.pop(name, None)
            return
        base = {} if operation == "replace" else parent.get(name, {})
        below = "merge" if operation == "replace" else operation
        inner = self._children(base, edit.children, below, where)
        if inner or (edit.node.presence and (present or operation != "none")):
            parent[name] = inner
        else:
            parent.pop(name, None)

    def _entry(self, entries: dict[Keys, Any], edit: Edit, operation: str, where: _Where) -> None:
        if not edit.keys:  # a whole list: only paths can say so
            entries.clear()
            return
        present = edit.keys in entries
        _check_existence(present, operation, where)
        if operation in ("delete", "remove"):
            entries.pop(edit.keys, None)
            return
        names = {key.json_name: value for key, value in zip(edit.node.key_nodes, edit.keys, strict=True)}
        base = entries.get(edit.keys, names) if operation != "replace" else names
        below = "merge" if operation == "replace" else operation
        entries[edit.keys] = self._children(base, edit.children, below, where)
        if edit.insert is not None and operation != "none":
            _move(entries, edit.keys, edit.insert, where)


def _value(entries: dict[Any, None], edit: Edit, operation: str, where: _Where) -> None:
    """A leaf-list entry."""
    if edit.value is None:  # the whole leaf-list: only paths can say so
        entries.clear()
        return
    _check_existence(edit.value in entries, operation, where)
    if operation in ("delete", "remove"):
        entries.pop(edit.value, None)
        return
    if operation != "none":
        entries.setdefault(edit.value)
        if edit.insert is not None:
            _move(entries, edit.value, edit.insert, where)


def _leaf(parent: dict[str, Any], edit: Edit, operation: str, where: _Where) -> None:
    name = edit.node.json_name
    if operation != "merge":
        _check_existence(name in parent, operation, where)
    if operation in ("delete", "remove"):
        parent.pop(name, None)
    elif operation != "none" and (name not in parent or parent[name] != edit.value):
        parent[name] = edit.value


def _check_existence(present: bool, operation: str, where: _Where, *, implicit: bool = False) -> None:
    """What RFC 6241 demands of an operation's target; `implicit`: a container that always exists."""
    if operation == "create" and present:
        path = _path(where)
        raise OperationError("data-exists", f"{path} exists already", path=path)
    if not present and (operation == "delete" or (operation == "none" and not implicit)):
        path = _path(where)
        raise OperationError("data-missing", f"{path} does not exist", path=path)


def _move(entries: dict[Any, Any], key: Any, insert: Insert, where: _Where) -> None:
    """Put an entry where it belongs."""
    content = entries.pop(key)
    others = list(entries.items())
    position = 0 if insert.where == "first" else len(others)
    if insert.where in ("before", "after"):
        anchor = insert.anchor if isinstance(key, tuple) or insert.anchor is None else insert.anchor[0]
        order = [other for other, _ in others]
        if anchor not in order:
            assert where is not None, "an entry has a place"
            path = _path(where)
            entries[key] = content
            raise OperationError(
                "bad-attribute",
                f"{path}: there is no entry to insert it {insert.where}",
                path=path,
                app_tag="missing-instance",
                info={
                    "bad-attribute": "key" if isinstance(key, tuple) else "value",
                    "bad-element": where[1].node.name,
                },
            )
        position = order.index(anchor) + (insert.where == "after")
    others.insert(position, (key, content))
    entries.clear()
    entries.update(others)


def leave_other_cases(parent: dict[str, Any], node: SchemaNode) -> None:
    """A node of one case ends the other cases of its choice (RFC 7950 section 7.9)."""
    own = dict(node.cases)
    assert node.parent is not None
    for name in tuple(parent):
        other = node.parent.child_json(name)
        if other is None or not other.cases:
            continue
        if any(own.get(choice, case) != case for choice, case in other.cases):
            del parent[name]


def edits_of_json(node: SchemaNode, members: Mapping[str, Any], values: ValueReader) -> list[Edit]:
    """Edits that RFC 7951 members amount to, below `node`.

    Raises:
        OperationError: ``unknown-element``, ``invalid-value``, ``missing-element``.
    """
    if not isinstance(members, Mapping):
        raise values.error(node, "invalid-value", f"{node.path or 'the root'} needs a JSON object")
    edits: list[Edit] = []
    for name, value in members.items():
        if name.startswith("@"):
            continue
        child = node.child_json(name)
        if child is None:
            where = node.path or "the root"
            raise OperationError(
                "unknown-element", f'there is no node "{name}" below {where}', info={"bad-element": name}
            )
        edits.extend(edits_of_value(child, value, values))
    return edits


def edits_of_value(node: SchemaNode, value: Any, values: ValueReader) -> list[Edit]:
    """Edits that one RFC 7951 value amounts to: for a list, one per entry; for a leaf-list, one per value."""
    values.check_config(node)
    if node.kind == "container":
        return [Edit(node, children=edits_of_json(node, value, values))]
    if node.kind == "list":
        entries = value if isinstance(value, list) else [value]
        return [edit_of_entry(node, entry, values) for entry in entries]
    if node.kind == "leaf-list":
        items: Sequence[Any] = value if isinstance(value, list) else [value]
        return [Edit(node, value=values.from_json(node, item)) for item in items]
    return [Edit(node, value=values.from_json(node, value))]


def edit_of_entry(node: SchemaNode, entry: Any, values: ValueReader, keys: Keys | None = None) -> Edit:
    """The edit of one list entry; keys that are known already need not be in it, but must agree."""
    children = edits_of_json(node, entry, values)
    given = {edit.node.name: edit.value for edit in children if edit.node.is_key}
    if keys is None:
        missing = [name for name in node.keys if name not in given]
        if missing:
            raise values.error(node, "missing-element", f'an entry of {node.path} has no key "{missing[0]}"')
        keys = tuple(given[name] for name in node.keys)
    for name, value in zip(node.keys, keys, strict=True):
        if given.get(name, value) != value:
            raise values.error(node, "invalid-value", f'the key "{name}" differs from the one in the path')
    return Edit(node, keys=keys, children=children)


class ValueReader:
    """Reads values with full checks; what it raises says what a person should change."""

    def __init__(self, check: Any) -> None:
        """`check(node, canonical text)` answers what is wrong, or None (`Validator.check_value`)."""
        self._check = check

    def check_config(self, node: SchemaNode) -> None:
        """Raise unless a node is configuration."""
        if not node.config:
            raise self.error(node, "unknown-element", f"{node.path} is state, it cannot be configured")

    def from_json(self, node: SchemaNode, value: Any) -> Any:
        """Python value of an RFC 7951 value."""
        if node.type is None:
            return value
        try:
            return self.checked(node, node.type.from_json(value), str(value))
        except ValueError as error:
            raise self._bad_value(node, str(value), _reason(node, str(value), error)) from error

    def from_text(self, node: SchemaNode, text: str, resolve: Any) -> Any:
        """Python value of the text of an XML element."""
        assert node.type is not None
        try:
            return self.checked(node, node.type.parse(text, resolve), text)
        except ValueError as error:
            raise self._bad_value(node, text, _reason(node, text, error)) from error

    def checked(self, node: SchemaNode, value: Any, text: str) -> Any:
        """The value, if libyang accepts it too."""
        assert node.type is not None
        wrong = self._check(node, node.type.format(value))
        if wrong:
            raise self._bad_value(node, text, wrong)
        return value

    def _bad_value(self, node: SchemaNode, text: str, why: str) -> OperationError:
        return self.error(node, "invalid-value", bad_value(node, text, why))

    def error(self, node: SchemaNode, tag: str, message: str) -> OperationError:
        """An error about a node of the edit."""
        info = {"bad-element": node.name} if tag.endswith("-element") else None
        return OperationError(tag, message, path=node.path or None, info=info)


def _reason(node: SchemaNode, text: str, error: ValueError) -> str:
    """Why a value is none of a leaf's type: of numbers, names and unions what would be one."""
    assert node.type is not None
    plain = node.type.base in ("string", "instance-identifier", "binary", "empty") or node.type.is_path
    return str(error) if plain else what_is_wrong(node.type, text)

"""What leads from one configuration to another, as somebody may see it: a list, or an edit-config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson
from lxml import etree

from yang.access import Context, Rules
from yang.datastore.data import Difference, Tree, differences, entry_step, to_json
from yang.path import DataPath, Step
from yang.schema import Schema, SchemaNode
from yang.types import prefixes_in

_NC: Final = "urn:ietf:params:xml:ns:netconf:base:1.0"
_YANG: Final = "urn:ietf:params:xml:ns:yang:1"
_OPERATION: Final = f"{{{_NC}}}operation"
_NAMES: Final = {"create": "create", "delete": "delete", "update": "replace"}


def visible_differences(schema: Schema, old: Tree, new: Tree, rules: Rules) -> Iterator[Difference]:
    """The differences that rules permit to read; of a created or deleted subtree what they permit of it.

    A node is read only where all above it are, and the keys of all entries on its way.
    """
    for found in differences(schema.root, old, new, rules, (), rules.start):
        if not rules.enabled:
            yield found
        elif _is_readable(found, rules):
            subtree = _prune(found.node, found.subtree, found.context, rules)
            if found.node.kind == "leaf-list" and found.op == "update":
                above = _context(found.steps[:-1], found.node, rules)
                subtree = _values(found.node, subtree, above, rules)
            yield Difference(found.op, found.node, found.steps, found.context, subtree)


def _is_readable(found: Difference, rules: Rules) -> bool:
    context = rules.start
    for step, node in zip(found.steps, found.node.chain, strict=True):
        context = rules.enter(context, node, _keys_of(node, step))
        if not rules.permits(context, node, "read"):
            return False
        for key in node.key_nodes if node.kind == "list" else ():
            if not rules.permits(rules.enter(context, key), key, "read"):
                return False
    return True


def _keys_of(node: SchemaNode, step: Step) -> tuple[Any, ...] | None:
    if not step.keys:
        return None
    types = [node.type] if step.keys[0][0] == "." else [key.type for key in node.key_nodes]
    return tuple(
        kind.parse(text) for kind, (_, text) in zip(types, step.keys, strict=True) if kind is not None
    )


def _context(steps: tuple[Step, ...], node: SchemaNode, rules: Rules) -> Context:
    """The context of an instance above `node`."""
    context = rules.start
    for step, level in zip(steps, node.chain, strict=False):
        context = rules.enter(context, level, _keys_of(level, step))
    return context


def _values(node: SchemaNode, values: tuple[Any, ...], context: Context, rules: Rules) -> tuple[Any, ...]:
    """The values of a leaf-list that may be read; the context is that of its parent."""
    return tuple(v for v in values if rules.permits(rules.enter(context, node, (v,)), node, "read"))


def _prune(node: SchemaNode, subtree: Any, context: Context, rules: Rules) -> Any:
    """What may be read of an instance's content."""
    if node.kind not in ("container", "list") or subtree is None:
        return subtree
    kept: dict[str, Any] = {}
    for name, value in subtree.items():
        child = node.child_json(name)
        assert child is not None, name
        if child.kind == "list":
            entries = {}
            for keys, entry in value.items():
                inner = rules.enter(context, child, keys)
                if rules.permits(inner, child, "read"):
                    entries[keys] = _prune(child, entry, inner, rules)
            if entries:
                kept[name] = entries
        elif child.kind == "leaf-list":
            if shown := _values(child, value, context, rules):
                kept[name] = shown
        else:
            inner = rules.enter(context, child)
            if rules.permits(inner, child, "read"):
                kept[name] = _prune(child, value, inner, rules)
    return kept


# --- as a list -----------------------------------------------------------------------------------


def change_list(schema: Schema, old: Tree, new: Tree, rules: Rules) -> list[dict[str, Any]]:
    """The entries of get-commit-diff's ``change`` list."""
    changes: list[dict[str, Any]] = []
    for found in visible_differences(schema, old, new, rules):
        change: dict[str, Any] = {"index": len(changes) + 1, "path": found.path}
        if found.op == "update" and found.node.kind in ("list", "leaf-list"):
            change["operation"] = "move"
        else:
            change["operation"] = _NAMES[found.op]
            if found.op != "create":
                before = found.subtree if found.op == "delete" else _at(schema, old, found.steps)
                change["old"] = _text(found.node, before)
            if found.op != "delete":
                change["new"] = _text(found.node, found.subtree)
        changes.append(change)
    return changes


def _text(node: SchemaNode, value: Any) -> str:
    if node.type is not None:
        return node.type.format(value)
    if node.kind == "anydata":
        return str(value)
    return orjson.dumps(to_json(node, value)).decode()


def _at(schema: Schema, tree: Tree, steps: tuple[Step, ...], default: Any = None) -> Any:
    """The instance at a path; `default` when there is none."""
    node: SchemaNode = schema.root
    value: Any = tree
    for step in steps:
        found = node.child(step.name, step.module)
        assert found is not None, step
        node, value = found, value.get(found.json_name)
        if node.kind == "list" and value is not None and (keys := _keys_of(node, step)) is not None:
            value = value.get(keys)
        if value is None:
            return default
    return value


# --- as an edit-config ---------------------------------------------------------------------------


def edit_config(schema: Schema, old: Tree, new: Tree, rules: Rules) -> str:
    """``<config>`` for an edit-config that makes `new` of `old`, as far as the rules permit to read it."""
    return etree.tostring(_Edit(schema, new, rules).make(old), encoding="unicode", pretty_print=True)


class _Edit:
    """Builds the elements, sharing those that differences have above them."""

    def __init__(self, schema: Schema, new: Tree, rules: Rules) -> None:
        self._schema = schema
        self._new = new
        self._rules = rules
        self._config = etree.Element(f"{{{_NC}}}config", nsmap={"nc": _NC, "yang": _YANG})
        self._elements: dict[tuple[Step, ...], etree._Element] = {(): self._config}
        self._known: dict[tuple[tuple[Step, ...], SchemaNode], tuple[list[Any], dict[Any, int]]] = {}
        self._reordered: set[tuple[tuple[Step, ...], SchemaNode]] = set()

    def make(self, old: Tree) -> etree._Element:
        found_all = list(visible_differences(self._schema, old, self._new, self._rules))
        order = self._order(found_all)
        for position in sorted(range(len(found_all)), key=order.__getitem__):
            self._add(found_all[position])
        return self._config

    def _add(self, found: Difference) -> None:
        node = found.node
        if node.kind == "leaf-list" and node.user_ordered:
            self._reorder(found)
            if found.op != "delete":
                return
        parent = self._open(found.steps[:-1], node.parent)
        element = self._element(parent, found)
        if node.kind != "list" or found.op != "update":
            element.set(_OPERATION, _NAMES[found.op])
        if node.kind == "list" and node.user_ordered and found.op != "delete":
            self._place(element, found)

    def _order(self, found_all: list[Difference]) -> list[tuple[tuple[int, int], ...]]:
        """What to sort differences by: as they come, but the entries of a list that its user orders as they
        are in it, so that each finds the one that it goes behind."""
        seen: dict[Any, int] = {}
        result = []
        for found in found_all:
            key = []
            for depth, (step, node) in enumerate(zip(found.steps, found.node.chain, strict=True)):
                if node.kind == "list" and node.user_ordered:
                    above = found.steps[:depth]
                    place = self._places(above, node)[1].get(_keys_of(node, step) or (), -1)
                    key.append((seen.setdefault((above, node), len(seen)), place))
                else:
                    key.append((seen.setdefault(found.steps[: depth + 1], len(seen)), 0))
            result.append(tuple(key))
        return result

    def _places(self, above: tuple[Step, ...], node: SchemaNode) -> tuple[list[Any], dict[Any, int]]:
        """Keys of a list's entries as they are in the new configuration, and where each is."""
        known = self._known.get((above, node))
        if known is None:
            entries = list(_at(self._schema, self._new, above, {}).get(node.json_name, ()))
            places = {keys: place for place, keys in enumerate(entries)}
            known = self._known[above, node] = entries, places
        return known

    def _open(self, steps: tuple[Step, ...], node: SchemaNode | None) -> etree._Element:
        """The element of an instance that is there before and after."""
        known = self._elements.get(steps)
        if known is None:
            assert node is not None
            parent = self._open(steps[:-1], node.parent)
            known = self._elements[steps] = self._instance(parent, node, steps[-1])
        return known

    def _instance(self, parent: etree._Element, node: SchemaNode, step: Step) -> etree._Element:
        element = _add(parent, node)
        if node.kind == "list":
            for key, value in zip(node.key_nodes, _keys_of(node, step) or (), strict=True):
                self._leaf(element, key, value)
        return element

    def _element(self, parent: etree._Element, found: Difference) -> etree._Element:
        node, step = found.node, found.steps[-1]
        if node.kind == "leaf-list":
            return self._leaf(parent, node, (_keys_of(node, step) or ("",))[0])
        if node.kind == "leaf" and found.op != "delete":
            return self._leaf(parent, node, found.subtree)
        if node.kind == "anydata" and found.op != "delete":
            parent.append(etree.fromstring(found.subtree))
            return parent[-1]
        element = self._elements.get(found.steps)
        if element is None:
            element = self._elements[found.steps] = self._instance(parent, node, step)
        if found.op == "create" and node.kind in ("container", "list"):
            self._content(element, node, found.subtree)
        return element

    def _content(self, element: etree._Element, node: SchemaNode, tree: Mapping[str, Any]) -> None:
        for name, value in tree.items():
            child = node.child_json(name)
            assert child is not None, name
            if child.is_key:
                continue
            if child.kind == "list":
                for keys, entry in value.items():
                    inner = self._instance(element, child, entry_step(child, keys))
                    self._content(inner, child, entry)
            elif child.kind == "container":
                self._content(_add(element, child), child, value)
            elif child.kind == "anydata":
                element.append(etree.fromstring(value))
            else:
                for one in value if child.kind == "leaf-list" else (value,):
                    self._leaf(element, child, one)

    def _leaf(self, parent: etree._Element, node: SchemaNode, value: Any) -> etree._Element:
        kind = node.type
        assert kind is not None
        text = DataPath.parse(value).to_xpath({}) if kind.is_path else kind.format(value)
        names = prefixes_in(text) if kind.prefixed or kind.base in ("identityref", "union") else ()
        declared = {name: uri for name in names if (uri := self._schema.namespace_of(name))}
        element = _add(parent, node, declared)
        element.text = text or None
        return element

    def _place(self, element: etree._Element, found: Difference) -> None:
        """Where an entry of a list goes that its user orders: behind the one that it now follows."""
        node = found.node
        entries, places = self._places(found.steps[:-1], node)
        here = places[_keys_of(node, found.steps[-1]) or ()]
        if here == 0:
            element.set(f"{{{_YANG}}}insert", "first")
        elif self._may_show(found, anchor := entries[here - 1]):
            element.set(f"{{{_YANG}}}insert", "after")
            keys = entry_step(node, anchor).keys
            element.set(
                f"{{{_YANG}}}key", "".join(f"[{node.prefix}:{name}={_quote(text)}]" for name, text in keys)
            )

    def _may_show(self, found: Difference, anchor: Any) -> bool:
        if not self._rules.enabled:
            return True
        node = found.node
        context = _context(found.steps[:-1], node, self._rules)
        keys = anchor if node.kind == "list" else (anchor,)
        return self._rules.permits(self._rules.enter(context, node, keys), node, "read")

    def _reorder(self, found: Difference) -> None:
        """A leaf-list that its user orders: its values are put at the end, in turn; once for all changes."""
        node, above = found.node, found.steps[:-1]
        if (above, node) in self._reordered:
            return
        self._reordered.add((above, node))
        parent = self._open(above, node.parent)
        for value in _at(self._schema, self._new, above, {}).get(node.json_name, ()):
            if self._may_show(found, value):
                self._leaf(parent, node, value).set(f"{{{_YANG}}}insert", "last")


def _add(
    parent: etree._Element, node: SchemaNode, declared: Mapping[str, str] | None = None
) -> etree._Element:
    """An element of a node; its namespace is the default one, and the prefix of its module is declared."""
    namespaces: dict[Any, str] = {None: node.namespace}
    if node.user_ordered and node.kind == "list":
        namespaces[node.prefix] = node.namespace
    namespaces.update(declared or {})
    return etree.SubElement(parent, f"{{{node.namespace}}}{node.name}", nsmap=namespaces)


def _quote(text: str) -> str:
    return f"'{text}'" if "'" not in text else f'"{text}"'

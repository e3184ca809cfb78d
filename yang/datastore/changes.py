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
            shown = tuple(v for v in value if rules.permits(rules.enter(context, child, (v,)), child, "read"))
            if shown:
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


def _at(schema: Schema, tree: Tree, steps: tuple[Step, ...]) -> Any:
    """The instance at a path that exists."""
    node, value = schema.root, tree
    for step in steps:
        found = node.child(step.name, step.module)
        assert found is not None, step
        node, value = found, value[found.json_name]
        if node.kind == "list":
            keys = _keys_of(node, step)
            if keys is not None:
                value = value[keys]
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

    def make(self, old: Tree) -> etree._Element:
        for found in visible_differences(self._schema, old, self._new, self._rules):
            if found.op == "update" and found.node.kind == "leaf-list":
                self._reorder(found)
                continue
            parent = self._open(found.steps[:-1], found.node.parent)
            element = self._element(parent, found)
            if found.node.kind != "list" or found.op != "update":
                element.set(_OPERATION, _NAMES[found.op])
            if found.node.user_ordered and found.op != "delete":
                self._place(element, found)
        return self._config

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
        above = _at(self._schema, self._new, found.steps[:-1])
        entries = list(above[found.node.json_name])
        own = _keys_of(found.node, found.steps[-1]) or ()
        here = entries.index(own if found.node.kind == "list" else own[0])
        if here == 0:
            element.set(f"{{{_YANG}}}insert", "first")
            return
        anchor = entries[here - 1]
        if not self._may_show(found, anchor):
            return
        element.set(f"{{{_YANG}}}insert", "after")
        if found.node.kind == "leaf-list":
            assert found.node.type is not None
            element.set(f"{{{_YANG}}}value", found.node.type.format(anchor))
            return
        prefix = found.node.prefix
        element.set(
            f"{{{_YANG}}}key",
            "".join(
                f"[{prefix}:{name}={_quote(text)}]" for name, text in entry_step(found.node, anchor).keys
            ),
        )

    def _may_show(self, found: Difference, anchor: Any) -> bool:
        if not self._rules.enabled:
            return True
        node = found.node
        context = self._rules.start
        for step, level in zip(found.steps[:-1], node.chain[:-1], strict=True):
            context = self._rules.enter(context, level, _keys_of(level, step))
        keys = anchor if node.kind == "list" else (anchor,)
        return self._rules.permits(self._rules.enter(context, node, keys), node, "read")

    def _reorder(self, found: Difference) -> None:
        """A leaf-list with the same values in another order: each is put at the end, in turn."""
        parent = self._open(found.steps[:-1], found.node.parent)
        for value in found.subtree:
            self._leaf(parent, found.node, value).set(f"{{{_YANG}}}insert", "last")


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

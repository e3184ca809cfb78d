"""edit-config's XML merged in one go, where it is as plain as it mostly is: elements without attributes.

`yang.datastore.edit_xml` and `yang.datastore.edit` do the same with a list of edits in between, and more.
They are asked again about whatever is wrong here, so that there is one place that says what it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final

from lxml import etree

from yang.access import Context, Rules
from yang.datastore.data import EMPTY, Tree
from yang.datastore.edit import leave_other_cases
from yang.datastore.edit_xml import MAX_DEPTH, XmlEdits
from yang.provider import Keys
from yang.schema import SchemaNode

_Place = tuple[Context, bool] | None
"""NACM's context of an instance, and whether it may be read. None: all in it may be."""
_CHANGES: Final = ("update", "create")


class NotPlain(Exception):
    """It has to be read as a list of edits."""


def merge_plain(
    reader: XmlEdits, tree: Tree, config: etree._Element, rules: Rules | None = None
) -> dict[str, Any]:
    """The tree with the children of an element merged into it.

    Args:
        rules: of a user who may not read everything, and is to guess nothing by what an edit changes.

    Raises:
        NotPlain: there are attributes, the user names what is hidden, or there is something wrong.
        OperationError: there is something wrong.
    """
    if config.xpath("boolean(.//@*)"):
        raise NotPlain
    place = None if rules is None else (rules.start, True)
    return _Merge(reader, rules).children(reader.root, config, tree, 0, place)


class _Merge:
    def __init__(self, reader: XmlEdits, rules: Rules | None) -> None:
        self._reader = reader
        self._rules = rules
        self._nodes: dict[SchemaNode, dict[Any, SchemaNode]] = defaultdict(dict)
        self._open: dict[SchemaNode, bool] = {}
        self._literal: dict[SchemaNode, str] = {}

    def children(
        self, parent: SchemaNode, elements: Iterable[etree._Element], base: Tree, depth: int, place: _Place
    ) -> dict[str, Any]:
        """What an instance of `parent` holds after the merge."""
        if depth > MAX_DEPTH:
            raise NotPlain
        result = dict(base)
        opened: list[str] = []
        once: list[SchemaNode] = []
        nodes, reader = self._nodes[parent], self._reader
        for child in elements:
            tag = child.tag
            node = nodes.get(tag)
            if node is None:
                if tag.__class__ is not str:
                    continue  # a comment or a processing instruction
                node = nodes[tag] = reader.node(parent, child)
            kind, name = node.kind, node.json_name
            if kind == "leaf":
                if node in once:
                    raise NotPlain
                once.append(node)
                if node.is_key and place is None:
                    continue
                if len(child):
                    raise NotPlain
                value = reader.value(node, child)
                if place is not None:
                    self._enter(place, node, (value,))
                if not node.is_key and (name not in result or result[name] != value):
                    result[name] = value
            elif kind == "container":
                if node in once:
                    raise NotPlain
                once.append(node)
                text = child.text
                if text is not None and text.strip():
                    raise NotPlain
                inside = place and self._enter(place, node, ())
                inner = self.children(node, child, result.get(name, EMPTY), depth + 1, inside)
                if inner or node.presence:
                    result[name] = inner
                else:
                    result.pop(name, None)
            elif kind == "list":
                if name not in opened or name not in result:
                    opened.append(name)
                    result[name] = dict(result.get(name, EMPTY))
                self._entry(result[name], node, child, depth + 1, place)
            else:
                raise NotPlain
            if node.cases and name in result:
                leave_other_cases(result, node)
        return result

    def _entry(
        self, entries: dict[Keys, Any], node: SchemaNode, element: etree._Element, depth: int, place: _Place
    ) -> None:
        text = element.text
        if text is not None and text.strip():
            raise NotPlain
        children = list(element)
        keys = self._known_keys(entries, node, children) or self._keys(node, children)
        base = entries.get(keys)
        if base is None:
            base = {key.json_name: value for key, value in zip(node.key_nodes, keys, strict=True)}
        inside = place and self._enter(place, node, keys)
        entries[keys] = self.children(node, children, base, depth, inside)

    def _known_keys(
        self, entries: dict[Keys, Any], node: SchemaNode, children: Sequence[etree._Element]
    ) -> Keys | None:
        """The key of an entry that is there, if it is one text in front: what it is has been checked then."""
        literal = self._literal.get(node)
        if literal is None:
            key = node.key_nodes[0]
            # text in canonical form; prefixes would be those of this document
            plain = key.type is not None and key.type.base == "string" and not key.type.qualified
            literal = self._literal[node] = f"{{{key.namespace}}}{key.name}" if plain else ""
        if len(node.keys) > 1 or not children or children[0].tag != literal or len(children[0]):
            return None
        keys = (children[0].text or "",)
        return keys if keys in entries else None

    def _keys(self, node: SchemaNode, children: Sequence[etree._Element]) -> Keys:
        nodes = self._nodes[node]
        names: dict[str, Any] = {}
        for child in children:
            key = nodes.get(child.tag)
            if key is None and child.tag.__class__ is str:
                key = nodes[child.tag] = self._reader.node(node, child)
            if key is not None and key.is_key:
                if len(child):
                    raise NotPlain
                names[key.json_name] = self._reader.value(key, child)
                if len(names) == len(node.keys):
                    break
        try:
            return tuple([names[key.json_name] for key in node.key_nodes])
        except KeyError:
            raise NotPlain from None

    # --- what must not be guessed ----------------------------------------------------------------

    def _enter(self, place: tuple[Context, bool], node: SchemaNode, keys: tuple[Any, ...]) -> _Place:
        """Where an instance is; it must not be one that the user may neither read nor write."""
        rules = self._rules
        assert rules is not None
        context = rules.enter(place[0], node, keys)
        readable = place[1] and rules.permits(context, node, "read")
        if readable:
            return None if not context and self._is_open(node) else (context, True)
        if node.kind != "container" and not any(rules.permits(context, node, op) for op in _CHANGES):
            raise NotPlain
        return context, False

    def _is_open(self, node: SchemaNode) -> bool:
        """Whether all that can be below a node may be read, where no rule of a path matches."""
        known = self._open.get(node)
        if known is None:
            rules = self._rules
            assert rules is not None
            known = self._open[node] = all(rules.permits((), below, "read") for below in node.walk())
        return known

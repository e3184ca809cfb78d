"""edit-config's XML merged in one go, where it is as plain as it mostly is: elements without attributes.

`yang.datastore.edit_xml` and `yang.datastore.edit` do the same with a list of edits in between, and more.
They are asked again about whatever is wrong here, so that there is one place that says what it is.
"""

from __future__ import annotations

from typing import Any

from lxml import etree

from yang.datastore.data import EMPTY, Tree
from yang.datastore.edit import leave_other_cases
from yang.datastore.edit_xml import MAX_DEPTH, XmlEdits
from yang.provider import Keys
from yang.schema import SchemaNode


class NotPlain(Exception):
    """It has to be read as a list of edits."""


def merge_plain(reader: XmlEdits, tree: Tree, config: etree._Element) -> dict[str, Any]:
    """The tree with the children of an element merged into it.

    Raises:
        NotPlain: there are attributes, or there is something wrong.
        OperationError: there is something wrong.
    """
    if config.xpath("boolean(.//@*)"):
        raise NotPlain
    return _Merge(reader).children(reader.root, config, tree, 0)


class _Merge:
    def __init__(self, reader: XmlEdits) -> None:
        self._reader = reader
        self._known = reader.known

    def children(self, parent: SchemaNode, element: etree._Element, base: Tree, depth: int) -> dict[str, Any]:
        """What an instance of `parent` holds after the merge."""
        if depth > MAX_DEPTH:
            raise NotPlain
        result = dict(base)
        opened: dict[str, SchemaNode] = {}
        once: list[SchemaNode] = []
        known, reader = self._known, self._reader
        for child in element:
            tag = child.tag
            if tag.__class__ is not str:
                continue  # a comment or a processing instruction
            node = known.get((parent, tag)) or reader.node(parent, child)
            kind, name = node.kind, node.json_name
            if kind == "leaf" or kind == "container":
                if node in once:
                    raise NotPlain
                once.append(node)
            if kind == "leaf":
                if node.is_key:
                    continue
                if len(child):
                    raise NotPlain
                value = reader.value(node, child)
                if name not in result or result[name] != value:
                    result[name] = value
            elif kind == "container":
                _check_no_text(child)
                inner = self.children(node, child, result.get(name, EMPTY), depth + 1)
                if inner or node.presence:
                    result[name] = inner
                else:
                    result.pop(name, None)
            elif kind == "list":
                if name not in opened or name not in result:
                    opened[name] = node
                    result[name] = dict(result.get(name, EMPTY))
                self._entry(result[name], node, child, depth + 1)
            else:
                raise NotPlain
            if node.cases and name in result:
                leave_other_cases(result, node)
        return result

    def _entry(self, entries: dict[Keys, Any], node: SchemaNode, element: etree._Element, depth: int) -> None:
        _check_no_text(element)
        names: dict[str, Any] = {}
        for child in element:
            key = self._known.get((node, child.tag))
            if key is None and child.tag.__class__ is str:
                key = self._reader.node(node, child)
            if key is not None and key.is_key:
                if len(child):
                    raise NotPlain
                names[key.json_name] = self._reader.value(key, child)
                if len(names) == len(node.keys):
                    break
        try:
            keys = tuple([names[key.json_name] for key in node.key_nodes])
        except KeyError:
            raise NotPlain from None
        base = entries.get(keys)
        if base is None:
            base = {key.json_name: names[key.json_name] for key in node.key_nodes}
        entries[keys] = self.children(node, element, base, depth)


def _check_no_text(element: etree._Element) -> None:
    text = element.text
    if text is not None and text.strip():
        raise NotPlain

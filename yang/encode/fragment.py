"""Single leaves and entries as XML, for what tells of changes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from yang.encode.leaves import Leaf
from yang.encode.xml import escape
from yang.path import DataPath
from yang.schema import Schema, SchemaNode
from yang.types import LeafType, prefixes_in


class Fragments:
    """Writes elements that stand alone: each has the namespaces that it needs."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def leaf(self, node: SchemaNode, value: Any) -> str:
        """A leaf, or one entry of a leaf-list, with its namespace."""
        return self._leaf(node, value, f' xmlns="{node.namespace}"')

    def entry(self, node: SchemaNode, leaves: Iterable[Leaf]) -> str:
        """A list entry or container with these leaves.

        Args:
            leaves: names below the instance, values, schema nodes; in schema order.
        """
        pieces = [f'<{node.name} xmlns="{node.namespace}">']
        opened: list[SchemaNode] = [node]
        depth = len(node.chain)
        for names, value, leaf in leaves:
            above = leaf.chain[depth:-1] if len(names) > 1 else ()
            common = 0
            while common < min(len(above), len(opened) - 1) and opened[common + 1] is above[common]:
                common += 1
            while len(opened) - 1 > common:
                pieces.append(f"</{opened.pop().name}>")
            for container in above[common:]:
                pieces.append(f"<{container.name}{_namespace(container, opened[-1])}>")
                opened.append(container)
            for item in value if leaf.kind == "leaf-list" else (value,):
                pieces.append(self._leaf(leaf, item, _namespace(leaf, opened[-1])))
        while opened:
            pieces.append(f"</{opened.pop().name}>")
        return "".join(pieces)

    def _leaf(self, node: SchemaNode, value: Any, declaration: str) -> str:
        kind = node.type
        assert kind is not None
        if not _has_prefixes(kind):
            return f"<{node.name}{declaration}>{escape(kind.format(value))}</{node.name}>"
        text = DataPath.parse(value).to_xpath({}) if kind.is_path else kind.format(value)
        for prefix in prefixes_in(text):
            namespace = self._schema.namespace_of(prefix)
            if namespace:
                declaration += f' xmlns:{prefix}="{namespace}"'
        return f"<{node.name}{declaration}>{escape(text)}</{node.name}>"


def _namespace(node: SchemaNode, parent: SchemaNode) -> str:
    return "" if node.module == parent.module else f' xmlns="{node.namespace}"'


def _has_prefixes(kind: LeafType) -> bool:
    return kind.prefixed or kind.base == "identityref" or any(_has_prefixes(inner) for inner in kind.members)


def resource_identifier(path: DataPath, names: Iterable[str] = ()) -> str:
    """A data resource identifier (RFC 8040 section 3.5.3): ``/module:list=key1,key2/leaf``.

    Args:
        names: RFC 7951 member names below the path.
    """
    segments = []
    for name, keys in path.to_gnmi():
        values = ",".join(quote(value, safe="") for value in keys.values())
        segments.append(f"{name}={values}" if keys else name)
    return "/" + "/".join((*segments, *names))

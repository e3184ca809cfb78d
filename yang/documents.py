"""Replies that need the whole of something before they show a part: XPath queries, and metadata of
configuration (RFC 7952): the tag of a default (RFC 6243 section 5.1), the origin (RFC 8342 section 5.3.4).

These work on the XML that a user may read, as `yang.encode` has written it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from yang.encode.xml import slices
from yang.schema import SchemaNode
from yang.xpath.document import Document, Node, Show
from yang.xpath.filter import XPathQuery, is_key

_TAGGED: Final = b' xmlns:wd="urn:ietf:params:xml:ns:netconf:default:1.0" wd:default="true"'
_ORIGIN: Final = ' xmlns:or="urn:ietf:params:xml:ns:yang:ietf-origin" or:origin="or:{}"'
SLICE: Final = 48 * 1024


@dataclass(frozen=True, slots=True)
class OriginView:
    """What a request asks about origins.

    Attributes:
        shown: configuration carries its origin.
        wanted: origins (``ietf-origin:intended``) of which configuration is shown; None: all.
    """

    shown: bool = False
    wanted: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """A reply that is being made.

    Attributes:
        plain: the part that is shown as it is read.
        raw: the part that `finish` makes the rest of the reply of. It is read in the event loop.
        finish: works on its own data only, for up to seconds: it is called in a thread.
    """

    plain: Iterator[bytes]
    raw: Iterator[bytes]
    finish: Callable[[Sequence[bytes]], list[bytes]]


@dataclass(slots=True)
class _Marks:
    """What is known of the nodes of configuration.

    Attributes:
        defaults: leaves and entries of leaf-lists whose value nobody has set.
        unset: containers without anything that somebody has set.
        system: what is there although nobody configured it (`yang.provider.OperationalProvider`).
    """

    defaults: set[Node] = field(default_factory=set)
    unset: set[Node] = field(default_factory=set)
    system: set[Node] = field(default_factory=set)

    def read(self, node: Node, explicit: Mapping[str, Any], config: Mapping[str, Any] | None) -> bool:
        """Mark what is below a node; whether any configuration is there.

        Args:
            explicit: what has been set below this instance.
            config: the same with the defaults that are shown; None: the instance is not configured.
        """
        any_config = False
        for child in node.children:
            schema = child.schema
            if schema is None or not schema.config:
                continue
            value = explicit.get(schema.json_name)
            own = config.get(schema.json_name) if config is not None else None
            if schema.is_leaf:
                any_config = True
                if config is None:
                    self.system.add(child)
                elif value is None and not schema.is_key:
                    self.defaults.add(child)
                continue
            if schema.kind == "list":
                keys = _keys(schema, child)
                value, own = (value or {}).get(keys), (own or {}).get(keys)
            below = self.read(child, value or {}, own) or schema.kind == "list"
            any_config = any_config or below or value is not None
            if own is None and below:
                self.system.add(child)
            elif value is None and below and schema.kind != "list":
                self.unset.add(child)
        return any_config

    def origin(self, node: Node) -> str:
        """Name of the identity: of configuration that was set ``intended``; of a default ``default``; of what
        the element has by itself ``system``."""
        if node in self.system:
            return "system"
        return "default" if node in self.defaults or node in self.unset else "intended"


def _keys(schema: SchemaNode, entry: Node) -> tuple[Any, ...]:
    texts = {child.name: child.text for child in entry.children if is_key(child)}
    return tuple(
        key.type.parse(texts[key.name])
        for key in schema.key_nodes
        if key.type is not None and key.name in texts
    )


def render(
    document: Document,
    query: XPathQuery | None,
    explicit: Mapping[str, Any],
    config: Mapping[str, Any],
    *,
    depth: int | None,
    tag_defaults: bool,
    origin: OriginView | None,
) -> Iterator[bytes]:
    """What is shown of a document, in slices.

    Args:
        query: selects; None shows everything.
        explicit: the configuration without defaults that the document shows a part of.
        config: the same as it is shown: with defaults, if they are.
        depth: levels of what the query selects; without a query the document has been cut already.
        tag_defaults: the attribute ``default`` marks defaults.
        origin: what is asked about origins; None: nothing.
    """
    marks = _Marks()
    if tag_defaults or origin is not None:
        marks.read(document.root, explicit, config)
    show = query.show(document, depth) if query is not None else _everything
    if origin is not None and origin.wanted is not None:
        show = _both(show, _of_origin(document, marks, origin.wanted))
    attributes: list[Callable[[Node], bytes]] = []
    if tag_defaults:
        attributes.append(lambda node: _TAGGED if node in marks.defaults else b"")
    if origin is not None and origin.shown:
        attributes.append(lambda node: _origin_attribute(marks, node))
    add = (lambda node: b"".join(each(node) for each in attributes)) if attributes else None
    return _sliced(document.write(show, add))


def _everything(_node: Node) -> Show:
    return "all"


def _origin_attribute(marks: _Marks, node: Node) -> bytes:
    """The origin, where it is not that of the parent."""
    if node.schema is None or not node.schema.config:
        return b""
    origin = marks.origin(node)
    above = node.parent
    if above is not None and above.parent is not None and marks.origin(above) == origin:
        return b""
    return _ORIGIN.format(origin).encode()


def _of_origin(document: Document, marks: _Marks, wanted: frozenset[str]) -> Callable[[Node], Show]:
    """Shows state, and configuration of these origins, with what it is in."""
    around: set[Node] = set()
    matching: set[Node] = set()
    waiting = [document.root]
    while waiting:
        node = waiting.pop()
        for child in node.children:
            schema = child.schema
            if schema is None:
                continue
            if schema.config:
                waiting.append(child)
                exists = schema.is_leaf or schema.kind == "list" or schema.presence
                if is_key(child) or not exists or f"ietf-origin:{marks.origin(child)}" not in wanted:
                    continue
            matching.add(child)
            above: Node | None = node
            while above is not None and above not in around:
                around.add(above)
                above = above.parent

    def show(node: Node) -> Show:
        if node in matching:
            return "all" if node.schema is not None and not node.schema.config else "element"
        if node in around:
            return "inside"
        return "all" if is_key(node) else "nothing"

    return show


def _both(first: Callable[[Node], Show], second: Callable[[Node], Show]) -> Callable[[Node], Show]:
    """Shows what both show. Asked from the outside inwards, as a document writes itself."""
    granted: set[Node] = set()

    def show(node: Node) -> Show:
        one = "all" if node in granted else first(node)
        if one == "all":
            granted.update(node.children)
        other = second(node)
        if "nothing" in (one, other):
            return "nothing"
        if one == "all":
            return other
        return one if other == "all" else "inside" if "inside" in (one, other) else "element"

    return show


def _sliced(pieces: Iterable[bytes]) -> Iterator[bytes]:
    buffer = bytearray()
    for piece in pieces:
        buffer += piece
        if len(buffer) >= SLICE:
            yield from slices(bytes(buffer))
            buffer.clear()
    if buffer:
        yield from slices(bytes(buffer))

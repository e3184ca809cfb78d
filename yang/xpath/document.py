"""What an expression is evaluated on: nodes that know where they stand in the XML they were read from.

Nothing is built anew for the reply: it is cut out of that XML.
"""

from __future__ import annotations

import gc
import xml.parsers.expat as expat  # what it reads was written by our own encoder
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Literal

from yang.provider import OperationError
from yang.schema import Schema, SchemaNode

MAX_BYTES: Final = 32 * 1024 * 1024
MAX_NODES: Final = 500_000
Show = Literal["all", "element", "inside", "nothing"]
"""An element with all below; the element, and its children as they are asked for; the same if anything of
them is wanted; nothing."""
Attributes = Callable[["Node"], bytes]
_NO_CHILDREN: Final[list[Node]] = []
"""Of all nodes without children: a list for each is as much work for the collector as the node."""
_OPEN: Final = b"<data>"
_CLOSE: Final = b"</data>"


class Node:
    """The root, an element, or the text of a leaf.

    Attributes:
        schema: of an element the schema node; the root's is the schema's root; None of text.
        namespace, name: of an element.
        text: of a leaf or of text.
        order: position in document order.
        start, inner, close, end: where the start tag, the content, the end tag begin, and where it ends.
    """

    __slots__ = (
        "_text_node",
        "children",
        "close",
        "end",
        "inner",
        "name",
        "namespace",
        "order",
        "parent",
        "schema",
        "start",
        "text",
    )

    def __init__(
        self, parent: Node | None, schema: SchemaNode | None, namespace: str, name: str, order: float
    ) -> None:
        self.parent = parent
        self.schema = schema
        self.namespace = namespace
        self.name = name
        self.order = order
        self.children: list[Node] = _NO_CHILDREN
        self.text = ""
        self.start = self.inner = self.close = self.end = 0
        self._text_node: Node | None = None

    @property
    def is_text(self) -> bool:
        """True for the text of a leaf."""
        return self.schema is None

    @property
    def text_node(self) -> Node | None:
        """The text of a leaf as a node, or None."""
        if not self.text or self.is_text:
            return None
        if self._text_node is None:
            self._text_node = Node(self, None, "", "", self.order + 0.5)
            self._text_node.text = self.text
            self._text_node.start, self._text_node.end = self.inner, self.close
        return self._text_node

    def walk(self) -> Iterator[Node]:
        """All elements below, in document order."""
        stack = list(reversed(self.children))
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(node.children))


class Document:
    """A tree of nodes, read from the children of a ``data`` element."""

    def __init__(self, schema: Schema, pieces: Iterable[bytes]) -> None:
        """Raises OperationError ``too-big`` for more than `MAX_NODES` nodes."""
        self.xml = b"".join((_OPEN, *pieces, _CLOSE))
        self.schema = schema
        self.root = Node(None, schema.root, "", "", 0)
        self.root.end = len(self.xml)
        self.count = 0
        try:
            self._read()
        except OperationError:
            self.close()
            raise

    def _read(self) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.buffer_size = 65536
        modules = {module.namespace: module.name for module in self.schema.modules}
        data, schema = self.xml, self.schema
        node = self.root
        texts: list[str] = []
        inside = 0  # elements of an anydata node, which are no nodes of the model: they are shown as they are

        def begin(name: str, _attributes: Any) -> None:
            nonlocal node, inside
            here = parser.CurrentByteIndex
            if not here:
                return
            if inside or (node.schema is not None and node.schema.kind == "anydata"):
                inside += 1
                return
            self.count += 1
            if self.count > MAX_NODES:
                raise _too_big()
            namespace, _, local = name.rpartition(" ")
            above = node.schema or schema.root
            below = above.children.get((modules.get(namespace, ""), local))
            parent, node = node, Node(node, below or schema.root, namespace, local, self.count)
            if parent.children is _NO_CHILDREN:
                parent.children = [node]
            else:
                parent.children.append(node)
            node.start = here
            node.inner = data.index(b">", here) + 1
            texts.clear()

        def end(_name: str) -> None:
            nonlocal node, inside
            if inside:
                inside -= 1
                return
            if node.parent is None:
                return
            node.close = parser.CurrentByteIndex
            node.end = node.close + len(node.name) + 3
            if not node.children:
                node.text = "".join(texts)
            texts.clear()
            node = node.parent

        parser.StartElementHandler = begin
        parser.EndElementHandler = end
        parser.CharacterDataHandler = texts.append
        try:
            parser.Parse(data, True)
        finally:  # what refers to each other would wait for the collector of garbage
            parser.StartElementHandler = parser.EndElementHandler = parser.CharacterDataHandler = None

    def close(self) -> None:
        """Let go of all nodes, one after the other: left to the collector of garbage, for they refer to each
        other, all would go at once, and nothing else could run meanwhile."""
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            node.parent = node._text_node = None
            if node.children is not _NO_CHILDREN:
                waiting.extend(node.children)
                node.children = _NO_CHILDREN

    # --- writing ---------------------------------------------------------------------------------

    def write(self, show: Callable[[Node], Show], attributes: Attributes | None = None) -> Iterator[bytes]:
        """The XML of a part of the document.

        Args:
            show: what is wanted of an element.
            attributes: what to add to an element's start tag, with a space in front; then ``all`` asks
                element by element.
        """
        for child in self.root.children:
            yield from self._write(child, show, attributes)

    def _write(
        self, node: Node, show: Callable[[Node], Show], attributes: Attributes | None
    ) -> Iterator[bytes]:
        wanted = show(node)
        if wanted == "nothing":
            return
        if wanted == "all" and attributes is None:
            yield self.xml[node.start : node.end]
            return
        opened = wanted != "inside"
        head = self.xml[node.start : node.inner]
        if attributes is not None and (added := attributes(node)):
            head = head[:-1] + added + b">"
        if opened:
            yield head
        if not node.children and opened:
            yield self.xml[node.inner : node.close]
        for child in node.children:
            for piece in self._write(child, _all if wanted == "all" else show, attributes):
                if not opened:
                    opened = True
                    yield head
                yield piece
        if opened:
            yield self.xml[node.close : node.end]


def _all(_node: Node) -> Show:
    return "all"


def _too_big() -> OperationError:
    return OperationError(
        "too-big",
        f"what this request has to look at is more than {MAX_NODES} nodes or {MAX_BYTES >> 20} MiB: "
        "name more of the path to it",
    )


def on_document(
    schema: Schema, pieces: Iterable[bytes], work: Callable[[Document], list[bytes]]
) -> list[bytes]:
    """What some work makes of a document, which is there only as long.

    Meanwhile the collector of garbage waits: its young generations would be nodes, all of them in use, and to
    look at them takes tens of milliseconds in which nothing else runs.

    Raises:
        OperationError: ``too-big``, and what the work raises.
    """
    waits = gc.isenabled()
    gc.disable()
    document: Document | None = None
    try:
        document = Document(schema, pieces)
        return work(document)
    except OperationError as error:
        failure = error.with_traceback(None)  # its frames would keep the nodes
    finally:
        if document is not None:
            document.close()
        if waits:
            gc.enable()
    try:
        raise failure
    finally:
        del failure, document  # it refers to this frame


def collect(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces, as long as they are not too many. Raises OperationError ``too-big``."""
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > MAX_BYTES:
            raise _too_big()
        yield piece

"""Plans as XML (RFC 7950 section 7)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from yang.encode.batch import Batch, batches, fits, literal
from yang.encode.source import Slots, Source
from yang.path import DataPath
from yang.provider import Keys
from yang.query.plan import Body, LeafPlan, NodePlan
from yang.schema import Schema, SchemaNode
from yang.types import LeafType, prefixes_in

SLICE: Final = 48 * 1024
MAX_SLICE: Final = 64 * 1024
ENTRIES_AT_ONCE: Final = 32
# What XML 1.0 has no way to write.
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# What stands for these in a message is in another namespace.
_OUTERMOST: Final = frozenset({"root", "input", "output"})
_DIRECT: Final = frozenset({"boolean", "enumeration", "bits", "string"})

Encoder = Callable[[Mapping[str, Any] | None, Any, Keys], str]


def clean(text: str) -> str:
    """Text that XML can hold. Characters that it cannot become U+FFFD: a provider's slip must not break a
    whole reply."""
    return text if text.isprintable() else _FORBIDDEN.sub("\ufffd", text)


def escape(text: str) -> str:
    """Text as XML character data."""
    if text.isalnum():
        return text
    if not text.isprintable():
        text = _FORBIDDEN.sub("\ufffd", text)
    if "&" in text:
        text = text.replace("&", "&amp;")
    if "<" in text:
        text = text.replace("<", "&lt;")
    if ">" in text:
        text = text.replace(">", "&gt;")
    if "\r" in text:
        text = text.replace("\r", "&#13;")
    return text


class XmlEncoder:
    """Encodes plans of one schema."""

    name = "xml"

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    # --- whole replies ---------------------------------------------------------------------------

    def encode(self, root: Body, config: Mapping[str, Any]) -> Iterator[bytes]:
        """The children of ``<data>``, in slices of at most `MAX_SLICE` bytes; empty ones, so that the reader
        can pause, where entries are looked at one by one.

        Args:
            root: the plan.
            config: the configuration from its root.
        """
        buffer: list[str] = []
        size = 0
        for piece in self._pieces(root, config, None, ()):
            if not piece:
                yield b""
                continue
            buffer.append(piece)
            size += len(piece)
            if size >= SLICE:
                yield from slices("".join(buffer).encode())
                buffer.clear()
                size = 0
        if buffer:
            yield from slices("".join(buffer).encode())

    def element(self, body: Body, record: Any) -> bytes:
        """One element with what a record holds: a notification."""
        head, tail = self.tags(body.node)
        return (self.encoder(body)(None, record, ()) or head + tail).encode()

    def content(self, body: Body, record: Any) -> bytes:
        """What is inside an instance, without its own element: the output of an operation."""
        pieces = (self._leaves_encoder(body)(None, record, ()), *self._pieces(body, None, record, ()))
        return "".join(pieces).encode()

    def _pieces(self, body: Body, config: Mapping[str, Any] | None, record: Any, keys: Keys) -> Iterator[str]:
        for plan in body.inner:
            if plan.node.kind == "list":
                yield from self._list_pieces(plan, config, record, keys)
            else:
                for found in plan.instances(config, record, keys):
                    yield from self._container_pieces(found.body, found.config, found.record, found.keys)

    def _container_pieces(
        self, body: Body, config: Mapping[str, Any] | None, record: Any, keys: Keys
    ) -> Iterator[str]:
        """A container; one with lists in it is not built as a whole."""
        if not _has_lists(body):
            text = self.encoder(body)(config, record, keys)
            if text:
                yield text
            return
        opened = False
        head, tail = self.tags(body.node)
        leaves = self._leaves_encoder(body)(config, record, keys)
        if leaves or (body.always and config is not None):
            opened = True
            yield head + leaves
        for piece in self._pieces(body, config, record, keys):
            if piece and not opened:
                opened = True
                yield head
            yield piece
        if opened:
            yield tail

    def _list_pieces(
        self, plan: NodePlan, config: Mapping[str, Any] | None, record: Any, keys: Keys
    ) -> Iterator[str]:
        body = plan.uniform
        if body is not None and not plan.node.config and plan.provider is not None and fits(body):
            # the fast path: all records alike
            if plan.planner.with_state:
                batch = self._batch(body)
                for records in batches(plan.provider.iter(), ENTRIES_AT_ONCE):
                    if text := batch.encode(records):
                        yield text
            return
        entries = self._entry_texts(plan, config, record, keys)
        while some := list(islice(entries, ENTRIES_AT_ONCE)):
            if text := "".join(some):
                yield text
            yield ""

    def _entry_texts(
        self, plan: NodePlan, config: Mapping[str, Any] | None, record: Any, keys: Keys
    ) -> Iterator[str]:
        for found in plan.scan(config, record, keys):
            yield (
                self.encoder(found.body)(found.config, found.record, found.keys) if found is not None else ""
            )

    def _batch(self, body: Body) -> Batch:
        batch = body.compiled.get("xml-batch")
        if batch is None:
            batch = body.compiled["xml-batch"] = Batch(self, body)
        assert isinstance(batch, Batch)
        return batch

    # --- generated encoders ----------------------------------------------------------------------

    def encoder(self, body: Body) -> Encoder:
        """The function that encodes an instance of a body, with its element; "" when it is not shown."""
        encoder = body.compiled.get("xml")
        if encoder is None:
            encoder = body.compiled["xml"] = Source(self, "''").compile(body)
        return encoder

    def _leaves_encoder(self, body: Body) -> Encoder:
        encoder = body.compiled.get("xml-leaves")
        if encoder is None:
            only_leaves = _LeavesOnly(self._schema)
            bare = Body(body.node, body.leaves, (), False)
            encoder = body.compiled["xml-leaves"] = Source(only_leaves, "''").compile(bare)
        return encoder

    def entries(self, plan: NodePlan) -> Encoder:
        """See `Dialect`."""

        def encode(config: Mapping[str, Any] | None, record: Any, keys: Keys) -> str:
            return "".join(self._entry_texts(plan, config, record, keys))

        return encode

    def leaf(self, source: Source, leaf: LeafPlan, slot: str) -> None:
        """See `Dialect`."""
        node = leaf.node
        if node.kind == "anydata":
            source.emit(f"{slot} = v")  # the text of its element
            return
        head, tail = self.tags(node)
        element = f"f'{literal(head)}{{{{}}}}{tail}'"
        assert node.type is not None
        if _is_qualified(node.type):
            write = source.name(self._qualified_writer(node), "w")
            text = f"{write}(v)" if node.kind == "leaf" else f"''.join([{write}(e) for e in v])"
            source.emit(f"{slot} = {text}")
            return
        if node.kind == "leaf":
            source.emit(f"{slot} = " + element.replace("{{}}", self._value(source, node.type, "v")))
        else:
            inner = element.replace("{{}}", self._value(source, node.type, "e"))
            source.emit(f"{slot} = ''.join([{inner} for e in v])")

    def simple_value(self, leaf: LeafPlan, variable: str) -> tuple[str, bool] | None:
        """See `yang.encode.batch.Writer`."""
        kind = leaf.node.type
        if kind is None or leaf.node.kind != "leaf" or leaf.only is not None or _is_qualified(kind):
            return None
        if kind.base == "boolean":
            return f'{{"true" if {variable} else "false"}}', False
        if kind.base.startswith(("int", "uint")):
            return f"{{{variable}}}", False
        return (f"{{{variable}}}", not kind.plain) if _is_direct(kind) else None

    def _value(self, source: Source, kind: LeafType, variable: str) -> str:
        """A replacement field for the text of a value."""
        if kind.base.startswith(("int", "uint")):
            return f"{{{variable}}}"
        if kind.base == "boolean":
            return f'{{"true" if {variable} else "false"}}'
        if kind.base == "empty":
            return ""
        if kind.base in ("enumeration", "bits") and kind.plain:
            return f"{{{variable}}}"
        source.objects["escape"] = escape
        if kind.base in _DIRECT:
            return f"{{escape({variable})}}"
        return f"{{escape({source.name(kind.format, 'w')}({variable}))}}"

    def combine(self, source: Source, body: Body, slots: Slots, target: str, show: str) -> None:
        """See `Dialect`."""
        head, tail = self.tags(body.node)
        own = "".join(f"{{{slot}}}" for _, slot in slots)
        whole = f"f'{literal(head)}{own}{tail}'"
        if show == "True" or body.cut:
            source.emit(f"{target} = {whole}")
            return
        # the keys alone do not make an entry worth showing
        decisive = [slot for part, slot in slots if not (isinstance(part, LeafPlan) and part.node.is_key)]
        condition = " or ".join([*decisive, show] if show != "False" else decisive) or "False"
        source.emit(f"{target} = {whole} if {condition} else ''")

    def tags(self, node: SchemaNode) -> tuple[str, str]:
        """What begins and ends an element."""
        parent = node.parent
        if parent is not None and parent.module == node.module and parent.kind not in _OUTERMOST:
            return f"<{node.name}>", f"</{node.name}>"
        return f'<{node.name} xmlns="{node.namespace}">', f"</{node.name}>"

    def _qualified_writer(self, node: SchemaNode) -> Callable[[Any], str]:
        """Writes a leaf whose text carries prefixes: declares them on the element."""
        head, tail = self.tags(node)
        head = head[:-1]
        kind = node.type
        assert kind is not None

        def write(value: Any) -> str:
            # in XML every name of a path has its prefix
            text = DataPath.parse(value, variables=True).to_xpath({}) if kind.is_path else kind.format(value)
            declared = "".join(
                f' xmlns:{prefix}="{namespace}"'
                for prefix in prefixes_in(text)
                if (namespace := self._schema.namespace_of(prefix))
            )
            return f"{head}{declared}>{escape(text)}{tail}"

        return write


class _LeavesOnly(XmlEncoder):
    """Encodes the leaves of an instance without its element."""

    def combine(self, source: Source, body: Body, slots: Slots, target: str, show: str) -> None:  # noqa: ARG002
        source.emit(f"{target} = f'{''.join(f'{{{slot}}}' for _, slot in slots)}'")


def _is_qualified(kind: LeafType) -> bool:
    return (
        kind.prefixed or kind.base == "identityref" or any(_is_qualified(member) for member in kind.members)
    )


def _is_direct(kind: LeafType) -> bool:
    """True when the text of a value is what `str` makes of it."""
    if kind.base == "union":
        return all(_is_direct(member) for member in kind.members)
    return (kind.base in _DIRECT and kind.base != "boolean") or kind.base.startswith(("int", "uint"))


def _has_lists(body: Body) -> bool:
    return any(
        plan.node.kind == "list" or (below := plan.uniform) is None or _has_lists(below)
        for plan in body.inner
    )


def slices(data: bytes) -> Iterator[bytes]:
    """Cut into slices of at most `MAX_SLICE`, never inside a character."""
    start = 0
    while len(data) - start > MAX_SLICE:
        end = start + MAX_SLICE
        while data[end] & 0xC0 == 0x80:
            end -= 1
        yield data[start:end]
        start = end
    yield data[start:] if start else data

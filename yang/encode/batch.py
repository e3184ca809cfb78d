"""Many records of one shape as XML at once: a loop that is generated for what the records have in common.

Most records of a list have the same leaves. The loop is made for those that the first record has: it loads
them, makes sure that all are there and none of the others, looks for characters that need escaping in all
texts of a record at once, and writes the entry as one string. A record that differs, or has such a
character, is encoded by the general encoder, which handles everything; when those are the majority, the loop
is made anew for the next records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from yang.encode.source import Dialect, Source
from yang.query.plan import Body, LeafPlan, NodePlan
from yang.schema import SchemaNode

MAX_LOOPS: Final = 8
"""Loops that are made for one body: records that have nothing in common are left to the general encoder."""

_UNWANTED: Final = "not x.isprintable() or '<' in x or '&' in x or '>' in x"

Encoder = Callable[[Any, Any, Any], str]
Loop = Callable[[Sequence[Any]], tuple[list[str], int]]


class Writer(Dialect, Protocol):
    """What the loop needs of `yang.encode.xml.XmlEncoder`."""

    def encoder(self, body: Body) -> Encoder: ...

    def tags(self, node: SchemaNode) -> tuple[str, str]: ...

    def simple_value(self, leaf: LeafPlan, variable: str) -> tuple[str, bool] | None:
        """A replacement field, and whether the value must be looked at for markup; None: ask `leaf`."""
        ...


class Batch:
    """Encodes records of one body.

    Args:
        writer: whose general encoder makes the same text, record by record.
    """

    def __init__(self, writer: Writer, body: Body) -> None:
        self._writer = writer
        self._body = body
        self._general = writer.encoder(body)
        self._loop: Loop | None = None
        self._made = 0

    def encode(self, records: Sequence[Any]) -> str:
        """The entries of some records, one after the other."""
        if not records:
            return ""
        if self._loop is None:
            if self._made >= MAX_LOOPS:
                return "".join([self._general(None, record, ()) for record in records])
            self._made += 1
            self._loop = _LoopSource(self._writer, self._general).loop(self._body, records[0])
        texts, misfits = self._loop(records)
        if misfits * 2 > len(records):
            self._loop = None
        return "".join(texts)


def fits(body: Body) -> bool:
    """True when records alone make the instances of a body: nothing below asks a provider by keys."""
    return all(
        plan.provider is None and ((below := plan.uniform) is None or fits(below)) for plan in body.inner
    )


class _LoopSource(Source):
    """Writes the loop for records like a sample."""

    def __init__(self, writer: Writer, general: Encoder) -> None:
        super().__init__(writer, "''")
        self._writer = writer
        self._general_name = self.name(general, "general")
        self._needed: list[str] = []
        self._others: list[str] = []
        self._texts: list[str] = []
        self._late: list[Callable[[], None]] = []

    def loop(self, body: Body, sample: Any) -> Loop:
        """The function that encodes a sequence of records, and says how many were not like the sample."""
        self.emit("out, misfits = [], 0")
        self.emit("add = out.append")
        with self.block("for r in records:"):
            with self.block("try:"):
                self._class_of(sample, "r")
                entry, decisive = self._instance(body, sample, "r")
                self.emit("pass")
            with self.block("except AttributeError:"):
                self._misfit()
            unfit = [f"{name} is None" for name in self._needed] + self._others
            if not (decisive or body.always):
                unfit.append("True")
            if unfit:
                with self.block(f"if {' or '.join(unfit)}:"):
                    self._misfit()
            if self._texts:
                self.emit(f"x = f'{''.join(f'{{{name}}}' for name in self._texts)}'")
                with self.block(f"if {_UNWANTED}:"):
                    self.emit(f"add({self._general_name}(None, r, ()))")
                    self.emit("continue")
            for late in self._late:
                late()
            self.emit(f"add(f'{entry}')")
        return self.function("def encode(records):", "(out, misfits)", body)

    def _class_of(self, sample: Any, record: str) -> None:
        """A record must be of the sample's class."""
        self._others.append(f"{record}.__class__ is not {self.name(type(sample), 'k')}")

    def _none(self, node: SchemaNode, sample: Any, record: str) -> None:
        """A record must have no such node; the class of some says that they cannot have it."""
        kind = type(sample)
        if kind.__dictoffset__ or hasattr(kind, node.attr) or hasattr(kind, "__getattr__"):
            self._others.append(f"getattr({record}, {node.attr!r}, None) is not None")

    def _misfit(self) -> None:
        self.emit("misfits += 1")
        self.emit(f"add({self._general_name}(None, r, ()))")
        self.emit("continue")

    def _instance(self, body: Body, sample: Any, record: str) -> tuple[str, bool]:
        """What an instance that is like the sample is inside an f-string, and whether something in it makes
        it worth showing."""
        head, tail = self._writer.tags(body.node)
        parts: list[str] = []
        decisive = False
        for leaf in body.leaves:
            if leaf.node.config and not leaf.node.is_key:
                continue  # a record is state
            text, shown = self._one_leaf(leaf, sample, record)
            parts.append(text)
            decisive = decisive or (shown and not leaf.node.is_key)
        for plan in body.inner:
            text, shown = self._one_inner(plan, sample, record)
            parts.append(text)
            decisive = decisive or shown
        return f"{literal(head)}{''.join(parts)}{tail}", decisive

    def _one_leaf(self, leaf: LeafPlan, sample: Any, record: str) -> tuple[str, bool]:
        value = self.variable("v")
        simple = self._writer.simple_value(leaf, value)
        if simple is None:
            slot = self.variable("s")
            self.emit(f"{value} = getattr({record}, {leaf.node.attr!r}, None)")
            self._late.append(lambda: self._general_leaf(leaf, value, slot))
            return f"{{{slot}}}", False
        if getattr(sample, leaf.node.attr, None) is None:
            self._none(leaf.node, sample, record)
            return "", False
        self.emit(f"{value} = {record}.{leaf.node.attr}")
        self._needed.append(value)
        field, looked_at = simple
        if looked_at:
            self._texts.append(value)
        head, tail = self._writer.tags(leaf.node)
        return f"{literal(head)}{field}{tail}", True

    def _general_leaf(self, leaf: LeafPlan, value: str, slot: str) -> None:
        self.emit(f"{slot} = ''")
        self.emit(f"v = {value}")
        self.leaf(leaf, slot)

    def _one_inner(self, plan: NodePlan, sample: Any, record: str) -> tuple[str, bool]:
        below = plan.uniform if plan.node.kind == "container" and not plan.node.config else None
        own = getattr(sample, plan.node.attr, None)
        inside = self.variable("r")
        if below is None:
            entries = self.name(self._writer.entries(plan), "f")
            slot = self.variable("s")
            self._late.append(lambda: self.emit(f"{slot} = {entries}(None, {record}, ())"))
            return f"{{{slot}}}", False
        if own is None:
            self._none(plan.node, sample, record)
            return "", False
        self.emit(f"{inside} = {record}.{plan.node.attr}")
        self._class_of(own, inside)
        text, decisive = self._instance(below, own, inside)
        if not decisive:  # whether it is shown depends on the record
            slot = self.variable("s")
            encode = self.name(self._writer.encoder(below), "f")
            self._late.append(lambda: self.emit(f"{slot} = {encode}(None, {inside}, ())"))
            return f"{{{slot}}}", False
        return text, True


def literal(text: str) -> str:
    """Text inside a single-quoted f-string."""
    return text.replace("\\", "\\\\").replace("'", "\\'").replace("{", "{{").replace("}", "}}")


def batches(records: Iterable[Any], size: int) -> Iterable[list[Any]]:
    """Records in lists of at most `size`."""
    batch: list[Any] = []
    for record in records:
        batch.append(record)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch

"""Writes the Python source of an encoder: a function `(c, r, k)` of an instance's state and keys.

The walk over a body is the same for every output format; a `Dialect` says what a leaf and a container are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from yang.query.plan import Body, LeafPlan, NodePlan

Slots = list[tuple[LeafPlan | NodePlan, str]]


class Dialect(Protocol):
    """What is particular to an output format."""

    name: str

    def leaf(self, source: Source, leaf: LeafPlan, slot: str) -> None:
        """Emit what stores the leaf's value, which is in the variable ``v`` and not None, under `slot`."""

    def entries(self, plan: NodePlan) -> Callable[..., Any]:
        """A function (c, r, k) for a list, or for anything else that cannot be written in line."""

    def combine(
        self, source: Source, body: Body, slots: list[tuple[Any, str]], target: str, show: str
    ) -> None:
        """Emit what stores the instance made of `slots` in `target`; `show` is an expression, true when it
        is shown even if empty."""


class Source:
    """Lines of a function, and the objects that they refer to."""

    def __init__(self, dialect: Dialect, empty: str) -> None:
        self._dialect = dialect
        self._empty = empty
        self._lines: list[str] = []
        self._indent = 1
        self._count = 0
        self.objects: dict[str, Any] = {}

    def emit(self, line: str) -> None:
        """Add a line at the current depth."""
        self._lines.append("    " * self._indent + line)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """A compound statement."""
        self.emit(head)
        self._indent += 1
        yield
        self._indent -= 1

    def name(self, value: Any, prefix: str = "o") -> str:
        """A name by which the function knows an object."""
        self._count += 1
        name = f"{prefix}{self._count}"
        self.objects[name] = value
        return name

    def variable(self, prefix: str) -> str:
        """A fresh local variable."""
        self._count += 1
        return f"{prefix}{self._count}"

    def compile(self, body: Body) -> Callable[..., Any]:
        """The encoder of a body's instances."""
        self.instance(body, "c", "r", "result", "True" if body.always else "False")
        return self.function("def encode(c, r, k):", "result", body)

    def function(self, head: str, result: str, body: Body) -> Callable[..., Any]:
        """The function ``encode`` made of the lines so far."""
        text = head + "\n" + "\n".join(self._lines) + f"\n    return {result}\n"
        code = compile(text, f"<{self._dialect.name} of {body.node.path or '/'}>", "exec")
        exec(code, self.objects)  # noqa: S102 - the source is made of schema names and our own text
        encoder: Callable[..., Any] = self.objects["encode"]
        return encoder

    def instance(self, body: Body, config: str, record: str, target: str, show: str) -> None:
        """Emit what stores the instance that the variables `config` and `record` hold in `target`."""
        slots: Slots = []
        from_config: list[tuple[LeafPlan, str]] = []
        from_state: list[tuple[LeafPlan, str]] = []
        for leaf in body.leaves:
            slot = self.variable("s")
            slots.append((leaf, slot))
            (from_config if leaf.node.config else from_state).append((leaf, slot))
        for _, slot in slots:
            self.emit(f"{slot} = {self._empty}")
        if from_config:
            with self.block(f"if {config} is not None:"):
                for leaf, slot in from_config:
                    self.emit(f"v = {config}.get({leaf.node.json_name!r})")
                    self.leaf(leaf, slot)
            # the values in force of what nobody configured (`yang.provider.OperationalProvider`)
            with self.block(f"elif {record} is not None:"):
                for leaf, slot in from_config:
                    self.emit(f"v = getattr({record}, {leaf.node.attr!r}, None)")
                    self.leaf(leaf, slot)
        if from_state:
            with self.block(f"if {record} is not None:"):
                for leaf, slot in from_state:
                    self.emit(f"v = getattr({record}, {leaf.node.attr!r}, None)")
                    self.leaf(leaf, slot)
        for plan in body.inner:
            slots.append((plan, self._inner(plan, config, record)))
        self._dialect.combine(self, body, slots, target, show)

    def leaf(self, leaf: LeafPlan, slot: str) -> None:
        """Emit what stores a leaf, whose value or None is in the variable ``v``, in `slot`."""
        condition = "if v is not None"
        if leaf.node.kind == "leaf-list":
            condition = "if v"
            if leaf.only is not None:
                only = self.name(leaf.only)
                self.emit(f"v = [e for e in v if e in {only}] if v is not None else None")
        elif leaf.only is not None and None not in leaf.only:
            condition += f" and v in {self.name(leaf.only)}"
        if leaf.skip_default:
            condition += f" and {self._not_default(leaf)}"
        with self.block(f"{condition}:"):
            self._dialect.leaf(self, leaf, slot)

    def _not_default(self, leaf: LeafPlan) -> str:
        if leaf.node.kind == "leaf-list":
            return f"tuple(v) != {self.name(leaf.node.defaults)}"
        return f"v != {self.name(leaf.node.defaults[0])}"

    def _inner(self, plan: NodePlan, config: str, record: str) -> str:
        slot = self.variable("s")
        body = plan.uniform if plan.node.kind == "container" else None
        if body is None:
            entries = self.name(self._dialect.entries(plan), "f")
            self.emit(f"{slot} = {entries}({config}, {record}, k)")
            return slot
        own, state = self.variable("c"), self.variable("r")
        name = plan.node.json_name
        self.emit(
            f"{own} = {config}.get({name!r}) if {config} is not None else None"
            if plan.node.config
            else f"{own} = None"
        )
        if not plan.planner.with_state:
            self.emit(f"{state} = None")
        elif plan.provider is not None:
            self.emit(f"{state} = {self.name(plan.provider.get, 'p')}(k)")
        else:
            self.emit(
                f"{state} = getattr({record}, {plan.node.attr!r}, None) if {record} is not None else None"
            )
        self.emit(f"{slot} = {self._empty}")
        with self.block(f"if {own} is not None or {state} is not None:"):
            self.instance(body, own, state, slot, f"{own} is not None" if body.always else "False")
        return slot

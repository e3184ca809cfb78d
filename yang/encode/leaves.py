"""Plans as groups of scalars, for gNMI's PROTO encoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from yang.encode.json import step_of
from yang.encode.source import Slots, Source
from yang.path import DataPath
from yang.provider import Keys
from yang.query.plan import Body, Instance, LeafPlan, NodePlan
from yang.schema import SchemaNode

Leaf = tuple[tuple[str, ...], Any, SchemaNode]
"""Names relative to the group's path, value, schema node."""
Group = tuple[DataPath, list[Leaf]]


class LeavesEncoder:
    """One group per top-level container and per list entry; containers inside are part of it."""

    name = "leaves"

    def encode(self, root: Body, config: Mapping[str, Any]) -> Iterator[Group]:
        """All groups.

        Args:
            root: the plan.
            config: the configuration from its root.
        """
        yield from self._below(root, Instance((), config, None, root), DataPath())

    def _below(self, body: Body, above: Instance, path: DataPath) -> Iterator[Group]:
        """The groups of a body's containers and lists."""
        for plan in body.inner:
            for found in plan.instances(above.config, above.record, above.keys):
                here = DataPath((*path.steps, step_of(plan.node, found.keys)))
                leaves = self._encoder(found.body)(found.config, found.record, found.keys)
                if leaves:
                    yield here, leaves
                if _has_lists(found.body):
                    yield from self._lists(found, here)

    def _lists(self, above: Instance, path: DataPath) -> Iterator[Group]:
        """The groups of lists inside an instance, however deep in its containers."""
        for plan in above.body.inner:
            if plan.node.kind == "list":
                bare = Body(above.body.node, (), (plan,), False)
                yield from self._below(bare, above, path)
                continue
            for found in plan.instances(above.config, above.record, above.keys):
                yield from self._lists(found, DataPath((*path.steps, step_of(plan.node, ()))))

    def _encoder(self, body: Body) -> Callable[..., list[Leaf] | None]:
        encoder = body.compiled.get("leaves")
        if encoder is None:
            encoder = body.compiled["leaves"] = Source(_GroupDialect(body.node), "None").compile(body)
        return encoder


class _GroupDialect:
    """Collects the leaves of an instance; names are relative to `base`."""

    name = "leaves"

    def __init__(self, base: SchemaNode) -> None:
        self._base = base

    def leaf(self, source: Source, leaf: LeafPlan, slot: str) -> None:
        """See `Dialect`."""
        if leaf.node.kind == "anydata":
            source.emit(f"{slot} = None")
            return
        names = tuple(node.json_name for node in leaf.node.chain[len(self._base.chain) :])
        value = "v" if leaf.node.kind == "leaf" else "list(v)"
        source.emit(f"{slot} = ({source.name(names)}, {value}, {source.name(leaf.node)})")

    def entries(self, plan: NodePlan) -> Callable[..., Any]:
        """See `Dialect`. Lists are groups of their own."""

        def encode(config: Mapping[str, Any] | None, record: Any, keys: Keys) -> list[Leaf] | None:
            if plan.node.kind == "list":
                return None
            leaves: list[Leaf] = []
            for found in plan.instances(config, record, keys):
                known = f"leaves below {self._base.path}"
                encoder = found.body.compiled.get(known)
                if encoder is None:
                    encoder = found.body.compiled[known] = Source(self, "None").compile(found.body)
                leaves.extend(encoder(found.config, found.record, found.keys) or ())
            return leaves or None

        return encode

    def combine(self, source: Source, body: Body, slots: Slots, target: str, show: str) -> None:
        """See `Dialect`."""
        own = [slot for part, slot in slots if isinstance(part, LeafPlan)]
        decisive = [
            f"{slot} is not None"
            for part, slot in slots
            if not (isinstance(part, LeafPlan) and part.node.is_key)
        ]
        if body.always and body.node.kind == "list":
            decisive.append(show)
        source.emit(f"{target} = None")
        with source.block(f"if {' or '.join(decisive) or 'False'}:"):
            source.emit(f"{target} = [s for s in ({''.join(f'{slot}, ' for slot in own)}) if s is not None]")
            for part, slot in slots:
                if not isinstance(part, LeafPlan):
                    with source.block(f"if {slot}:"):
                        source.emit(f"{target} += {slot}")


def _has_lists(body: Body) -> bool:
    return any(
        plan.node.kind == "list" or (below := plan.uniform) is None or _has_lists(below)
        for plan in body.inner
    )

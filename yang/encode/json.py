"""Plans as RFC 7951 objects, for gNMI's JSON and JSON_IETF."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from yang.encode.source import Slots, Source
from yang.path import DataPath, Step
from yang.provider import Keys
from yang.query.plan import Body, Instance, LeafPlan, NodePlan
from yang.query.selection import Part
from yang.schema import SchemaNode

Encoder = Callable[[Mapping[str, Any] | None, Any, Keys], dict[str, Any] | None]


class JsonEncoder:
    """Encodes plans as dicts; the names of a dict's members are those inside their parent."""

    name = "json"

    def encode_part(
        self, root: Body, part: Part, config: Mapping[str, Any]
    ) -> Iterator[tuple[DataPath, Any]]:
        """Path and value of every instance that a path leads to.

        Args:
            root: the plan of the part.
            config: the configuration from its root.
        """
        for target in part.targets:
            top = Instance((), config, None, root)
            yield from self._descend(top, DataPath(), target.chain)

    def _descend(
        self, above: Instance, path: DataPath, chain: tuple[SchemaNode, ...]
    ) -> Iterator[tuple[DataPath, Any]]:
        node, *rest = chain
        if node.is_leaf:
            value = self._leaf_value(above, node)
            if value is not None:
                yield path.child(node.name, node.module), value
            return
        for plan in above.body.inner:
            if plan.node is not node:
                continue
            for found in plan.instances(above.config, above.record, above.keys):
                here = DataPath((*path.steps, step_of(node, found.keys)))
                if rest:
                    yield from self._descend(found, here, tuple(rest))
                    continue
                value = self.encoder(found.body)(found.config, found.record, found.keys)
                if value is not None:
                    yield here, _standing_alone(node, value)

    def _leaf_value(self, above: Instance, node: SchemaNode) -> Any:
        for leaf in above.body.leaves:
            if leaf.node is node:
                bare = Body(above.body.node, (leaf,), (), True)
                value = self.encoder(bare)(above.config, above.record, above.keys)
                return value.get(node.json_name) if value else None
        return None

    def encoder(self, body: Body) -> Encoder:
        """The function that makes a dict of an instance; None when it is not shown."""
        encoder = body.compiled.get("json")
        if encoder is None:
            encoder = body.compiled["json"] = Source(self, "None").compile(body)
        return encoder

    def leaf(self, source: Source, leaf: LeafPlan, slot: str) -> None:
        """See `Dialect`."""
        kind = leaf.node.type
        if kind is None:  # anydata is kept as XML
            source.emit(f"{slot} = None")
            return
        if kind.base in ("boolean", "enumeration", "bits", "string", "identityref") or (
            kind.base.startswith(("int", "uint")) and not kind.base.endswith("64")
        ):
            source.emit(f"{slot} = v" if leaf.node.kind == "leaf" else f"{slot} = list(v)")
        elif kind.base in ("int64", "uint64"):
            source.emit(f"{slot} = str(v)" if leaf.node.kind == "leaf" else f"{slot} = [str(e) for e in v]")
        else:
            write = source.name(kind.to_json, "w")
            source.emit(
                f"{slot} = {write}(v)" if leaf.node.kind == "leaf" else f"{slot} = [{write}(e) for e in v]"
            )

    def entries(self, plan: NodePlan) -> Callable[..., Any]:
        """See `Dialect`."""

        def encode(config: Mapping[str, Any] | None, record: Any, keys: Keys) -> Any:
            values = (
                self.encoder(found.body)(found.config, found.record, found.keys)
                for found in plan.instances(config, record, keys)
            )
            if plan.node.kind == "container":
                return next((value for value in values if value is not None), None)
            return [value for value in values if value is not None] or None

        return encode

    def combine(self, source: Source, body: Body, slots: Slots, target: str, show: str) -> None:  # noqa: ARG002
        """See `Dialect`."""
        members = source.variable("d")
        source.emit(f"{members} = {{}}")
        decisive: list[str] = []
        for part, slot in slots:
            with source.block(f"if {slot} is not None:"):
                source.emit(f"{members}[{part.node.json_name!r}] = {slot}")
            if not (isinstance(part, LeafPlan) and part.node.is_key):
                decisive.append(f"{slot} is not None")
        if show != "False":
            decisive.append(show)
        source.emit(f"{target} = {members} if {' or '.join(decisive) or 'False'} else None")


def step_of(node: SchemaNode, keys: Keys) -> Step:
    """The path step of an instance whose last key values are those of `node`."""
    if node.kind != "list" or not node.keys:
        return Step(node.module, node.name)
    own = keys[-len(node.keys) :]
    pairs = tuple(
        (key.name, key.type.format(value))
        for key, value in zip(node.key_nodes, own, strict=True)
        if key.type is not None
    )
    return Step(node.module, node.name, pairs)


def _standing_alone(node: SchemaNode, value: dict[str, Any]) -> dict[str, Any]:
    """Qualify the outermost names, which have no parent to take their module from (RFC 7951 section 4)."""
    return {name if ":" in name else f"{node.module}:{name}": member for name, member in value.items()}

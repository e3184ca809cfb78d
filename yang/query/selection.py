"""A `Selection`: which nodes of which instances a request asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from yang.provider import Keys
from yang.schema import SchemaNode


@dataclass(frozen=True, slots=True)
class Match:
    """A condition on an instance: the leaf reached by `path` from it exists and, unless `value` is None, has
    this value."""

    path: tuple[SchemaNode, ...]
    value: object | None = None


@dataclass(slots=True)
class Branch:
    """One way to be selected: instances that satisfy it contribute `children`.

    Attributes:
        keys: for a list: the exact entries, or None for all.
        matches: conditions, all of which must hold.
        children: what is selected below; None selects everything.
    """

    keys: tuple[Keys, ...] | None = None
    matches: tuple[Match, ...] = ()
    children: Mapping[SchemaNode, SelectNode] | None = None


@dataclass(slots=True, eq=False)
class SelectNode:
    """A selected schema node. An instance is included if any branch takes it; it shows the union."""

    node: SchemaNode
    branches: list[Branch] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Selection:
    """The whole request: `top` maps top-level nodes; None selects everything.

    Attributes:
        targets: for a selection from paths: the schema nodes (with wildcards expanded) that they end at,
            and the exact keys (or None where a key is open) of the lists on the way, outermost first.
    """

    top: Mapping[SchemaNode, SelectNode] | None = None
    targets: tuple[tuple[SchemaNode, tuple[Keys | None, ...]], ...] = ()

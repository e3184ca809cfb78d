"""The values of a leaf-list that a user may read."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from yang.access import Context, Rules
from yang.schema import SchemaNode


@dataclass(frozen=True, slots=True)
class ReadableValues:
    """The values of a leaf-list that a user may read, where rules speak of single ones.

    Attributes:
        context: of what the leaf-list is in.
        wanted: the values that are asked for, None for all.
    """

    rules: Rules
    context: Context
    leaf: SchemaNode
    wanted: Container[Any] | None

    def __contains__(self, value: object) -> bool:
        if self.wanted is not None and value not in self.wanted:
            return False
        return self.rules.permits(self.rules.enter(self.context, self.leaf, (value,)), self.leaf, "read")

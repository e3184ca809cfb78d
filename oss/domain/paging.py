"""Keyset paging: the page after a row is found by the row's values, however deep it lies."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import orjson
from pydantic import BaseModel

from oss.database import Where
from oss.domain.errors import Invalid

Order = Literal["asc", "desc"]
Item = TypeVar("Item")

MAX_LIMIT = 500


class Page(BaseModel, Generic[Item]):
    """One page. `next_cursor` is None on the last one."""

    items: list[Item]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """What may be sorted by: an SQL expression that is never NULL, and its type."""

    expression: str
    type: str = "text"


@dataclass(slots=True)
class Keyset:
    """Sorting and position of one query.

    Attributes:
        columns: the sort column, then those that make the order total.
        name: sort name, kept in the cursor: a cursor of another order is refused.
    """

    name: str
    order: Order
    columns: Sequence[Column]
    cursor: str | None
    limit: int

    @property
    def select(self) -> str:
        """SQL that adds the row's position to the select list."""
        position = ", ".join(f"({c.expression})::text" for c in self.columns)
        keys = ", ".join(f"{c.expression} AS _key{n}" for n, c in enumerate(self.columns))
        return f"ARRAY[{position}] AS _position, {keys}"

    @property
    def order_by(self) -> str:
        return "ORDER BY " + ", ".join(f"{c.expression} {self.order}" for c in self.columns)

    @property
    def limit_sql(self) -> str:
        return f"LIMIT {int(self.limit) + 1}"  # one more tells whether there is a next page

    def merge(self, *queries: str) -> str:
        """One page out of pages of queries that have no row in common."""
        all_of_them = " UNION ALL ".join(f"({query})" for query in queries)
        order_by = ", ".join(f"_key{n} {self.order}" for n in range(len(self.columns)))
        return f"SELECT * FROM ({all_of_them}) found ORDER BY {order_by} {self.limit_sql}"  # noqa: S608

    def apply(self, where: Where) -> None:
        """Add the condition that continues after the cursor."""
        if self.cursor is None:
            return
        values = self._decode(self.cursor)
        left = ", ".join(c.expression for c in self.columns)
        right = ", ".join(f"{{}}::text::{c.type}" for c in self.columns)
        where.add(f"({left}) {'<' if self.order == 'desc' else '>'} ({right})", *values)

    def _decode(self, cursor: str) -> list[str]:
        values: list[str]
        try:
            name, order, *values = orjson.loads(base64.urlsafe_b64decode(cursor.encode()))
        except (ValueError, TypeError, binascii.Error) as error:
            raise Invalid("cursor: this is not a cursor that this server gave out.") from error
        if (name, order, len(values)) != (self.name, self.order, len(self.columns)) or not all(
            isinstance(value, str) for value in values
        ):
            raise Invalid("cursor: it belongs to another sort order; start again without it.")
        return values

    def page(self, rows: Sequence[Mapping[str, Any]]) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        """Split what the query gave into the page and the next cursor."""
        if len(rows) <= self.limit:
            return rows, None
        kept = rows[: self.limit]
        position = [self.name, self.order, *kept[-1]["_position"]]
        return kept, base64.urlsafe_b64encode(orjson.dumps(position)).decode()


def contains(text: str) -> str:
    """A LIKE pattern that finds the text anywhere; its wildcards mean themselves."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"

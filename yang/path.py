"""Data paths: which instance, or which instances, of which schema node.

One form inside, three outside: RFC 7951 instance-identifiers, XPath with the caller's prefixes (keys and
leaf-list values as predicates), and gNMI element lists (plain tuples here: no stub is imported).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yang.schema import Schema, SchemaNode

ANY = "*"
DESCEND = "..."
GnmiElem = tuple[str, Mapping[str, str]]


class PathError(ValueError):
    """A path that cannot be read, or that names what the schema does not have."""


@dataclass(frozen=True, slots=True)
class Step:
    """One level of a path.

    Attributes:
        module: module of the node; "" means that of the step before (or any, after a wildcard).
        name: name of the node, `ANY` or `DESCEND`.
        keys: (key name, value as text) in the order given; a key that is missing, or ``*``, matches all. The
            value of a leaf-list entry has the key name ``.``.
    """

    module: str
    name: str
    keys: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DataPath:
    """A path from the root. ``DataPath()`` is the root itself."""

    steps: tuple[Step, ...] = ()

    @classmethod
    def parse(cls, text: str) -> DataPath:
        """Read an RFC 7951 instance-identifier: ``/module:a/b[key='v']/module2:c``.

        Raises:
            PathError: it is not one.
        """
        raise NotImplementedError

    @classmethod
    def parse_xpath(cls, text: str, namespaces: Mapping[str, str], schema: Schema) -> DataPath:
        """Read an absolute XPath whose prefixes are declared in `namespaces` (prefix → URI).

        Raises:
            PathError: unknown prefix, or more than child steps with predicates on keys and leaf-list values.
        """
        raise NotImplementedError

    @classmethod
    def from_gnmi(cls, elems: Iterable[GnmiElem], schema: Schema, origin: str = "") -> DataPath:
        """From gNMI path elements; names with or without ``module:``, keys as text, wildcards kept.

        A top-level name without a module is resolved when it is unambiguous.

        Raises:
            PathError: no node of the schema matches.
        """
        raise NotImplementedError

    @classmethod
    def of_node(cls, node: SchemaNode, keys: Sequence[object] = ()) -> DataPath:
        """The path of an instance: `keys` are the values of all enclosing lists' keys, outermost first."""
        raise NotImplementedError

    def to_gnmi(self, *, prefixes: bool = True) -> list[tuple[str, dict[str, str]]]:
        """As gNMI elements; with `prefixes` a name carries ``module:`` where the module changes (RFC 7951)."""
        raise NotImplementedError

    def to_xpath(self, prefixes: Mapping[str, str]) -> str:
        """As XPath; `prefixes` maps module name → prefix."""
        raise NotImplementedError

    def schema_node(self, schema: Schema) -> SchemaNode:
        """The schema node that the path leads to.

        Raises:
            PathError: there is none, or the path holds a wildcard in place of a name.
        """
        raise NotImplementedError

    @property
    def schema_path(self) -> str:
        """Canonical schema path: the same without predicates."""
        raise NotImplementedError

    @property
    def exact(self) -> bool:
        """True when no step is a wildcard and no key is ``*`` (missing keys are not looked for)."""
        raise NotImplementedError

    def child(self, name: str, module: str = "", keys: Iterable[tuple[str, str]] = ()) -> DataPath:
        """The path one level down."""
        return DataPath((*self.steps, Step(module, name, tuple(keys))))

    def __truediv__(self, other: DataPath) -> DataPath:
        return DataPath(self.steps + other.steps)

    def __str__(self) -> str:
        """RFC 7951 instance-identifier form."""
        raise NotImplementedError

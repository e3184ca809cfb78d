"""YANG types: text ↔ Python value ↔ RFC 7951 JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class LeafType:
    """The resolved type of a leaf: leafrefs are replaced by what they refer to.

    Attributes:
        base: YANG built-in type: ``string``, ``uint64``, ``enumeration``, ``union`` … (never leafref).
        typedef: ``module:name`` of the outermost typedef, or "".
        enums: name → value of an enumeration; name → position of bits.
        ranges: inclusive bounds of numbers, or of the length of strings and binaries.
        fraction_digits: of decimal64.
        members: of a union, in order.
        identities: values (``module:name``) that an identityref allows.
        leafref: path of the leafref that was resolved, or "".
        prefixed: True for text that carries prefixes (instance-identifier, XPath); module names here.
    """

    base: str
    typedef: str = ""
    enums: Mapping[str, int] = field(default_factory=dict)
    ranges: tuple[tuple[int, int], ...] = ()
    fraction_digits: int = 0
    members: tuple[LeafType, ...] = ()
    identities: frozenset[str] = frozenset()
    leafref: str = ""
    prefixed: bool = False

    def parse(self, text: str, resolve: Callable[[str], str | None] | None = None) -> Any:
        """Python value of a lexical form, in canonical form. `resolve` maps a prefix → module name
        (None: prefixes are module names already).

        Raises:
            ValueError: the text is not of this type.
        """
        raise NotImplementedError

    def format(self, value: Any) -> str:
        """Canonical text of a Python value; identityrefs as ``module:name``."""
        raise NotImplementedError

    def to_json(self, value: Any) -> Any:
        """RFC 7951 value: 64-bit integers and decimals as text, empty as ``[None]``, binary as base64."""
        raise NotImplementedError

    def from_json(self, value: Any) -> Any:
        """Python value of an RFC 7951 value; lenient about numbers given as text and the reverse.

        Raises:
            ValueError: the value is not of this type.
        """
        raise NotImplementedError

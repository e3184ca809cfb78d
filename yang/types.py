"""YANG types: text ↔ Python value ↔ RFC 7951 JSON.

Only what gives a value its form is here (and so the value its identity, as a key or in a comparison). Ranges,
lengths and patterns are libyang's work: `yang.datastore` hands every edited configuration to it.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from yang.path import DataPath

Resolver = Callable[[str], str | None]

INTEGER_BITS: Final = {
    "int8": (-(1 << 7), (1 << 7) - 1),
    "int16": (-(1 << 15), (1 << 15) - 1),
    "int32": (-(1 << 31), (1 << 31) - 1),
    "int64": (-(1 << 63), (1 << 63) - 1),
    "uint8": (0, (1 << 8) - 1),
    "uint16": (0, (1 << 16) - 1),
    "uint32": (0, (1 << 32) - 1),
    "uint64": (0, (1 << 64) - 1),
}
_JSON_AS_TEXT: Final = frozenset({"int64", "uint64", "decimal64"})
DIGITS: Final = 20
"""Digits of the longest integer."""
_INTEGER: Final = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})")
_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,19}(?:\.[0-9]{1,18})?")
# A prefix in front of a name, or a quoted literal, which is left alone.
_PREFIXED_NAME: Final = re.compile(r"""("[^"]*"|'[^']*')|([A-Za-z_][\w.-]*):(?=[A-Za-z_*])""")
_IPV6_TYPEDEFS: Final = frozenset(
    f"ietf-inet-types:{name}" for name in ("ipv6-address", "ipv6-address-no-zone", "ipv6-prefix")
)
_LOWER_TYPEDEFS: Final = frozenset(
    f"ietf-yang-types:{name}" for name in ("mac-address", "phys-address", "uuid", "hex-string")
)
_NODE_PATH: Final = "ietf-netconf-acm:node-instance-identifier"
_MARKUP: Final = frozenset("&<>\r")


@dataclass(frozen=True, slots=True)
class LeafType:
    """The resolved type of a leaf: leafrefs are replaced by what they refer to.

    Attributes:
        base: YANG built-in type: ``string``, ``uint64``, ``enumeration``, ``union`` … (never leafref).
        typedef: ``module:name`` of the outermost typedef, or "".
        enums: name → value of an enumeration; name → position of bits.
        range: the range or length that the leaf itself states, as in YANG, or "".
        limits: the range or length that values have to keep, the leaf's or its typedef's, as in YANG, or "".
        patterns: all patterns that text has to match, those of the typedefs included.
        fraction_digits: of decimal64.
        members: of a union, in order.
        identities: values (``module:name``) that an identityref allows.
        leafref: path of the leafref that was resolved, or "".
        prefixed: True for text that carries prefixes (instance-identifier, XPath); module names here.
    """

    base: str
    typedef: str = ""
    enums: Mapping[str, int] = field(default_factory=dict, hash=False)
    range: str = ""
    fraction_digits: int = 0
    members: tuple[LeafType, ...] = ()
    identities: frozenset[str] = frozenset()
    leafref: str = ""
    prefixed: bool = False
    limits: str = ""
    patterns: tuple[str, ...] = ()

    @property
    def is_path(self) -> bool:
        """True for an instance-identifier, or NACM's variant of it; kept in RFC 7951 form."""
        return self.base == "instance-identifier" or self.typedef == _NODE_PATH

    @property
    def qualified(self) -> bool:
        """True for text that means nothing without its prefixes."""
        return self.prefixed or self.is_path

    @property
    def has_identities(self) -> bool:
        """True when a value may be an identity."""
        return self.base == "identityref" or any(member.has_identities for member in self.members)

    @property
    def plain(self) -> bool:
        """True when no text of this type can need escaping in XML, or a namespace."""
        if self.base == "union":
            return all(member.plain for member in self.members)
        if self.base in ("enumeration", "bits"):
            return not any(_MARKUP & set(name) for name in self.enums)
        return self.base in INTEGER_BITS or self.base in ("boolean", "decimal64", "binary", "empty")

    def parse(self, text: str, resolve: Resolver | None = None) -> Any:
        """Python value of a lexical form, in canonical form.

        Args:
            resolve: maps a prefix, "" for the default namespace, to a module name or None; without it
                prefixes are module names already.

        Raises:
            ValueError: the text is not of this type; the message says what is expected.
        """
        return _PARSERS[self.base](self, text, resolve)

    def format(self, value: Any) -> str:
        """Canonical text of a Python value; identityrefs as ``module:name``."""
        if value.__class__ is str:
            return value
        if value is True:
            return "" if self.base == "empty" else "true"
        if value is False:
            return "false"
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        if isinstance(value, Decimal):
            return _decimal_text(value)
        return str(value)

    def to_json(self, value: Any) -> Any:
        """RFC 7951 value: 64-bit integers and decimals as text, empty as ``[None]``, binary as base64."""
        given = value.__class__
        if given is str:
            return value
        if given is int and self.base != "union":
            return str(value) if self.base in _JSON_AS_TEXT else value
        if self.base == "union":
            return self._member_of(value).to_json(value)
        if self.base == "empty":
            return [None]
        if self.base in _JSON_AS_TEXT or isinstance(value, bytes):
            return self.format(value)
        return value

    def from_json(self, value: Any) -> Any:
        """Python value of an RFC 7951 value; a number may come as text and the reverse.

        Raises:
            ValueError: the value is not of this type.
        """
        if value.__class__ is str and self.base != "empty":
            return _PARSERS[self.base](self, value, None)
        if self.base == "empty":
            if value == [None] or value is None:
                return True
            raise ValueError("expected [null]")
        if isinstance(value, bool):
            text = "true" if value else "false"
        elif isinstance(value, str | int | Decimal):
            text = str(value)
        elif isinstance(value, float):
            text = repr(value)
            if text.endswith(".0"):
                text = text[:-2]
        else:
            raise ValueError(f"expected a {self.base}, not {type(value).__name__}")
        return self.parse(text)

    def _member_of(self, value: Any) -> LeafType:
        text = self.format(value)
        for member in self.members:
            try:
                if member.parse(text) == value:
                    return member
            except ValueError:
                continue
        return LeafType("string")


def integer_ranges(kind: LeafType | None) -> tuple[tuple[int, int], ...]:
    """The lowest and highest values of each part of an integer's range; () for any other type."""
    if kind is None or kind.base not in INTEGER_BITS:
        return ()
    lowest, highest = INTEGER_BITS[kind.base]
    result = []
    for part in kind.limits.split(" | ") if kind.limits else [f"{lowest}..max"]:
        low, dots, high = part.partition("..")
        result.append((int(low), highest if high == "max" else int(high if dots else low)))
    return tuple(result)


def _decimal_text(value: Decimal) -> str:
    """Canonical decimal64: at least one digit on either side of the point, no other trailing zeros."""
    whole, _, fraction = f"{value:f}".partition(".")
    return f"{whole}.{fraction.rstrip('0') or '0'}"


def map_prefixes(text: str, resolve: Resolver) -> str:
    """Replace each prefix of an XPath or instance-identifier by what `resolve` says.

    Raises:
        ValueError: `resolve` does not know a prefix.
    """

    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return match[1]
        module = resolve(match[2])
        if module is None:
            raise ValueError(f'unknown prefix "{match[2]}"')
        return f"{module}:"

    return _PREFIXED_NAME.sub(replace, text)


def prefixes_in(text: str) -> list[str]:
    """The prefixes that an XPath or instance-identifier uses, each once."""
    return list(dict.fromkeys(match[2] for match in _PREFIXED_NAME.finditer(text) if match[2]))


def _integer(kind: LeafType, text: str, _resolve: Resolver | None) -> int:
    if text.isdecimal() and text.isascii() and len(text) <= DIGITS:
        value = int(text)  # as nearly all are
    else:
        text = text.strip()
        if not _INTEGER.fullmatch(text):
            raise ValueError(f"expected an integer ({kind.base})")
        value = int(text, 16) if "x" in text.lower() else int(text)
    low, high = INTEGER_BITS[kind.base]
    if not low <= value <= high:
        raise ValueError(f"expected {kind.base}: {low} to {high}")
    return value


def _decimal(kind: LeafType, text: str, _resolve: Resolver | None) -> Decimal:
    text = text.strip()
    if not _DECIMAL.fullmatch(text):
        raise ValueError("expected a decimal number")
    try:
        value = Decimal(text).quantize(Decimal(1).scaleb(-kind.fraction_digits))
    except InvalidOperation as error:
        raise ValueError("the number is too large") from error
    if value != Decimal(text):
        raise ValueError(f"expected at most {kind.fraction_digits} fraction digits")
    return value


def _boolean(_kind: LeafType, text: str, _resolve: Resolver | None) -> bool:
    text = text.strip()
    if text not in ("true", "false"):
        raise ValueError("expected true or false")
    return text == "true"


def _enumeration(kind: LeafType, text: str, _resolve: Resolver | None) -> str:
    text = text.strip()
    if text not in kind.enums:
        raise ValueError(f"expected one of: {', '.join(kind.enums)}")
    return text


def _bits(kind: LeafType, text: str, _resolve: Resolver | None) -> str:
    names = text.split()
    if len(set(names)) != len(names) or any(name not in kind.enums for name in names):
        raise ValueError(f"expected any of, each once: {', '.join(kind.enums)}")
    return " ".join(sorted(names, key=lambda name: kind.enums[name]))


def _binary(_kind: LeafType, text: str, _resolve: Resolver | None) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise ValueError("expected base64") from error


def _empty(_kind: LeafType, text: str, _resolve: Resolver | None) -> bool:
    if text.strip():
        raise ValueError("expected no value")
    return True


def _identityref(kind: LeafType, text: str, resolve: Resolver | None) -> str:
    prefix, _, name = text.strip().rpartition(":")
    module = resolve(prefix) if resolve is not None else prefix
    found = f"{module}:{name}"
    if found in kind.identities:
        return found
    if not prefix:
        candidates = [identity for identity in kind.identities if identity.endswith(f":{name}")]
        if len(candidates) == 1:
            return candidates[0]
    raise ValueError("expected an identity of the right base")


def _instance_identifier(kind: LeafType, text: str, resolve: Resolver | None) -> str:
    text = map_prefixes(text, resolve) if resolve is not None else text
    return str(DataPath.parse(text, variables=kind.typedef == _NODE_PATH))


def _string(kind: LeafType, text: str, resolve: Resolver | None) -> str:
    if kind.is_path:
        return _instance_identifier(kind, text, resolve)
    if kind.prefixed and resolve is not None:
        return map_prefixes(text, resolve)
    if kind.typedef in _LOWER_TYPEDEFS:
        return text.lower()
    if kind.typedef in _IPV6_TYPEDEFS:
        return _ipv6(text)
    return text


def _ipv6(text: str) -> str:
    """RFC 5952 form; what is not an address stays as it is, for libyang to refuse."""
    address, percent, zone = text.partition("%")
    try:
        if "/" in address:
            return str(ipaddress.IPv6Network(address, strict=False))
        return f"{ipaddress.IPv6Address(address)}{percent}{zone}"
    except ValueError:
        return text


def _union(kind: LeafType, text: str, resolve: Resolver | None) -> Any:
    for member in kind.members:
        try:
            value = member.parse(text, resolve)
        except ValueError:
            continue
        if _fits(member, text):
            return value
    raise ValueError("the value is of none of the union's types")


def _fits(member: LeafType, text: str) -> bool:
    """Tell IP versions apart, so that only a real IPv6 address is rewritten."""
    return member.typedef not in _IPV6_TYPEDEFS or ":" in text


_PARSERS: Final[Mapping[str, Callable[[LeafType, str, Resolver | None], Any]]] = {
    **dict.fromkeys(INTEGER_BITS, _integer),
    "decimal64": _decimal,
    "boolean": _boolean,
    "enumeration": _enumeration,
    "bits": _bits,
    "binary": _binary,
    "empty": _empty,
    "identityref": _identityref,
    "instance-identifier": _instance_identifier,
    "string": _string,
    "union": _union,
}

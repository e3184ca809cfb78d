"""What is wrong with a value or a configuration, in words for who has to change it.

libyang finds what is wrong; its messages are for programmers. What a client reads is made here, of the
schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from yang.schema import SchemaNode
from yang.types import INTEGER_BITS, LeafType

MAX_MESSAGE: Final = 1_000
_SHOWN: Final = 100
_MAX_NAMES: Final = 40

_FORMS: Final[Mapping[str, str]] = {
    "ietf-inet-types:ipv4-address": "an IPv4 address, as 192.0.2.1",
    "ietf-inet-types:ipv4-address-no-zone": "an IPv4 address, as 192.0.2.1",
    "ietf-inet-types:ipv6-address": "an IPv6 address, as 2001:db8::1",
    "ietf-inet-types:ipv6-address-no-zone": "an IPv6 address, as 2001:db8::1",
    "ietf-inet-types:ip-address": "an IP address, as 192.0.2.1 or 2001:db8::1",
    "ietf-inet-types:ip-address-no-zone": "an IP address, as 192.0.2.1 or 2001:db8::1",
    "ietf-inet-types:ipv4-prefix": "an IPv4 prefix, as 192.0.2.0/24",
    "ietf-inet-types:ipv6-prefix": "an IPv6 prefix, as 2001:db8::/32",
    "ietf-inet-types:ip-prefix": "an IP prefix, as 192.0.2.0/24 or 2001:db8::/32",
    "ietf-inet-types:host": "a host name or an IP address",
    "ietf-inet-types:domain-name": "a domain name, as host.example.net",
    "ietf-yang-types:date-and-time": "a time as RFC 3339 writes it, as 2026-11-25T16:00:00Z",
    "ietf-yang-types:mac-address": "a MAC address, as 02:00:5e:00:00:01",
    "ietf-yang-types:uuid": "a UUID",
    "iana-crypt-hash:crypt-hash": "$0$ and the password in cleartext, or its hash by crypt ($5$… or $6$…)",
    "ietf-netconf-acm:node-instance-identifier": (
        "the path of a node that the model has, as /module:list[key='x']"
    ),
}
"""What values of well-known types look like; their patterns tell it to nobody."""


def what_is_wrong(kind: LeafType, text: str) -> str:
    """Why a text is no value of a type: what is expected instead.

    Args:
        text: the value; one of a secret must not be given to anybody, but is not repeated here.
    """
    if kind.base in ("string", "binary") and kind.typedef not in _FORMS and kind.limits:
        unit = "characters" if kind.base == "string" else "octets"
        if not _within(len(text), kind.limits):
            return f"expected {_span(kind.limits)} {unit}, not {len(text)}"
    return f"expected {expected(kind)}"


def expected(kind: LeafType) -> str:
    """What values of a type are."""
    if kind.typedef in _FORMS:
        return _FORMS[kind.typedef]
    if kind.base in INTEGER_BITS:
        low, high = INTEGER_BITS[kind.base]
        return f"a whole number, {_span(kind.limits or f'{low}..{high}')}"
    if kind.base == "decimal64":
        limits = f", {_span(kind.limits)}" if kind.limits else ""
        return f"a number with at most {kind.fraction_digits} digits after the point{limits}"
    if kind.base in ("enumeration", "bits"):
        which = "one of" if kind.base == "enumeration" else "any of, each once,"
        return f"{which} {_some(list(kind.enums))}"
    if kind.base == "identityref":
        return f"one of the identities {_some(sorted(kind.identities))}"
    if kind.base == "union":
        return " or ".join(dict.fromkeys(expected(member) for member in kind.members))
    if kind.base == "string" and kind.patterns:
        return f"text that matches the pattern {' and '.join(kind.patterns)}"
    return _PLAIN.get(kind.base, f"a value of type {kind.base}")


_PLAIN: Final = {
    "boolean": "true or false",
    "empty": "no value",
    "binary": "base64",
    "string": "text",
    "instance-identifier": "the path of an instance",
}


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more


def _parts(limits: str) -> list[tuple[str, str]]:
    parts = []
    for part in limits.split("|"):
        low, _, high = part.partition("..")
        parts.append((low.strip(), (high or low).strip()))
    return parts


def _within(length: int, limits: str) -> bool:
    return any(
        (low == "min" or int(low) <= length) and (high == "max" or length <= int(high))
        for low, high in _parts(limits)
    )


def _span(limits: str) -> str:
    """A range or length as a person says it: ``1..64 | 128`` is ``1 to 64 or 128``."""
    words = []
    for low, high in _parts(limits):
        if low == high:
            words.append(low)
        elif high == "max":
            words.append(f"at least {low}")
        elif low == "min":
            words.append(f"at most {high}")
        else:
            words.append(f"{low} to {high}")
    return " or ".join(words)


def bad_value(node: SchemaNode, text: str, reason: str) -> str:
    """The sentence about a leaf's value. That of a secret is never repeated."""
    shown = "the value" if node.deny_all else f'"{text[:_SHOWN]}"'
    return f"{node.path}: {shown}: {reason}"[:MAX_MESSAGE]


_QUOTED: Final = r'"(.*)"'
_REWRITE: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]] = tuple(
    (re.compile(pattern, re.DOTALL), rewrite)
    for pattern, rewrite in (
        (
            rf"Mandatory node {_QUOTED} instance does not exist\.",
            lambda m: f'"{m[1]}" is mandatory and missing',
        ),
        (
            rf"Invalid leafref value {_QUOTED} - no target instance {_QUOTED} with the same value\.",
            lambda m: f'"{m[1][:_SHOWN]}" does not exist: it must be one of {_plain_path(m[2])}',
        ),
        (
            rf"Invalid leafref value {_QUOTED} - no existing target instance {_QUOTED}\.",
            lambda m: f'"{m[1][:_SHOWN]}" does not exist: it must be one of {_plain_path(m[2])}',
        ),
        (
            rf"Unique data leaf\(s\) {_QUOTED} not satisfied in {_QUOTED} and {_QUOTED}\.",
            lambda m: f"{m[2]} and {m[3]} have the same {m[1]}, which must be unique",
        ),
        (rf"Too many {_QUOTED} instances\.", lambda m: f'there are too many entries of "{m[1]}"'),
        (rf"Too few {_QUOTED} instances\.", lambda m: f'there are too few entries of "{m[1]}"'),
        (
            rf"Duplicate instance of {_QUOTED}\.",
            lambda m: f'"{m[1]}" is given twice with the same key or value',
        ),
        (
            r'Data for both cases "([^"]*)" and "([^"]*)" exist\.',
            lambda m: f"{m[1]} and {m[2]} exclude each other, and both are given",
        ),
        (
            rf"Must condition {_QUOTED} not satisfied\.",
            lambda m: f"the condition {m[1]} of the model does not hold",
        ),
        (rf"When condition {_QUOTED} not satisfied\.", lambda m: f"it may exist only where {m[1]}"),
        (
            r'Node "([^"]*)" not found as a child of "([^"]*)" node\.',
            lambda m: f'"{m[2]}" has no node "{m[1]}"',
        ),
        (
            r'Unexpected data state node "([^"]*)" found\.',
            lambda m: f'"{m[1]}" is state, it cannot be configured',
        ),
        (
            r'Node "([^"]*)" not found in the "([^"]*)" module\.',
            lambda m: f'the module {m[2]} has no node "{m[1]}"',
        ),
        (
            r'No module named "([^"]*)" in the context\.',
            lambda m: f'this element has no module "{m[1]}"',
        ),
        (
            r'Top-level JSON object member "([^"]*)" must be namespace-qualified\.',
            lambda m: f'"{m[1]}" needs its module in front, as in module:{m[1]}',
        ),
    )
)


def _plain_path(path: str) -> str:
    """A leafref's path without prefixes."""
    return re.sub(r"[\w.-]+:", "", path)


def readable(message: str) -> str:
    """A message of libyang's about a configuration as a sentence; one of the model's own stays as it is."""
    for pattern, rewrite in _REWRITE:
        match = pattern.fullmatch(message)
        if match:
            return rewrite(match)[:MAX_MESSAGE]
    return message.rstrip(".")[:MAX_MESSAGE]

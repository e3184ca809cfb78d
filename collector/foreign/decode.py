"""Notifications of any target → rows of `foreign_samples`. No I/O."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import orjson

from collector.decode import DecodeError
from collector.foreign.config import path_text
from telemetry.protocol import gnmi_pb2

AHEAD, BEHIND = timedelta(minutes=1), timedelta(minutes=5)
"""How far a time may be from ours; a target that stamps otherwise (some do with 0) gets ours."""

MOST_VALUE = 1 << 20
"""Octets of the largest value that is taken."""


_ESCAPE = re.compile(rb"\\(u0000|.)", re.DOTALL)
"""In JSON. A backslash that is escaped itself begins none: behind it u0000 is text."""


class Row(NamedTuple):
    """Columns of `foreign_samples` but target and subscription.

    Attributes:
        kind: int, uint, float, decimal, bool, string, bytes, json, leaf-list, proto, or delete.
        number: of numeric kinds, exact; None otherwise.
        value: as JSON has it; bytes in base64.
    """

    time: datetime
    path: str
    kind: str
    number: Decimal | None
    value: Any


def rows(notification: gnmi_pb2.Notification, now: datetime) -> Iterator[Row]:
    """A row for each update and each deletion. Raises DecodeError."""
    time = stamp(notification.timestamp, now)
    for deleted in notification.delete:
        yield Row(time, name(notification.prefix, deleted), "delete", None, None)
    for update in notification.update:
        kind, number, content = typed(update)
        yield Row(time, name(notification.prefix, update.path), kind, number, content)


def stamp(time_ns: int, now: datetime) -> datetime:
    """The time of a notification, or ours if it cannot be right."""
    if not 0 < time_ns < 2**62:
        return now
    time = datetime.fromtimestamp(time_ns // 1000 / 1_000_000, UTC)
    return time if now - BEHIND <= time <= now + AHEAD else now


def name(*paths: gnmi_pb2.Path) -> str:
    """Joined paths as text; paths of the time before 0.4 have plain elements."""
    origin = next((path.origin for path in paths if path.origin), "")
    elements: list[tuple[str, dict[str, str]]] = []
    for path in paths:
        elements += [(element.name, dict(element.key)) for element in path.elem]
        if not path.elem:
            elements += [(element, {}) for element in path.element]
    return path_text(origin, elements).replace("\0", "\\0")  # which no text of PostgreSQL may have


def typed(update: gnmi_pb2.Update) -> tuple[str, Decimal | None, Any]:
    """Kind, number and JSON value of an update. Raises DecodeError."""
    if update.ByteSize() > MOST_VALUE:
        raise DecodeError(f"a value of {update.ByteSize()} octets is too large")
    kind = update.val.WhichOneof("value")
    if kind is None:
        return "json", None, None
    return scalar(kind, getattr(update.val, kind))


def _number(kind: str, number: Any) -> tuple[str, Decimal | None, Any]:
    if isinstance(number, float) and not math.isfinite(number):
        return kind, None, str(number)
    return kind, Decimal(str(number)), number


def scalar(kind: str, content: Any) -> tuple[str, Decimal | None, Any]:
    """The same of one kind of TypedValue and its content. Raises DecodeError."""
    if kind in ("int_val", "uint_val", "float_val", "double_val"):
        return _number({"double_val": "float"}.get(kind, kind.removesuffix("_val")), content)
    if kind == "decimal_val":
        exact = Decimal(content.digits).scaleb(-min(content.precision, 64))
        return "decimal", exact, str(exact)
    if kind in ("json_val", "json_ietf_val"):
        return _json(content)
    if kind in ("string_val", "ascii_val"):
        return "string", None, content.replace("\0", "\\0")  # PostgreSQL's jsonb has no NUL
    if kind == "bool_val":
        return "bool", None, content
    if kind == "leaflist_val":
        found = [
            scalar(element.WhichOneof("value"), getattr(element, element.WhichOneof("value")))
            for element in content.element
            if element.WhichOneof("value")
        ]
        return "leaf-list", None, [value for _, _, value in found]
    octets = content if isinstance(content, bytes) else content.SerializeToString()
    return ("bytes" if kind == "bytes_val" else "proto"), None, base64.b64encode(octets).decode()


def _without_nul(escape: re.Match[bytes]) -> bytes:
    return b"" if escape[1] == b"u0000" else escape[0]


def _json(octets: bytes) -> tuple[str, Decimal | None, Any]:
    try:
        content = orjson.loads(octets)
    except orjson.JSONDecodeError as error:
        raise DecodeError(f"broken JSON in a value: {error}") from None
    if b"\\u0000" in octets:
        content = orjson.loads(_ESCAPE.sub(_without_nul, octets))
    if isinstance(content, bool) or not isinstance(content, int | float):
        return "json", None, content
    return _number("json", content)

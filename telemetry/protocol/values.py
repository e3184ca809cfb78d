"""gNMI's TypedValue ↔ Python, without a schema.

PROTO scalars say their kind themselves, so a reader needs no schema for them; a writer does, to tell
int64 from uint64, and uses `telemetry.protocol.model`.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import orjson

from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.wire import VARINT, delimited, tag, varint

Value = Any
"""bool, int, float, Decimal, str, bytes, a list of these, or what JSON makes."""


class BadValue(ValueError):
    """A value that is malformed. Its text is for the client."""


class UnsupportedValue(BadValue):
    """A value in an encoding that is not supported."""


def proto(value: Value, *, signed: bool = False) -> pb.TypedValue:
    """A PROTO scalar. Integers become uint_val unless `signed` or negative; decimals double_val."""
    if isinstance(value, str):
        return pb.TypedValue(string_val=value)
    if isinstance(value, bool):
        return pb.TypedValue(bool_val=value)
    if isinstance(value, int):
        return pb.TypedValue(int_val=value) if signed or value < 0 else pb.TypedValue(uint_val=value)
    if isinstance(value, bytes):
        return pb.TypedValue(bytes_val=value)
    if isinstance(value, float | Decimal):
        return pb.TypedValue(double_val=float(value))
    if isinstance(value, Sequence):
        elements = [proto(item, signed=signed) for item in value]
        return pb.TypedValue(leaflist_val=pb.ScalarArray(element=elements))
    raise TypeError(f"no gNMI scalar for {type(value).__name__}")


def octets(value: Value, *, signed: bool = False) -> bytes:
    """`proto`, serialised; the common kinds without a message object."""
    if isinstance(value, str):
        return delimited(1, value.encode())
    if isinstance(value, bool):
        return _TRUE if value else _FALSE
    if isinstance(value, int) and value >= 0:
        return (_INT if signed else _UINT) + varint(value)
    made: bytes = proto(value, signed=signed).SerializeToString()
    return made


_TRUE, _FALSE = tag(4, VARINT) + b"\x01", tag(4, VARINT) + b"\x00"
_INT, _UINT = tag(2, VARINT), tag(3, VARINT)


def text(value: Value) -> str:
    """The text of a scalar, as YANG's canonical form has it; items of a sequence joined by commas."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Sequence):
        return ",".join(map(text, value))
    return str(value)


def python(value: pb.TypedValue) -> Value:
    """The Python value of a TypedValue; JSON is decoded, ASCII is text. Raises BadValue."""
    kind = value.WhichOneof("value")
    if kind is None:
        raise BadValue("the update has no value")
    if kind in ("json_val", "json_ietf_val"):
        return _json(getattr(value, kind))
    if kind == "leaflist_val":
        return [python(element) for element in value.leaflist_val.element]
    if kind == "decimal_val":
        return _decimal(value.decimal_val)
    if kind in ("any_val", "proto_bytes"):
        raise UnsupportedValue(f"values of the kind {kind} are not supported")
    return getattr(value, kind)


def _json(octets: bytes) -> Value:
    try:
        return orjson.loads(octets)
    except orjson.JSONDecodeError as error:
        raise BadValue(f"the value is not JSON: {error}") from None


def _decimal(value: pb.Decimal64) -> Decimal:
    if value.precision > 18:
        raise BadValue("a decimal has at most 18 fraction digits")
    return Decimal(value.digits).scaleb(-value.precision)

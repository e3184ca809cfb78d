"""gNMI paths and values ↔ those of a YANG schema.

Paths are YANG paths: names as RFC 7951 has them, a module where it changes. `origin` may be left out, be
`rfc7951`, or be the module of the first name; without a path it stands for all that is of this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import orjson

from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol import values
from telemetry.protocol.paths import PathError, Step, build, steps_of
from yang.path import DataPath
from yang.path import PathError as UnknownPath
from yang.schema import Schema, SchemaNode
from yang.types import LeafType

ENCODINGS = (pb.JSON, pb.JSON_IETF, pb.PROTO, pb.ASCII)
_SIGNED = frozenset({"int8", "int16", "int32", "int64"})
_RFC7951_ORIGINS = frozenset({"", "rfc7951"})


class UnknownNode(PathError):
    """A path that is well-formed and that the schema does not have."""


def data_path(schema: Schema, prefix: pb.Path | None, path: pb.Path) -> DataPath:
    """The data path that prefix and path name together.

    Raises:
        PathError: malformed, or an origin or target where the specification has none (2.2.2.1, 2.7).
        UnknownNode: the schema has no such node, or the target no such origin.
    """
    if path.target:
        raise PathError("a target belongs into the prefix, not into a path")
    if path.origin and prefix is not None and (prefix.origin or prefix.elem):
        raise PathError("with a prefix the origin belongs into it, and not into the path")
    origin = path.origin or (prefix.origin if prefix is not None else "")
    module = "" if origin in _RFC7951_ORIGINS else origin
    if module and schema.module(module) is None:
        raise UnknownNode(f"origin {origin!r} is not known; use a module's name, 'rfc7951' or none")
    elements = [(step.name, step.keys) for step in steps_of(prefix, path)]
    if module and not elements:  # an origin by itself: of its own nodes (specification, 2.7.2 and 2.7.3)
        return DataPath.of_module(module)
    try:
        return DataPath.from_gnmi(elements, schema, module)
    except UnknownPath as error:
        raise UnknownNode(str(error)) from None


def gnmi_path(path: DataPath, *, origin: str = "", target: str = "") -> pb.Path:
    """The gNMI form of a data path."""
    return build((Step(name, keys) for name, keys in path.to_gnmi()), origin=origin, target=target)


def encode(value: Any, node: SchemaNode, encoding: int) -> pb.TypedValue:
    """A leaf's or leaf-list's Python value in an encoding of `ENCODINGS`."""
    kind = _type(node)
    if encoding == pb.PROTO:
        return values.proto(value, signed=kind.base in _SIGNED)
    if encoding == pb.JSON_IETF:
        return pb.TypedValue(json_ietf_val=orjson.dumps(rfc7951(value, node)))
    if encoding == pb.JSON:
        return pb.TypedValue(json_val=orjson.dumps(plain(value)))
    items = value if node.kind == "leaf-list" else (value,)
    return pb.TypedValue(ascii_val=",".join(map(kind.format, items)))


def encode_octets(value: Any, node: SchemaNode, encoding: int) -> bytes:
    """`encode`, serialised."""
    if encoding == pb.PROTO:
        return values.octets(value, signed=_type(node).base in _SIGNED)
    made: bytes = encode(value, node, encoding).SerializeToString()
    return made


def _type(node: SchemaNode) -> LeafType:
    if node.type is None:
        raise TypeError(f"{node.path} is no leaf")
    return node.type


def rfc7951(value: Any, node: SchemaNode) -> Any:
    """RFC 7951 value of a leaf or leaf-list."""
    kind = _type(node)
    return [kind.to_json(item) for item in value] if node.kind == "leaf-list" else kind.to_json(value)


def plain(value: Any) -> Any:
    """What JSON has for a Python value: numbers of any size as numbers."""
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes):
        return values.text(value)
    return [plain(item) for item in value]


def nested(leaves: Sequence[tuple[tuple[str, ...], Any, SchemaNode]], encoding: int) -> pb.TypedValue:
    """One JSON or JSON_IETF object of the leaves of an entry."""
    ietf = encoding == pb.JSON_IETF
    top: dict[str, Any] = {}
    for names, value, node in leaves:
        place = top
        for name in names[:-1]:
            place = place.setdefault(member(name, ietf), {})
        place[member(names[-1], ietf)] = rfc7951(value, node) if ietf else plain(value)
    octets = orjson.dumps(top)
    return pb.TypedValue(json_ietf_val=octets) if ietf else pb.TypedValue(json_val=octets)


def member(name: str, ietf: bool) -> str:
    """The name of a member of a JSON object; plain JSON has no modules in it."""
    return name if ietf else name.rpartition(":")[2]


def plain_tree(value: Any, node: SchemaNode) -> Any:
    """An RFC 7951 value of any node as plain JSON: no modules in names, numbers as numbers."""
    if node.is_leaf:
        return _plain_leaf(value, node)
    if isinstance(value, list):
        return [plain_tree(item, node) for item in value]
    if not isinstance(value, dict):
        return value
    members = ((name, item, node.child_json(name)) for name, item in value.items())
    return {
        member(name, False): item if child is None else plain_tree(item, child)
        for name, item, child in members
    }


def _plain_leaf(value: Any, node: SchemaNode) -> Any:
    kind = _type(node)
    if node.kind == "leaf-list" and isinstance(value, list):
        return [plain(kind.from_json(item)) for item in value]
    return plain(kind.from_json(value))


def decode(value: pb.TypedValue, node: SchemaNode) -> Any:
    """The RFC 7951 value that a client gives for a node. Raises values.BadValue."""
    given = values.python(value)
    if value.WhichOneof("value") in ("json_val", "json_ietf_val"):
        return given
    if not node.is_leaf:
        raise values.BadValue(f"{node.path} is not a leaf: its value must be JSON or JSON_IETF")
    kind = _type(node)
    try:
        if node.kind == "leaf-list":
            return [
                kind.to_json(_typed(item, kind)) for item in (given if isinstance(given, list) else [given])
            ]
        return kind.to_json(_typed(given, kind))
    except ValueError as error:
        raise values.BadValue(f"{node.path}: {error}") from None


def _typed(given: Any, kind: LeafType) -> Any:
    """The Python value that a scalar means for a type."""
    if kind.base == "empty" and given is True:
        return True
    if isinstance(given, bytes):
        if kind.base != "binary":
            raise ValueError(f"expected a {kind.base}, not octets")
        return given
    return kind.from_json(given)

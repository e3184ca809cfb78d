"""What a protobuf file defines, for comparison; imports no stubs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def describe(file: Any) -> dict[str, list[Any]]:
    """Full name of each field, enum value and method → number, type and the like."""
    found: dict[str, list[Any]] = {}
    for message in file.message_types_by_name.values():
        found.update(_of_message(message))
    for enum in file.enum_types_by_name.values():
        found.update(_of_enum(enum))
    return found


def _of_message(message: Any) -> Iterator[tuple[str, list[Any]]]:
    for field in message.fields:
        kind = field.message_type or field.enum_type
        name = kind.full_name if kind is not None else ""
        oneof = field.containing_oneof.name if field.containing_oneof is not None else ""
        repeated = getattr(field, "is_repeated", None)
        repeated = field.label == 3 if repeated is None else repeated
        yield f"{message.full_name}.{field.name}", [field.number, field.type, repeated, name, oneof]
    for nested in message.nested_types:
        yield from _of_message(nested)
    for enum in message.enum_types:
        yield from _of_enum(enum)


def _of_enum(enum: Any) -> Iterator[tuple[str, list[Any]]]:
    for value in enum.values:
        yield f"{enum.full_name}.{value.name}", [value.number]

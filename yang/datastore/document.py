"""A configuration as it is stored: RFC 7951, with a note of the model that it was written for.

The note is metadata of the root (RFC 7952 section 5.2.1), the member ``@``::

    {"@": {"aether-configuration:commit": 12, "aether-configuration:modules": "aether-bng@2026-11-25 …"},
     "aether-bng:bng": {…}}

A document without it, as one writes it by hand, is as good.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from yang.provider import OperationError
from yang.schema import Schema

_NOTE: Final = "@"
_MODULES: Final = "aether-configuration:modules"
_COMMIT: Final = "aether-configuration:commit"


@dataclass(frozen=True, slots=True)
class Document:
    """What a file holds.

    Attributes:
        members: RFC 7951.
        modules: module → revision that it was written for; None: it does not say.
        commit: number of the commit that wrote it; None: none, or it does not say.
    """

    members: dict[str, Any]
    modules: Mapping[str, str] | None = None
    commit: int | None = None


def modules_of(schema: Schema) -> dict[str, str]:
    """Module → revision of the model that is loaded; those that can have configuration, and that say what
    configuration others cannot have."""
    names = {node.module for node in schema.root.walk() if node.config and node.kind != "root"}
    return {
        name: module.revision
        for name in names | deviating(schema)
        if (module := schema.module(name)) is not None
    }


def deviating(schema: Schema) -> set[str]:
    """Modules that deviate others (RFC 7950 section 7.20.3)."""
    return {name for module in schema.modules for name in module.deviations}


def pack(members: Mapping[str, Any], modules: Mapping[str, str], commit: int | None) -> bytes:
    """The file of a configuration."""
    note: dict[str, Any] = {} if commit is None else {_COMMIT: commit}
    if modules:
        note[_MODULES] = " ".join(f"{name}@{revision}" for name, revision in sorted(modules.items()))
    return orjson.dumps({_NOTE: note, **members} if note else members)


def unpack(data: bytes, origin: str) -> Document:
    """What a file of RFC 7951 JSON holds.

    Args:
        origin: name of the file, for errors.

    Raises:
        OperationError: it is no JSON object; the message says where.
    """
    if not data.strip():  # a configuration without anything in it is an object all the same
        raise OperationError("operation-failed", f"{origin}: the file is empty")
    try:
        members = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise OperationError("malformed-message", f"{origin}: {where}: {error.msg}") from None
    if not isinstance(members, dict):
        raise OperationError("malformed-message", f"{origin}: a configuration is a JSON object")
    note = members.pop(_NOTE, None)
    if note is None:
        return Document(members)
    if not isinstance(note, dict):
        raise OperationError("malformed-message", f'{origin}: "{_NOTE}" is metadata, an object (RFC 7952)')
    modules, commit = note.get(_MODULES), note.get(_COMMIT)
    return Document(
        members,
        _modules(modules) if isinstance(modules, str) else None,
        commit if isinstance(commit, int) else None,
    )


def commit_of(data: bytes) -> int | None:
    """The commit that wrote a file; None if it does not say, or is damaged."""
    try:
        return unpack(data, "").commit
    except OperationError:
        return None


def _modules(text: str) -> dict[str, str]:
    pairs = (word.partition("@") for word in text.split())
    return {name: revision for name, _, revision in pairs}

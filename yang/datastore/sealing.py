"""A configuration on its way to and from a file: its secrets are sealed there (`yang.sealing`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from yang.provider import OperationError
from yang.schema import Schema, SchemaNode
from yang.sealing import PREFIX, Sealer, SealError


class ConfigSealer:
    """Seals the secrets of RFC 7951 members: the leaves that `yang.schema.SchemaNode.secret` marks.

    In memory they are cleartext, for those whom NACM permits to read them.
    """

    def __init__(self, schema: Schema, sealer: Sealer) -> None:
        self._root = schema.root
        self._sealer = sealer
        self._on_the_way: set[SchemaNode] = set()
        for node in schema.root.walk():
            if node.secret:
                self._on_the_way.update(node.chain)

    def seal(self, members: Mapping[str, Any]) -> Mapping[str, Any]:
        """The members with sealed secrets; what has none in it is shared.

        Raises:
            OSError: the key file cannot be read or written.
        """
        try:
            return self._walk(self._root, members, self._sealer.seal, "")
        except SealError as error:
            raise OSError(0, str(error)) from error

    def loads(self, document: bytes, origin: str) -> bytes:
        """A document from a file, with its secrets in cleartext. One without sealed values stays as it is.

        Args:
            origin: where it comes from, for errors.

        Raises:
            OperationError: a secret cannot be opened; it says which one, and what to do.
        """
        if PREFIX.encode() not in document:
            return document
        try:
            members = orjson.loads(document)
        except orjson.JSONDecodeError:
            return document  # the validator says what is wrong with it
        if not isinstance(members, dict):
            return document
        return orjson.dumps(self.open(members, origin))

    def open(self, members: Mapping[str, Any], origin: str) -> Mapping[str, Any]:
        """The reverse of `seal`; see `loads`."""
        try:
            return self._walk(self._root, members, self._sealer.open, "")
        except _At as fault:
            message = f"{origin}: the secret {fault.path} cannot be opened: {fault.reason}"
            raise OperationError("operation-failed", message, path=fault.path) from None

    def _walk(
        self, node: SchemaNode, members: Mapping[str, Any], change: Callable[[str, str], str], path: str
    ) -> Mapping[str, Any]:
        opens = change == self._sealer.open
        changed: dict[str, Any] = {}
        for name, value in members.items():
            child = node.child_json(name)
            if child is None:
                if opens:  # a migration moves it: it was sealed as what it was then
                    changed[name] = self._by_name(value, f"{node.path}/{name}", f"{path}/{name}")
                continue
            if child not in self._on_the_way and not (opens and child.kind in ("container", "list")):
                continue
            here = f"{path}/{child.json_name}"
            if child.secret:
                changed[name] = self._value(child, value, change, here)
            elif child.kind == "container" and isinstance(value, dict):
                changed[name] = self._walk(child, value, change, here)
            elif child.kind == "list" and isinstance(value, list):
                changed[name] = [
                    self._walk(child, entry, change, here + _keys(child, entry))
                    if isinstance(entry, dict)
                    else entry
                    for entry in value
                ]
        return {**members, **changed} if changed else members

    def _by_name(self, value: Any, schema_path: str, path: str) -> Any:
        """What the model does not have, with secrets opened by the names that they are stored under."""
        if isinstance(value, dict):
            return {
                name: self._by_name(inner, f"{schema_path}/{name}", f"{path}/{name}")
                for name, inner in value.items()
            }
        if isinstance(value, list):
            return [self._by_name(entry, schema_path, path) for entry in value]
        return self._text(value, schema_path, self._sealer.open, path)

    def _value(self, leaf: SchemaNode, value: Any, change: Callable[[str, str], str], path: str) -> Any:
        if isinstance(value, list):
            return [self._value(leaf, entry, change, path) for entry in value]
        return self._text(value, leaf.path, change, path)

    def _text(self, value: Any, place: str, change: Callable[[str, str], str], path: str) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return change(value, place)
        except SealError as error:
            if change == self._sealer.seal:
                raise
            raise _At(path, str(error)) from None


class _At(Exception):
    """A secret at this place cannot be opened."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(reason)
        self.path = path
        self.reason = reason


def _keys(node: SchemaNode, entry: Mapping[str, Any]) -> str:
    return "".join(f"[{key.name}='{entry.get(key.json_name)}']" for key in node.key_nodes)

"""The input of RPCs and actions as libyang sees it: all constraints, all defaults (RFC 7950 section 7.14)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import libyang
import orjson
from _libyang import ffi, lib

from yang.datastore.messages import readable
from yang.datastore.validator import Validator, hide_variables, show_variables
from yang.provider import Keys, OperationError
from yang.schema import SchemaNode

_MISSING: Final = re.compile(r'Mandatory (?:node|choice) "(.*?)"')
_LAST_NAME: Final = re.compile(r'"([^"]*)"')
_LOCATION: Final = re.compile(r'[Dd]ata location "((?:[^"\\]|\\.|"(?=[^,.]))*)"')
_PRINT: Final = lib.LYD_PRINT_SHRINK | lib.LYD_PRINT_WD_ALL


class OperationInputs:
    """Checks inputs; called in the thread where libyang is.

    Args:
        running: the running configuration as RFC 7951 members with defaults, as of now: what ``must``,
            ``when`` and leafrefs of an input refer to. What they refer to in state is not there.
    """

    def __init__(
        self, context: libyang.Context, validator: Validator, running: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._context = context
        self._validator = validator
        self._running = running
        self._known: tuple[Mapping[str, Any], Any] | None = None

    def complete(self, node: SchemaNode, keys: Keys, members: Mapping[str, Any]) -> dict[str, Any]:
        """An input with its defaults, those inside of choices too.

        Args:
            node: the ``input`` node.
            keys: of the lists around an action, outermost first.
            members: YANG names → Python values.

        Raises:
            OperationError: the first constraint that does not hold: ``missing-element``, ``bad-element`` (two
                cases of a choice), ``unknown-element`` (a ``when`` that is not satisfied), and what
                `Validator` raises.
        """
        operation = node.parent
        assert operation is not None
        document = orjson.dumps(_enclosed(operation, keys, to_members(node, members)))
        if b"\0" in document or b"\\u0000" in document:
            raise OperationError("invalid-value", "the input holds a NUL character")
        text = ffi.new("char[]", hide_variables(document))
        source = ffi.new("struct ly_in **")
        tree, found = ffi.new("struct lyd_node **"), ffi.new("struct lyd_node **")
        if lib.ly_in_new_memory(text, source) != lib.LY_SUCCESS:
            raise OperationError("resource-denied", "the input cannot be read: there is no memory")
        try:
            kind = lib.LYD_TYPE_RPC_YANG
            status = lib.lyd_parse_op(
                self._context.cdata, ffi.NULL, source[0], lib.LYD_JSON, kind, tree, found
            )
            if status != lib.LY_SUCCESS:
                raise self._fault(node, parsed=False)
            if lib.lyd_validate_op(found[0], self._data(), kind, ffi.NULL) != lib.LY_SUCCESS:
                raise self._fault(node, parsed=True)
            return from_members(node, self._print(found[0], operation))
        finally:
            lib.lyd_free_all(tree[0])
            lib.ly_in_free(source[0], 0)

    def _data(self) -> Any:
        """The running configuration for libyang, kept until it changes."""
        running = self._running()
        if self._known is not None:
            if self._known[0] is running:
                return self._known[1]
            lib.lyd_free_all(self._known[1])
            self._known = None
        out = ffi.new("struct lyd_node **")
        text = ffi.new("char[]", hide_variables(orjson.dumps(running)))
        flags = lib.LYD_PARSE_ONLY | lib.LYD_PARSE_NO_STATE
        if lib.lyd_parse_data_mem(self._context.cdata, text, lib.LYD_JSON, flags, 0, out) != lib.LY_SUCCESS:
            lib.ly_err_clean(self._context.cdata, ffi.NULL)
            return ffi.NULL
        self._known = (running, out[0])
        return out[0]

    def _print(self, found: Any, operation: SchemaNode) -> dict[str, Any]:
        buffer = ffi.new("char **")
        if lib.lyd_print_mem(buffer, found, lib.LYD_JSON, _PRINT) != lib.LY_SUCCESS:
            raise self._validator._error(None)
        try:
            printed = orjson.loads(show_variables(ffi.string(buffer[0]))) if buffer[0] != ffi.NULL else {}
        finally:
            lib.free(buffer[0])
        name = f"{operation.module}:{operation.name}"
        members: dict[str, Any] = printed.get(name) or printed.get(operation.name) or {}
        return members

    def _fault(self, node: SchemaNode, *, parsed: bool) -> OperationError:
        """What libyang says, with the error-tags of RFC 7950 section 8.3.

        Args:
            parsed: each value was good, a constraint was not.
        """
        message, location, app_tag = self._validator._last_error()
        found = _LOCATION.search(location)
        path = (
            found[1].replace('\\"', '"') if found else node.parent.path if node.parent is not None else None
        )
        error = OperationError(
            "operation-failed" if parsed else "invalid-value",
            readable(message),
            path=path,
            app_tag=app_tag or None,
        )
        if missing := _MISSING.match(message):
            error.tag, error.error_type = "missing-element", "protocol"
            error.message = f'the input needs "{missing[1]}"'
            error.info = {"bad-element": missing[1]}
        elif app_tag == "instance-required":
            error.tag = "data-missing"
        elif message.startswith("Data for both cases"):
            error.tag, error.error_type = "bad-element", "protocol"
            error.info = {"bad-element": _LAST_NAME.findall(message)[-1]}
        elif message.startswith("When condition"):
            error.tag, error.error_type = "unknown-element", "protocol"
            error.info = {"bad-element": (path or "").rpartition("/")[2].rpartition(":")[2]}
        return error


def _enclosed(operation: SchemaNode, keys: Keys, members: dict[str, Any]) -> dict[str, Any]:
    """An operation in what it is in, as RFC 7951 members."""
    names: dict[SchemaNode, dict[str, Any]] = {}
    rest = list(keys)
    for level in operation.chain:
        own = {}
        for key in level.key_nodes if level.kind == "list" else ():
            if key.type is not None:
                own[key.json_name] = key.type.to_json(rest.pop(0))
        names[level] = own
    inner: Any = members
    for level in reversed(operation.chain):
        if level is not operation:
            inner = {**names[level], **inner}
            inner = [inner] if level.kind == "list" else inner
        inner = {level.json_name: inner}
    result: dict[str, Any] = inner
    return result


def to_members(node: SchemaNode, members: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7951 members of an input or output (YANG names → Python values)."""
    result: dict[str, Any] = {}
    for name, value in members.items():
        child = node.child_json(name)
        if child is None or value is None:
            continue
        if child.kind == "container":
            result[child.json_name] = to_members(child, value)
        elif child.kind == "list":
            result[child.json_name] = [to_members(child, entry) for entry in value]
        elif child.kind == "leaf-list" and child.type is not None:
            result[child.json_name] = [child.type.to_json(entry) for entry in value]
        else:
            result[child.json_name] = child.type.to_json(value) if child.type is not None else value
    return result


def from_members(node: SchemaNode, members: Mapping[str, Any]) -> dict[str, Any]:
    """YANG names → Python values of RFC 7951 members that libyang has printed."""
    result: dict[str, Any] = {}
    for name, value in members.items():
        child = node.child_json(name)
        if child is None:
            continue
        if child.kind == "container":
            inner = from_members(child, value)
            if inner or child.presence:
                result[child.name] = inner
        elif child.kind == "list":
            result[child.name] = [from_members(child, entry) for entry in value]
        elif child.kind == "leaf-list" and child.type is not None:
            result[child.name] = [child.type.from_json(entry) for entry in value]
        else:
            result[child.name] = child.type.from_json(value) if child.type is not None else value
    return result

"""libyang at work: values and whole configurations are checked here, in one thread, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import libyang
import orjson
from _libyang import ffi, lib

from yang.datastore.data import Tree, entry_step, from_json, to_json
from yang.path import DataPath, PathError, Step
from yang.provider import OperationError
from yang.schema import Schema, SchemaNode

_DATA_LOCATION: Final = re.compile(r'[Dd]ata location "((?:[^"\\]|\\.|"(?=[^,.]))*)"')
_SCHEMA_LOCATION: Final = re.compile(r'[Ss]chema location "([^"]*)"')
_APP_TAGS: Final = {
    "data-not-unique": "operation-failed",
    "instance-required": "data-missing",
    "too-many-elements": "operation-failed",
    "too-few-elements": "operation-failed",
    "must-violation": "operation-failed",
    "missing-choice": "data-missing",
}
_PRINT: Final = lib.LYD_PRINT_SHRINK | lib.LYD_PRINT_WITHSIBLINGS
_MAX_MESSAGE: Final = 1_000


class Validator:
    """All uses of one libyang context. Not thread-safe: one worker thread calls everything here."""

    def __init__(self, context: libyang.Context, schema: Schema) -> None:
        self._context = context
        self._schema = schema
        self._cnodes: dict[SchemaNode, Any] = {}

    def check_value(self, node: SchemaNode, text: str) -> str | None:
        """What is wrong with a leaf's value by its range, length or patterns; None when it is good.

        Args:
            text: canonical text; prefixes are module names.
        """
        cnode = self._cnodes.get(node)
        if cnode is None:
            cnode = self._find(node)
            self._cnodes[node] = cnode
        if cnode == ffi.NULL or "\0" in text:
            return "it cannot be checked" if cnode == ffi.NULL else "it holds a NUL character"
        data = text.encode()
        status = lib.lyd_value_validate(
            self._context.cdata, cnode, data, len(data), ffi.NULL, ffi.NULL, ffi.NULL
        )
        if status in (lib.LY_SUCCESS, lib.LY_EINCOMPLETE):
            return None
        message = self._last_error()[0]
        return readable(message)

    def _find(self, node: SchemaNode) -> Any:
        """libyang's schema node; its paths leave out the word input."""
        path = "".join(f"/{level.json_name}" for level in node.chain if level.kind != "input")
        return lib.lys_find_path(self._context.cdata, ffi.NULL, path.encode(), 0)

    def complete(self, tree: Tree, explicit: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Validate a configuration, and answer it as RFC 7951 members with all defaults.

        Args:
            explicit: the tree as RFC 7951 members, if that is known.

        Raises:
            OperationError: the first constraint that does not hold.
        """
        document = orjson.dumps(to_json(self._schema.root, tree) if explicit is None else explicit)
        with self._parsed(document, tree) as root:
            members: dict[str, Any] = self._print(root, lib.LYD_PRINT_WD_ALL)
        return members

    def load(self, document: bytes) -> dict[str, Any]:
        """The tree of an RFC 7951 document, validated.

        Raises:
            OperationError: it is not JSON, or does not fit the model.
        """
        with self._parsed(document, None) as root:
            members = self._print(root, lib.LYD_PRINT_WD_EXPLICIT)
        return from_json(self._schema.root, members)

    def defaults(self, tree: Tree) -> dict[str, Any]:
        """RFC 7951 members with defaults of a configuration that need not be valid (a candidate)."""
        document = orjson.dumps(to_json(self._schema.root, tree))
        out = ffi.new("struct lyd_node **")
        text = ffi.new("char[]", document)
        flags = lib.LYD_PARSE_ONLY | lib.LYD_PARSE_STRICT | lib.LYD_PARSE_NO_STATE
        if lib.lyd_parse_data_mem(self._context.cdata, text, lib.LYD_JSON, flags, 0, out) != lib.LY_SUCCESS:
            raise self._error(tree)
        try:
            # what a failure leaves out are defaults of nodes whose condition cannot be evaluated yet
            lib.lyd_new_implicit_all(out, self._context.cdata, lib.LYD_IMPLICIT_NO_STATE, ffi.NULL)
            lib.ly_err_clean(self._context.cdata, ffi.NULL)
            return self._print(out[0], lib.LYD_PRINT_WD_ALL)
        finally:
            lib.lyd_free_all(out[0])

    @contextmanager
    def _parsed(self, document: bytes, tree: Tree | None) -> Iterator[Any]:
        """The first node of a validated data tree, freed at the end."""
        if b"\0" in document:
            raise OperationError("malformed-message", "the configuration holds a NUL character")
        out = ffi.new("struct lyd_node **")
        text = ffi.new("char[]", document)
        status = lib.lyd_parse_data_mem(
            self._context.cdata,
            text,
            lib.LYD_JSON,
            lib.LYD_PARSE_STRICT | lib.LYD_PARSE_NO_STATE,
            lib.LYD_VALIDATE_NO_STATE,
            out,
        )
        if status != lib.LY_SUCCESS:
            raise self._error(tree)
        try:
            yield out[0]
        finally:
            lib.lyd_free_all(out[0])

    def _print(self, root: Any, defaults: int) -> dict[str, Any]:
        if root == ffi.NULL:
            return {}
        buffer = ffi.new("char **")
        if lib.lyd_print_mem(buffer, root, lib.LYD_JSON, _PRINT | defaults) != lib.LY_SUCCESS:
            raise self._error(None)
        try:
            members: dict[str, Any] = orjson.loads(ffi.string(buffer[0])) if buffer[0] != ffi.NULL else {}
        finally:
            lib.free(buffer[0])
        return members

    # --- errors ----------------------------------------------------------------------------------

    def _last_error(self) -> tuple[str, str, str]:
        """Message, location and app-tag of the first error; forgets all."""
        first = lib.ly_err_first(self._context.cdata)
        try:
            if first == ffi.NULL:
                return "the configuration is not valid", "", ""
            parts = (first.msg, first.path, first.apptag)
            message, path, app_tag = (
                ffi.string(part).decode(errors="replace") if part != ffi.NULL else "" for part in parts
            )
            return message, path, app_tag
        finally:
            lib.ly_err_clean(self._context.cdata, ffi.NULL)

    def _error(self, tree: Tree | None) -> OperationError:
        message, location, app_tag = self._last_error()
        tag = _APP_TAGS.get(app_tag, "invalid-value")
        data = _DATA_LOCATION.search(location)
        path = data[1].replace('\\"', '"') if data else None
        schema = _SCHEMA_LOCATION.search(location)
        if path is None and schema is not None:
            path = schema[1]
            if message.startswith("Mandatory"):
                tag = "data-missing"
                missing = self._missing_instance(path, tree)
                path = missing or path
        if message.startswith("Node ") and "not found" in message:
            tag = "unknown-element"
        return OperationError(tag, readable(message), path=path, app_tag=app_tag or None)

    def _missing_instance(self, schema_path: str, tree: Tree | None) -> str | None:
        """Where a mandatory node is missing: libyang names the schema node only."""
        try:
            node = DataPath.parse(schema_path).schema_node(self._schema)
        except PathError:
            return None
        if tree is None:
            return None
        return _find_missing(node.chain, tree, ())


def _find_missing(chain: tuple[SchemaNode, ...], tree: Tree, steps: tuple[Step, ...]) -> str | None:
    node, *rest = chain
    if not rest:
        if node.json_name in tree:
            return None
        return str(DataPath((*steps, Step(node.module, node.name))))
    value = tree.get(node.json_name)
    if node.kind == "list":
        entries: Mapping[Any, Any] = value or {}
        for keys, entry in entries.items():
            found = _find_missing(tuple(rest), entry, (*steps, entry_step(node, keys)))
            if found:
                return found
        return None
    if value is None and node.presence:
        return None
    return _find_missing(tuple(rest), value or {}, (*steps, Step(node.module, node.name)))


_REWRITE: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]] = (
    (
        re.compile(r'Mandatory node "(.*)" instance does not exist\.'),
        lambda m: f'"{m[1]}" is mandatory and missing',
    ),
    (
        re.compile(
            r'Invalid leafref value "(.*)" - no target instance "(.*)" with the same value\.', re.DOTALL
        ),
        lambda m: f'"{m[1]}" does not exist: it must be one of {m[2]}',
    ),
    (
        re.compile(r'Unsatisfied range - value "(.*)" is out of the allowed range\.', re.DOTALL),
        lambda m: f'"{m[1]}" is out of range',
    ),
    (
        re.compile(r'Unsatisfied length - string "(.*)" length is not allowed\.', re.DOTALL),
        lambda m: f"the length of {len(m[1])} characters is not allowed",
    ),
    (
        re.compile(r'Unsatisfied pattern - "(.*)" does not conform to "(.*)"\.', re.DOTALL),
        lambda m: f'"{m[1]}" does not match the pattern {m[2]}',
    ),
    (
        re.compile(r'Unique data leaf\(s\) "(.*)" not satisfied in "(.*)" and "(.*)"\.', re.DOTALL),
        lambda m: f"{m[2]} and {m[3]} have the same {m[1]}, which must be unique",
    ),
)


def readable(message: str) -> str:
    """libyang's message as a sentence for an operator."""
    for pattern, rewrite in _REWRITE:
        match = pattern.fullmatch(message)
        if match:
            return rewrite(match)[:_MAX_MESSAGE]
    return message.rstrip(".")[:_MAX_MESSAGE]

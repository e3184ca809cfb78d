"""libyang at work: values and whole configurations are checked here, in one thread, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import libyang
import orjson
from _libyang import ffi, lib

from yang.datastore.data import Tree, from_json, to_json
from yang.datastore.faults import fault
from yang.datastore.kept import KeptTree
from yang.datastore.messages import what_is_wrong
from yang.provider import OperationError
from yang.schema import Schema, SchemaNode
from yang.types import integer_ranges

_VARIABLE: Final = re.compile(rb"=\s*\$USER\s*\]")
_HIDDEN: Final = "='\uf8ffUSER']".encode()
_PRINT: Final = lib.LYD_PRINT_SHRINK | lib.LYD_PRINT_WITHSIBLINGS


class Validator:
    """All uses of one libyang context. Not thread-safe: one worker thread calls everything here."""

    def __init__(self, context: libyang.Context, schema: Schema) -> None:
        self._context = context
        self._schema = schema
        self._cnodes: dict[SchemaNode, Any] = {}
        self._ranges: dict[SchemaNode, tuple[tuple[int, int], ...]] = {}
        self.kept = KeptTree(context, schema.root, hide_variables, show_variables)

    @property
    def context(self) -> libyang.Context:
        """The context, for who works in the same thread."""
        return self._context

    def check_value(self, node: SchemaNode, text: str) -> str | None:
        """What is wrong with a leaf's value by its range, length or patterns; None when it is good.

        Args:
            text: canonical text; prefixes are module names.
        """
        within = self._ranges.get(node)
        if within is None:
            within = self._ranges[node] = integer_ranges(node.type)
        if within and text.isdecimal() and text.isascii():
            number = int(text)
            for low, high in within:
                if low <= number <= high:
                    return None
        cnode = self._cnodes.get(node)
        if cnode is None:
            cnode = self._find(node)
            self._cnodes[node] = cnode
        if cnode == ffi.NULL or "\0" in text:
            return "it cannot be checked" if cnode == ffi.NULL else "it holds a NUL character"
        data = hide_variables(text.encode())
        status = lib.lyd_value_validate(
            self._context.cdata, cnode, data, len(data), ffi.NULL, ffi.NULL, ffi.NULL
        )
        if status in (lib.LY_SUCCESS, lib.LY_EINCOMPLETE):
            return None
        lib.ly_err_clean(self._context.cdata, ffi.NULL)
        assert node.type is not None
        return what_is_wrong(node.type, text)

    def _find(self, node: SchemaNode) -> Any:
        """libyang's schema node; its paths leave out the word input."""
        path = "".join(f"/{level.json_name}" for level in node.chain if level.kind != "input")
        return lib.lys_find_path(self._context.cdata, ffi.NULL, path.encode(), 0)

    def complete(
        self, tree: Tree, explicit: Mapping[str, Any] | None = None, *, keep: bool = False
    ) -> dict[str, Any]:
        """Validate a configuration, and answer it as RFC 7951 members with all defaults.

        Args:
            explicit: the tree as RFC 7951 members, if that is known.
            keep: it is likely to become running: keep what libyang has of it (`kept`).

        Raises:
            OperationError: the first constraint that does not hold.
        """
        document = orjson.dumps(to_json(self._schema.root, tree) if explicit is None else explicit)
        with self._parsed(document, tree) as first:
            members: dict[str, Any] = self._print(first[0], lib.LYD_PRINT_WD_ALL)
            if keep:
                self.kept.keep(tree, first[0])
                first[0] = ffi.NULL
        return members

    def load(self, document: bytes) -> dict[str, Any]:
        """The tree of an RFC 7951 document, validated.

        Raises:
            OperationError: it is not JSON, or does not fit the model.
        """
        with self._parsed(document, None) as first:
            members = self._print(first[0], lib.LYD_PRINT_WD_EXPLICIT)
        return from_json(self._schema.root, members)

    def defaults(self, tree: Tree) -> dict[str, Any]:
        """RFC 7951 members with defaults of a configuration that need not be valid (a candidate)."""
        document = orjson.dumps(to_json(self._schema.root, tree))
        out = ffi.new("struct lyd_node **")
        text = ffi.new("char[]", hide_variables(document))
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
        """Where the first node of a validated data tree is; it is freed at the end."""
        if b"\0" in document:
            raise OperationError("malformed-message", "the configuration holds a NUL character")
        out = ffi.new("struct lyd_node **")
        text = ffi.new("char[]", hide_variables(document))
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
            yield out
        finally:
            lib.lyd_free_all(out[0])

    def _print(self, root: Any, defaults: int) -> dict[str, Any]:
        if root == ffi.NULL:
            return {}
        buffer = ffi.new("char **")
        if lib.lyd_print_mem(buffer, root, lib.LYD_JSON, _PRINT | defaults) != lib.LY_SUCCESS:
            raise self._error(None)
        try:
            printed = show_variables(ffi.string(buffer[0])) if buffer[0] != ffi.NULL else b"{}"
            members: dict[str, Any] = orjson.loads(printed)
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
                show_variables(ffi.string(part)).decode(errors="replace") if part != ffi.NULL else ""
                for part in parts
            )
            return message, path, app_tag
        finally:
            lib.ly_err_clean(self._context.cdata, ffi.NULL)

    def _error(self, tree: Tree | None) -> OperationError:
        return fault(self._schema, tree, *self._last_error())


def hide_variables(document: bytes) -> bytes:
    """``$USER`` in NACM's paths as a literal: libyang 2.1 does not know variables there."""
    return _VARIABLE.sub(_HIDDEN, document) if b"$USER" in document else document


def show_variables(document: bytes) -> bytes:
    """The reverse of `hide_variables`."""
    return document.replace(_HIDDEN, b"=$USER]")

"""RPCs and actions: what a request names, its input, its output."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from lxml import etree

from yang.access import AccessControl, User
from yang.datastore.edit import ValueReader
from yang.datastore.model import Session
from yang.path import DataPath
from yang.provider import Keys, Operation, OperationError
from yang.query.subtree import module_resolver
from yang.reader import Reader
from yang.schema import Schema, SchemaNode

_YANG_NS: Final = "urn:ietf:params:xml:ns:yang:1"

SessionOperation = Callable[[Session, Mapping[str, Any]], Awaitable[Mapping[str, Any] | None]]
"""What carries out an RPC of the datastores: called with the session and the input."""


class Record:
    """A mapping of YANG names as a provider's record."""

    def __init__(self, node: SchemaNode, members: Mapping[str, Any]) -> None:
        for name, value in members.items():
            child = node.child_json(name) or node.child(name.replace("_", "-"))
            if child is None:
                raise ValueError(f'{node.path} has no node "{name}"')
            if value is not None:
                setattr(self, child.attr, _record_value(child, value))


def _record_value(node: SchemaNode, value: Any) -> Any:
    if node.kind == "container" and isinstance(value, Mapping):
        return Record(node, value)
    if node.kind == "list":
        return [Record(node, entry) if isinstance(entry, Mapping) else entry for entry in value]
    return value


def find_operation(
    schema: Schema, element: etree._Element
) -> tuple[str, tuple[str, ...], etree._Element] | None:
    """See `yang.tree.Tree.find_operation`."""
    name = etree.QName(element)
    if name.namespace == _YANG_NS and name.localname == "action":
        return _find_action(schema, element)
    node = schema.root.children.get((schema.module_of_namespace(name.namespace or "") or "", name.localname))
    if node is None or node.kind != "rpc":
        return None
    return node.path, (), element


def _find_action(schema: Schema, wrapper: etree._Element) -> tuple[str, tuple[str, ...], etree._Element]:
    node, element, keys = schema.root, wrapper, []
    while node.kind != "action":
        given: dict[str, str] = {}
        inner: list[tuple[SchemaNode, etree._Element]] = []
        for child in element.iterchildren(etree.Element):
            name = etree.QName(child)
            module = schema.module_of_namespace(name.namespace or "") or ""
            found = node.children.get((module, name.localname))
            if found is None:
                raise OperationError(
                    "unknown-element",
                    f'{node.path or "the action"} has no node "{name.localname}"',
                    info={"bad-element": name.localname},
                )
            if found.is_key:
                given[found.name] = child.text or ""
            else:
                inner.append((found, child))
        for key in node.keys:
            if key not in given:
                raise OperationError(
                    "missing-element",
                    f'the entry of {node.path} has no key "{key}"',
                    info={"bad-element": key},
                )
            keys.append(given[key])
        if len(inner) != 1:
            raise OperationError("malformed-message", "an action names exactly one node at each level")
        node, element = inner[0]
        if node.kind not in ("container", "list", "action"):
            raise OperationError("bad-element", f"{node.path} is no action", info={"bad-element": node.name})
    return node.path, tuple(keys), element


def typed_keys(node: SchemaNode, keys: Keys) -> Keys:
    """Key values of the lists around a node, as Python values; texts are parsed.

    Raises:
        OperationError: ``invalid-value``, or ``missing-element`` when there are too few or too many.
    """
    leaves = [key for level in node.chain if level.kind == "list" for key in level.key_nodes]
    if len(leaves) != len(keys):
        raise OperationError(
            "missing-element", f"{node.path} needs {len(leaves)} keys, {len(keys)} are given"
        )
    values: list[Any] = []
    for leaf, value in zip(leaves, keys, strict=True):
        assert leaf.type is not None
        try:
            values.append(leaf.type.parse(value) if isinstance(value, str) else value)
        except ValueError as error:
            raise OperationError("invalid-value", f"{leaf.path}: {error}") from error
    return tuple(values)


class InputReader:
    """Reads the input of an operation: its elements and values. What constrains them is checked afterwards
    (`yang.datastore.operation_input`)."""

    def __init__(self, schema: Schema, values: ValueReader) -> None:
        self._schema = schema
        self._values = values

    def read(self, node: SchemaNode, source: etree._Element | Mapping[str, Any] | None) -> dict[str, Any]:
        """YANG names → Python values, without defaults.

        Args:
            node: the ``input`` node.

        Raises:
            OperationError: ``unknown-element``, ``missing-element``, ``invalid-value``.
        """
        if source is None or isinstance(source, Mapping):
            return self._mapping(node, source or {})
        return self._element(node, source)

    def _mapping(self, node: SchemaNode, source: Mapping[str, Any]) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for name, value in source.items():
            child = node.child_json(name)
            if child is None:
                raise _unknown(node, name)
            if child.kind == "container":
                members[child.name] = self._mapping(child, value)
            elif child.kind == "list":
                members[child.name] = [self._mapping(child, entry) for entry in value]
            elif child.kind == "leaf-list":
                members[child.name] = [self._values.from_json(child, entry) for entry in value]
            else:
                members[child.name] = self._values.from_json(child, value)
        return self._with_keys(node, members)

    def _element(self, node: SchemaNode, source: etree._Element) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for element in source.iterchildren(etree.Element):
            name = etree.QName(element)
            module = self._schema.module_of_namespace(name.namespace or "") or ""
            child = node.children.get((module, name.localname))
            if child is None:
                raise _unknown(node, name.localname)
            if child.kind in ("leaf", "container") and child.name in members:
                raise self._values.error(child, "bad-element", f"{child.path} is given twice")
            if child.kind == "container":
                members[child.name] = self._element(child, element)
            elif child.kind == "list":
                members.setdefault(child.name, []).append(self._element(child, element))
            elif child.type is not None:
                value = self._values.from_text(
                    child, element.text or "", module_resolver(self._schema, element)
                )
                if child.kind == "leaf-list":
                    members.setdefault(child.name, []).append(value)
                else:
                    members[child.name] = value
        return self._with_keys(node, members)

    @staticmethod
    def _with_keys(node: SchemaNode, members: dict[str, Any]) -> dict[str, Any]:
        for name in node.keys:
            if name not in members:
                raise OperationError(
                    "missing-element",
                    f'an entry of {node.path} needs its key "{name}"',
                    path=node.path,
                    error_type="protocol",
                    info={"bad-element": name},
                )
        return members


class Invoker:
    """Carries out the operations that an element has registered.

    Args:
        complete: checks what has been read against all constraints, and adds defaults.
        in_worker: calls a function in the thread where values are checked.
    """

    def __init__(
        self,
        schema: Schema,
        access: AccessControl,
        reader: Reader,
        input_reader: InputReader,
        complete: Callable[[SchemaNode, Keys, Mapping[str, Any]], dict[str, Any]],
        in_worker: Callable[..., Awaitable[Any]],
    ) -> None:
        self._schema = schema
        self._access = access
        self._reader = reader
        self._input = input_reader
        self._complete = complete
        self._in_worker = in_worker
        self._operations: Mapping[str, Operation] = {}
        self._own: Mapping[str, SessionOperation] = {}

    def register(self, operations: Mapping[str, Operation], own: Mapping[str, SessionOperation]) -> None:
        """Set the operations, by schema path. Raises ValueError for a path that is none.

        Args:
            own: those of the datastores, which are told whose session it is.
        """
        self._own = own
        for path in (*operations, *own):
            node = self._schema.find(path)
            if node is None or node.kind not in ("rpc", "action"):
                raise ValueError(f"an operation is registered at {path}, where the schema has none")
        self._operations = operations

    async def invoke(
        self,
        schema_path: str,
        keys: Keys,
        source: etree._Element | Mapping[str, Any] | None,
        user: User,
        session: Session | None = None,
    ) -> Mapping[str, Any] | None:
        """See `yang.tree.Tree.invoke`."""
        node = self._schema.find(schema_path)
        if node is None or node.kind not in ("rpc", "action"):
            raise OperationError("unknown-element", f"there is no operation {schema_path}")
        values = typed_keys(node, keys)
        self._check_access(node, values, user)
        operation = self._operations.get(schema_path)
        own = self._own.get(schema_path)
        if operation is None and own is None:
            raise OperationError("operation-not-supported", f"{schema_path} is not available on this element")
        members = await self._in_worker(self._read, self._schema.node(f"{schema_path}/input"), values, source)
        if own is not None:
            return await own(session or Session(0, user, ""), members)
        assert operation is not None
        return await operation(values, members, user.name)

    def _read(
        self, node: SchemaNode, keys: Keys, source: etree._Element | Mapping[str, Any] | None
    ) -> dict[str, Any]:
        return self._complete(node, keys, self._input.read(node, source))

    def _check_access(self, node: SchemaNode, values: Keys, user: User) -> None:
        """The instance that an action is for must exist, and be readable (RFC 8341 section 3.1.3)."""
        self._access.check_exec(node, user, values)
        if node.kind == "action" and node.parent is not None:
            path = DataPath.of_node(node.parent, values)
            if not self._reader.exists(path):
                raise OperationError("data-missing", f"{path} does not exist", path=str(path))


def _unknown(node: SchemaNode, name: str) -> OperationError:
    return OperationError(
        "unknown-element",
        f'{node.path} has no node "{name}"',
        path=node.path,
        error_type="protocol",
        info={"bad-element": name},
    )

"""edit-config's XML as edits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lxml import etree

from yang.datastore.edit import INSERTS, OPERATIONS, Edit, Insert, ValueReader
from yang.path import DataPath, PathError, Step
from yang.provider import Keys, OperationError
from yang.query.subtree import NETCONF_BASE, module_resolver
from yang.schema import Schema, SchemaNode
from yang.types import DIGITS, integer_ranges

_OPERATION: Final = f"{{{NETCONF_BASE}}}operation"
_YANG_NS: Final = "urn:ietf:params:xml:ns:yang:1"
_INSERT: Final = f"{{{_YANG_NS}}}insert"
_KEY: Final = f"{{{_YANG_NS}}}key"
_VALUE: Final = f"{{{_YANG_NS}}}value"
_WITH_DEFAULTS: Final = "{urn:ietf:params:xml:ns:netconf:default:1.0}default"
MAX_DEPTH: Final = 64
_WRITES: Final = frozenset({"", "merge", "replace", "create"})
MAX_SHOWN: Final = 128
"""Characters of a key that an error shows."""
MAX_KEPT: Final = 10_000
"""Values of one request that are not read again when they come again."""

Resolver = Callable[[str], str | None]


class XmlEdits:
    """Reads ``<config>`` elements.

    Args:
        keep_going: continue-on-error: what cannot be read is left out and collected in `errors`.
    """

    def __init__(self, schema: Schema, values: ValueReader, *, keep_going: bool = False) -> None:
        self._schema = schema
        self._values = values
        self._keep_going = keep_going
        self.known: dict[tuple[SchemaNode, Any], SchemaNode] = {}
        self._plain: dict[SchemaNode, bool] = {}
        self._ranges: dict[SchemaNode, tuple[tuple[int, int], ...]] = {}
        self._kept: dict[tuple[SchemaNode, str], Any] = {}
        self._attributes = True
        self.root = schema.root
        self.errors: list[OperationError] = []

    def read(self, config: etree._Element) -> list[Edit]:
        """The edits that are the children of an element.

        Raises:
            OperationError: ``unknown-element``, ``unknown-namespace``, ``invalid-value``,
                ``missing-element``, ``bad-attribute``, ``bad-element``.
        """
        # asked once, for each element that is asked for its attributes makes an object for them
        self._attributes = bool(config.xpath("boolean(.//@*)"))
        return self._children(self._schema.root, config, "", 0)

    def _children(
        self, parent: SchemaNode, element: etree._Element, operation: str, depth: int
    ) -> list[Edit]:
        if depth > MAX_DEPTH:
            raise OperationError("too-big", f"the configuration is deeper than {MAX_DEPTH} levels")
        edits: list[Edit] = []
        once: set[SchemaNode] = set()
        known = self.known
        attributes, writes = self._attributes, operation in _WRITES
        for child in element:
            tag = child.tag
            if tag.__class__ is not str:
                continue  # a comment or a processing instruction
            try:
                node = known.get((parent, tag)) or self.node(parent, child)
                kind = node.kind
                if kind == "leaf" or kind == "container":
                    if node in once:
                        raise self._values.error(node, "bad-element", f"{node.path} is given twice")
                    once.add(node)
                if kind == "leaf" and writes and not (attributes and child.attrib) and not len(child):
                    edits.append(Edit(node, value=self.value(node, child)))
                elif kind == "list":
                    edits.append(self._entry(node, child, operation, depth))
                else:
                    edits.append(self._edit(node, child, operation, depth))
            except OperationError as error:
                if not self._keep_going:
                    raise
                self.errors.append(error)
        return edits

    def node(self, parent: SchemaNode, element: etree._Element) -> SchemaNode:
        """The node of an element, from now on in `known` by its parent's and the element's name."""
        name = etree.QName(element)
        module = self._schema.module_of_namespace(name.namespace or "")
        if module is None:
            raise OperationError(
                "unknown-namespace",
                f'no module has the namespace "{name.namespace or ""}" of <{name.localname}>',
                info={"bad-element": name.localname, "bad-namespace": name.namespace or ""},
            )
        node = parent.children.get((module, name.localname))
        if node is None or node.kind not in ("container", "list", "leaf", "leaf-list", "anydata"):
            where = parent.path or "the configuration"
            raise OperationError(
                "unknown-element",
                f'{where} has no node "{name.localname}" in module {module}',
                path=parent.path or None,
                info={"bad-element": name.localname},
            )
        self._values.check_config(node)
        self.known[parent, element.tag] = node
        return node

    def _entry(self, node: SchemaNode, element: etree._Element, inherited: str, depth: int) -> Edit:
        """The edit of an entry of a list; what is wrong in it is said with its keys."""
        before = len(self.errors)
        try:
            return self._edit(node, element, inherited, depth)
        except OperationError as error:
            _name_entry(error, node, element)
            raise
        finally:
            for collected in self.errors[before:]:
                _name_entry(collected, node, element)

    def _edit(self, node: SchemaNode, element: etree._Element, inherited: str, depth: int) -> Edit:
        own, insert = None, None
        attributes = self._attributes and element.attrib
        if attributes:
            own, insert = self._operation(node, element), self._insert(node, element)
        operation = own or inherited
        if attributes and element.get(_WITH_DEFAULTS) is not None:
            own = self._default(node, element, own, operation)
        edit = Edit(node, own, insert=insert)
        if node.kind in ("container", "list"):
            text = element.text
            if text is not None and text.strip():
                raise self._values.error(node, "bad-element", f"{node.path} holds text, but has no value")
            edit.children = self._children(node, element, operation, depth + 1)
            if node.kind == "list":
                edit.keys = self._keys(node, edit.children)
        elif node.kind == "anydata":
            edit.value = etree.tostring(element, encoding="unicode")
        elif len(element):
            raise self._values.error(node, "bad-element", f"{node.path} is a leaf, it has no elements inside")
        elif node.kind == "leaf" and operation in ("delete", "remove") and not node.is_key:
            pass  # what the value was does not matter
        else:
            edit.value = self.value(node, element)
        return edit

    def value(self, node: SchemaNode, element: etree._Element) -> Any:
        """The value of a leaf or leaf-list entry. Those of a request are often the same, but for keys."""
        text = element.text or ""
        ranges = self._ranges.get(node)
        if ranges is None:
            ranges = self._ranges[node] = integer_ranges(node.type)
        if ranges and len(text) <= DIGITS and text.isdecimal() and text.isascii():
            number = int(text)
            for low, high in ranges:
                if low <= number <= high:
                    return number
        plain = self._plain.get(node)
        if plain is None:
            plain = self._plain[node] = node.type is not None and node.type.plain
        if plain and node.is_key:  # it does not come again
            return self._values.from_text(node, text, None)
        if not plain:
            # the namespaces in scope are worked out for the few values that have prefixes
            return self._values.from_text(
                node, text, lambda prefix: module_resolver(self._schema, element)(prefix)
            )
        kept = self._kept
        value = kept.get((node, text), kept)
        if value is kept:
            value = self._values.from_text(node, text, None)
            if len(kept) < MAX_KEPT:
                kept[node, text] = value
        return value

    def _operation(self, node: SchemaNode, element: etree._Element) -> str | None:
        """The operation attribute; other attributes that are not ours are refused."""
        for name in element.attrib:
            if name not in (_OPERATION, _INSERT, _KEY, _VALUE, _WITH_DEFAULTS):
                raise _unknown_attribute(node, str(name))
        operation = element.get(_OPERATION)
        if operation is None:
            return None
        if operation not in OPERATIONS - {"none"}:
            raise _bad_attribute(node, "operation", f'there is no operation "{operation}"')
        if node.is_key and operation in ("delete", "remove"):
            raise _bad_attribute(node, "operation", "a key cannot be deleted without its entry")
        return operation

    def _default(
        self, node: SchemaNode, element: etree._Element, own: str | None, operation: str
    ) -> str | None:
        """The operation on a node that carries the attribute ``default`` (RFC 6243 section 4.5.2): its value
        has to be the default, which is then not set, for only what has been set is kept."""
        if element.get(_WITH_DEFAULTS) not in ("true", "1"):
            if element.get(_WITH_DEFAULTS) in ("false", "0"):
                return own
            raise _bad_attribute(node, "default", "the attribute default is true or false")
        if operation in ("delete", "remove", "none"):
            return own
        value = None
        if node.type is not None and not node.is_key and not len(element):
            value = self._values.from_text(node, element.text or "", module_resolver(self._schema, element))
        if value is None or value not in node.defaults:
            raise OperationError(
                "invalid-value",
                f"{node.path}: this is not the default, as its attribute says",
                path=node.path,
                info={"bad-element": node.name},
            )
        return "remove"

    def _insert(self, node: SchemaNode, element: etree._Element) -> Insert | None:
        where = element.get(_INSERT)
        if where is None:
            return None
        if not node.user_ordered:
            raise _bad_attribute(node, "insert", f"{node.path} is not ordered by the user")
        if where not in INSERTS:
            raise _bad_attribute(node, "insert", f'there is no place "{where}"')
        if where in ("first", "last"):
            return Insert(where)
        name, attribute = ("key", _KEY) if node.kind == "list" else ("value", _VALUE)
        text = element.get(attribute)
        if text is None:
            raise OperationError(
                "missing-attribute",
                f'insert="{where}" needs the attribute {name}',
                path=node.path,
                error_type="protocol",
                info={"bad-attribute": name, "bad-element": node.name},
            )
        return Insert(where, self._anchor(node, element, text))

    def _anchor(self, node: SchemaNode, element: etree._Element, text: str) -> Keys:
        resolve = module_resolver(self._schema, element)
        if node.kind == "leaf-list":
            return (self._values.from_text(node, text, resolve),)
        # the value is a list of predicates, as in [sys:name='x']
        namespaces = {prefix: uri for prefix, uri in element.nsmap.items() if prefix}
        try:
            path = DataPath.parse_xpath(f"/{node.module}:{node.name}{text}", namespaces, self._schema)
        except PathError as error:
            raise _bad_attribute(node, "key", str(error)) from error
        given = dict(path.steps[0].keys)
        if set(given) != set(node.keys):
            raise _bad_attribute(node, "key", f"the keys are {', '.join(node.keys)}")
        return tuple(self._values.from_text(key, given[key.name], None) for key in node.key_nodes)

    def _keys(self, node: SchemaNode, children: list[Edit]) -> Keys:
        if len(node.keys) == 1 and children and children[0].node.is_key:
            return (children[0].value,)  # the usual case
        given: dict[str, Any] = {edit.node.name: edit.value for edit in children if edit.node.is_key}
        try:
            return tuple([given[name] for name in node.keys])
        except KeyError as missing:
            name = str(missing.args[0])
            raise OperationError(
                "missing-element",
                f'an entry of {node.path} has no key "{name}"',
                path=node.path,
                info={"bad-element": name},
            ) from None


def _name_entry(error: OperationError, node: SchemaNode, element: etree._Element) -> None:
    """Say in which entry of a list something is wrong, unless its keys are."""
    namespace = etree.QName(element).namespace or ""
    texts = [(element.findtext(f"{{{namespace}}}{key}") or "").strip() for key in node.keys]
    if error.path in [key.path for key in node.key_nodes] or not all(
        0 < len(text) <= MAX_SHOWN for text in texts
    ):
        return
    keys = str(DataPath((Step("", "", tuple(zip(node.keys, texts, strict=True))),)))[1:]
    error.message = _with_keys(error.message, node.path, keys)
    error.path = None if error.path is None else _with_keys(error.path, node.path, keys)


def _with_keys(text: str, path: str, keys: str) -> str:
    """A text that begins with the path of a list, or of what is in it, with the keys of an entry."""
    rest = text.removeprefix(path)
    return f"{path}{keys}{rest}" if rest != text and rest[:1] in ("", "/", ":", " ") else text


def _bad_attribute(node: SchemaNode, attribute: str, why: str) -> OperationError:
    return OperationError(
        "bad-attribute",
        f"{node.path}: {why}",
        path=node.path,
        error_type="protocol",
        info={"bad-attribute": attribute, "bad-element": node.name},
    )


def _unknown_attribute(node: SchemaNode, name: str) -> OperationError:
    local = name.rpartition("}")[2]
    hint = "; the one of NETCONF is in its namespace (nc:operation)" if name == "operation" else ""
    return OperationError(
        "unknown-attribute",
        f'{node.path}: there is no attribute "{local}" here{hint}',
        path=node.path,
        error_type="protocol",
        info={"bad-attribute": local, "bad-element": node.name},
    )

"""From the bytes of a stored configuration, XML or JSON, to a valid tree."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import orjson
from lxml import etree

from yang.datastore.data import EMPTY, Tree
from yang.datastore.document import deviating, unpack
from yang.datastore.edit import Editor, ValueReader
from yang.datastore.edit_xml import XmlEdits
from yang.datastore.migration import MigrationStep, migrate
from yang.datastore.running import hash_passwords
from yang.datastore.validator import Validator
from yang.path import DataPath, PathError, Step
from yang.provider import OperationError
from yang.schema import Schema

_WRAPPERS: Final = frozenset({"config", "data"})
_NETCONF: Final = frozenset(
    {"", "urn:ietf:params:xml:ns:netconf:base:1.0", "urn:ietf:params:xml:ns:yang:ietf-netconf-nmda"}
)


def read(
    schema: Schema,
    validator: Validator,
    data: bytes,
    origin: str,
    *,
    unrecorded: str = "",
) -> tuple[Tree, list[MigrationStep]]:
    """The valid tree of a file, and the migration steps that made it one. In the worker.

    Args:
        data: RFC 7951 JSON, or XML: ``<config>`` or ``<data>`` around the top-level nodes, or one of them.
        origin: name of the file, for errors.
        unrecorded: revision of the modules of a JSON file that does not note them; "" for that of the model.

    Raises:
        OperationError: it cannot be read, is of a newer model, or does not fit; the message says where.
    """
    if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return hash_passwords(_checked(validator, _read_xml(schema, validator, data, origin), origin)), []
    document = unpack(data, origin)
    if document.modules is None and unrecorded:
        document = replace(document, modules=_all_of(schema, unrecorded))
    members, done = migrate(document, schema, origin)
    return hash_passwords(_load(validator, members, origin)), done


def _all_of(schema: Schema, revision: str) -> dict[str, str]:
    """What was loaded by a software that did not note it: nothing was deviated then."""
    return {
        module.name: min(revision, module.revision)
        for module in schema.modules
        if module.implemented and module.revision and module.name not in deviating(schema)
    }


def _load(validator: Validator, members: dict[str, Any], origin: str) -> Tree:
    try:
        return validator.load(orjson.dumps(members))
    except OperationError as error:
        raise _located(error, origin, "") from error


def _checked(validator: Validator, tree: Tree, origin: str) -> Tree:
    try:
        validator.complete(tree)
    except OperationError as error:
        raise _located(error, origin, "") from error
    return tree


def _located(error: OperationError, origin: str, line: str) -> OperationError:
    where = f" at {error.path}" if error.path and error.path not in error.message else ""
    return OperationError(
        error.tag, f"{origin}: {line}{error.message}{where}", path=error.path, app_tag=error.app_tag
    )


# --- XML -----------------------------------------------------------------------------------------


def _read_xml(schema: Schema, validator: Validator, data: bytes, origin: str) -> Tree:
    root = _parse(schema, data, origin)
    try:
        edits = XmlEdits(schema, ValueReader(validator.check_value)).read(root)
        return Editor().apply(EMPTY, edits, "merge")
    except OperationError as error:
        raise _located(error, origin, _line(root, error)) from error


def _parse(schema: Schema, data: bytes, origin: str) -> etree._Element:
    """The element whose children are top-level nodes."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(data.lstrip(), parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise OperationError(
            "malformed-message", f"{origin}: line {line}, column {column}: {error.msg}"
        ) from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise OperationError("malformed-message", f"{origin}: a configuration has no document type")
    name = etree.QName(root)
    if name.localname in _WRAPPERS and (name.namespace or "") in _NETCONF:
        return root
    if schema.module_of_namespace(name.namespace or "") is None:
        raise OperationError(
            "unknown-element",
            f"{origin}: line {root.sourceline}: <{name.localname}> is neither <config> nor of the model",
        )
    wrapper = etree.Element("config")
    wrapper.append(root)
    return wrapper


def _line(root: etree._Element, error: OperationError) -> str:
    """``line 12: `` where the error's path leads to; "" when it leads nowhere."""
    try:
        steps = DataPath.parse(error.path or "/").steps
    except PathError:
        steps = ()
    element = root
    for step in steps:
        found = next((child for child in element if _is_step(child, step)), None)
        if found is None:
            break
        element = found
    bad = error.info.get("bad-element")
    inner = next((child for child in element.iter() if etree.QName(child).localname == bad), None)
    line = (element if inner is None else inner).sourceline
    return f"line {line}: " if line and (element is not root or inner is not None) else ""


def _is_step(element: etree._Element, step: Step) -> bool:
    if etree.QName(element).localname != step.name:
        return False
    if step.keys and step.keys[0][0] == ".":
        return (element.text or "").strip() == step.keys[0][1]
    return all((element.findtext(f"{{*}}{name}") or "").strip() == value for name, value in step.keys)

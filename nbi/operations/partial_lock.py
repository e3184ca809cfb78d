"""partial-lock: lock parts of running (RFC 5717 section 2.4.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lxml import etree

from nbi.operations.arguments import leaf_text, reject_attributes
from nbi.operations.context import Context, Reply
from nbi.operations.filters import checked_xpath
from nbi.protocol.errors import bad_element, invalid_value, missing_element, unknown_element
from nbi.protocol.names import PARTIAL_LOCK_NS, qualified
from nbi.protocol.paths import instance_identifier_to_xpath
from nbi.protocol.xml import new_element, serialize
from yang.path import DataPath, PathError

MAX_SELECTS = 64
"""Most nodes that one partial lock may name."""


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Lock what the ``select`` expressions name: instance-identifiers, as without :xpath."""
    reject_attributes(operation)
    paths: list[str] = []
    for child in operation:
        if child.tag != qualified(PARTIAL_LOCK_NS, "select"):
            raise unknown_element(child)
        paths.append(_path(context, child))
    if not paths:
        raise missing_element("select")
    if len(paths) > MAX_SELECTS:
        raise bad_element("select", f"a partial lock may name {MAX_SELECTS} nodes at most")
    lock_id, locked = await context.tree.datastores.partial_lock(context.session, paths)
    return _reply(context, lock_id, locked)


def _path(context: Context, select: etree._Element) -> str:
    namespaces = {prefix: uri for prefix, uri in select.nsmap.items() if prefix is not None}
    try:
        return str(DataPath.parse_xpath(checked_xpath(leaf_text(select)), namespaces, context.tree.schema))
    except PathError as error:
        refusal = invalid_value("select", str(error))
        refusal.app_tag = "invalid-lock-specification"
        raise refusal from None


def _reply(context: Context, lock_id: int, locked: Sequence[str]) -> Iterator[bytes]:
    element = new_element(qualified(PARTIAL_LOCK_NS, "lock-id"), {None: PARTIAL_LOCK_NS})
    element.text = str(lock_id)
    yield serialize(element)
    namespaces = {module.name: module.namespace for module in context.tree.schema.modules}
    for node in locked:
        xpath, nsmap = instance_identifier_to_xpath(node, namespaces)
        element = new_element(qualified(PARTIAL_LOCK_NS, "locked-node"), {**nsmap, None: PARTIAL_LOCK_NS})
        element.text = xpath
        yield serialize(element)

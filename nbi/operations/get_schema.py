"""get-schema: the text of a module (RFC 6022 section 3.1)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.protocol.names import MONITORING_NS, qualified
from nbi.protocol.xml import new_element, serialize


async def handle(context: Context, operation: etree._Element) -> Reply:
    """The YANG text as content of ``data``."""
    arguments = Arguments(operation, "identifier", "version", "format")
    schema_format = arguments.text("format")
    text = context.tree.get_schema(
        arguments.required_text("identifier"),
        arguments.text("version") or None,
        # An identityref: the prefix is the client's own.
        schema_format.rpartition(":")[2] if schema_format else None,
    )
    data = new_element(qualified(MONITORING_NS, "data"), {None: MONITORING_NS})
    data.text = text
    return [serialize(data)]

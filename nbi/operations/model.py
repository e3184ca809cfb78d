"""RPCs and actions that the modules define: they go to whatever the element registered for them."""

from __future__ import annotations

from lxml import etree

from nbi.operations.context import Context, Reply
from nbi.protocol.errors import RpcError, unknown_namespace
from nbi.protocol.names import YANG_NS, split_tag


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Invoke an operation of the model (RFC 7950 sections 7.14 and 7.15).

    Raises:
        RpcError: unknown-namespace, or operation-not-supported when no module defines it.
    """
    tree = context.tree
    found = tree.find_operation(operation)
    if found is None:
        namespace, name = split_tag(str(operation.tag))
        if namespace != YANG_NS and tree.schema.module_of_namespace(namespace) is None:
            raise unknown_namespace(operation)
        raise RpcError("operation-not-supported", f"this server has no operation {name}")
    path, keys, input_element = found
    output = await tree.invoke(path, keys, input_element, context.user, context.session)
    encoded = tree.encode_output(path, output)
    return [encoded] if encoded else None

"""edit-data: NMDA's edit-config (RFC 8526 section 3.1.2)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.operations.edit_config import DEFAULT_OPERATIONS
from nbi.operations.nmda import read_datastore
from nbi.protocol.errors import RpcError, bad_element, invalid_value


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Apply the edit, all or nothing."""
    arguments = Arguments(operation, "datastore", "default-operation", "config", "url")
    target = read_datastore(arguments)
    if target != "candidate":  # :writable-running is off (RFC 8526: not writable is an invalid value)
        raise invalid_value("datastore", f"{target} cannot be edited: edit candidate, then commit")
    if arguments.element("config") is not None and arguments.element("url") is not None:
        raise bad_element("url", "only one of config and url can be given")
    if arguments.element("url") is not None:
        raise RpcError("operation-not-supported", "this server has no :url capability")
    await context.tree.datastores.edit(
        context.session,
        target,
        arguments.required("config"),
        default_operation=arguments.choice("default-operation", DEFAULT_OPERATIONS) or "merge",
        error_option="rollback-on-error",
    )
    return None

"""edit-data: NMDA's edit-config (RFC 8526 section 3.1.2)."""

from __future__ import annotations

from lxml import etree

from nbi.operations import urls
from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.operations.edit_config import DEFAULT_OPERATIONS
from nbi.operations.nmda import read_datastore
from nbi.protocol.errors import invalid_value


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Apply the edit, all or nothing."""
    arguments = Arguments(operation, "datastore", "default-operation", "config", "url")
    target = read_datastore(arguments)
    if target != "candidate":  # :writable-running is off (RFC 8526: not writable is an invalid value)
        raise invalid_value("datastore", f"{target} cannot be edited: edit candidate, then commit")
    config = await urls.edit_content(context, arguments)
    await context.tree.datastores.edit(
        context.session,
        target,
        config,
        default_operation=arguments.choice("default-operation", DEFAULT_OPERATIONS) or "merge",
        error_option="rollback-on-error",
    )
    return None

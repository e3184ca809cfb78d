"""edit-config: change a datastore (RFC 6241 section 7.2)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.protocol.errors import RpcError

DEFAULT_OPERATIONS = ("merge", "replace", "none")
TEST_OPTIONS = ("test-then-set", "set", "test-only")
ERROR_OPTIONS = ("stop-on-error", "continue-on-error", "rollback-on-error")


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Apply the edit to the target."""
    arguments = Arguments(
        operation, "target", "default-operation", "test-option", "error-option", "config", "url"
    )
    target = arguments.datastore("target")
    if arguments.element("url") is not None:
        raise RpcError("operation-not-supported", "this server has no :url capability")
    await context.tree.datastores.edit(
        context.session,
        target,
        arguments.required("config"),
        default_operation=arguments.choice("default-operation", DEFAULT_OPERATIONS) or "merge",
        test_option=arguments.choice("test-option", TEST_OPTIONS),
        error_option=arguments.choice("error-option", ERROR_OPTIONS) or "stop-on-error",
    )
    return None

"""edit-config: change a datastore (RFC 6241 section 7.2)."""

from __future__ import annotations

from lxml import etree

from nbi.operations import urls
from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply

DEFAULT_OPERATIONS = ("merge", "replace", "none")
TEST_OPTIONS = ("test-then-set", "set", "test-only")
ERROR_OPTIONS = ("stop-on-error", "continue-on-error", "rollback-on-error")


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Apply the edit to the target."""
    arguments = Arguments(
        operation, "target", "default-operation", "test-option", "error-option", "config", "url"
    )
    target = arguments.datastore("target")
    config = await urls.edit_content(context, arguments)
    await context.tree.datastores.edit(
        context.session,
        target,
        config,
        default_operation=arguments.choice("default-operation", DEFAULT_OPERATIONS) or "merge",
        test_option=arguments.choice("test-option", TEST_OPTIONS),
        error_option=arguments.choice("error-option", ERROR_OPTIONS) or "stop-on-error",
    )
    return None

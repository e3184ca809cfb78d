"""update: a private candidate takes over what changed in running (draft-ietf-netconf-privcand)."""

from __future__ import annotations

from typing import cast

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from yang.datastore.commits import UpdateMode

MODES = ("revert-on-conflict", "prefer-candidate", "prefer-running")


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Update the private candidate of this session."""
    mode = Arguments(operation, "resolution-mode").choice("resolution-mode", MODES) or MODES[0]
    await context.tree.datastores.update(context.session, cast("UpdateMode", mode))
    return None

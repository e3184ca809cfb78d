"""commit: candidate becomes running (RFC 6241 sections 8.3.4.1 and 8.4.5.1)."""

from __future__ import annotations

from lxml import etree

from nbi.operations.arguments import Arguments
from nbi.operations.context import Context, Reply
from nbi.protocol.errors import RpcError, bad_element, invalid_value
from nbi.protocol.names import CONFIGURATION_NS, qualified

MAX_TIMEOUT = 4294967295
DEFAULT_TIMEOUT = 600
COMMENT = qualified(CONFIGURATION_NS, "comment")
MAX_COMMENT = 1024


async def handle(context: Context, operation: etree._Element) -> Reply:
    """Commit, or begin, extend or confirm a confirmed commit."""
    arguments = Arguments(operation, "confirmed", "confirm-timeout", "persist", "persist-id", COMMENT)
    confirmed = arguments.flag("confirmed")
    timeout = arguments.number("confirm-timeout", 1, MAX_TIMEOUT)
    persist = token(arguments, "persist")
    if not confirmed:
        for name, value in (("confirm-timeout", timeout), ("persist", persist)):
            if value is not None:
                raise bad_element(name, f"<{name}> belongs to a confirmed commit")
    await context.tree.datastores.commit(
        context.session,
        confirmed=confirmed,
        confirm_timeout=DEFAULT_TIMEOUT if timeout is None else timeout,
        persist=persist,
        persist_id=token(arguments, "persist-id"),
        comment=_comment(arguments),
    )
    return None


def _comment(arguments: Arguments) -> str:
    """What the history is to say of the commit (augment of aether-configuration)."""
    text = arguments.text(COMMENT) or ""
    if len(text) > MAX_COMMENT:
        raise invalid_value("comment", f"<comment> must have at most {MAX_COMMENT} characters")
    return text


def token(arguments: Arguments, name: str) -> str | None:
    """A persist token: text of 1 to 255 characters, or None."""
    text = arguments.text(name)
    if text is not None and not 1 <= len(text) <= 255:
        raise RpcError("invalid-value", f"<{name}> must have 1 to 255 characters", info={"bad-element": name})
    return text

"""The messages of YANG-Push (RFC 8641): push-update and push-change-update."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from nbi.protocol import notification
from nbi.protocol.errors import xml_text
from nbi.protocol.names import PUSH_NS
from yang.encode.fragment import resource_identifier
from yang.encode.xml import escape

if TYPE_CHECKING:
    from yang.encode.fragment import Fragments
    from yang.observe import Edit

INCOMPLETE = b"<incomplete-update/>"


def update_start(time_ns: int, subscription: int) -> bytes:
    """What comes before the contents of a push-update."""
    return (
        notification.start(time_ns)
        + f'<push-update xmlns="{PUSH_NS}"><id>{subscription}</id><datastore-contents>'.encode()
    )


UPDATE_END = b"</datastore-contents></push-update>" + notification.END


def changes_start(time_ns: int, subscription: int, patch: int) -> bytes:
    """What comes before the edits of a push-change-update."""
    return (
        notification.start(time_ns)
        + (
            f'<push-change-update xmlns="{PUSH_NS}"><id>{subscription}</id><datastore-changes><yang-patch>'
            f"<patch-id>{patch}</patch-id>"
        ).encode()
    )


def changes_end(*, incomplete: bool) -> bytes:
    """What comes after them.

    Args:
        incomplete: not all that changed is in the message.
    """
    flag = INCOMPLETE if incomplete else b""
    return b"</yang-patch></datastore-changes>" + flag + b"</push-change-update>" + notification.END


def edit_element(fragments: Fragments, number: int, edit: Edit) -> bytes:
    """An edit of a YANG patch (RFC 8072 section 2.5)."""
    pieces = [
        f"<edit><edit-id>{number}</edit-id><operation>{edit.operation}</operation>",
        f"<target>{_text(_target(edit))}</target>",
    ]
    if edit.operation in ("insert", "move"):
        if edit.after is None:
            pieces.append("<where>first</where>")
        else:
            pieces.append(f"<point>{_text(resource_identifier(edit.after))}</point><where>after</where>")
    if edit.operation not in ("delete", "move"):
        if edit.names:
            value = fragments.leaf(edit.node, edit.value)
        else:
            value = fragments.entry(edit.node, edit.leaves)
        pieces.append(f"<value>{value}</value>")
    pieces.append("</edit>")
    return "".join(pieces).encode()


def _target(edit: Edit) -> str:
    if edit.names and edit.node.kind == "leaf-list" and edit.node.type is not None:
        value = quote(edit.node.type.format(edit.value), safe="")
        return f"{resource_identifier(edit.path, edit.names)}={value}"
    return resource_identifier(edit.path, edit.names)


def _text(text: str) -> str:
    return escape(xml_text(text))

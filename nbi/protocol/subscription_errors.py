"""Errors of subscriptions: identities of RFC 8639 and RFC 8641 as rpc-error (RFC 8640 section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from lxml import etree

from nbi.protocol.errors import RpcError, xml_text
from nbi.protocol.names import PUSH_NS, SUBSCRIBED_NS, qualified
from nbi.protocol.xml import new_element

Structure = Literal[
    "establish-subscription-stream-error-info",
    "modify-subscription-stream-error-info",
    "delete-subscription-error-info",
    "establish-subscription-datastore-error-info",
    "modify-subscription-datastore-error-info",
    "resync-subscription-error",
]
"""What error-info holds, by the RPC and what it is about."""

_SUBSCRIBED: Final = {
    "encoding-unsupported": "invalid-value",
    "filter-unsupported": "invalid-value",
    "insufficient-resources": "resource-denied",
    "no-such-subscription": "invalid-value",
    "replay-unsupported": "operation-not-supported",
}
_PUSH: Final = {
    "cant-exclude": "operation-not-supported",
    "datastore-not-subscribable": "invalid-value",
    "no-such-subscription-resync": "invalid-value",
    "on-change-unsupported": "operation-not-supported",
    "on-change-sync-unsupported": "operation-not-supported",
    "period-unsupported": "invalid-value",
    "update-too-big": "too-big",
    "sync-too-big": "too-big",
    "unchanging-selection": "operation-failed",
}


def module_of(identity: str) -> str:
    """The module that defines an identity of these RFCs."""
    return "ietf-yang-push" if identity in _PUSH else "ietf-subscribed-notifications"


def qualified_identity(identity: str) -> str:
    """``module:identity``, as error-app-tag and records of state have it."""
    return f"{module_of(identity)}:{identity}"


def subscription_error(
    structure: Structure, identity: str, message: str, hints: Mapping[str, str | int] | None = None
) -> RpcError:
    """An RPC about a subscription cannot be carried out.

    Args:
        identity: the reason, without its module.
        hints: leaves of the structure besides the reason: ``period-hint``, ``filter-failure-hint`` …
    """
    tag = _SUBSCRIBED.get(identity) or _PUSH[identity]
    namespace = PUSH_NS if "datastore" in structure or "resync" in structure else SUBSCRIBED_NS
    prefix = "yp" if identity in _PUSH else "sn"
    # Prefixes only: where the namespace is the default one, lxml drops those that mean the same.
    element = new_element(qualified(namespace, structure), {"sn": SUBSCRIBED_NS, "yp": PUSH_NS})
    reason = new_element(qualified(namespace, "reason"), parent=element)
    reason.text = f"{prefix}:{identity}"
    for name, value in (hints or {}).items():
        etree.SubElement(element, qualified(namespace, name)).text = xml_text(str(value))
    return RpcError(tag, message, "application", app_tag=qualified_identity(identity), structure=element)

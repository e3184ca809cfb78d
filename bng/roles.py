"""The three roles that a BNG comes with, as NACM rules (RFC 8341): viewer, operator, admin.

They are the factory's NACM configuration. Whoever is made a member of a group has its role; a startup
configuration that has `rule-list` or `groups` of its own takes theirs in place of these.
"""

from __future__ import annotations

from typing import Any, Final

ADMIN: Final = "admin"
OPERATOR: Final = "operator"
VIEWER: Final = "viewer"

_OPERATED_MODULES: Final = ("aether-shaping", "aether-access-router", "aether-subscriber")
"""What operators change and invoke."""

_WRITING: Final = {
    "ietf-netconf": (
        *("lock", "unlock", "edit-config", "copy-config", "commit", "cancel-commit"),
        *("discard-changes", "validate"),
    ),
    "ietf-netconf-nmda": ("edit-data",),
    "ietf-netconf-partial-lock": ("*",),
    "aether-configuration": ("get-commit-diff", "rollback-to"),
}
"""RPCs of who changes configurations; which nodes, other rules say (of rollback-to, too)."""

_READING: Final = {
    "ietf-netconf": ("get", "get-config"),
    "ietf-netconf-nmda": ("get-data",),
    "ietf-netconf-monitoring": ("get-schema",),
    "aether-configuration": ("get-commit-diff",),
    "notifications": ("create-subscription",),
    "ietf-subscribed-notifications": (
        *("establish-subscription", "modify-subscription", "delete-subscription"),
    ),
    "ietf-yang-push": ("resync-subscription",),
}
"""RPCs of who only looks."""


def _rule(name: str, action: str, **more: str) -> dict[str, str]:
    return {"name": name, **{key.replace("_", "-"): value for key, value in more.items()}, "action": action}


def _rpcs(rpcs: dict[str, tuple[str, ...]]) -> list[dict[str, str]]:
    return [
        _rule(f"{module}:{rpc}", "permit", module_name=module, rpc_name=rpc, access_operations="exec")
        for module, names in rpcs.items()
        for rpc in names
    ]


FACTORY: Final[dict[str, Any]] = {
    "ietf-netconf-acm:nacm": {
        "enable-nacm": True,
        "read-default": "permit",
        "write-default": "deny",
        "exec-default": "permit",
        "groups": {"group": [{"name": name} for name in (ADMIN, OPERATOR, VIEWER)]},
        "rule-list": [
            {
                "name": ADMIN,
                "group": [ADMIN],
                "rule": [_rule("everything", "permit", module_name="*", access_operations="*")],
            },
            {
                "name": OPERATOR,
                "group": [OPERATOR],
                "rule": [
                    *(
                        _rule(module, "permit", module_name=module, access_operations="*")
                        for module in _OPERATED_MODULES
                    ),
                    *_rpcs(_WRITING),
                ],
            },
            {
                "name": VIEWER,
                "group": [VIEWER],
                # a reader neither locks others out, nor throws their candidate away, nor acts on sessions
                "rule": [
                    *_rpcs(_READING),
                    _rule("nothing-else", "deny", module_name="*", access_operations="exec"),
                ],
            },
        ],
    }
}
"""RFC 7951 members."""

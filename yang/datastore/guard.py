"""Commits after which nobody could manage the element any more: they are made as confirmed commits only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from yang.access import AccessControl, User
from yang.datastore.running import Snapshot
from yang.provider import OperationError
from yang.schema import Schema

Guard = Callable[[Snapshot, Snapshot], None]

APP_TAG: Final = "confirmation-required"
_NACM: Final = "ietf-netconf-acm:nacm"
_SYSTEM: Final = "ietf-system:system"
_RULES: Final = "/ietf-netconf-acm:nacm/enable-nacm"
_NEEDED: Final = ("/ietf-netconf:edit-config", "/ietf-netconf:commit")


class ManagementGuard:
    """Refuses a commit that would shut everybody out, or take away what the element cannot do without.

    Somebody must remain who can log in and change the access rules, if there was one before: such a user
    can give all other rights back.

    Args:
        essential: top-level nodes, as ``aether-bng:bng``.
    """

    def __init__(self, schema: Schema, essential: Sequence[str] = ()) -> None:
        self._schema = schema
        self._essential = essential

    def __call__(self, old: Snapshot, new: Snapshot) -> None:
        """Raise ``operation-failed`` (app-tag ``confirmation-required``) unless a commit is harmless."""
        for name in self._essential:
            if name in old.tree and name not in new.tree:
                raise _dangerous(f"/{name}", f"this commit removes /{name}, which the element needs")
        if all(old.tree.get(name) is new.tree.get(name) for name in (_NACM, _SYSTEM)):
            return
        if not self._managers(old) or self._managers(new):
            return
        if _logins(old) and not _logins(new):
            path, what = f"/{_SYSTEM}/authentication", "leaves no user who can log in"
        else:
            path, what = f"/{_NACM}", "leaves no user who can log in and change the access rules"
        raise _dangerous(path, f"this commit {what}")

    def _managers(self, snapshot: Snapshot) -> list[str]:
        """Users who can log in and change the access rules."""
        access = AccessControl(self._schema)
        access.configure(snapshot.full)
        node = self._schema.node(_RULES)
        operations = [self._schema.node(path) for path in _NEEDED]
        found = []
        for name in _logins(snapshot):
            rules = access.rules_for(User(name))
            context = rules.start
            for level in node.chain:
                context = rules.enter(context, level)
            if rules.permits(context, node, "update") and all(map(rules.permits_exec, operations)):
                found.append(name)
        return found


def _logins(snapshot: Snapshot) -> list[str]:
    """Users of the configuration with a password or a key."""
    system: Mapping[str, Any] = snapshot.tree.get(_SYSTEM) or {}
    users = (system.get("authentication") or {}).get("user", {})
    return [name for (name,), entry in users.items() if "password" in entry or "authorized-key" in entry]


def _dangerous(path: str, what: str) -> OperationError:
    return OperationError(
        "operation-failed",
        f"{what}: make it as a confirmed commit (<confirmed/>), and confirm it when all is well",
        path=path,
        app_tag=APP_TAG,
    )

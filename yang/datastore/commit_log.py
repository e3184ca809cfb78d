"""The history of commits as aether-configuration has it: the list, the diff of two, and the way back."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from yang.access import AccessControl
from yang.datastore.changes import change_list, edit_config
from yang.datastore.data import EMPTY, Tree
from yang.datastore.history import Entry, Store
from yang.datastore.migration import UNRECORDED
from yang.datastore.model import Session
from yang.datastore.past import schema_path
from yang.datastore.running import Running
from yang.datastore.store import Datastores
from yang.datastore.stored import read
from yang.datastore.validator import Validator
from yang.operations import SessionOperation
from yang.provider import Keys, OperationError
from yang.schema import Schema

_MAX_CHANGED: Final = 100
_DEFAULT_TIMEOUT: Final = 600


class CommitRecord:
    """A commit as the model's list shows it."""

    def __init__(self, entry: Entry, changed: Sequence[str], confirmed: str | None) -> None:
        transport, _, peer = entry.origin.partition(" ")
        self.number = entry.number
        self.time = entry.time
        self.kind = entry.kind
        self.user = entry.user or None
        self.transport = transport or None
        self.peer = peer or None
        self.netconf_session_id = entry.session or None
        self.comment = entry.comment or None
        self.restores = entry.restores
        self.confirmed_commit = confirmed
        self.confirm_timeout = None if entry.confirm_timeout is None else math.ceil(entry.confirm_timeout)
        self.changes = len(entry.changed)
        self.changed = changed


class CommitLog:
    """Provider of the list of commits, and the operations on them."""

    path = "/aether-configuration:commits/commit"

    def __init__(
        self,
        schema: Schema,
        validator: Validator,
        running: Running,
        store: Store,
        datastores: Datastores,
        access: AccessControl,
    ) -> None:
        self._schema = schema
        self._validator = validator
        self._running = running
        self._store = store
        self._datastores = datastores
        self._access = access
        self._changed: dict[int, tuple[Entry, Sequence[str]]] = {}

    # --- the list --------------------------------------------------------------------------------

    def get(self, keys: Keys) -> CommitRecord | None:
        """See `yang.provider.StateProvider`."""
        return next((record for record in self.iter() if record.number == keys[0]), None)

    def iter(self) -> Iterable[CommitRecord]:
        """See `yang.provider.StateProvider`: oldest first."""
        entries = list(self._store.entries)
        states = self._confirmations(entries)
        for entry in entries:
            yield CommitRecord(entry, self._nodes(entry), states.get(entry.number))

    def _nodes(self, entry: Entry) -> Sequence[str]:
        """The schema nodes that a commit changed; worked out once."""
        known = self._changed.get(entry.number)
        if known is None or known[0] is not entry:
            if len(self._changed) > 2 * len(self._store.entries):
                self._changed.clear()
            nodes = dict.fromkeys(map(schema_path, entry.changed))
            known = self._changed[entry.number] = entry, tuple(nodes)[:_MAX_CHANGED]
        return known[1]

    def _confirmations(self, entries: list[Entry]) -> dict[int, str]:
        """How it stands with each confirmed commit: a revert undoes all since the one that it restores."""
        confirm = self._datastores.confirmed_commit
        since = confirm.backup_number if confirm.active else None
        states: dict[int, str] = {}
        restored: int | None = None
        for entry in reversed(entries):
            if entry.kind == "revert" and entry.restores is not None:
                restored = entry.restores if restored is None else min(restored, entry.restores)
            elif entry.confirm_timeout is None:
                continue
            elif restored is not None and entry.number > restored:
                states[entry.number] = "reverted"
            elif since is not None and entry.number > since:
                states[entry.number] = "pending"
            else:
                states[entry.number] = "confirmed"
        return states

    # --- operations ------------------------------------------------------------------------------

    def operations(self) -> dict[str, SessionOperation]:
        """By schema path."""
        return {
            "/aether-configuration:get-commit-diff": self.diff,
            "/aether-configuration:rollback-to": self.rollback,
        }

    async def diff(self, session: Session, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """get-commit-diff."""
        number, against = given["number"], given.get("against", "previous")
        new = await self.configuration(number)
        if against == "running":
            old = self._running.snapshot.tree
        elif against == "previous":
            old = EMPTY if number == 0 else await self.configuration(number - 1)
        else:
            old = await self.configuration(against)
        rules = self._access.rules_for(session.user)
        make: Callable[..., Any] = change_list
        if given.get("format") == "xml":
            make = edit_config
        result = await self._running.in_worker(make, self._schema, old, new, rules)
        return {"config": result} if make is edit_config else {"change": result}

    async def rollback(self, session: Session, given: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """rollback-to."""
        confirmed = "confirmed" in given
        for name in ("confirm-timeout", "persist"):
            if name in given and not confirmed:
                raise OperationError(
                    "invalid-value", f"{name} goes with confirmed only", info={"bad-element": name}
                )
        number = given["number"]
        result = await self._datastores.commit(
            session,
            confirmed=confirmed,
            confirm_timeout=given.get("confirm-timeout", _DEFAULT_TIMEOUT),
            persist=given.get("persist"),
            comment=given.get("comment", ""),
            rollback=(number, await self.configuration(number)),
        )
        return {"number": result.number} if result.number else None

    async def configuration(self, number: int) -> Tree:
        """What running was after a commit, in terms of the model that is loaded.

        Raises:
            OperationError: ``data-missing``: it is not remembered; or it does not fit the model any more.
        """
        tree: Tree = await self._running.in_worker(self.read, number)
        return tree

    def read(self, number: int) -> Tree:
        """The same, in the worker."""
        document = self._store.configuration(number)
        if document is None:
            known = self._store.entries
            kept = f"commits {known[0].number} to {known[-1].number} are" if known else "none is"
            raise OperationError("data-missing", f"commit {number} is not remembered: {kept}")
        origin = f"the configuration of commit {number}"
        return read(self._schema, self._validator, document, origin, unrecorded=UNRECORDED)[0]

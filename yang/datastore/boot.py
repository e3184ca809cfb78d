"""What happens once, in the worker thread, when an element starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from yang.access import ALLOW_ALL
from yang.datastore.confirmation import Confirmation
from yang.datastore.context import SchemaBuilder, load_context
from yang.datastore.data import EMPTY, Tree, differences, from_json, to_json
from yang.datastore.document import modules_of
from yang.datastore.factory import with_factory
from yang.datastore.history import Entry, Store
from yang.datastore.migration import NEWER, UNRECORDED, MigrationStep
from yang.datastore.running import EMPTY_SNAPSHOT, Snapshot, complete
from yang.datastore.sealing import ConfigSealer
from yang.datastore.startup import Startup, StartupFile
from yang.datastore.stored import read
from yang.datastore.validator import Validator
from yang.path import paths_text
from yang.provider import OperationError
from yang.schema import Schema
from yang.sealing import PREFIX, Sealer

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Found:
    """The configuration that an element starts with.

    Attributes:
        origin: where it came from, for the log.
        reason: why it is not what was running, for the history; "" when it is.
        kind, restores: of the commit that it becomes then; see `yang.datastore.history.Entry`.
        steps: migration steps that running.json (or what it is to go back to) needed.
    """

    tree: Tree
    origin: str
    reason: str = ""
    kind: str = "startup"
    restores: int | None = None
    steps: Sequence[MigrationStep] = field(default=())


def boot(
    state_dir: Path,
    first: Path | None,
    module_dirs: Sequence[Path],
    history_limit: int,
    boot_id: str,
    factory: Mapping[str, Any] | None = None,
) -> tuple[Schema, Validator, Store, Snapshot, Startup, Resumed | None]:
    """Load modules and configuration. See `yang.tree.Tree.open`. The last is a confirmed commit that goes on.

    Args:
        first: the file of the first start.
        boot_id: names this boot of the machine; "" when that is not known.
        factory: what the first configuration gets where it does not have it.
    """
    context = load_context(module_dirs)
    schema = SchemaBuilder(context, module_dirs).build()
    validator = Validator(context, schema)
    store = Store(state_dir / "config", history_limit, boot_id)
    sealer = ConfigSealer(schema, Sealer(state_dir))
    store.seal, store.open, store.modules = sealer.seal, sealer.loads, modules_of(schema)
    loader = _Loader(schema, validator, store, sealer, state_dir / "config")
    startup = loader.startup()
    booted = startup.file.is_new_boot(boot_id)
    resumed = None if booted else loader.resumed()
    found = loader.find(startup, first, factory, booted, resumed)
    snapshot = complete(schema, validator, found.tree, EMPTY_SNAPSHOT)
    _keep(store, found, snapshot.explicit, loader.undone(found))
    startup.file.mark_boot(boot_id)
    log.info("config.loaded", origin=found.origin, modules=len(schema.modules))
    return schema, validator, store, snapshot, startup, resumed


def _keep(store: Store, found: Found, members: Mapping[str, Any], changed: Sequence[str]) -> None:
    """Have on the disk what was loaded: as a commit, where it is not what was running.

    Args:
        changed: the instances that the commit changes.
    """
    if found.steps:
        kept = store.keep_old(f"running-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json")
        log.info("config.kept-old", path=str(kept))
    if not found.reason:
        store.adopt(members)
        return
    now = datetime.now(UTC).isoformat()
    store.seal_history()
    number, kind, restores = store.next_number, found.kind, found.restores
    entry = Entry(number, now, "", "startup", found.reason, changed, kind=kind, restores=restores)
    store.save(members, entry)
    store.drop_backup()


@dataclass(frozen=True, slots=True)
class Resumed:
    """A confirmed commit that goes on.

    Attributes:
        backup: what it reverts to.
    """

    confirmation: Confirmation
    backup: Tree


class _Loader:
    """Reads what an element has on its disk: the files in `folder`, and that of the first start."""

    def __init__(
        self, schema: Schema, validator: Validator, store: Store, sealer: ConfigSealer, folder: Path
    ) -> None:
        self._schema = schema
        self._validator = validator
        self._store = store
        self._sealer = sealer
        self._folder = folder

    def resumed(self) -> Resumed | None:
        """The confirmed commit that was under way when the process ended, if it goes on."""
        stored = self._store.backup_of_this_model()
        if stored is None:
            return None
        try:
            backup, _ = self._read(stored, "unconfirmed.json")
        except OperationError:
            return None
        confirmation = self._store.confirmation.resume(self._store.newest_number)
        return None if confirmation is None else Resumed(confirmation, backup)

    def find(
        self,
        startup: Startup,
        first: Path | None,
        factory: Mapping[str, Any] | None,
        booted: bool,
        resumed: Resumed | None,
    ) -> Found:
        """What the element starts with.

        Args:
            booted: the machine was booted since running was written.
            resumed: the confirmed commit that goes on.
        """
        stored = self._store.load(*(() if resumed is None else ("running.json",)))
        if startup.own is not None and (booted or stored is None):
            reason = "the machine was booted" if booted else "running was not there"
            if startup.own:
                return Found(startup.own, "startup", reason)
            return Found(self._first(first, factory), str(first or ""), reason)  # it was deleted
        if stored is not None:
            return self._running(stored, undone=self._store.unconfirmed and resumed is None)
        try:
            return Found(self._first(first, factory), str(first or ""), "startup")
        except OperationError as error:
            return Found(self._last_commit(error), "history", "startup")

    def _running(self, stored: bytes, *, undone: bool) -> Found:
        """What was running when the element stopped, or what a confirmed commit of then goes back to.

        Args:
            undone: it is the latter.
        """
        steps: list[MigrationStep] = []
        try:
            tree, steps = self._read(stored, str(self._folder))
        except OperationError as error:
            tree = self._last_commit(error)
        origin, migrated = str(self._folder), "; ".join(f"{step.module}: {step.what}" for step in steps)
        if undone:
            reason = "the element stopped before a confirmed commit was confirmed"
            return Found(tree, origin, reason, "revert", self._store.backup_number, steps)
        return Found(tree, origin, migrated, "migration", None, steps)

    def _first(self, file: Path | None, factory: Mapping[str, Any] | None) -> Tree:
        """The configuration of the first start."""
        tree = EMPTY
        if file is not None:
            try:
                data = file.read_bytes()
            except OSError as error:
                raise OperationError(
                    "operation-failed", f"{file} cannot be read: {error.strerror}"
                ) from error
            document = self._sealer.loads(data, str(file))
            tree, _ = read(self._schema, self._validator, document, str(file))
            if document is data and PREFIX.encode() in data:  # XML
                root = self._schema.root
                tree = from_json(root, self._sealer.open(to_json(root, tree), str(file)))
        return with_factory(self._schema, tree, factory) if factory else tree

    def undone(self, found: Found) -> Sequence[str]:
        """The instances that are not as they were, where a confirmed commit is reverted; none if what it was
        cannot be read."""
        stored = self._store.load("running.json") if found.kind == "revert" else None
        if stored is None:
            return ()
        try:
            before, _ = self._read(stored, "running.json")
        except OperationError:
            return ()
        changes = differences(self._schema.root, before, found.tree, ALLOW_ALL)
        return tuple(paths_text(change.steps for change in changes))

    def startup(self) -> Startup:
        """The startup datastore. A file that is damaged, or that this version does not take, is kept aside,
        and startup is what running is: an element that can run goes on with what it ran. One of a newer
        software stays, and so does the element."""
        file = StartupFile(self._folder, self._store)
        try:
            document = file.read()
            if document is None:
                return Startup(file, None)
            if file.is_deleted(document):
                return Startup(file, EMPTY)
            return Startup(file, self._read(document, "startup.json")[0])
        except (OperationError, OSError) as error:
            if isinstance(error, OperationError) and error.app_tag == NEWER:
                raise
            log.error("config.startup-damaged", reason=str(error))
            file.set_aside()
            return Startup(file, None)

    def _last_commit(self, fault: OperationError) -> Tree:
        """What was committed last, when the file of the running configuration is damaged: the history has it
        as well. Raises `fault` when it has not, or when this version does not take it."""
        newest = self._store.newest_number
        document = None if newest is None else self._store.configuration(newest)
        if document is None or fault.app_tag == NEWER:
            raise fault
        try:
            tree, _ = self._read(document, "history")
        except OperationError:
            raise fault from None
        log.error("config.damaged", reason=str(fault), commit=newest)
        return tree

    def _read(self, document: bytes, origin: str) -> tuple[Tree, list[MigrationStep]]:
        """A file of the element's own: without a note it is of a software that did not note its model yet."""
        return read(self._schema, self._validator, document, origin, unrecorded=UNRECORDED)

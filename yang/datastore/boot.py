"""What happens once, in the worker thread, when an element starts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog

from yang.datastore.context import SchemaBuilder, load_context
from yang.datastore.data import EMPTY, Tree, to_json
from yang.datastore.document import modules_of
from yang.datastore.history import Entry, Store
from yang.datastore.migration import NEWER, UNRECORDED, MigrationStep
from yang.datastore.running import EMPTY_SNAPSHOT, Snapshot, complete
from yang.datastore.stored import read
from yang.datastore.validator import Validator
from yang.provider import OperationError
from yang.schema import Schema

log = structlog.get_logger()


def boot(
    state_dir: Path, startup: Path | None, module_dirs: Sequence[Path], history_limit: int
) -> tuple[Schema, Validator, Store, Snapshot]:
    """Load modules and configuration. See `yang.tree.Tree.open`."""
    context = load_context(module_dirs)
    schema = SchemaBuilder(context).build()
    validator = Validator(context, schema)
    store = Store(state_dir / "config", history_limit)
    store.modules = modules_of(schema)
    stored = store.load()
    document, origin = stored, str(state_dir / "config")
    if stored is None and startup is not None:
        try:
            document, origin = startup.read_bytes(), str(startup)
        except OSError as error:
            raise OperationError("operation-failed", f"{startup} cannot be read: {error.strerror}") from error
    steps: list[MigrationStep] = []
    # a file of ours that does not note its revisions is of a software that did not note them yet
    unrecorded = UNRECORDED if stored is not None else ""
    tree: Tree = EMPTY
    if document is not None:
        try:
            tree, steps = read(schema, validator, document, origin, unrecorded=unrecorded)
        except OperationError as error:
            tree = _last_commit(schema, validator, store, error)
    snapshot = complete(schema, validator, tree, EMPTY_SNAPSHOT)
    if steps and stored is not None:
        kept = store.keep_old(f"running-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json", stored)
        log.info("config.kept-old", path=str(kept))
    if stored is None or store.unconfirmed or steps:
        store.save(to_json(schema.root, tree), _first_entry(store, stored is None, steps))
        store.drop_backup()
    log.info("config.loaded", origin=origin, modules=len(schema.modules))
    return schema, validator, store, snapshot


def _first_entry(store: Store, is_new: bool, steps: Sequence[MigrationStep]) -> Entry:
    """The commit that a start makes, where it loads what was not running before."""
    kind, restores = "startup", None
    if is_new:
        reason = "startup"
    elif store.unconfirmed:
        reason = "the element stopped before a confirmed commit was confirmed"
        kind, restores = "revert", store.backup_number
    else:
        reason = "; ".join(f"{step.module}: {step.what}" for step in steps)
        kind = "migration"
    now = datetime.now(UTC).isoformat()
    return Entry(store.next_number, now, "", "startup", reason, (), kind=kind, restores=restores)


def _last_commit(schema: Schema, validator: Validator, store: Store, fault: OperationError) -> Tree:
    """What was committed last, when the file of the running configuration is damaged: the history has it
    as well. Raises `fault` when it has not, or when this version does not take it."""
    document = store.configuration(store.entries[-1].number) if store.entries else None
    if document is None or fault.app_tag == NEWER:
        raise fault
    try:
        tree, _ = read(schema, validator, document, "history", unrecorded=UNRECORDED)
    except OperationError:
        raise fault from None
    log.error("config.damaged", reason=str(fault), commit=store.entries[-1].number)
    return tree

"""What happens once, in the worker thread, when an element starts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import structlog

from yang.datastore.context import SchemaBuilder, load_context
from yang.datastore.data import EMPTY, Tree, to_json
from yang.datastore.history import Entry, Store
from yang.datastore.running import EMPTY_SNAPSHOT, Snapshot, complete, hash_passwords
from yang.datastore.validator import Validator
from yang.provider import OperationError
from yang.schema import Schema

log = structlog.get_logger()


def boot(
    state_dir: Path, startup: Path | None, module_dirs: Sequence[Path], history_limit: int
) -> tuple[Schema, Validator, Store, Snapshot]:
    """Load modules and configuration. See `yang.tree.Tree.open`."""
    context = load_context(module_dirs)
    schema = SchemaBuilder(context, module_dirs).build()
    validator = Validator(context, schema)
    store = Store(state_dir / "config", history_limit)
    stored = store.load()
    document, origin = stored, str(state_dir / "config")
    if stored is None and startup is not None:
        try:
            document, origin = startup.read_bytes(), str(startup)
        except OSError as error:
            raise OperationError("operation-failed", f"{startup} cannot be read: {error.strerror}") from error
    try:
        tree = _load(validator, document, origin)
    except OperationError as error:
        tree = _last_commit(validator, store, error)
    snapshot = complete(schema, validator, tree, EMPTY_SNAPSHOT)
    if stored is None or store.unconfirmed:
        reason = (
            "startup" if stored is None else "the element stopped before a confirmed commit was confirmed"
        )
        now = datetime.now(UTC).isoformat()
        entry = Entry(store.next_number, now, "", "startup", reason, ())
        store.save(to_json(schema.root, tree), entry)
        store.drop_backup()
    log.info("config.loaded", origin=origin, modules=len(schema.modules))
    return schema, validator, store, snapshot


def _last_commit(validator: Validator, store: Store, fault: OperationError) -> Tree:
    """What was committed last, when the file of the running configuration is damaged: the history has it
    as well. Raises `fault` when it has not, or when this version does not take it."""
    document = store.configuration(store.entries[-1].number) if store.entries else None
    if document is None:
        raise fault
    try:
        tree = _load(validator, document, "history")
    except OperationError:
        raise fault from None
    log.error("config.damaged", reason=str(fault), commit=store.entries[-1].number)
    return tree


def _load(validator: Validator, document: bytes | None, origin: str) -> Tree:
    if document is None:
        return EMPTY
    if not document.strip():  # a configuration without anything in it is an object all the same
        raise OperationError("operation-failed", f"{origin}: the file is empty")
    try:
        return hash_passwords(validator.load(document))
    except OperationError as error:
        where = f" at {error.path}" if error.path else ""
        raise OperationError(error.tag, f"{origin}: {error.message}{where}", path=error.path) from error

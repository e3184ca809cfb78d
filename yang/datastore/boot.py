"""What happens once, in the worker thread, when an element starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from yang.datastore.context import SchemaBuilder, load_context
from yang.datastore.data import EMPTY, Tree, to_json
from yang.datastore.factory import with_factory
from yang.datastore.history import Entry, Store
from yang.datastore.running import EMPTY_SNAPSHOT, Snapshot, complete, hash_passwords
from yang.datastore.sealing import ConfigSealer
from yang.datastore.startup import Startup, StartupFile
from yang.datastore.validator import Validator
from yang.provider import OperationError
from yang.schema import Schema
from yang.sealing import Sealer

log = structlog.get_logger()


def boot(
    state_dir: Path,
    first: Path | None,
    module_dirs: Sequence[Path],
    history_limit: int,
    boot_id: str,
    factory: Mapping[str, Any] | None = None,
) -> tuple[Schema, Validator, Store, Snapshot, Startup]:
    """Load modules and configuration. See `yang.tree.Tree.open`.

    Args:
        first: the file of the first start.
        boot_id: names this boot of the machine; "" when that is not known.
        factory: what the first configuration gets where it does not have it.
    """
    context = load_context(module_dirs)
    schema = SchemaBuilder(context, module_dirs).build()
    validator = Validator(context, schema)
    store = Store(state_dir / "config", history_limit)
    sealer = ConfigSealer(schema, Sealer(state_dir))
    store.seal, store.open = sealer.seal, sealer.loads
    startup = _startup(validator, StartupFile(state_dir / "config", sealer))
    stored = store.load()
    booted = startup.file.is_new_boot(boot_id)
    reason = ""
    if startup.own is not None and (booted or stored is None):
        tree, origin = startup.own, "startup"
        reason = "the machine was booted" if booted else "running was not there"
        if not tree:  # it was deleted
            tree, origin = _first(schema, validator, sealer, first, factory)
    elif stored is None:
        try:
            tree, origin = _first(schema, validator, sealer, first, factory)
        except OperationError as error:
            tree, origin = _last_commit(validator, store, error), "history"
        reason = "startup"
    else:
        origin = str(state_dir / "config")
        try:
            tree = _load(validator, stored, origin)
        except OperationError as error:
            tree = _last_commit(validator, store, error)
        if store.unconfirmed:
            reason = "the element stopped before a confirmed commit was confirmed"
    snapshot = complete(schema, validator, tree, EMPTY_SNAPSHOT)
    if reason:
        now = datetime.now(UTC).isoformat()
        entry = Entry(store.next_number, now, "", "startup", reason, ())
        store.save(to_json(schema.root, tree), entry)
        store.drop_backup()
    else:
        store.seal_running(to_json(schema.root, tree))
    startup.file.mark_boot(boot_id)
    log.info("config.loaded", origin=origin, modules=len(schema.modules))
    return schema, validator, store, snapshot, startup


def _first(
    schema: Schema,
    validator: Validator,
    sealer: ConfigSealer,
    file: Path | None,
    factory: Mapping[str, Any] | None,
) -> tuple[Tree, str]:
    """The configuration of the first start, and where it came from."""
    tree = EMPTY
    if file is not None:
        try:
            document = sealer.loads(file.read_bytes(), str(file))
        except OSError as error:
            raise OperationError("operation-failed", f"{file} cannot be read: {error.strerror}") from error
        tree = _load(validator, document, str(file))
    return with_factory(schema, tree, factory) if factory else tree, str(file or "")


def _startup(validator: Validator, file: StartupFile) -> Startup:
    """The startup datastore. A file that is damaged, or that this version does not take, is kept aside, and
    startup is what running is: an element that can run goes on with what it ran."""
    try:
        document = file.read()
        if document is None:
            return Startup(file, None)
        return Startup(
            file, EMPTY if file.is_deleted(document) else _load(validator, document, "startup.json")
        )
    except (OperationError, OSError) as error:
        log.error("config.startup-damaged", reason=str(error))
        file.set_aside()
        return Startup(file, None)


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


def _load(validator: Validator, document: bytes, origin: str) -> Tree:
    if not document.strip():  # a configuration without anything in it is an object all the same
        raise OperationError("operation-failed", f"{origin}: the file is empty")
    try:
        return hash_passwords(validator.load(document))
    except OperationError as error:
        where = f" at {error.path}" if error.path else ""
        raise OperationError(error.tag, f"{origin}: {error.message}{where}", path=error.path) from error

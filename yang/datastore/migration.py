"""Upgrade of a stored configuration that was written for an older model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog

from yang.datastore.deviated import without_deviated
from yang.datastore.document import Document
from yang.path import DataPath, Step
from yang.provider import OperationError
from yang.schema import DATA_KINDS, Schema, SchemaNode

log = structlog.get_logger()

Members = dict[str, Any]


@dataclass(frozen=True, slots=True)
class MigrationStep:
    """What has to be done to a configuration of a revision for the next one.

    Attributes:
        module: whose model changed.
        from_revision: newest revision whose data need it: all that are of this one or an older one. "" for
            what was written before the module was there.
        migrate: from RFC 7951 members to RFC 7951 members; it may change what it is given.
        what: for the log, as a sentence: ``pool-size is now in addresses, it was in blocks``.
    """

    module: str
    from_revision: str
    migrate: Callable[[Members], Members]
    what: str


STEPS: Final[tuple[MigrationStep, ...]] = (
    MigrationStep(
        "aether-deviations",
        "",
        without_deviated,
        "nodes of the standard modules that have no effect on this element are left out",
    ),
)
"""All steps, in the order in which they are to be carried out.

Every revision of the other modules so far takes the data of those before it as they are
(tests/unit/yang/test_migration.py shows it for the first ones). A revision that moves, renames or narrows a
node appends a step here.
"""

NEWER: Final = "newer-model"
"""App-tag of the refusal of what a newer software wrote."""

UNRECORDED: Final = "2026-11-25"
"""Revision of the aether modules in files of a software that did not note revisions yet."""


def migrate(document: Document, schema: Schema, origin: str) -> tuple[Members, list[MigrationStep]]:
    """Members for the model that is loaded, and the steps that changed something.

    Args:
        origin: name of the file, for errors and the log.

    Raises:
        OperationError: it is of a newer model, a step failed, or it has a node that the model lacks.
    """
    stored = document.modules or {}
    _refuse_newer(stored, schema, origin)
    members, done = document.members, []
    for step in _needed(document, schema):
        revision = stored.get(step.module, "")
        before = orjson.dumps(members)
        try:
            members = step.migrate(members)
            if orjson.dumps(members) == before:
                continue
        except Exception as error:
            raise OperationError(
                "operation-failed",
                f"{origin}: the migration of {step.module}@{revision} failed ({step.what}): {error!r}; "
                "start the software that wrote the file",
            ) from error
        log.info("config.migrated", origin=origin, module=step.module, revision=revision, what=step.what)
        done.append(step)
    unknown = first_unknown(schema.root, members)
    if unknown is not None:
        raise OperationError(
            "unknown-element",
            f"{origin}: the model has no {unknown}{_written_for(unknown, stored, schema)}; "
            "take it out of the file, or start the software that wrote it",
            path=str(unknown),
        )
    return members, done


def _needed(document: Document, schema: Schema) -> list[MigrationStep]:
    """The steps for the revisions of a document. One that does not say of what model it is needs none: who
    writes it by hand is told what does not fit."""
    noted = document.modules
    if noted is None:
        return []
    return [
        step
        for step in STEPS
        if (step.module in noted or not step.from_revision)
        and noted.get(step.module, "") <= step.from_revision
        and schema.module(step.module) is not None
    ]


def _refuse_newer(stored: Mapping[str, str], schema: Schema, origin: str) -> None:
    for name, revision in stored.items():
        module = schema.module(name)
        if module is not None and revision > module.revision:
            raise OperationError(
                "operation-failed",
                f"{origin} was written for {name}@{revision}, which is newer than {name}@{module.revision} "
                "of this software: start the software that wrote it, or put a file of this one in its place",
                app_tag=NEWER,
            )


def _written_for(path: DataPath, stored: Mapping[str, str], schema: Schema) -> str:
    """Of which module's revisions a node is one."""
    name = next((step.module for step in reversed(path.steps) if step.module), "")
    module = schema.module(name)
    if module is None:
        return f" (there is no module {name})" if name else " (its name needs a module, as in module:name)"
    if name in stored and stored[name] != module.revision:
        return f" (the file was written for {name}@{stored[name]}, this is {name}@{module.revision})"
    return f" ({name}@{module.revision})"


def first_unknown(node: SchemaNode, members: Any, steps: tuple[Step, ...] = ()) -> DataPath | None:
    """Path of the first member that is no node of configuration; None when all are.

    What is of the wrong form otherwise (a list that is no array) is libyang's to refuse.
    """
    if not isinstance(members, dict):
        return None
    for name, value in members.items():
        if name.startswith("@"):
            continue
        module, colon, plain = name.partition(":")
        child = node.child_json(name)
        if child is None or (node.kind == "root" and not colon) or child.kind not in DATA_KINDS:
            if not colon:
                module, plain = node.module, name
            return DataPath((*steps, Step(module, plain)))
        entries = value if child.kind == "list" and isinstance(value, list) else [value]
        for entry in entries:
            here = (*steps, Step(child.module, child.name, _keys(child, entry)))
            found = first_unknown(child, entry, here) if child.kind in ("container", "list") else None
            if found is not None:
                return found
    return None


def _keys(node: SchemaNode, entry: Any) -> tuple[tuple[str, str], ...]:
    if node.kind != "list" or not isinstance(entry, dict):
        return ()
    return tuple((name, str(entry[name])) for name in node.keys if name in entry)

"""State that describes the management itself: YANG library, NETCONF monitoring, NACM's counters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from yang.access import AccessControl
from yang.datastore import Datastores
from yang.datastore.store import NAMES
from yang.provider import Keys, Record, StateProvider
from yang.schema import Module, Schema

_MODULE_SET: Final = "complete"
SERVED: Final = ("running", "candidate", "startup", "intended", "operational")
"""The datastores of the YANG library. Nothing is transformed: intended is running (RFC 8342 5.1.4)."""


@dataclass(frozen=True, slots=True)
class Computed:
    """A provider of one container whose record is made when it is asked for."""

    path: str
    make: Callable[[], Record]

    def get(self, keys: Keys) -> Record | None:
        """See `StateProvider`."""
        return None if keys else self.make()

    def iter(self) -> Iterable[Record]:
        """See `StateProvider`."""
        yield self.make()


class Node:
    """A record made of keyword arguments; what is not given does not exist."""

    def __init__(self, **children: Any) -> None:
        self.__dict__.update(children)


def builtin_providers(
    schema: Schema, datastores: Datastores, access: AccessControl, capabilities: Callable[[], list[str]]
) -> list[StateProvider]:
    """The providers that every tree has.

    Args:
        capabilities: the NETCONF capabilities, as of now.
    """
    library, legacy, schemas = _library(schema), _legacy_library(schema), _schemas(schema)
    monitoring = "/ietf-netconf-monitoring:netconf-state"
    return [
        Computed("/ietf-yang-library:yang-library", lambda: library),
        Computed("/ietf-yang-library:modules-state", lambda: legacy),
        Computed(f"{monitoring}/capabilities", lambda: Node(capability=capabilities())),
        Computed(f"{monitoring}/schemas", lambda: schemas),
        Computed(f"{monitoring}/datastores", lambda: _datastores(datastores)),
        Computed(
            "/ietf-netconf-acm:nacm",
            lambda: Node(
                denied_operations=access.denied_operations,
                denied_data_writes=access.denied_data_writes,
                denied_notifications=access.denied_notifications,
            ),
        ),
    ]


def _library(schema: Schema) -> Node:
    """RFC 8525."""
    implemented = [_module(module) for module in schema.modules if module.implemented]
    imported = [_module(module) for module in schema.modules if not module.implemented]
    return Node(
        module_set=[Node(name=_MODULE_SET, module=implemented, import_only_module=imported)],
        schema=[Node(name=_MODULE_SET, module_set=[_MODULE_SET])],
        datastore=[Node(name=f"ietf-datastores:{name}", schema=_MODULE_SET) for name in SERVED],
        content_id=schema.content_id,
    )


def _module(module: Module) -> Node:
    return Node(
        name=module.name,
        revision=module.revision or (None if module.implemented else ""),
        namespace=module.namespace,
        feature=list(module.features),
        deviation=list(module.deviations),
        submodule=_submodules(module),
    )


def _submodules(module: Module, unrevised: str | None = None) -> list[Node]:
    return [Node(name=name, revision=revision or unrevised) for name, revision in module.submodules.items()]


def _legacy_library(schema: Schema) -> Node:
    """The deprecated tree of RFC 7895, which older clients still ask for."""
    revisions = {module.name: module.revision for module in schema.modules}
    return Node(
        module_set_id=schema.content_id,
        module=[
            Node(
                name=module.name,
                revision=module.revision,
                namespace=module.namespace,
                feature=list(module.features),
                deviation=[Node(name=name, revision=revisions[name]) for name in module.deviations],
                submodule=_submodules(module, ""),
                conformance_type="implement" if module.implemented else "import",
            )
            for module in schema.modules
        ],
    )


def _schemas(schema: Schema) -> Node:
    """RFC 6022 section 2.1.3."""
    return Node(
        schema=[
            Node(
                identifier=name,
                version=revision,
                format="ietf-netconf-monitoring:yang",
                namespace=module.namespace,
                location=["NETCONF"],
            )
            for module in schema.modules
            for name, revision in ((module.name, module.revision), *module.submodules.items())
        ]
    )


def _datastores(datastores: Datastores) -> Node:
    """RFC 6022 section 2.1.2."""
    return Node(datastore=[Node(name=name, locks=_locks(datastores, name)) for name in NAMES])


def _locks(datastores: Datastores, name: str) -> Node | None:
    holder = datastores.lock_holder(name)
    if holder is not None:
        return Node(
            global_lock=Node(locked_by_session=holder, locked_time=datastores.lock_time(name)),
        )
    partial = datastores.partial_locks() if name == "running" else ()
    if not partial:
        return None
    return Node(
        partial_lock=[
            Node(
                lock_id=lock.id,
                locked_by_session=lock.session,
                locked_time=lock.since,
                select=list(lock.paths),
                locked_node=list(lock.paths),
            )
            for lock in partial
        ]
    )

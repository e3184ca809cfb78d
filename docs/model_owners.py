"""Who serves each leaf of the model, acts on it or carries it out, and which test touches it.

State and operations are asked of a whole management plane that is opened for it: its providers and its
operations. Who acts on configuration and who sends notifications is in ``docs/model_owners.yaml``.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
import yaml

DOCS = Path(__file__).resolve().parent
TESTS = "tests/contract/model/"
DRIVEN = {
    "config": f"{TESTS}test_configuration.py::test_each_leaf_can_be_set_and_acts",
    "kept": f"{TESTS}test_configuration.py::test_each_leaf_can_be_set_and_acts",
    "state": f"{TESTS}test_state.py::test_every_leaf_of_state_is_served",
    "never": f"{TESTS}test_state.py::test_every_leaf_of_state_is_served",
    "operation": f"{TESTS}test_operations.py::test_each_operation_is_carried_out",
    "notification": f"{TESTS}test_operations.py::test_each_notification_is_sent",
}
"""What drives all nodes of a kind."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Of a node.

    Attributes:
        kind: ``config``, ``kept`` (configuration that only people read), ``state``, ``operation``,
            ``notification``, or ``never`` (it never has a value, or is never sent).
        who: module that serves it or acts on it, "" when nobody does.
        test: ``file::function`` that touches it.
        reason: why it is only kept, or never there.
        driven: whether the tests in tests/contract/model have to see it.
    """

    kind: str
    who: str
    test: str
    reason: str = ""
    driven: bool = True


@dataclass(frozen=True, slots=True)
class Element:
    """What an element has.

    Attributes:
        schema: a `yang.schema.Schema`.
        providers: module of the provider of each schema path.
        operations: module of what carries out each RPC and action.
    """

    schema: Any
    providers: Mapping[str, str]
    operations: Mapping[str, str]


def declared() -> dict[str, dict[str, str]]:
    """``docs/model_owners.yaml``."""
    loaded: dict[str, dict[str, str]] = yaml.safe_load(
        (DOCS / "model_owners.yaml").read_text(encoding="utf-8")
    )
    return loaded


def element() -> Element:
    """A BNG's management plane, opened and asked."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        return asyncio.run(_ask())
    finally:
        structlog.reset_defaults()


async def _ask() -> Element:
    from bng.daemon.netconf import NetconfSettings
    from bng.daemon.tunnel import TunnelSettings
    from bng.northbound.provider import Northbound
    from bng.units import empty_units
    from nbi.operations import HANDLERS
    from nbi.server import MODULES_DIR, NetconfServer
    from yang.access import User
    from yang.tree import Tree

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        north = Northbound(folder, empty_units)
        registration = north.registration()
        registration.state.extend((*NetconfSettings().providers(), *TunnelSettings().providers()))
        tree = await Tree.open(registration, folder, module_dirs=[MODULES_DIR])
        server = NetconfServer(
            tree,
            [],
            folder / "key",
            unix_path=folder / "socket",
            unix_user=User("docs"),
            replay=north.replay,
        )
        await server.start()
        try:
            operations = {path: _module_of(call) for path, call in registration.operations.items()}
            operations |= {path: _module_of(call) for path, call in tree._invoker._own.items()}
            operations |= {known.schema_path: _module_of(known.handler) for known in HANDLERS.values()}
            providers = {path: _module_of(provider) for path, provider in tree._providers.items()}
        finally:
            await server.stop()
            await tree.close()
    return Element(tree.schema, providers, operations)


def _module_of(provider: Any) -> str:
    """Of an object its class's module, of a function its own."""
    found: str = provider.__module__
    return found


def _longest(table: Mapping[str, str], path: str) -> str:
    """What the table has for the longest path that `path` is at or below; of a module, all of it."""
    found = [key for key in table if path == key or path.startswith((f"{key}/", f"{key}:"))]
    return table[max(found, key=len)] if found else ""


def owners(has: Element) -> dict[str, Owner]:
    """Of each leaf, RPC, action and notification, by schema path."""
    says = declared()
    found = {}
    for node in has.schema.root.walk():
        if node.is_leaf or node.kind in ("rpc", "action", "notification"):
            found[node.path] = _owner(node, has, says)
    return found


def _owner(node: Any, has: Element, says: Mapping[str, Mapping[str, str]]) -> Owner:
    who, kind, reason = _serves(node, has, says)
    if why := _longest(says["never"], node.path):
        kind, reason = "never", why
    if elsewhere := _longest(says["elsewhere"], node.path):
        return Owner(kind, who, elsewhere, reason, driven=False)
    return Owner(kind, who, DRIVEN[kind], reason, driven=kind != "never")


def _serves(node: Any, has: Element, says: Mapping[str, Mapping[str, str]]) -> tuple[str, str, str]:
    """Module, kind, and why it is only kept."""
    for above in node.chain:
        if above.kind in ("rpc", "action"):
            return has.operations.get(above.path, ""), "operation", ""
        if above.kind == "notification":
            return _longest(says["notifications"], above.path), "notification", ""
    if not node.config:
        return _longest(has.providers, node.path), "state", ""
    if reason := says["kept"].get(node.path):
        return "yang.datastore", "kept", reason
    return _longest(says["acts"], node.path), "config", ""

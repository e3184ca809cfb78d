"""Every leaf of configuration can be set, is read back, and changes what its owner does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bng.units import parse, units_of
from nbi.server import MODULES_DIR
from nbi.subscriptions.filters import configured_filter
from tests.contract.model.sample import full, variant
from yang.access import User
from yang.datastore.context import load_context
from yang.datastore.model import PathOperation
from yang.path import DataPath
from yang.provider import ConfigDiff, OperationError, Registration
from yang.schema import SchemaNode
from yang.tree import Tree

ROOT = User("root", recovery=True)


class Parsing:
    """Agrees to what control agrees to."""

    async def prepare(self, diff: ConfigDiff) -> None:
        parse(units_of(diff.new))

    async def commit(self, token: Any) -> None: ...

    async def abort(self, token: Any) -> None: ...


def leaves(node: SchemaNode, value: Any, path: str = "") -> Iterator[tuple[SchemaNode, str, Any, str]]:
    """Each leaf that a configuration has: its node, its instance, its value, the entry that it is key of."""
    for name, member in value.items():
        child = node.child_json(name)
        assert child is not None, f"{path}/{name}"
        here = f"{path}/{name}"
        if child.is_leaf:
            yield child, here, member, path if child.is_key else ""
        elif child.kind == "list":
            for entry in member:
                predicates = "".join(f"[{key}='{entry[key]}']" for key in child.keys)
                yield from leaves(child, entry, here + predicates)
        else:
            yield from leaves(child, member, here)


def effects(tree: Tree) -> tuple[Any, ...]:
    """All that acts on configuration, as it is now."""
    running = tree.running_json()
    rules = tree.access.rules_for(User("ann"))
    return (
        parse(units_of(running)),
        running["aether-bng:bng"]["management"],  # `bng.daemon.management` reads it at its start
        tree._users._known,
        (
            configured_filter(tree, "starts", stream=True),
            configured_filter(tree, "plans", stream=False),
        ),
        (rules.rules, rules.enabled, dict(rules.defaults)),
    )


@pytest.fixture
async def tree(folder: Path) -> Any:
    startup = folder / "startup.json"
    startup.write_text(json.dumps(full()))
    opened = await Tree.open(Registration(config=[Parsing()]), folder, startup, module_dirs=[MODULES_DIR])
    yield opened
    await opened.close()


def read(tree: Tree, path: DataPath) -> Any:
    found = list(tree.read_json(tree.select_paths([path]), ROOT, content="config"))
    return found[0][1] if found else None


async def test_each_leaf_can_be_set_and_acts(tree: Tree, owned: Mapping[str, Any]) -> None:
    before = effects(tree)
    whole = PathOperation("replace", DataPath(), full())
    idle, seen = [], set()
    for node, where, value, entry in leaves(tree.schema.root, full()):
        if node.path in seen:
            continue
        seen.add(node.path)
        if entry:  # a key cannot be changed: does it make a difference whether the entry is there?
            acts = await removed(tree, whole, entry, before)
        else:
            path, other = DataPath.parse(where), variant(node, value)
            await tree.transaction(ROOT, "test", [whole, PathOperation("replace", path, other)])
            assert read(tree, path) == (None if other == [] else other), where
            acts = effects(tree) != before
        kept = owned[node.path].kind == "kept"
        if not acts and not kept:
            idle.append(where)
        assert not (acts and kept and not entry), f"{where} acts: docs/model_owners.yaml says it is only kept"
    await tree.transaction(ROOT, "test", [whole])
    assert effects(tree) == before
    assert idle == [], "these leaves change nothing: make them act, or say in docs/model_owners.yaml why not"


async def removed(tree: Tree, whole: PathOperation, entry: str, before: tuple[Any, ...]) -> bool:
    """Whether it makes a difference that an entry is gone."""
    await tree.transaction(ROOT, "test", [whole])
    try:
        await tree.transaction(ROOT, "test", [PathOperation("delete", DataPath.parse(entry))])
    except OperationError as error:
        assert error.app_tag in ("instance-required", "too-few-elements"), error
        return True
    return effects(tree) != before


def test_the_sample_has_every_leaf(tree: Tree) -> None:
    """A new leaf of configuration is to be added to `tests.contract.model.sample`."""
    sample = {node.path for node, *_ in leaves(tree.schema.root, full())}
    assert {n.path for n in tree.schema.root.walk() if n.is_leaf and n.config} - sample == set()


async def test_what_is_configured_reads_back_valid(tree: Tree) -> None:
    context = load_context([MODULES_DIR])
    for with_defaults in ("explicit", "report-all", "trim"):
        text = b"".join(tree.read_xml(tree.select_all(), ROOT, content="config", with_defaults=with_defaults))
        parsed = context.parse_data_mem(text.decode(), "xml", strict=True, no_state=True)
        assert parsed is not None
        parsed.free()

"""The YANG modules keep their promises: clean, with a revision per change, named consistently.

`yang/modules/revisions.lock` holds, for each module, its newest revision date and the SHA-256 of its text.
When a module changes, give it a new revision statement, then run ``python -m yang.revisions``, which updates
the file and refuses to when the date is an old one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from yang.datastore.context import SchemaBuilder, load_context
from yang.datastore.sources import own_dir, standard_dirs
from yang.revisions import LOCK, Locked, read_lock, state_of, update
from yang.schema import Schema, SchemaNode

MODULES = sorted(own_dir().glob("*.yang"))
SEARCH = ":".join(str(path) for path in (own_dir(), *standard_dirs()))

DEVIATING = ("--ignore-error", "BAD_DEVIATE_ADD")
"""pyang takes "config" for there where it is inherited; libyang and RFC 7950 (7.20.3.2) do not. And lint
dislikes "mandatory false", which is the only way to take a "mandatory" back."""

MODULE = """module m {{
  namespace "urn:m";
  prefix m;
  revision {date};
  leaf x {{ type {type}; }}
}}
"""


def ids(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("module", MODULES, ids=ids)
def test_pyang_finds_nothing(module: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            shutil.which("pyang") or Path(sys.executable).with_name("pyang"),
            "--strict",
            *(DEVIATING if module.stem == "aether-deviations" else ("--lint",)),
            "--path",
            SEARCH,
            str(module),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


@pytest.mark.skipif(shutil.which("yanglint") is None, reason="yanglint is not installed")
@pytest.mark.parametrize("module", MODULES, ids=ids)
def test_yanglint_finds_nothing(module: Path) -> None:
    folders = [argument for path in (own_dir(), *standard_dirs()) for argument in ("-p", str(path))]
    done = subprocess.run(["yanglint", *folders, str(module)], capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize("module", MODULES, ids=ids)
def test_a_changed_module_has_a_new_revision(module: Path) -> None:
    locked = read_lock(LOCK).get(module.stem)
    assert locked is not None, f"{module.name} is not in {LOCK.name}: run python -m yang.revisions"
    now = state_of(module)
    if now.digest != locked.digest:
        assert now.revision > locked.revision, f"{module.name} has changed: it needs a new revision statement"
    assert now == locked, f"{LOCK.name} is out of date: run python -m yang.revisions"


def test_the_lock_names_no_module_that_is_gone() -> None:
    assert set(read_lock(LOCK)) == {path.stem for path in MODULES}


def test_the_lock_refuses_a_change_without_a_new_revision(tmp_path: Path) -> None:
    module, lock = tmp_path / "m.yang", tmp_path / "revisions.lock"
    module.write_text(MODULE.format(date="2026-01-01", type="string"))
    update(tmp_path, lock)
    first = read_lock(lock)["m"]
    assert first == Locked("2026-01-01", first.digest)
    module.write_text(MODULE.format(date="2026-01-01", type="int8"))
    with pytest.raises(ValueError, match="new revision"):
        update(tmp_path, lock)
    module.write_text(MODULE.format(date="2026-01-02", type="int8"))
    update(tmp_path, lock)
    assert read_lock(lock)["m"].revision == "2026-01-02"


# --- names ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def schema() -> Schema:
    return SchemaBuilder(load_context()).build()


@pytest.fixture(scope="module")
def own_nodes(schema: Schema) -> list[SchemaNode]:
    return [node for node in schema.root.walk() if node.module.startswith("aether-")]


def test_names_are_words_joined_by_hyphens(own_nodes: list[SchemaNode]) -> None:
    wrong = [node.path for node in own_nodes if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", node.name)]
    assert wrong == []


def test_attributes_of_records_do_not_collide(schema: Schema) -> None:
    for node in schema.root.walk():
        if node.kind == "root" or not any(
            child.module.startswith("aether-") for child in node.children.values()
        ):
            continue
        attrs = [child.attr for child in node.data_children]
        assert len(attrs) == len(set(attrs)), node.path


def test_a_leaf_of_one_name_has_one_type(own_nodes: list[SchemaNode]) -> None:
    """What is called the same is the same: one vocabulary from the kernel to the screen."""
    # names that mean something else in another place
    exceptions = {"name", "type", "address", "status", "sessions", "profile", "description", "reachability"}
    bases: dict[str, set[str]] = {}
    for node in own_nodes:
        if node.kind == "leaf" and node.type is not None and node.name not in exceptions:
            bases.setdefault(node.name, set()).add(node.type.base)
    assert {name: kinds for name, kinds in bases.items() if len(kinds) > 1} == {}


def test_octets_say_so(own_nodes: list[SchemaNode]) -> None:
    wrong = [node.path for node in own_nodes if node.name.endswith("-octets") and node.units != "octets"]
    assert wrong == []
    assert [node.path for node in own_nodes if re.search(r"(^|-)(bytes|pkts|kbps)(-|$)", node.name)] == []


def test_everything_is_described(own_nodes: list[SchemaNode]) -> None:
    wrong = [n.path for n in own_nodes if n.kind not in ("input", "output") and not n.description]
    assert wrong == []


def test_secrets_are_protected(own_nodes: list[SchemaNode]) -> None:
    wrong = [n.path for n in own_nodes if re.search("secret|password", n.name) and not n.deny_all]
    assert wrong == []


def test_configuration_lists_are_bounded(own_nodes: list[SchemaNode]) -> None:
    lists = [node for node in own_nodes if node.kind in ("list", "leaf-list") and node.config]
    assert [node.path for node in lists if node.max_elements is None] == []


def test_numbers_and_texts_that_can_be_set_are_bounded(own_nodes: list[SchemaNode]) -> None:
    """By a range or a length, or by a type that is bounded; a priority is any number of an octet,
    a serial number of a certificate any of eight."""
    wrong = [
        node.path
        for node in own_nodes
        if node.type is not None
        and (node.config or any(above.kind == "input" for above in node.chain))
        and node.type.base.startswith(("int", "uint", "string"))
        and not (node.type.range or node.type.typedef or node.type.leafref)
        and node.name not in ("priority", "revoked-serial")
    ]
    assert wrong == []

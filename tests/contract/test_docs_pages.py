"""What the pages say exists: links, files, commands, paths of the model, configurations."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from bng.units import parse, units_of
from yang.datastore.context import SchemaBuilder, load_context
from yang.provider import Registration
from yang.schema import Schema
from yang.tree import Tree

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
FOLDERS = ("bng", "nbi", "telemetry", "yang", "collector", "oss", "lab", "tests", "docs", "examples")
IMAGINED = {"collector/migrations/versions/0011_journal_pending.py"}
"""Files that the worked example makes."""


def ids(path: Path) -> str:
    return path.name


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a page in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def anchor(heading: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith("https://"):
            continue
        name, _, fragment = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        headings = (
            re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE) if target.suffix == ".md" else []
        )
        if not target.exists() or (fragment and fragment not in map(anchor, headings)):
            wrong.append(link)
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_files_of_the_project_exist(page: Path) -> None:
    wrong = []
    for name in re.findall(r"`([\w./*-]+)`", page.read_text()):
        if (
            name.split("/")[0] in FOLDERS
            and "/" in name
            and name not in IMAGINED
            and not list(ROOT.glob(name))
        ):
            wrong.append(name)
    assert wrong == []


def commands(page: Path) -> Iterator[list[str]]:
    """The words of each `aether` command in a page's shell blocks."""
    for block in blocks(page, "sh"):
        for line in block.splitlines():
            for found in re.findall(r"(?:^|\$\()\s*(aether [^|)]*)", line):
                yield shlex.split(found, comments=True)[1:]


@pytest.fixture(scope="module")
def parser() -> argparse.ArgumentParser:
    """The command line of `aether`."""
    made = argparse.ArgumentParser(prog="aether", exit_on_error=False)
    verbs = made.add_subparsers(required=True)
    for point in metadata.entry_points(group="aether.verbs"):
        point.load()(verbs)
    return made


@pytest.mark.parametrize("page", [page for page in PAGES if list(commands(page))], ids=ids)
def test_commands_are_those_of_aether(page: Path, parser: argparse.ArgumentParser) -> None:
    for words in commands(page):
        try:
            assert callable(parser.parse_args(words).func)
        except SystemExit:
            pytest.fail(f"aether {' '.join(words)} is no command")


@pytest.fixture(scope="module")
def schema() -> Schema:
    return SchemaBuilder(load_context()).build()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_paths_are_those_of_the_model(page: Path, schema: Schema) -> None:
    wrong = []
    for path in re.findall(r"/(?:aether|ietf)-[a-z-]+:[a-z0-9/:=*\[\]-]+", page.read_text()):
        plain = re.sub(r"\[[^\]]*\]", "", path).rstrip("/")
        if schema.find(plain) is None:
            wrong.append(path)
    assert wrong == []


@pytest.mark.parametrize("number", range(len(blocks(ROOT / "docs/operations.md", "json"))))
async def test_a_bng_can_start_from_the_configuration(number: int, tmp_path: Path) -> None:
    text = blocks(ROOT / "docs/operations.md", "json")[number]
    startup = tmp_path / "startup.json"
    startup.write_text(text)
    tree = await Tree.open(Registration(), tmp_path / "state", startup)
    try:
        config = parse(units_of(tree.running_json()))
        assert config.bng_id == json.loads(text)["aether-bng:bng"]["identity"]["bng-id"]
        assert tree.authenticate("admin", password="choose another one") is not None
    finally:
        await tree.close()

"""State that is fetched when a request names it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lxml import etree

from yang.access import User
from yang.path import DataPath
from yang.provider import Keys, OperationError, Registration
from yang.tree import Tree

NS = "urn:aether:yang:aether-timeline"
LINE = "/aether-timeline:access-lines/access-line"
ONE = f"{LINE}[remote-id='n'][circuit-id='1/0/1']"


class Lines:
    """Two lines that exist elsewhere."""

    path = LINE

    def __init__(self) -> None:
        self.fetched: list[Keys] = []
        self._here: dict[Keys, Any] = {}

    async def fetch(self, keys: Keys) -> None:
        self.fetched.append(keys)
        if keys[1] in ("1/0/1", "1/0/2"):
            self._here[keys] = SimpleNamespace(remote_id=keys[0], circuit_id=keys[1], verdict=f"v {keys[1]}")

    def get(self, keys: Keys) -> Any:
        return self._here.get(keys)

    def iter(self) -> tuple[()]:
        return ()


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
async def tree(tmp_path: Path, lines: Lines) -> AsyncIterator[Tree]:
    opened = await Tree.open(Registration(state=[lines]), tmp_path, None)
    yield opened
    await opened.close()


def reader() -> User:
    return User("operator", frozenset({"readers"}))


def subtree(text: str) -> etree._Element:
    return etree.fromstring(f'<filter><access-lines xmlns="{NS}">{text}</access-lines></filter>')


async def read(tree: Tree, selection: Any) -> str:
    await tree.prepare(selection)
    return b"".join(tree.read_xml(selection, reader())).decode()


async def test_an_entry_is_there_for_who_names_it(tree: Tree, lines: Lines) -> None:
    keys = "<access-line><remote-id>n</remote-id><circuit-id>1/0/1</circuit-id></access-line>"
    text = await read(tree, tree.select_subtree(subtree(keys)))
    assert lines.fetched == [("n", "1/0/1")]
    assert "<verdict>v 1/0/1</verdict>" in text


async def test_paths_name_it_too(tree: Tree, lines: Lines) -> None:
    selection = tree.select_paths([DataPath.parse(f"{ONE}/verdict"), DataPath.parse(ONE)])
    await tree.prepare(selection)
    assert lines.fetched == [("n", "1/0/1")], "once"
    values = dict(tree.read_json(selection, reader()))
    assert "v 1/0/1" in str(values)


async def test_so_does_xpath(tree: Tree, lines: Lines) -> None:
    expression = "/t:access-lines/t:access-line[t:remote-id='n'][t:circuit-id='1/0/2']"
    assert "v 1/0/2" in await read(tree, tree.select_xpath(expression, {"t": NS}))


@pytest.mark.parametrize(
    "text", ["", "<access-line/>", "<access-line><remote-id>n</remote-id></access-line>"]
)
async def test_without_all_keys_nothing_is_fetched(tree: Tree, lines: Lines, text: str) -> None:
    assert "verdict" not in await read(tree, tree.select_subtree(subtree(text)))
    assert "verdict" not in await read(tree, tree.select_all())
    assert lines.fetched == []


async def test_who_names_too_much_is_refused(tree: Tree, lines: Lines) -> None:
    paths = [DataPath.parse(f"{LINE}[remote-id='n'][circuit-id='{number}']") for number in range(65)]
    with pytest.raises(OperationError, match="at most 64"):
        await tree.prepare(tree.select_paths(paths))
    assert lines.fetched == []

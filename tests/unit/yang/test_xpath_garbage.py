"""What a document leaves behind: nothing that the collector of garbage would have to find, for it would stop
the loop."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest

from yang.provider import OperationError
from yang.xpath import document, engine
from yang.xpath.document import Node

NS = {"s": "urn:aether:yang:aether-subscriber"}


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Garbage stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _nodes() -> int:
    return sum(isinstance(each, Node) for each in gc.get_objects())


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("limit", ["none", "steps", "nodes"])
async def test_no_node_is_left(net: Any, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    if limit == "steps":
        monkeypatch.setattr(engine, "MAX_STEPS", 50)
        monkeypatch.setattr(engine, "CHECK_EVERY", 10)
    elif limit == "nodes":
        monkeypatch.setattr(document, "MAX_NODES", 50)
    before = _nodes()
    selection = net.tree.select_xpath("//s:session[../s:session/s:username/text() = s:username][last()]", NS)
    try:
        pieces = list(await net.tree.read(selection, net.admin))
        assert limit == "none"
        assert pieces
    except OperationError as error:
        assert limit != "none", error
        assert error.tag == "too-big"
    assert _nodes() == before


@pytest.mark.parametrize("limit", ["none", "nodes"])
async def test_the_collector_goes_on(net: Any, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    if limit == "nodes":
        monkeypatch.setattr(document, "MAX_NODES", 50)
    assert gc.isenabled()
    try:
        await net.tree.read(net.tree.select_xpath("//s:session[last()]", NS), net.admin)
    except OperationError as error:
        assert (limit, error.tag) == ("nodes", "too-big")
    assert gc.isenabled()

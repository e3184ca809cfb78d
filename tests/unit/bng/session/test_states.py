"""The transition table, and the page that is drawn from it."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from bng.session import diagram
from bng.session.dynamic import Dynamic
from bng.session.states import TABLE, Input, State

ROOT = Path(__file__).parents[4]


def test_the_page_is_drawn_from_the_table() -> None:
    written = (ROOT / "docs" / "session-states.md").read_text()
    assert written == diagram.page(), "run python -m bng.session.diagram > docs/session-states.md"


def test_the_module_writes_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(diagram.__file__, run_name="__main__")
    assert capsys.readouterr().out == diagram.page()


def test_every_handler_exists_and_every_handler_is_used() -> None:
    named = {row.handler for row in TABLE.values()}
    defined = {name for name in dir(Dynamic) if name.startswith("on_")}
    assert named == defined


def test_every_input_and_every_state_is_in_the_table() -> None:
    assert {what for _, what in TABLE} == set(Input)
    assert {state for state, _ in TABLE} | {row.state for row in TABLE.values()} == set(State)


def test_nothing_leaves_gone() -> None:
    assert not [state for state, _ in TABLE if state is State.GONE]


@pytest.mark.parametrize("state", [s for s in State if s is not State.GONE])
def test_every_state_leads_to_gone(state: State) -> None:
    reached, edge = {state}, {state}
    while edge:
        edge = {row.state for (source, _), row in TABLE.items() if source in edge} - reached
        reached |= edge
    assert State.GONE in reached


@pytest.mark.parametrize("state", [State.AUTHORIZING, State.ACTIVE, State.IDLE, State.REJECTED])
def test_each_end_is_possible_in_each_state_of_life(state: State) -> None:
    for ending in (Input.RELEASED, Input.LEASE_EXPIRED, Input.DISCONNECT, Input.REPLACED, Input.NAK_LIMIT):
        assert TABLE[state, ending].state is State.TERMINATING

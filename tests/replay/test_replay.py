"""Recordings of the session machine against what is expected of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from tests.replay.scenario import Player

FOLDER = Path(__file__).parent
RECORDINGS = sorted(FOLDER.glob("*.yaml"))


def steps_of(document: dict) -> list[dict]:
    """All steps of a recording, those of the recording that it continues first."""
    before = document.get("continues")
    if before is None:
        return document["steps"]
    earlier = yaml.safe_load((FOLDER / f"{before}.yaml").read_text())
    return [{k: v for k, v in step.items() if k != "effects"} for step in steps_of(earlier)] + document[
        "steps"
    ]


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_recording(path: Path) -> None:
    document = yaml.safe_load(path.read_text())
    player = Player(document.get("settings"))
    for number, step in enumerate(steps_of(document)):
        (name, fields), *_ = [(k, v) for k, v in step.items() if k not in ("at", "effects")]
        lines = player.lines(player.step(step["at"], name, fields or {}))
        if os.environ.get("REPLAY_PRINT"):
            print(
                f"- at: {step['at']}\n  {name}: {fields}\n  effects:",
                *[f'    - "{e}"' for e in lines],
                sep="\n",
            )
        elif "effects" in step:
            assert lines == step["effects"], f"step {number}: {name} at {step['at']} s"
    for told, counted in (("dropped", player.machine.relay.dropped), ("failures", player.machine.failures)):
        assert dict(counted) == document.get(told, dict(counted))
    for session_id, sessions in document.get("finally", {}).items():
        session = player.session(session_id)
        assert (session.status if session else "gone") == sessions


def test_there_are_recordings() -> None:
    assert len(RECORDINGS) >= 12

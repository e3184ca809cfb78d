"""Recordings made by machines: each must give the same effects again, bit for bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bng.session.replay import RecordingError, replay
from bng.verbs import difference

RECORDINGS = sorted((Path(__file__).parent / "recordings").glob("*.jsonl"))


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_a_recording_is_identical(path: Path) -> None:
    events = 0
    with path.open() as file:
        for played in replay(file):
            events += 1
            assert played.identical, f"{difference(played)}\nsee tests/replay/README.md"
    assert events


def test_there_are_recordings() -> None:
    assert len(RECORDINGS) >= 20
    assert len([path for path in RECORDINGS if path.name.startswith("world-")]) >= 4


@pytest.mark.parametrize("seed", ["0", "1", "2", "3"])
def test_it_does_not_depend_on_how_texts_are_hashed(seed: str) -> None:
    path = Path(__file__).parent / "recordings" / "two-in-the-way.jsonl"
    done = subprocess.run(
        [sys.executable, "-m", "bng.cli", "replay", "--quiet", str(path)],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("identical")


def changed(lines: list[str], word: str, other: str) -> list[str]:
    """A recording in which one effect is another one."""
    at = next(number for number, line in enumerate(lines) if '"event"' in line and word in line)
    event, _, effects = lines[at].partition('"effects":')
    assert word in effects
    return [*lines[:at], f'{event}"effects":{effects.replace(word, other, 1)}', *lines[at + 1 :]]


@pytest.mark.parametrize(
    ("word", "other"),
    [
        ('"digest":"', '"digest":"0'),
        ('"status":"active"', '"status":"idle"'),
        ('"deadline":1', '"deadline":2'),
        ('"download_rate":100000000', '"download_rate":100000001'),
    ],
)
def test_another_effect_is_noticed(word: str, other: str) -> None:
    path = Path(__file__).parent / "recordings" / "first-attach.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    assert not all(played.identical for played in replay(changed(lines, word, other)))


def test_a_missing_effect_is_noticed() -> None:
    path = Path(__file__).parent / "recordings" / "first-attach.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    form = json.loads(lines[-1])
    form["effects"].pop()
    played = list(replay([*lines[:-1], json.dumps(form)]))
    assert [one.identical for one in played] == [*[True] * (len(played) - 1), False]
    assert "nothing" in difference(played[-1])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json\n",
        "{}\n",
        '{"aether":"recording","format":99}\n',
        '{"aether":"crash","format":1}\n',
        '{"aether":"recording","format":1}\n{"at":1,"event":{"kind":"TimerDue"},"effects":[]}\n',
        '{"aether":"recording","format":1}\n{"object":0,"class":"Popen"}\n{"snapshot":null}\n',
        '{"aether":"recording","format":1}\nnot json\n',
        '{"aether":"recording","format":1,"lines":[["a"]]}\n',
        '{"aether":"recording","format":1}\n' + "[" * 5000,
        "[" * 5000,
    ],
)
def test_what_is_no_recording_is_refused(text: str) -> None:
    with pytest.raises(RecordingError):
        list(replay(text.splitlines(keepends=True)))

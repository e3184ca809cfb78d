"""What the processes have in common, and the command line."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bng import cli
from bng.daemon.process import read_pids, run_until_signal
from tests.support.waiting import wait_for


def test_a_signal_ends_it_cleanly() -> None:
    steps: list[str] = []

    async def serve() -> None:
        try:
            asyncio.get_running_loop().call_later(0.05, os.kill, os.getpid(), signal.SIGTERM)
            await asyncio.sleep(60)
        finally:
            steps.append("cleaned up")

    run_until_signal(serve())
    assert steps == ["cleaned up"]


def test_errors_come_through() -> None:
    async def fail() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        run_until_signal(fail())


@pytest.mark.parametrize("content", [None, "", "{", "[1]", '"x"'])
def test_pids_that_cannot_be_read_are_none(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "pids.json").write_text(content)
    assert read_pids(tmp_path) == {}


def test_pids(tmp_path: Path) -> None:
    (tmp_path / "pids.json").write_text('{"run": 1, "control": 2, "x": "y"}')
    assert read_pids(tmp_path) == {"run": 1, "control": 2}


PARENT = """
import os, subprocess, sys, time
child = "from bng.daemon.process import die_with_parent; import os, time;"
child += "die_with_parent(os.getppid()); print('ready', flush=True); time.sleep(60)"
process = subprocess.Popen([sys.executable, "-c", child])
print(process.pid, flush=True)
time.sleep(60)
"""


def test_a_child_dies_with_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert parent.stdout.readline() == "ready\n"
    parent.kill()
    parent.wait()
    wait_for("the child is dead", lambda: not _lives(child))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_verb_is_added_with_its_functions(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    cli.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(
        ["bng", "run", "--config", str(tmp_path / "none.json"), "--state-dir", str(tmp_path)]
    )
    assert arguments.func(arguments) == 2
    assert "there is no file" in capsys.readouterr().err


def test_a_state_folder_in_use_is_a_clear_error(tmp_path: Path) -> None:
    first = subprocess.Popen(
        [sys.executable, "-m", "bng.cli", "control", "--state-dir", str(tmp_path)],
        stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[4],
    )  # fmt: skip
    assert first.stderr is not None
    try:
        while "control.started" not in (line := first.stderr.readline()):
            assert line, "it ended"
        second = subprocess.run(
            [sys.executable, "-m", "bng.cli", "control", "--state-dir", str(tmp_path)],
            capture_output=True, text=True, check=False, cwd=Path(__file__).parents[4],
        )  # fmt: skip
        assert second.returncode == 1
        last = json.loads(second.stderr.splitlines()[-1])
        assert last["event"] == "control.cannot-start"
        assert "in use by another process" in last["reason"]
    finally:
        first.terminate()
        assert first.wait(20) == 0

"""The supervisor with small real programs: order, readiness, restarts, stop."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.supervisor.spec import Probe, ProcessSpec, dump_specs
from lab.supervisor.state import Phase, SupervisorState, own_identity, read_state, running, write_state
from tests.support.waiting import wait_for


def shell(name: str, script: str, **options: object) -> ProcessSpec:
    return ProcessSpec(name, name, ("sh", "-c", script), **options)  # type: ignore[arg-type]


class Running:
    """A supervisor as a process of its own, as the lab runs it."""

    def __init__(self, folder: Path, specs: list[ProcessSpec]) -> None:
        self.folder = folder
        (folder / "processes.json").write_text(dump_specs(specs))
        self.process = subprocess.Popen([sys.executable, "-m", "lab.supervisor", str(folder)])

    def state(self) -> SupervisorState | None:
        return read_state(self.folder / "state.json")

    def phase(self, name: str) -> Phase | None:
        state = self.state()
        return state and state.processes[name].phase

    def wait_for(self, condition: Callable[[], object]) -> None:
        wait_for(f"{self.folder / 'state.json'} says so", condition)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def begin(*specs: ProcessSpec) -> Running:
        started.append(Running(tmp_path, list(specs)))
        return started[-1]

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.stop()


def test_programs_start_after_those_they_need_and_stop_before_them(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    trace = tmp_path / "trace"

    def traced(name: str, **options: object) -> ProcessSpec:
        script = (
            f"echo +{name} >> {trace}; trap 'echo -{name} >> {trace}; exit 0' TERM; echo up; "
            "while :; do sleep 0.05; done"
        )
        return shell(name, script, ready=Probe(log="up"), **options)

    lab = start(
        shell("once", f"echo once >> {trace}", oneshot=True),
        traced("base", after=("once",)),
        traced("beside", uses=("base",)),
        traced("top", after=("base", "beside")),
    )
    lab.wait_for(lambda: lab.phase("top") is Phase.READY)
    assert lab.phase("once") is Phase.DONE
    assert lab.stop() == 0
    lines = trace.read_text().split()
    assert lines.index("once") < lines.index("+base") < lines.index("+top")
    assert lines.index("-top") < lines.index("-beside") < lines.index("-base")


def test_what_dies_is_started_again_and_counted(start: Callable[..., Running], tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    script = f"if [ -e {flag} ]; then echo steady; exec sleep 60; fi; touch {flag}; exit 3"
    lab = start(shell("frail", script, ready=Probe(log="steady")))
    lab.wait_for(lambda: lab.phase("frail") is Phase.READY)
    state = lab.state()
    assert state
    assert (state.processes["frail"].restarts, state.processes["frail"].exit) == (1, "exit 3")


def test_a_oneshot_that_fails_is_tried_again(start: Callable[..., Running], tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    lab = start(
        shell("setup", f"test -e {flag} && exit 0; touch {flag}; exit 1", oneshot=True),
        shell("after", "exec sleep 60", after=("setup",)),
    )
    lab.wait_for(lambda: lab.phase("after") is Phase.READY)
    assert lab.phase("setup") is Phase.DONE


def test_readiness_is_of_this_start_not_of_an_earlier_one(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log/late.log").write_text("it is ready\n")
    flag = tmp_path / "flag"
    script = f"while [ ! -e {flag} ]; do sleep 0.05; done; echo it is ready; exec sleep 60"
    lab = start(shell("late", script, ready=Probe(log="it is ready")), shell("other", "exec sleep 60"))
    lab.wait_for(lambda: lab.phase("other") is Phase.READY)
    assert lab.phase("late") is Phase.STARTING
    flag.touch()
    lab.wait_for(lambda: lab.phase("late") is Phase.READY)


def test_what_ignores_its_signal_is_killed_with_its_children(
    start: Callable[..., Running], tmp_path: Path
) -> None:
    child = tmp_path / "child"
    script = f"trap '' TERM; sleep 987 & echo $! > {child}; while :; do wait; done"
    lab = start(shell("deaf", script, stop_timeout=0.3))
    lab.wait_for(lambda: child.exists() and child.read_text().strip())
    pid = int(child.read_text())
    assert lab.stop() == 0

    def ended() -> bool:
        stat = Path(f"/proc/{pid}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"

    lab.wait_for(ended)


def test_a_program_that_cannot_start_does_not_disturb_the_others(start: Callable[..., Running]) -> None:
    lab = start(ProcessSpec("none", "none", ("/does/not/exist",)), shell("other", "exec sleep 60"))
    lab.wait_for(lambda: lab.phase("other") is Phase.READY)
    lab.wait_for(lambda: (state := lab.state()) and "cannot start" in state.processes["none"].exit)
    assert lab.stop() == 0


def test_a_folder_has_one_supervisor(start: Callable[..., Running], tmp_path: Path) -> None:
    lab = start(shell("one", "exec sleep 60"))
    lab.wait_for(lambda: lab.phase("one") is Phase.READY)
    second = subprocess.run(
        [sys.executable, "-m", "lab.supervisor", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert second.returncode == 1 and "has a supervisor already" in second.stderr


def test_a_state_is_of_a_running_supervisor_only(tmp_path: Path) -> None:
    pid, started = own_identity()
    write_state(tmp_path / "s", SupervisorState(pid, started))
    assert running(read_state(tmp_path / "s"))
    write_state(tmp_path / "s", SupervisorState(pid, started + 1))  # the number was used again
    assert not running(read_state(tmp_path / "s"))
    (tmp_path / "s").write_text("{}")
    assert read_state(tmp_path / "s") is None and not running(None)


def test_command_lines_keep_one_process() -> None:
    spec = ProcessSpec(
        "p",
        "n",
        ("daemon", "-x"),
        namespace="ns",
        user="someone",
        capabilities=("net_raw",),
        binds=(("/a", "/b"),),
    )
    command = spec.command()
    assert command[:4] == ["ip", "netns", "exec", "ns"]
    assert command[-2:] == ["daemon", "-x"]
    assert "exec" in command[6] and "--ambient-caps" in command
    assert ProcessSpec("p", "n", ("daemon",)).command() == ["daemon"]

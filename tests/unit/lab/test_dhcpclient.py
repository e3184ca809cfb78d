"""Signals to a subscriber's DHCP client reach that process and no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import dhcpclient, topology
from lab.cli.lab.execute import state_of, with_own_programs
from lab.config import parse_config
from lab.errors import LabError
from lab.instance import Instance
from lab.paths import LabPaths
from lab.ports import Published
from lab.processes import processes
from lab.supervisor.spec import dump_specs
from lab.supervisor.state import Phase, ProcessState, SupervisorState, own_identity, write_state

ROOT = Path(__file__).parents[3]
NODE = "host-an-11-1"


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def paths(tmp_path: Path) -> LabPaths:
    config = parse_config((ROOT / "aether.config.yaml").read_text())
    paths = LabPaths(tmp_path)
    paths.processes.write_text(dump_specs(processes(config, topology.build(config), paths)))
    return paths


@pytest.fixture
def instance() -> Instance:
    return Instance("aether", "", (), Published("127.0.0.1", 0, 0, (), ()), "", "")


def note(paths: LabPaths, pid: int | None) -> None:
    """What the supervisor would have written; this process stands for it."""
    own, started = own_identity()
    write_state(paths.state, SupervisorState(own, started, {NODE: ProcessState(Phase.READY, pid)}))


def test_a_pid_of_another_program_is_left_alone(
    instance: Instance, paths: LabPaths, bystander: subprocess.Popen[bytes]
) -> None:
    note(paths, bystander.pid)
    with pytest.raises(LabError, match="does not run now"):
        dhcpclient.tell(instance, paths, NODE, dhcpclient.RELEASE)
    assert bystander.poll() is None


def test_the_client_gets_the_signal(
    instance: Instance, paths: LabPaths, monkeypatch: pytest.MonkeyPatch, bystander: subprocess.Popen[bytes]
) -> None:
    monkeypatch.setattr(
        dhcpclient, "_is_client", lambda pid, spec: pid == bystander.pid and spec.name == NODE
    )
    note(paths, bystander.pid)
    dhcpclient.tell(instance, paths, NODE, dhcpclient.RENEW)
    assert bystander.wait(10) == -signal.SIGUSR1


@pytest.mark.parametrize("pid", [None, 2**22 - 1])
def test_a_client_that_is_gone_is_an_error_in_words(
    instance: Instance, paths: LabPaths, pid: int | None
) -> None:
    note(paths, pid)
    with pytest.raises(LabError, match="does not run now"):
        dhcpclient.tell(instance, paths, NODE, dhcpclient.RENEW)


def test_other_nodes_are_refused(instance: Instance, paths: LabPaths) -> None:
    with pytest.raises(LabError, match='"bng-01" is no subscriber'):
        dhcpclient.tell(instance, paths, "bng-01", dhcpclient.RENEW)


def test_exec_finds_the_commands_of_this_environment() -> None:
    path = with_own_programs({"PATH": "/bin", "A": "b"})
    assert path == {"PATH": f"{Path(sys.executable).parent}{os.pathsep}/bin", "A": "b"}


def test_exec_tells_a_bng_where_its_state_is(paths: LabPaths) -> None:
    paths.bng("bng-01").mkdir(parents=True)
    assert state_of(paths, "bng-01") == {"AETHER_STATE_DIR": str(paths.bng_state("bng-01"))}
    assert state_of(paths, NODE) == {}

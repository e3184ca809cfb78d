"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.running_lab import RunningLab

if TYPE_CHECKING:
    from tests.support.lab_client import Lab

ROOT = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before the names are given to processes
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For who runs tests in several processes: those of a file stay together, and those of the one lab."""
    for item in items:
        file = str(item.path.relative_to(ROOT))
        name = "lab" if "running_lab" in getattr(item, "fixturenames", ()) else file
        item.add_marker(pytest.mark.xdist_group(name))


@pytest.fixture(scope="session")
def running_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    """The default lab, up and ready, one for all tests of the session; whoever changes it mends it."""
    if os.geteuid() != 0:
        pytest.skip("the lab needs root")
    lab = RunningLab(tmp_path_factory.mktemp("running-lab"))
    try:
        result = lab.up()
        if result.returncode:
            pytest.fail(f"`aether lab up` failed\n{result.stdout}\n{result.stderr}", pytrace=False)
        yield lab
    finally:
        lab.down()


@pytest.fixture
def lab(running_lab: RunningLab) -> Lab:
    """The running lab as its users have it: `lab.status` is the parsed `aether lab status --json`."""
    from tests.support.lab_client import Lab  # with its protocol clients, which most tests do without

    return Lab(running_lab.status)

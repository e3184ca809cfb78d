"""Fixtures for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.running_lab import RunningLab

if TYPE_CHECKING:
    from tests.support.lab_client import Lab


@pytest.fixture(scope="module")
def running_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningLab]:
    """The default lab, up and ready, one for the tests of a file; whoever changes it mends it."""
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

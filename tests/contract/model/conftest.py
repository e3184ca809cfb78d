"""The docs know who owns what; the tests of the model compare that with what happens."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(1, str(Path(__file__).parents[3] / "docs"))

import model_owners


@pytest.fixture
def folder() -> Iterator[Path]:
    """For state that is synchronised with the disk many times, so in memory where there is such a place."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


@pytest.fixture(scope="session")
def has() -> model_owners.Element:
    """What an element has."""
    return model_owners.element()


@pytest.fixture(scope="session")
def owned(has: model_owners.Element) -> Mapping[str, Any]:
    """The owner of each leaf, RPC, action and notification."""
    return model_owners.owners(has)

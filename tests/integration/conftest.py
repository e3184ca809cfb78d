"""What several of these files need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import postgres


@pytest.fixture(scope="module")
def cluster() -> Iterator[postgres.Cluster]:
    """A PostgreSQL of the file's own: each test makes its databases in it."""
    with postgres.cluster() as made:
        yield made

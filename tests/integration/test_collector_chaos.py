"""The kill matrix in short; `make chaos` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.__main__ import chaos

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


def test_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    """Once each under churn: a collector, PostgreSQL, a BNG whose retention is overrun."""
    seen: list[str] = []
    verdict = chaos(tmp_path, 3, 282, seen.append)
    assert verdict.good, (verdict.as_dict(), seen)
    assert len(verdict.kills) == 3
    assert verdict.events > 500
    assert verdict.takeovers >= 1
    assert verdict.missing > 0, "the overrun of the retention did not happen"
    assert verdict.ticks_missing > 0

"""The kill matrix in short; `make chaos` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.__main__ import chaos
from tests.support.marks import WHOLE_BNG

pytestmark = [*WHOLE_BNG, pytest.mark.timeout(180)]

KILLS = ("control", "one of the collectors", "retention overrun")


def test_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    """Once each under churn: control of a BNG, a collector, and the retention of a simulated BNG."""
    seen: list[str] = []
    verdict = chaos(tmp_path, KILLS, 282, seen.append, real=1, simulated=1, collectors=2)
    assert verdict.good, (verdict.as_dict(), seen)
    assert list(verdict.kills) == list(KILLS)
    assert verdict.events > 500
    assert verdict.real_starts > 50
    assert verdict.real_octets > 0
    assert verdict.takeovers >= 1
    assert verdict.missing > 0, "the overrun of the retention did not happen"
    assert verdict.ticks_missing > 0

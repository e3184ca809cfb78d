"""Waiting for the OSS's first deliveries."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lab import seeded, topology
from lab.config import parse_config
from lab.paths import LabPaths
from lab.processes import SEED, processes

ROOT = Path(__file__).parents[3]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[list[str] | Exception]:
    """What the database says, one entry for each query; the last one again and again."""
    listed: list[list[str] | Exception] = []

    async def pending(_: str) -> list[str]:
        answer = listed.pop(0) if len(listed) > 1 else listed[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(seeded, "_pending", pending)
    monkeypatch.setattr(seeded, "_INTERVAL", 0)
    return listed


def test_it_waits_through_errors_until_nothing_is_pending(answers: list[list[str] | Exception]) -> None:
    answers += [OSError("starting"), ["plan:gold: not tried yet", "line:x: y"], ["line:x: y"], []]
    assert asyncio.run(seeded.wait_until_delivered("dsn", 60)) is True
    assert answers == [[]]


def test_it_gives_up_and_says_what_is_missing(answers: list[list[str] | Exception]) -> None:
    answers += [["plan:gold: bng-01 cannot be reached"]]
    with capture_logs() as logs:
        assert asyncio.run(seeded.wait_until_delivered("dsn", 0)) is False
    assert logs[-1]["event"] == "seed.undelivered"
    assert logs[-1]["first"] == "plan:gold: bng-01 cannot be reached"


def test_subscribers_start_after_it_and_iperf3_serves_eight(tmp_path: Path) -> None:
    config = parse_config((ROOT / "aether.config.yaml").read_text())
    specs = processes(config, topology.build(config), LabPaths(tmp_path))
    subscribers = [spec for spec in specs if spec.argv[0] == "udhcpc"]
    assert len(subscribers) == 8 and all(SEED in spec.after for spec in subscribers)
    servers = [spec for spec in specs if spec.argv[0] == "iperf3"]
    assert [spec.argv[3] for spec in servers] == [str(port) for port in range(5201, 5209)]
    assert len({spec.name for spec in specs}) == len(specs)

"""The budget of bytes, and ages."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from collector import retention
from collector.budget import WINDOW_LEAST, WINDOW_MOST, Budget
from collector.config import ConfigError, parse


async def test_readers_wait_until_there_is_room() -> None:
    budget = Budget(100)
    budget.take(60)
    await asyncio.wait_for(budget.wait(), 1)
    budget.take(60)
    waiting = [asyncio.create_task(budget.wait()) for _ in range(2)]
    await asyncio.sleep(0)
    assert not budget.room
    budget.give(10)
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    budget.give(50)
    await asyncio.wait_for(asyncio.gather(*waiting), 1)
    assert (budget.held, budget.most) == (60, 120)
    budget.resize(50)
    assert not budget.room
    budget.resize(200)
    await asyncio.wait_for(budget.wait(), 1)


def test_windows_are_a_share() -> None:
    budget = Budget(64 << 20)
    assert budget.window(3) == WINDOW_MOST
    assert budget.window(128) == 512 << 10
    assert budget.window(30_000) == WINDOW_LEAST


def test_ages() -> None:
    assert retention.parse({}) == retention.Retention()
    assert retention.parse({"samples": "3h", "hour": "5y"}).samples == timedelta(hours=3)
    for wrong in (
        [],
        {"sample": "3h"},
        {"samples": "3"},
        {"samples": 3},
        {"samples": "0h"},
        {"samples": "200y"},
    ):
        with pytest.raises(ConfigError, match="retention"):
            parse({"database": "x", "targets": [], "retention": wrong})

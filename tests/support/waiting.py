"""Waiting for what has to come true, instead of for a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

PATIENCE = 3
"""How many times longer than on a quiet machine anything may take: tests run side by side."""


def wait_for(what: str, condition: Callable[[], Any], within: float = 15.0, every: float = 0.02) -> Any:
    """Wait until a condition holds; its value. AssertionError with `what` when it does not in time.

    Args:
        within: seconds on a quiet machine.
        every: seconds between two looks.
    """
    deadline = time.monotonic() + PATIENCE * within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE * within:g} s: {what}; last: {value!r}")
        time.sleep(every)


async def until(condition: Callable[[], Any], within: float = 15.0, every: float = 0.005) -> Any:
    """Let the loop run until a condition holds; its value. AssertionError with its last value when it does
    not in time.

    Args:
        within, every: as of `wait_for`.
    """
    deadline = time.monotonic() + PATIENCE * within
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {PATIENCE * within:g} s; last: {value!r}"
        await asyncio.sleep(every)
    return value

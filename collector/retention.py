"""How long rows are kept. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1), "y": timedelta(days=365)}


@dataclass(frozen=True, slots=True)
class Retention:
    """Ages that rows may reach, one hour to a hundred years each.

    Attributes:
        samples: of `session_samples`.
        minute, five_minutes, hour: of the rollups.
        foreign: of `foreign_samples`.
        condition: of `health_samples` and of past rows of `target_state`.
        rejected: of `events_rejected`.
    """

    samples: timedelta = timedelta(hours=48)
    minute: timedelta = timedelta(days=30)
    five_minutes: timedelta = timedelta(days=180)
    hour: timedelta = timedelta(days=3 * 365)
    foreign: timedelta = timedelta(days=7)
    condition: timedelta = timedelta(days=30)
    rejected: timedelta = timedelta(days=365)


def duration(text: Any) -> timedelta:
    """``48h``, ``30d``, ``4w``, ``3y``. Raises ValueError."""
    found = re.fullmatch(r"([1-9]\d{0,5})([hdwy])", text) if isinstance(text, str) else None
    age = int(found[1]) * UNITS[found[2]] if found else None
    if age is None or age > timedelta(days=36500):
        raise ValueError(f"must be a number with h, d, w or y, such as 48h, not {text!r}")
    return age


def parse(source: Any) -> Retention:
    """Of a configuration's ``retention``; ages that are left out have their defaults. Raises ValueError."""
    names = {field.name for field in fields(Retention)}
    if not isinstance(source, dict) or set(source) - names:
        raise ValueError(f"must be an object with some of {', '.join(sorted(names))}")
    ages = {}
    for name, text in source.items():
        try:
            ages[name] = duration(text)
        except ValueError as error:
            raise ValueError(f"{name} {error}") from None
    return Retention(**ages)

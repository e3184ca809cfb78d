"""What every benchmark shares: one JSON line on standard output, with the machine in its conditions."""

from __future__ import annotations

import json
import os
import platform


def machine() -> str:
    """The machine in a few words."""
    return f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"


def report(
    name: str,
    value: float,
    unit: str,
    baseline: str,
    baseline_value: float,
    ratio: float,
    conditions: str,
) -> None:
    """Print the figure.

    Args:
        name: of the benchmark, as `make bench BENCH=name` has it.
        value, unit: what was measured.
        baseline, baseline_value: what it is compared with, measured in the same run, in the same unit.
        ratio: how much better than the baseline; above 1 is better, whichever way the unit goes.
        conditions: what one must know to repeat it.
    """
    line = {
        "name": name,
        "value": value,
        "unit": unit,
        "baseline": baseline,
        "baseline_value": baseline_value,
        "ratio": round(ratio, 3),
        "conditions": f"{conditions}; {machine()}",
    }
    print(json.dumps(line), flush=True)

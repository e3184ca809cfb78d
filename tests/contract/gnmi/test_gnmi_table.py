"""docs/gnmi-specification.md names tests that exist, and at least one for each section."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "gnmi-specification.md"
FOLDERS = (ROOT / "tests" / "contract" / "gnmi", ROOT / "tests" / "unit" / "telemetry")


def rows() -> list[list[str]]:
    """Cells of the rows of all tables."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[1] != "supported"]


def defined(file: str) -> set[str]:
    """Tests of a file that the page calls by its name without `test_`."""
    for folder in FOLDERS:
        found = folder / f"test_{file}.py"
        if found.exists():
            return set(re.findall(r"^(?:async )?def (test_\w+)", found.read_text(), re.MULTILINE))
    return set()


def test_the_tests_exist():
    named = re.findall(r"`(\w+)::(\w+)`", PAGE.read_text())
    assert len(named) > 80
    assert [f"{file}::{test}" for file, test in named if test not in defined(file)] == []


def test_every_section_has_an_answer_and_a_test():
    for section, supported, remark, tests in rows():
        assert supported in ("yes", "partly", "no", "choice"), section
        assert remark or supported == "yes", section
        assert tests, section

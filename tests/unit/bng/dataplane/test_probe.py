"""The report about a machine."""

from __future__ import annotations

import json

from bng.dataplane.probe import Check, Report

GOOD = Check("HTB", True, True, "shapes and counts")
MISSING = Check("nftables", False, True, "the kernel needs nf_tables")
ABSENT = Check("fq_codel", False, False, "each class has a plain queue instead")


def test_what_is_required_decides() -> None:
    assert Report((GOOD, ABSENT)).usable
    assert not Report((GOOD, MISSING)).usable


def test_the_table_says_what_is_missing_and_why() -> None:
    text = str(Report((GOOD, MISSING, ABSENT)))
    assert "MISSING  nftables  the kernel needs nf_tables" in text
    assert text.endswith("The data plane cannot run here.")


def test_it_can_be_json() -> None:
    parsed = json.loads(json.dumps(Report((GOOD,)).as_dict()))
    assert parsed["usable"] is True
    assert parsed["checks"][0]["name"] == "HTB"

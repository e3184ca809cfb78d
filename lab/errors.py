"""Errors of the lab that a user sees as one sentence."""

from __future__ import annotations


class LabError(Exception):
    """Something cannot be done; the text says what, why, and what to change."""

"""The version of this software."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version


@cache
def version() -> str:
    """As installed; ``unknown`` when it runs from a bare source tree."""
    try:
        return installed_version("aether")
    except PackageNotFoundError:
        return "unknown"

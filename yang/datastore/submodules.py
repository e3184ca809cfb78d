"""The texts of modules and submodules: the bindings of libyang do not show where they were read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_COMMENT: Final = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:[^\"\\]|\\.)*\"|'[^']*'", re.DOTALL)
_INCLUDE: Final = re.compile(r"\binclude\s+([A-Za-z_][\w.-]*)\s*[;{]")
_REVISION: Final = re.compile(r"\brevision\s+[\"']?(\d{4}-\d{2}-\d{2})[\"']?\s*[;{]")


def find_module(name: str, revision: str, folders: Sequence[Path]) -> str | None:
    """The text of a module's revision, or None when no folder has it."""
    for folder in folders:
        for path in (folder / f"{name}@{revision}.yang", folder / f"{name}.yang"):
            if path.is_file():
                text = path.read_text()
                if max(_REVISION.findall(text), default="") == revision:
                    return text
    return None


def find_submodules(text: str, folders: Sequence[Path]) -> dict[str, tuple[str, str]]:
    """Name → (newest revision or "", text) of all that a module's text includes, directly or not.

    Args:
        folders: where to look for them, as libyang does.
    """
    found: dict[str, tuple[str, str]] = {}
    waiting = [text]
    while waiting:
        for name in _INCLUDE.findall(_COMMENT.sub(_shortened, waiting.pop())):
            path = _file(name, folders) if name not in found else None
            if path is not None:
                included = path.read_text()
                revisions = _REVISION.findall(included)
                found[name] = (max(revisions, default=""), included)
                waiting.append(included)
    return found


def _shortened(match: re.Match[str]) -> str:
    """Nothing of a comment; of a string only that it is one."""
    return '""' if match[0][0] in "\"'" else " "


def _file(name: str, folders: Sequence[Path]) -> Path | None:
    for folder in folders:
        candidates = [*sorted(folder.glob(f"{name}@*.yang"), reverse=True), folder / f"{name}.yang"]
        for path in candidates:
            if path.is_file():
                return path
    return None

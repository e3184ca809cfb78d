"""``python -m yang.revisions``: note the state of each module once it has a new revision.

`revisions.lock` has one line per module: name, newest revision, SHA-256 of the text. A module whose text
differs from its line must have a newer revision statement; a contract test says so.
"""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from yang.datastore.sources import own_dir

LOCK: Final = own_dir() / "revisions.lock"
_REVISION: Final = re.compile(r'^\s*revision\s+"?(\d{4}-\d{2}-\d{2})"?\s*[;{]', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Locked:
    """A module as it was when its newest revision was noted."""

    revision: str
    digest: str


def state_of(module: Path) -> Locked:
    """Newest revision and SHA-256 of a module file.

    Raises:
        ValueError: it has no revision statement.
    """
    text = module.read_text()
    revisions = _REVISION.findall(text)
    if not revisions:
        raise ValueError(f"{module.name} has no revision statement")
    return Locked(max(revisions), hashlib.sha256(text.encode()).hexdigest())


def read_lock(lock: Path) -> dict[str, Locked]:
    """The content of a lock file, by module name; empty when there is no file."""
    if not lock.is_file():
        return {}
    lines = (line.split() for line in lock.read_text().splitlines() if line and not line.startswith("#"))
    return {name: Locked(revision, digest) for name, revision, digest in lines}


def update(folder: Path, lock: Path) -> None:
    """Write the lock file for the modules of a folder.

    Raises:
        ValueError: a module has changed, but has no new revision.
    """
    known = read_lock(lock)
    states = {path.stem: state_of(path) for path in sorted(folder.glob("*.yang"))}
    for name, now in states.items():
        was = known.get(name)
        if was is not None and was.digest != now.digest and now.revision <= was.revision:
            raise ValueError(
                f"{name} has changed since revision {was.revision}: it needs a new revision statement"
            )
    lines = ["# module, newest revision, SHA-256; written by python -m yang.revisions"]
    lines += [f"{name} {state.revision} {state.digest}" for name, state in states.items()]
    lock.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    try:
        update(own_dir(), LOCK)
    except ValueError as error:
        sys.exit(str(error))

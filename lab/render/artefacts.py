"""Rendered files: written with the rights they need, and compared with what is there."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from lab.secrets import Secrets


@dataclass(frozen=True)
class Artefact:
    """One rendered file.

    Attributes:
        path: relative to the state folder.
        owner: account that reads it; the file is readable by nobody else.
        executable: whether it is run.
    """

    path: str
    text: str
    owner: str = "root"
    executable: bool = False


@dataclass(frozen=True)
class Change:
    """A file that differs. ``kind`` is ``new``, ``changed`` or ``removed``; ``diff`` has unified lines."""

    path: str
    kind: str
    diff: tuple[str, ...]


def rendered_digest(artefacts: list[Artefact]) -> str:
    """Identifies what was rendered, to tell whether a running lab is built from it."""
    digest = hashlib.sha256()
    for artefact in sorted(artefacts, key=lambda artefact: artefact.path):
        digest.update(f"{artefact.path}\0{artefact.text}\0".encode())
    return digest.hexdigest()


def write(artefacts: list[Artefact], root: Path, manifest: Path) -> list[Change]:
    """Write all files below ``root`` and remove those of an earlier rendering; returns what changed."""
    made = changes(artefacts, root, manifest)
    for change in made:
        if change.kind == "removed":
            (root / change.path).unlink(missing_ok=True)
    for artefact in artefacts:
        _write_one(artefact, root)
    manifest.write_text(json.dumps(sorted(artefact.path for artefact in artefacts), indent=1) + "\n")
    return made


def _write_one(artefact: Artefact, root: Path) -> None:
    path = root / artefact.path
    account = _account(artefact.owner)
    for folder in reversed(path.relative_to(root).parents):
        (root / folder).mkdir(exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    mode = 0o700 if artefact.executable else 0o600
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(artefact.text)
        if account is not None:
            os.fchown(file.fileno(), account.pw_uid, account.pw_gid)
    temporary.chmod(mode)
    temporary.replace(path)


def _account(name: str) -> pwd.struct_passwd | None:
    """The account to give a file to; None when this process may not, or there is none."""
    if os.geteuid() != 0 or name == "root":
        return None
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def changes(artefacts: list[Artefact], root: Path, manifest: Path) -> list[Change]:
    """What ``write`` would change, in the order of paths."""
    found = []
    for artefact in artefacts:
        before = _read(root / artefact.path)
        if before is None:
            found.append(Change(artefact.path, "new", ()))
        elif before != artefact.text:
            found.append(Change(artefact.path, "changed", _diff(before, artefact.text)))
    known = {artefact.path for artefact in artefacts}
    found += [Change(path, "removed", ()) for path in _manifest(manifest) if path not in known]
    return sorted(found, key=lambda change: change.path)


def _manifest(path: Path) -> list[str]:
    text = _read(path)
    if text is None:
        return []
    try:
        listed = json.loads(text)
    except ValueError:
        return []
    return [entry for entry in listed if isinstance(entry, str) and ".." not in Path(entry).parts]


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def _diff(before: str, after: str) -> tuple[str, ...]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
    return tuple(list(lines)[2:])


def masked(text: str, secrets: Secrets) -> str:
    """The text without any secret, to be shown."""
    for value in sorted(secrets.values.values(), key=len, reverse=True):
        text = text.replace(value, "•••")
    return text

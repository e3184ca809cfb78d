"""The server's SSH host keys: one of each current kind, made once and kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

import asyncssh
import structlog

log = structlog.get_logger(__name__)

KINDS: Final = {
    "ed25519": ("ssh-ed25519", {}),
    "ecdsa": ("ecdsa-sha2-nistp256", {}),
    "rsa": ("ssh-rsa", {"key_size": 3072}),
}
"""Name in the file's name → (algorithm, parameters of a new key). The first is what most clients take, and
costs least; the others are for clients that know no better."""


class HostKey(NamedTuple):
    """A public host key as people compare it: algorithm, and SHA256 fingerprint as ssh-keygen -l shows it."""

    algorithm: str
    fingerprint: str


def load_host_keys(path: Path) -> list[asyncssh.SSHKey]:
    """The host keys: Ed25519 in this file, the others in files beside it of the same name with their kind.

    A key is made at the first start, and when the file is none (it is kept beside): an element that no
    manager reaches is worse off than one that has to be trusted anew. Making the RSA key takes up to a
    second or two: to be called in a thread.

    Raises:
        OSError: a file cannot be read or written.
    """
    return [_load(_file(path, kind), kind) for kind in KINDS]


def describe(keys: list[asyncssh.SSHKey]) -> list[HostKey]:
    """What is shown of keys."""
    return [HostKey(key.get_algorithm(), key.get_fingerprint("sha256")) for key in keys]


def _file(path: Path, kind: str) -> Path:
    if kind == "ed25519":
        return path
    if "ed25519" in path.name:
        return path.with_name(path.name.replace("ed25519", kind))
    return path.with_name(f"{path.name}_{kind}")


def _load(path: Path, kind: str) -> asyncssh.SSHKey:
    try:
        key = asyncssh.read_private_key(path)
    except FileNotFoundError:
        pass
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
        log.error("netconf.host-key-damaged", path=str(path), reason=str(error))
        path.rename(path.with_name(path.name + ".damaged"))
    else:
        # Whoever copied the file here may not have thought of it.
        path.chmod(0o600)
        return key
    _make(path, kind)
    return asyncssh.read_private_key(path)


def _make(path: Path, kind: str) -> None:
    algorithm, parameters = KINDS[kind]
    key = asyncssh.generate_private_key(algorithm, comment="netconf", **parameters)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.export_private_key())
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)

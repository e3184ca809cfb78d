"""Passwords, shared secrets, keys and certificates of one lab: made at its first ``up``, never defaults."""

from __future__ import annotations

import json
import os
import re
import secrets
import string
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.config.model import LabConfig
from lab.errors import LabError
from lab.pki import CA_FILE, COLLECTOR_CERTIFICATE, ensure_certificates, ensure_client_certificate

BNG_USERS = ("admin", "operator", "viewer", "oss", "collector")
"""Accounts of every BNG: three for people, two for the programs that manage it."""

CONSOLE_USER = "admin"

PLACEHOLDER = "(made at the first up)"
"""Stands for every secret where none has been made yet, in ``config plan`` and ``config render``."""


@dataclass(frozen=True)
class Secrets:
    """All secrets by name. Names with a slash belong to one thing: ``radius/<bng-id>``."""

    values: dict[str, str]
    folder: Path

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, PLACEHOLDER)

    def database(self, name: str) -> str:
        """Password of the PostgreSQL role ``name``: oss, radius or dhcp."""
        return self[f"database/{name}"]

    def radius(self, bng_id: str) -> str:
        """Secret that a BNG shares with the RADIUS server."""
        return self[f"radius/{bng_id}"]

    def dynamic_authorization(self, bng_id: str) -> str:
        """Secret of the Disconnect- and CoA-Requests that a BNG takes from the RADIUS server."""
        return self[f"dynamic-authorization/{bng_id}"]

    def lease_api(self, bng_id: str) -> str:
        """Password of a BNG at Kea's control agent; its user is the bng-id."""
        return self[f"lease-api/{bng_id}"]

    @property
    def radius_user(self) -> str:
        """User-Password of every access line."""
        return self["radius-user"]

    @property
    def console(self) -> str:
        """Password of the console's first user."""
        return self["console"]

    def bng(self, bng_id: str, user: str) -> str:
        """Password of a BNG's account."""
        return self[f"bng/{bng_id}/{user}"]

    def bng_hash(self, bng_id: str, user: str) -> str:
        """The same as iana-crypt-hash stores it."""
        return self[f"bng/{bng_id}/{user}/hash"]

    @property
    def ca(self) -> Path:
        """Certificate of the lab's own authority, which signed those of the gNMI servers."""
        return self.folder / CA_FILE


def required_names(config: LabConfig) -> Iterator[str]:
    """Names of all secrets that a configuration needs, without hashes."""
    yield from ("console", "radius-user", "database/oss", "database/radius", "database/dhcp")
    for bng in config.bngs:
        yield f"radius/{bng.bng_id}"
        yield f"dynamic-authorization/{bng.bng_id}"
        yield f"lease-api/{bng.bng_id}"
        for user in BNG_USERS:
            yield f"bng/{bng.bng_id}/{user}"


def load_secrets(folder: Path) -> Secrets:
    """What has been made so far; everything else reads as a placeholder."""
    try:
        values = json.loads((folder / "secrets.json").read_text())
    except FileNotFoundError:
        values = {}
    except (OSError, ValueError) as error:
        raise LabError(
            f"{folder / 'secrets.json'} cannot be read: {error}; remove it to make new ones"
        ) from error
    return Secrets(values, folder)


def ensure_secrets(config: LabConfig, folder: Path) -> Secrets:
    """Make what is missing and keep what is there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    values = dict(load_secrets(folder).values)
    given = _given(config)
    for name in required_names(config):
        value = given.get(name) if given is not None else values.get(name) or _password()
        if not value:
            raise LabError(f'{config.credentials_file} lacks "{name}", which this lab needs; add it')
        hash_name = f"{name}/hash"
        if name.startswith("bng/") and (values.get(name) != value or hash_name not in values):
            values[hash_name] = crypt_hash(value)
        values[name] = value
    _write_private(folder / "secrets.json", json.dumps(values, indent=1, sort_keys=True) + "\n")
    for bng in config.bngs:
        addresses = [str(bng.dhcp_uplink.ip), str(config.publish.address), "127.0.0.1"]
        ensure_certificates(folder, bng.bng_id, ["localhost"], addresses)
    if config.collecting.client_certificate:
        ensure_client_certificate(folder, COLLECTOR_CERTIFICATE)
    return Secrets(values, folder)


def _given(config: LabConfig) -> dict[str, str] | None:
    path = config.credentials_file
    if path is None:
        return None
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise LabError(f"{path} (lab.credentials.file) cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise LabError(f"{path} must be a JSON object of names and secrets")
    for name, value in values.items():
        if not isinstance(value, str) or not _USABLE.fullmatch(value):
            raise LabError(f'{path}: "{name}" must have 8 to 128 letters, digits, hyphens, dots, underscores')
    return values


_USABLE = re.compile(r"[A-Za-z0-9._~-]{8,128}")
"""Secrets stand in URLs, SQL and other people's configuration languages: nothing that any of them quotes."""


_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 25
"""Characters of a password: 148 bits."""


def _password() -> str:
    # letters and digits alone: a leading hyphen would be an option on a command line
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def crypt_hash(password: str) -> str:
    """SHA-512 crypt, ``$6$…``: the strongest form that iana-crypt-hash (RFC 7317) knows."""
    result = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"], input=password, text=True, capture_output=True, check=True
    )
    return result.stdout.strip()


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)

"""Secrets and certificates: made once, kept, private."""

from __future__ import annotations

import json
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from lab.config import LabConfig, parse_config
from lab.errors import LabError
from lab.pki import certificate_file, key_file
from lab.secrets import BNG_USERS, crypt_hash, ensure_secrets, load_secrets, required_names

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def config() -> LabConfig:
    return parse_config((ROOT / "examples/single-bng.yaml").read_text())


def test_secrets_are_made_once_and_kept(config: LabConfig, tmp_path: Path) -> None:
    first = ensure_secrets(config, tmp_path / "s")
    assert ensure_secrets(config, tmp_path / "s") == first == load_secrets(tmp_path / "s")
    plain = [first[name] for name in required_names(config)]
    assert len(set(plain)) == len(plain) == 5 + 3 + len(BNG_USERS)
    assert all(value.isalnum() and value.isascii() and len(value) >= 25 for value in plain)
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700
    private = [path for path in (tmp_path / "s").iterdir() if path.suffix in (".json", ".key")]
    assert private and all(path.stat().st_mode & 0o777 == 0o600 for path in private)


def test_two_labs_share_no_secret(config: LabConfig, tmp_path: Path) -> None:
    one, two = (ensure_secrets(config, tmp_path / name).values for name in ("one", "two"))
    assert not set(one.values()) & set(two.values())


def test_hashes_fit_their_passwords(config: LabConfig, tmp_path: Path) -> None:
    secrets = ensure_secrets(config, tmp_path)
    stored = secrets.bng_hash("edge-1", "admin")
    _, kind, salt, _ = stored.split("$")
    assert kind == "6"

    again = subprocess.run(
        ["openssl", "passwd", "-6", "-salt", salt, "-stdin"],
        input=secrets.bng("edge-1", "admin"),
        text=True,
        capture_output=True,
        check=True,
    )
    assert again.stdout.strip() == stored
    assert crypt_hash("x") != crypt_hash("x"), "the salt is random"


def test_certificates_name_the_addresses_and_are_renewed_when_those_change(
    config: LabConfig, tmp_path: Path
) -> None:
    ensure_secrets(config, tmp_path)
    path = certificate_file(tmp_path, "edge-1")
    before = path.read_bytes()
    names = x509.load_pem_x509_certificate(before).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    addresses = {str(address) for address in names.value.get_values_for_type(x509.IPAddress)}
    assert addresses == {"198.18.0.101", "127.0.0.1"}
    ensure_secrets(config, tmp_path)
    assert path.read_bytes() == before
    moved = parse_config(
        (ROOT / "examples/single-bng.yaml").read_text().replace("198.18.0.101", "198.18.0.99")
    )
    ensure_secrets(moved, tmp_path)
    assert path.read_bytes() != before
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    context.load_cert_chain(path, key_file(tmp_path, "edge-1"))


def test_given_credentials_are_used_and_checked(config: LabConfig, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    given = replace(config, credentials_file=file)
    values = {name: f"given-{number:04d}" for number, name in enumerate(required_names(config))}
    file.write_text(json.dumps(values))
    secrets = ensure_secrets(given, tmp_path / "s")
    assert secrets.console == values["console"]
    for broken, message in [
        ("{", "cannot be read"),
        ("[]", "JSON object"),
        (json.dumps(values | {"console": "a'; DROP TABLE x"}), '"console" must have'),
        (json.dumps({k: v for k, v in values.items() if k != "console"}), 'lacks "console"'),
    ]:
        file.write_text(broken)
        with pytest.raises(LabError, match=message):
            ensure_secrets(given, tmp_path / "s")


def test_a_damaged_file_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(LabError, match="remove it to make new ones"):
        load_secrets(tmp_path)


def test_a_certificate_for_the_collector_where_it_is_asked_for(config: LabConfig, tmp_path: Path) -> None:
    ensure_secrets(config, tmp_path)
    assert not certificate_file(tmp_path, "collector").exists()
    asking = replace(config, collecting=replace(config.collecting, client_certificate=True))
    ensure_secrets(asking, tmp_path)
    made = certificate_file(tmp_path, "collector").read_bytes()
    ensure_secrets(asking, tmp_path)
    assert certificate_file(tmp_path, "collector").read_bytes() == made
    assert key_file(tmp_path, "collector").stat().st_mode & 0o777 == 0o600
    for name, purpose in (("collector", "sslclient"), ("edge-1", "sslserver")):
        command = ["openssl", "verify", "-CAfile", "ca.pem", "-purpose", purpose, f"{name}.pem"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    subject = x509.load_pem_x509_certificate(made).subject.rfc4514_string()
    assert subject == "CN=collector"

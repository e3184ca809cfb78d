"""The SSH host keys of the element."""

from __future__ import annotations

import subprocess
from pathlib import Path

import asyncssh
import pytest

from nbi import hostkeys
from nbi.hostkeys import describe, load_host_keys


@pytest.fixture(autouse=True)
def _small_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """RSA keys of a size that is made quickly."""
    monkeypatch.setitem(hostkeys.KINDS, "rsa", ("ssh-rsa", {"key_size": 1024}))


def test_they_are_made_once(tmp_path: Path) -> None:
    path = tmp_path / "ssh_host_ed25519_key"
    made = load_host_keys(path)
    assert [key.get_algorithm() for key in made] == ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"]
    assert [key.public_data for key in load_host_keys(path)] == [key.public_data for key in made]
    files = [tmp_path / f"ssh_host_{kind}_key" for kind in ("ecdsa", "ed25519", "rsa")]
    assert sorted(tmp_path.iterdir()) == files
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)


def test_one_that_others_can_read_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "key"
    load_host_keys(path)
    path.chmod(0o644)
    load_host_keys(path)
    assert path.stat().st_mode & 0o777 == 0o600


def test_fingerprints_are_those_of_ssh_keygen(tmp_path: Path) -> None:
    path = tmp_path / "key"
    ed25519 = describe(load_host_keys(path))[0]
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", str(path)], capture_output=True, text=True, check=True
    ).stdout
    assert ed25519.fingerprint == shown.split()[1]


@pytest.mark.parametrize("keep", [0, 100])
def test_a_damaged_one_is_put_aside(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "key"
    made, *others = load_host_keys(path)
    path.write_bytes(path.read_bytes()[:keep])
    other, *same = load_host_keys(path)
    assert other.public_data != made.public_data
    assert [key.public_data for key in same] == [key.public_data for key in others]
    assert asyncssh.read_private_key(path).public_data == other.public_data
    assert (tmp_path / "key.damaged").stat().st_size == keep

"""The SSH host key of the element."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbi.ssh import load_host_key


def test_it_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "key"
    made = load_host_key(path)
    assert load_host_key(path).public_data == made.public_data
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("keep", [0, 100])
def test_a_damaged_one_is_put_aside(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "key"
    made = load_host_key(path)
    path.write_bytes(path.read_bytes()[:keep])
    other = load_host_key(path)
    assert other.public_data != made.public_data
    assert load_host_key(path).public_data == other.public_data
    assert (tmp_path / "key.damaged").stat().st_size == keep

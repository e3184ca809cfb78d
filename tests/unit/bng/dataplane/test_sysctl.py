"""Ports that the kernel does not give to clients."""

from __future__ import annotations

import pytest

from bng.dataplane import sysctl


@pytest.fixture
def reserved(tmp_path, monkeypatch):
    """The kernel's file, which says what is in it as the kernel does."""
    monkeypatch.setattr(sysctl, "IPV4", tmp_path)
    file = tmp_path / sysctl.RESERVED_PORTS
    file.write_text("\n")
    return file


def test_what_others_have_reserved_stays(reserved) -> None:
    reserved.write_text("80,57000-57399\n")
    warnings: list[str] = []
    sysctl.reserve_ports((57400, 830, 57100), warnings)
    assert (reserved.read_text(), warnings) == ("80,57000-57399,830,57400", [])


def test_what_is_reserved_is_not_written_again(reserved) -> None:
    sysctl.reserve_ports((57400,), [])
    assert reserved.read_text() == "57400"
    reserved.write_text("57399-57401\n")
    sysctl.reserve_ports((57400,), [])
    assert reserved.read_text() == "57399-57401\n"


def test_what_cannot_be_reserved_is_told(reserved) -> None:
    reserved.unlink()
    reserved.mkdir()
    warnings: list[str] = []
    sysctl.reserve_ports((830, 57400), warnings)
    (warning,) = warnings
    assert "net.ipv4.ip_local_reserved_ports must have 830,57400, and cannot be set" in warning

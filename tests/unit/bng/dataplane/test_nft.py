"""The text of the ruleset; what it does is tested with packets (tests/integration/test_dataplane_gate.py)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from bng.dataplane import nft
from bng.dataplane.base import Nat

A, B = IPv4Network("100.64.0.0/10"), IPv4Network("10.0.0.0/8")


def test_without_nat_there_is_no_connection_tracking() -> None:
    text = nft.ruleset(None)
    assert "delete chain ip aether postrouting" in text
    assert "masquerade" not in text


def test_prefixes_that_overlap_are_merged() -> None:
    """nft refuses overlapping intervals."""
    text = nft.ruleset(Nat((IPv4Network("100.64.0.0/16"), A, B)))
    assert "ip saddr { 10.0.0.0/8, 100.64.0.0/10 } masquerade" in text
    assert "delete chain" not in text


def test_packets_leave_with_the_address_that_was_given() -> None:
    assert "snat to 198.51.100.9" in nft.ruleset(Nat((A,), IPv4Address("198.51.100.9")))


@pytest.mark.parametrize("nat", [None, Nat(()), Nat((A,))])
def test_elements_are_never_flushed(nat: Nat | None) -> None:
    text = nft.ruleset(nat)
    assert "flush table ip aether" in text
    assert "flush map" not in text
    assert "flush ruleset" not in text
    assert "delete table" not in text


def test_the_gate_comes_before_connection_tracking() -> None:
    assert "hook prerouting priority raw" in nft.ruleset(Nat((A,)))

"""What a DHCP server tells, read with distrust."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bng.leases import lease as kea
from bng.leases.lease import Lease, LeaseError, Origin
from tests.support.fake_kea import NOW, lease, option82

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=20) | st.just("10.0.0.1"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["ip-address", "cltt", "valid-lft", "state", "user-context", "ISC", "relay-agent-info"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


def test_a_lease() -> None:
    found = kea.read(lease(7))
    assert found == Lease(
        (10 << 24) + (1 << 8) + 7, "10.0.1.7", "02:00:00:00:00:07", True, NOW, 3600, option82("node-1 1/0/7")
    )
    assert kea.origin_of(found) == Origin(("node-1", "1/0/7"), "bng-01", "10.0.0.1")  # type: ignore[arg-type]


def test_option_82_as_later_versions_store_it() -> None:
    context = {"ISC": {"relay-agent-info": {"sub-options": option82("a b"), "relay-id": "00"}}}
    origin = kea.origin_of(kea.read(lease(1) | {"user-context": context}))
    assert origin is not None
    assert origin.line == ("a", "b")


@pytest.mark.parametrize(
    "changed",
    [
        {"user-context": {}},
        {"user-context": {"ISC": None}},
        {"user-context": {"ISC": {"relay-agent-info": "0x0"}}},
        {"user-context": {"ISC": {"relay-agent-info": "0x01ff"}}},
        {"user-context": {"ISC": {"relay-agent-info": "0x0101610201" + "00" * 5000}}},
        {"user-context": {"ISC": {"relay-agent-info": ["0x"]}}},
    ],
)
def test_a_lease_whose_place_is_unknown(changed: dict) -> None:
    assert kea.origin_of(kea.read(lease(1) | changed)) is None


def test_declined_reclaimed_infinite_and_no_ethernet() -> None:
    assert not kea.read(lease(1, state=1)).assigned
    assert not kea.read(lease(1, state=2)).assigned
    assert kea.read(lease(1, lifetime=0xFFFFFFFF)).lifetime is None
    assert kea.read(lease(1) | {"hw-address": "01:02"}).mac_address == ""


@pytest.mark.parametrize(
    "changed",
    [
        {"ip-address": "10.0.0.256"},
        {"ip-address": None},
        {"cltt": -1},
        {"cltt": 2**40},
        {"cltt": True},
        {"valid-lft": "60"},
        {"valid-lft": 2**32},
    ],
)
def test_impossible_leases(changed: dict) -> None:
    with pytest.raises(LeaseError):
        kea.read(lease(1) | changed)


@given(plain)
def test_anything_is_a_lease_or_an_error(raw: object) -> None:
    with contextlib.suppress(LeaseError):
        kea.origin_of(kea.read(raw))


@given(st.binary(max_size=60) | plain.map(lambda value: json.dumps(value).encode()))
def test_anything_is_an_answer_or_an_error(body: bytes) -> None:
    with contextlib.suppress(LeaseError):
        kea.leases_of(kea.arguments_of(body)[1], 2)


def test_an_error_is_told_without_its_control_characters() -> None:
    with pytest.raises(LeaseError, match=r"result 1: no\%0A way"):
        kea.arguments_of(b'[{"result": 1, "text": "no\\n way"}]')


def test_more_leases_than_asked_for() -> None:
    with pytest.raises(LeaseError, match="2 were asked for"):
        kea.leases_of({"leases": [1, 2, 3]}, 2)


@pytest.mark.parametrize("body", [b'[{"result": 0, "arguments": []}]', b'{"result": 0, "arguments": 5}'])
def test_arguments_that_are_none(body: bytes) -> None:
    with pytest.raises(LeaseError, match="not one of Kea's"):
        kea.arguments_of(body)


def test_what_is_no_lease_at_all() -> None:
    with pytest.raises(LeaseError, match="not an object"):
        kea.read([])

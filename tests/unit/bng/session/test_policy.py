"""From an Access-Accept to what is enforced."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bng.session import policy
from bng.session.events import RadiusAccept
from bng.session.settings import Policy, Profile

PROFILES = {"gold": Profile(100_000_000, 50_000_000, 20_000, None, 2)}


def accept(**fields: object) -> RadiusAccept:
    return RadiusAccept("0" * 16, 1, **fields)  # type: ignore[arg-type]


def test_the_first_known_filter_id_wins_over_speeds() -> None:
    granted = policy.of_accept(
        accept(filter_ids=("other", "gold"), download_kbps=1000, upload_kbps=1000), PROFILES
    )
    assert granted == Policy("gold", 100_000_000, 50_000_000, 20_000, None, 2)


def test_speeds_when_no_filter_id_is_known() -> None:
    granted = policy.of_accept(
        accept(
            filter_ids=("other",),
            download_kbps=1000,
            upload_kbps=500,
            download_burst_kbit=80,
            upload_burst_kbit=1,
        ),
        PROFILES,
    )
    assert granted == Policy(None, 1_000_000, 500_000, 10_000, 1500)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "neither Filter-Id nor speeds"),
        ({"filter_ids": ("copper",)}, "unknown shaping profile: copper"),
        ({"download_kbps": 1000}, "one direction"),
        ({"upload_kbps": 1000}, "one direction"),
        ({"download_kbps": 7, "upload_kbps": 1000}, "speed of 7 kbit/s"),
        ({"download_kbps": 1000, "upload_kbps": 100_000_001}, "speed of 100000001 kbit/s"),
    ],
)
def test_why_an_accept_grants_nothing(fields: dict, why: str) -> None:
    granted = policy.of_accept(accept(**fields), PROFILES)
    assert isinstance(granted, str)
    assert why in granted


@given(st.integers(0, 2**32 - 1))
def test_numbers_of_the_network_stay_within_bounds(number: int) -> None:
    assert policy.interim_of(accept(interim_interval=number)) in {0, *range(10, 86401)}
    assert 0 <= policy.timeout_of(number) <= policy.MAX_TIMEOUT
    granted = policy.of_accept(accept(download_kbps=8, upload_kbps=8, download_burst_kbit=number), PROFILES)
    assert isinstance(granted, Policy)
    assert granted.download_burst is None or 1500 <= granted.download_burst <= 268435456


def test_absent_numbers() -> None:
    assert policy.interim_of(accept()) == policy.timeout_of(None) == 0

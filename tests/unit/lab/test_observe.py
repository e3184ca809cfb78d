"""What is said of a subscriber from its address and its session."""

from __future__ import annotations

import pytest

from lab.observe import Session, profile


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        (None, None),
        (Session("100.64.1.10", "active", "gold"), "gold"),
        (Session("100.64.1.10", "idle", "gold"), "gold"),
        (Session("100.64.1.10", "active", None), None),
        (Session("100.64.1.10", "rejected", "gold"), None),
    ],
)
def test_the_profile_is_that_of_a_session_that_forwards(
    session: Session | None, expected: str | None
) -> None:
    assert profile(session) == expected

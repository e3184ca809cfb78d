"""A session and its journal form."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bng.seam.clock import date_and_time
from bng.session import records
from bng.session.records import AccessLine, Binding, Session
from bng.session.settings import Policy
from bng.session.states import State

times = st.integers(0, 4_000_000_000_000_000_000)
policies = st.builds(
    Policy,
    st.one_of(st.none(), st.just("gold")),
    st.integers(8000, 10**11),
    st.integers(8000, 10**11),
    st.one_of(st.none(), st.integers(1500, 10**6)),
    st.one_of(st.none(), st.integers(1500, 10**6)),
    st.integers(0, 7),
)


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    binding = Binding(
        AccessLine("node-a", "1/0/1"),
        "02:00:00:00:00:01",
        "100.64.0.10",
        "sub0",
        draw(st.sampled_from(["0.0.0.0", "10.9.0.1"])),
        "192.0.2.53",
        draw(st.one_of(st.none(), times)),
    )
    session = Session("0" * 16, "bng-01", binding, routed=draw(st.booleans()), now=draw(times))
    session.state = draw(st.sampled_from([State.AUTHORIZING, State.ACTIVE, State.IDLE, State.REJECTED]))
    session.slot, session.generation = draw(st.integers(0, 60000)), draw(st.integers(1, 2**60))
    session.last_change_ns, session.authorized_ns = draw(times), draw(times)
    session.authorization = draw(st.sampled_from(["", "radius", "local"]))
    session.renewed_ns = draw(times)
    session.classes = tuple(draw(st.lists(st.binary(max_size=20), max_size=3)))
    session.interim, session.session_timeout, session.idle_timeout = draw(
        st.tuples(*[st.integers(0, 86400)] * 3)
    )
    session.policy = draw(st.one_of(st.none(), policies))
    if session.state is State.REJECTED:
        session.refusal = draw(st.sampled_from(["", "no such user"]))
    return session


DURABLE = sorted(
    set(Session.__slots__) - {"asked", "attempt", "ending", "enforcing", "idle_since", "naks", "tokens"}
)


@given(sessions())
def test_all_that_is_durable_comes_back_through_the_journal(session: Session) -> None:
    event = records.to_event(session, "session-update", session.refusal)
    again = records.from_event(json.loads(json.dumps(event)))
    for name in DURABLE:
        assert getattr(again, name) == getattr(session, name), name


@given(times)
def test_times_round_trip(time: int) -> None:
    assert records.parse_date_and_time(date_and_time(time)) == time


@pytest.mark.parametrize("text", ["", "2026-01-01T00:00:00Z", "2026-13-01T00:00:00.000000000Z"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError):
        records.parse_date_and_time(text)


def test_leaves_have_the_models_names_and_values() -> None:
    binding = Binding(AccessLine("a", "b"), "m", "i", "sub0", "0.0.0.0", "s", None)
    session = Session("0" * 16, "bng-01", binding, routed=False, now=1_500_000_000_000_000_001)
    session.state = State.GONE
    assert session.access_line == ("a", "b")
    assert session.username == "bng-01/a/b"
    assert session.nas_port_id == "sub0:a:b"
    assert session.status == "terminating"
    assert session.started == session.last_change == "2017-07-14T02:40:00.000000001Z"
    assert session.lease_expiry is None
    assert session.profile is session.download_rate is session.upload_rate is None
    session.policy, session.lease_expiry_ns = Policy("gold", 2, 1), 0
    assert (session.profile, session.download_rate, session.upload_rate) == ("gold", 2, 1)
    assert session.lease_expiry == "1970-01-01T00:00:00.000000000Z"


def test_session_time() -> None:
    binding = Binding(AccessLine("a", "b"), "m", "i", "sub0", "0.0.0.0", "s", None)
    session = Session("0" * 16, "bng-01", binding, routed=False, now=5)
    assert session.session_time(10**10) == 0
    session.authorized_ns = 10**9
    assert session.session_time(10**10) == 9
    assert session.session_time(0) == 0  # the clock was set back


@given(st.integers(0, 2**64 - 1))
def test_spread_is_a_fraction(number: int) -> None:
    binding = Binding(AccessLine("a", "b"), "m", "i", "sub0", "0.0.0.0", "s", None)
    session = Session(f"{number:016x}", "bng-01", binding, routed=False, now=5)
    assert 0 <= session.spread() < 1


def test_leases() -> None:
    assert records.lease_deadline(60, 5) == 60 * 10**9 + 5
    assert records.lease_deadline(None, 5) == 3600 * 10**9 + 5
    assert records.lease_deadline(0xFFFFFFFF, 5) is None


def test_bursts_come_back() -> None:
    session = Session(
        "0" * 16,
        "bng-01",
        Binding(AccessLine("a", "b"), "02:00:00:00:00:01", "100.64.0.10", "sub0", "0.0.0.0", "s", None),
        routed=False,
        now=0,
    )
    session.policy = Policy(None, 8000, 9000, 1500, 3000)
    event = records.to_event(session, "session-update", "")
    assert records.from_event(json.loads(json.dumps(event))).policy == session.policy


@pytest.mark.parametrize("changed", [{"ip-address": "100.64.0.010"}, {"nat": {"address": "x"}}])
def test_addresses_that_nobody_wrote(changed: dict) -> None:
    session = Session(
        "0" * 16,
        "bng-01",
        Binding(AccessLine("a", "b"), "02:00:00:00:00:01", "100.64.0.10", "sub0", "0.0.0.0", "s", None),
        routed=False,
        now=0,
    )
    event = {**records.to_event(session, "session-update", ""), **changed}
    with pytest.raises(ValueError, match="address"):
        records.from_event(event)

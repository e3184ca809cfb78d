"""Who may send how much DHCP, before anything is decoded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bng.codec import option82
from bng.seam.clock import NS
from bng.session import admission
from bng.session.admission import Admission, Verdict
from bng.session.records import AccessLine

NOW = 1_800_000_000 * NS
MAC = bytes([2, 0, 0, 0, 0, 1])


def agent(circuit: str, remote: str = "node-1") -> bytes:
    return option82.build(((1, circuit.encode()), (2, remote.encode())))


def limits(rate: int = 20, *known: str) -> Admission:
    """Limits of which these circuits of node-1 have a session."""
    made = Admission(rate)
    lines = {AccessLine("node-1", circuit) for circuit in known}
    made.know(lines.__contains__, {"02:00:00:00:00:01"}.__contains__, {"node-1"}.__contains__)
    return made


def verdicts(made: Admission, relay_agent: bytes, count: int, now: int = NOW) -> list[Verdict]:
    return [made.judge(relay_agent, "sub0", MAC, now) for _ in range(count)]


def test_a_line_may_send_so_many_at_once_and_per_second() -> None:
    made = limits(20)
    assert verdicts(made, agent("1"), 25) == [Verdict.STRANGER] * 20 + [Verdict.RATE_LIMIT] * 5
    assert verdicts(made, agent("1"), 3, NOW + NS // 20) == [Verdict.STRANGER] + [Verdict.RATE_LIMIT] * 2
    assert verdicts(made, agent("2"), 1) == [Verdict.STRANGER]
    # steadily at the limit, nothing is lost
    for number in range(1, 100):
        assert made.admit(AccessLine("node-1", "3"), NOW + number * NS // 20)


@given(st.integers(1, 1000), st.lists(st.integers(0, 3 * NS), min_size=1, max_size=200))
def test_never_more_than_the_limit(rate: int, moments: list[int]) -> None:
    made = Admission(rate)
    admitted = [at for at in sorted(moments) if made.admit(AccessLine("a", "b"), NOW + at)]
    for first, start in enumerate(admitted):
        within = sum(1 for at in admitted[first:] if at - start < NS)
        assert within <= 2 * rate  # a burst, and what a second brings


def test_other_options_do_not_make_another_line() -> None:
    made = limits(1)
    assert made.judge(agent("1"), "sub0", MAC, NOW) is Verdict.STRANGER
    disguised = agent("1") + option82.build(((9, b"anything"),))
    assert made.judge(disguised, "sub0", MAC, NOW) is Verdict.RATE_LIMIT


def test_without_option_82_the_device_counts() -> None:
    made = limits(1)
    assert made.judge(b"", "sub0", MAC, NOW) is Verdict.KNOWN
    assert made.judge(b"", "sub0", MAC, NOW) is Verdict.RATE_LIMIT
    assert made.judge(b"", "sub1", MAC, NOW) is Verdict.KNOWN
    assert made.judge(b"", "sub0", bytes(6), NOW) is Verdict.STRANGER


def test_bad_option_82() -> None:
    made = limits()
    for broken in (b"\1\x09x", agent("1")[:-1], option82.build(((1, b"x"),)), agent("1") + agent("2")):
        assert made.judge(broken, "sub0", MAC, NOW) is Verdict.BAD_OPTION_82
    assert len(made) == 0


def test_a_flood_of_invented_lines_takes_nothing_from_those_who_are_in() -> None:
    made = limits(20, "1/0/1")
    flood = [made.judge(agent(f"{number:x}"), "sub0", MAC, NOW) for number in range(6000)]
    assert flood.count(Verdict.STRANGER) == admission.STRANGERS_PER_SECOND
    assert flood.count(Verdict.STRANGERS_LIMIT) == 6000 - admission.STRANGERS_PER_SECOND
    assert len(made) <= admission.MAX_LINES
    assert verdicts(made, agent("1/0/1"), 20) == [Verdict.KNOWN] * 20
    # and it is over as soon as it is over
    assert made.judge(agent("new"), "sub0", MAC, NOW + NS) is Verdict.STRANGER


def test_a_flood_of_invented_nodes_takes_nothing_from_new_subscribers() -> None:
    made = limits(20)
    flood = [made.judge(agent("1", f"rogue-{number}"), "sub0", MAC, NOW) for number in range(2000)]
    assert flood.count(Verdict.STRANGER) == admission.UNHEARD_PER_SECOND
    new = [made.judge(agent(f"{number:x}"), "sub0", MAC, NOW) for number in range(1000)]
    assert new == [Verdict.STRANGER] * 1000


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_LINES", 10)
    made = limits(1)
    for number in range(40):
        assert made.admit(AccessLine("node-1", str(number)), NOW)
        assert len(made) <= 10
    assert not made.admit(AccessLine("node-1", "39"), NOW)
    assert made.admit(AccessLine("node-1", "new"), NOW + NS)
    assert len(made) == 1, "who was silent for a second needs no memory"


def test_a_clock_that_was_set_back_costs_one_burst() -> None:
    made = limits(2)
    line = AccessLine("node-1", "1")
    assert made.admit(line, NOW)
    assert not made.admit(line, NOW - 3600 * NS)
    assert made.admit(line, NOW - 3599 * NS)
    assert made.judge(agent("2"), "sub0", MAC, NOW - 3600 * NS) is Verdict.STRANGER

"""Totals of sessions: what the kernel counted, whatever happened to its counters in between."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from bng.session import counters

TOP = 1 << 64


def matrix(slots: int = 4) -> np.ndarray:
    return np.zeros((slots, 13), np.uint64)


def sweep(*rows: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(rows, np.uint64), np.ones(len(rows), np.bool_)


def test_a_session_begins_at_zero_where_the_class_is() -> None:
    rows = matrix()
    counters.bind(rows, 1, 7, (1000, 2000, 10, 20, 1, 2))
    assert rows[1, 0] == 7
    assert counters.totals(rows, 1) == (0,) * 6
    assert counters.apply_one(rows, 1, (1100, 2600, 11, 26, 1, 5)) == (100, 600, 1, 6, 0, 3)


def test_a_restarted_class_goes_on_from_the_total() -> None:
    rows = matrix()
    counters.bind(rows, 0, 1, (5000, 0, 50, 0, 0, 0))
    counters.apply_one(rows, 0, (6000, 700, 60, 7, 0, 0))
    assert counters.apply_one(rows, 0, (100, 800, 1, 8, 0, 0)) == (1100, 800, 11, 8, 0, 0)
    assert counters.apply_one(rows, 0, (200, 800, 2, 8, 0, 0)) == (1200, 800, 12, 8, 0, 0)


def test_a_restart_that_was_told_is_not_guessed() -> None:
    rows = matrix()
    counters.bind(rows, 0, 1, (0,) * 6)
    counters.apply_one(rows, 0, (100, 100, 1, 1, 0, 0))
    counters.restart(rows, [0, 99], "in")
    assert counters.apply_one(rows, 0, (500, 500, 5, 5, 0, 0)) == (600, 500, 6, 5, 0, 0)
    counters.restart(rows, [0], "out")
    assert counters.apply_one(rows, 0, (500, 800, 5, 8, 0, 0)) == (600, 1300, 6, 13, 0, 0)


def test_rows_that_were_not_read_are_unchanged() -> None:
    rows = matrix(2)
    counters.apply(rows, *sweep((1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 5, 6)))
    raw, valid = sweep((0,) * 6, (11, 12, 13, 14, 15, 16), (9,) * 6)
    valid[0] = False
    counters.apply(rows, raw, valid)
    assert counters.totals(rows, 0) == (1, 2, 3, 4, 5, 6)
    assert counters.totals(rows, 1) == (11, 12, 13, 14, 15, 16)


def test_a_torn_read_of_octets_and_packets_is_no_restart() -> None:
    """The packet is counted, its octets not yet: IP octets are then a header too few."""
    rows = matrix()
    counters.apply_one(rows, 0, (10_000, 0, 10, 0, 0, 0))
    assert counters.apply_one(rows, 0, (9_986, 0, 11, 0, 0, 0)) == (10_000, 0, 11, 0, 0, 0)
    assert counters.apply_one(rows, 0, (10_986, 0, 11, 0, 0, 0)) == (10_986, 0, 11, 0, 0, 0)


def test_fewer_octets_than_that_are_a_restart() -> None:
    rows = matrix()
    counters.apply_one(rows, 0, (10_000, 0, 10, 0, 0, 0))
    assert counters.apply_one(rows, 0, (9_000, 0, 11, 0, 0, 0)) == (19_000, 0, 21, 0, 0, 0)


def test_discards_go_round_at_32_bits() -> None:
    rows = matrix()
    counters.apply_one(rows, 0, (9, 9, 9, 9, (1 << 32) - 5, 0))
    assert counters.apply_one(rows, 0, (9, 9, 9, 9, 7, 0)) == (9, 9, 9, 9, (1 << 32) + 7, 0)
    assert counters.apply_one(rows, 0, (9, 9, 9, 9, 8, 0)) == (9, 9, 9, 9, (1 << 32) + 8, 0)


@given(before=st.integers(0, TOP - 1), carried=st.integers(0, 1 << 62))
def test_totals_do_not_depend_on_where_the_raw_counter_was(before: int, carried: int) -> None:
    before = min(before, TOP - 1 - carried)
    rows = matrix(1)
    counters.bind(rows, 0, 1, (before,) * 6)
    assert counters.apply_one(rows, 0, (before + carried,) * 6) == (carried,) * 6


Step = tuple[str, list[int]]
steps = st.lists(
    st.tuples(
        st.sampled_from(["carry", "carry", "carry", "restart", "rebind", "crash", "miss"]),
        st.lists(st.integers(0, 1 << 30), min_size=6, max_size=6),
    ),
    max_size=40,
)


@given(steps)
def test_totals_are_what_the_session_carried(history: list[Step]) -> None:
    """A class that carries, restarts, is bound again and missed now and then; what the matrix says is
    what was carried, less at most what a restart hid."""
    rows, raw, carried = matrix(1), [0] * 6, [0] * 6
    for what, amounts in history:
        if what == "carry":
            raw = [a + b for a, b in zip(raw, amounts, strict=True)]
            carried = [a + b for a, b in zip(carried, amounts, strict=True)]
            assert counters.apply_one(rows, 0, raw) == tuple(carried)
        elif what == "restart":
            counters.restart(rows, [0], "in")
            raw = [0, raw[1], 0, raw[3], 0, raw[5]]
        elif what == "rebind":
            counters.bind(rows, 0, 2, raw)
            carried = [0] * 6
        elif what == "crash":
            rows = np.frombuffer(rows.tobytes(), np.uint64).reshape(rows.shape).copy()
        else:
            counters.apply(rows, np.zeros((1, 6), np.uint64), np.zeros(1, np.bool_))
        assert counters.totals(rows, 0) == tuple(carried)


def test_a_sweep_that_read_nothing_changes_nothing() -> None:
    rows = matrix(1)
    before = counters.apply_one(rows, 0, (1, 2, 3, 4, 5, 6))
    counters.apply(rows, np.full((1, 6), 99, np.uint64), np.zeros(1, np.bool_))
    assert counters.totals(rows, 0) == before


@given(
    last=st.lists(st.integers(0, 1 << 40), min_size=6, max_size=6),
    now=st.lists(st.integers(0, 1 << 40), min_size=6, max_size=6),
)
def test_totals_never_go_back(last: list[int], now: list[int]) -> None:
    rows = matrix(1)
    before = counters.apply_one(rows, 0, last)
    after = counters.apply_one(rows, 0, now)
    assert all(b >= a for a, b in zip(before, after, strict=True))


@given(
    last=st.lists(st.integers(1, 1 << 40), min_size=6, max_size=6),
    now=st.lists(st.integers(0, 1 << 40), min_size=6, max_size=6),
)
@example(last=[1, 1, 1, 1, 1, 1 << 31], now=[0, 0, 0, 2, 0, 0])  # the drops went round
def test_a_writer_that_dies_between_its_two_writes_counts_nothing_twice(
    last: list[int], now: list[int]
) -> None:
    whole, torn = matrix(1), matrix(1)
    for rows in (whole, torn):
        counters.apply_one(rows, 0, last)
    expected = counters.apply_one(whole, 0, now)
    torn[0, counters.OFFSETS] = whole[0, counters.OFFSETS]
    assert counters.apply_one(torn, 0, now) == expected

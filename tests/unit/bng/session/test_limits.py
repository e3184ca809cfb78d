"""Limits of access lines: tokens, devices, and how often something is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bng.session import limits, told
from bng.session.limits import Buckets, Devices
from bng.session.records import AccessLine
from bng.session.told import Told

NS = 1_000_000_000
LINE, OTHER = AccessLine("node-a", "1"), AccessLine("node-a", "2")


def test_a_bucket_fills_up_with_time() -> None:
    buckets: Buckets[str] = Buckets()
    assert [buckets.admit("a", 2, 0) for _ in range(3)] == [True, True, False]
    assert not buckets.admit("a", 2, NS // 4)
    assert buckets.admit("a", 2, NS)
    assert buckets.admit("b", 2, NS)


def test_a_clock_that_was_set_back_costs_a_burst() -> None:
    buckets: Buckets[str] = Buckets()
    assert buckets.admit("a", 2, 100 * NS)
    assert not buckets.admit("a", 2, 50 * NS)
    assert buckets.admit("a", 2, 51 * NS)


def test_buckets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_BUCKETS", 3)
    buckets: Buckets[int] = Buckets()
    for key in range(9):
        buckets.admit(key, 1, 0)
    assert len(buckets) == 3
    assert not buckets.admit(8, 1, 0)
    assert buckets.admit(0, 1, 0)


def test_so_many_devices_within_a_minute() -> None:
    devices = Devices()
    assert [devices.admit(LINE, mac, 2, 0) for mac in ("a", "b", "c", "a")] == [True, True, False, True]
    assert devices.admit(OTHER, "c", 2, 0)
    assert not devices.admit(LINE, "c", 2, 59 * NS)
    assert devices.admit(LINE, "c", 2, 60 * NS)


def test_a_device_that_goes_on_asking_counts_once_a_minute() -> None:
    devices = Devices()
    assert all(devices.admit(LINE, "a", 1, second * NS) for second in range(0, 300, 7))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), max_size=200))
def test_never_more_new_devices_in_a_minute(asked: list[tuple[int, int]]) -> None:
    devices, now, admitted = Devices(), 0, []
    for pause, mac in asked:
        now += pause * NS
        if devices.admit(LINE, str(mac), 3, now):
            admitted.append((now, mac))
    for start, _ in admitted:
        assert len({mac for at, mac in admitted if start <= at < start + 60 * NS}) <= 6


def test_who_keeps_an_address_counts_until_its_lease_ends() -> None:
    devices = Devices()
    devices.hold(LINE, "a", 100 * NS, 0)
    assert not devices.admit(LINE, "b", 1, 99 * NS)
    assert devices.admit(LINE, "b", 1, 100 * NS)


def test_an_infinite_lease_counts_for_a_day() -> None:
    devices = Devices()
    devices.hold(LINE, "a", None, 0)
    assert not devices.admit(LINE, "b", 1, 86_399 * NS)
    assert devices.admit(LINE, "b", 1, 86_400 * NS)


def test_a_lease_that_is_over_counts_nothing() -> None:
    devices = Devices()
    devices.hold(LINE, "a", 5, 5)
    assert len(devices) == 0


def test_silent_lines_are_forgotten_without_a_sweep() -> None:
    devices = Devices()
    for number in range(50):
        devices.admit(AccessLine("n", str(number)), "a", 1, 0)
    devices.hold(LINE, "held", 1000 * NS, 0)
    for number in range(60):
        devices.admit(AccessLine("m", str(number)), "b", 8, 70 * NS)
    assert len(devices) == 61, "those that ask now, and the one whose lease goes on"


def test_lines_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_LINES", 4)
    devices = Devices()
    for number in range(20):
        devices.admit(AccessLine("n", str(number)), "a", 1, 0)
        devices.hold(AccessLine("m", str(number)), "a", NS, 0)
    assert len(devices) == 4


def test_told_once_a_minute_with_how_often() -> None:
    once = Told()
    assert [once.again("x", LINE, second * NS) for second in (0, 1, 59, 60, 61, 120)] == [1, 0, 0, 3, 0, 2]
    assert once.again("y", LINE, 0) == 1
    assert once.again("x", OTHER, 0) == 1


def test_what_was_told_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(told, "MAX_TOLD", 3)
    once = Told()
    for number in range(10):
        assert once.again("x", AccessLine("n", str(number)), 0) == 1
    assert once.again("x", AccessLine("n", "9"), 0) == 0
    assert once.again("x", AccessLine("n", "0"), 0) == 1

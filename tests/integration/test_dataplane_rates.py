"""What a subscriber gets is what the plan says, both ways."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from bng.dataplane.base import Change, DataPlaneConfig, Rates, Start
from bng.dataplane.kernel import KernelDataPlane
from tests.support import subscriber_net as net

pytestmark = [
    pytest.mark.netns,
    pytest.mark.quiet,
    pytest.mark.skipif(not net.namespaces_available(), reason="needs root and network namespaces"),
]

PLAN = Rates(10_000_000, 10_000_000)
GOODPUT = (9.3e6, 10.1e6)
"""A 10 Mbit/s plan counts Ethernet frames: 1448 of 1514 octets are TCP payload."""


@pytest.fixture
def world() -> Iterator[net.World]:
    with net.World(offloads=True) as world:
        yield world


@pytest.fixture
def plane(world: net.World) -> Iterator[KernelDataPlane]:
    plane = KernelDataPlane()
    plane.open(DataPlaneConfig(("acc0",), "wan0"))
    (result,) = plane.start([Start(0, "0" * 16, "acc0", net.subscriber_mac(0), net.subscriber_ip(0), PLAN)])
    assert result.error is None
    yield plane
    plane.close()


@pytest.mark.parametrize("reverse", [False, True], ids=["upload", "download"])
def test_a_plan_holds(world: net.World, plane: KernelDataPlane, reverse: bool) -> None:
    low, high = GOODPUT
    assert low <= net.iperf3(world, reverse=reverse, seconds=3) <= high


def test_the_directions_have_rates_of_their_own(world: net.World, plane: KernelDataPlane) -> None:
    plane.change([Change(0, Rates(30_000_000, 5_000_000))])
    # long enough that what is on its way at the end does not count much
    assert 4.55e6 <= net.iperf3(world, reverse=False, seconds=4) <= 5.05e6
    assert 27.9e6 <= net.iperf3(world, reverse=True, seconds=2) <= 30.3e6


def test_a_change_reaches_a_connection_that_is_under_way(world: net.World, plane: KernelDataPlane) -> None:
    results: list[float] = []
    flow = threading.Thread(target=lambda: results.append(net.iperf3(world, reverse=True, seconds=4)))
    flow.start()
    time.sleep(1.5)
    before = int(plane.sweep().values[0, 1])
    time.sleep(1)
    between = int(plane.sweep().values[0, 1])
    plane.change([Change(0, Rates(40_000_000, 10_000_000))])
    time.sleep(1)
    after = int(plane.sweep().values[0, 1])
    flow.join()
    assert results[0] > GOODPUT[1]
    assert after - between > 2 * (between - before)

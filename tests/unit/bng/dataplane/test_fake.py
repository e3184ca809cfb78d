"""The fake keeps the contract of a data plane."""

from __future__ import annotations

import pytest

from bng.dataplane.base import DataPlaneError, RawCounters
from bng.dataplane.fake import FakeDataPlane, FakeKernel
from tests.support.dataplane_contract import CONFIG, DataPlaneContract


class FakeBench:
    """Interfaces in memory."""

    def __init__(self) -> None:
        self.kernel = FakeKernel({"acc0", "wan0"})

    def plane(self) -> FakeDataPlane:
        return FakeDataPlane(self.kernel)

    def carry(self, slot: int, packets: int) -> None:
        self.kernel.carry(slot, RawCounters(in_octets=100 * packets, in_packets=packets))

    def remove_access(self) -> None:
        self.kernel.remove_interface("acc0")

    def return_access(self) -> None:
        self.kernel.interfaces.add("acc0")


class TestFake(DataPlaneContract):
    @pytest.fixture
    def bench(self) -> FakeBench:
        return FakeBench()


def test_a_broken_kernel_is_told() -> None:
    plane = FakeDataPlane(FakeKernel(broken="no HTB"))
    with pytest.raises(DataPlaneError, match="no HTB"):
        plane.open(CONFIG)


def test_without_a_kernel_of_its_own_all_interfaces_exist() -> None:
    plane = FakeDataPlane()
    assert set(plane.open(CONFIG).attached) == {"acc0", "wan0"}

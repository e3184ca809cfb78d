"""The data plane of the kernel keeps the contract of a data plane."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bng.dataplane import tc
from bng.dataplane.kernel import KernelDataPlane
from tests.support import subscriber_net as net
from tests.support.dataplane_contract import DataPlaneContract, session

pytestmark = [
    pytest.mark.netns,
    pytest.mark.skipif(not net.namespaces_available(), reason="needs root and network namespaces"),
]


class KernelBench:
    """The BNG of a world of namespaces."""

    def __init__(self, world: net.World, leaf: tc.Leaf | None) -> None:
        self.world = world
        self.leaf = leaf

    def plane(self) -> KernelDataPlane:
        return KernelDataPlane(self.leaf)

    def carry(self, slot: int, packets: int) -> None:
        start = session(slot)
        assert start.mac is not None
        up, sub = net.Wire(self.world, self.world.up, "u0"), net.Wire(self.world, self.world.sub, "s0")
        sub.send(net.udp_frame(start.mac, start.ip), packets)
        up.arrived(wait=0.02)
        up.close()
        sub.close()

    def remove_access(self) -> None:
        self.world.run(self.world.bng, "ip link del acc0")

    def return_access(self) -> None:
        self.world.make_access()


@pytest.mark.parametrize("leaf", [None, tc.Leaf("bfifo")], ids=["own queue", "queue discipline"])
class TestKernel(DataPlaneContract):
    @pytest.fixture
    def bench(self, leaf: tc.Leaf | None) -> Iterator[KernelBench]:
        with net.World() as world:
            yield KernelBench(world, leaf)

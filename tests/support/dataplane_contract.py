"""What every data plane must do. A test module derives a class from this one and gives it a `bench`."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address
from typing import Protocol

import numpy as np
import pytest

from bng.dataplane.base import (
    MAX_SLOTS,
    Binding,
    Change,
    DataPlane,
    DataPlaneConfig,
    DataPlaneError,
    Rates,
    RawCounters,
    Start,
    Stop,
    Suspicions,
)

RATES = Rates(20_000_000, 10_000_000)
CONFIG = DataPlaneConfig(("acc0",), "wan0", reserve=8)
ZERO = RawCounters()


class Bench(Protocol):
    """A place with the interfaces acc0 and wan0 for data planes to work in."""

    def plane(self) -> DataPlane:
        """A data plane that has not been opened; what it leaves behind, the next one finds."""
        ...

    def carry(self, slot: int, packets: int) -> None:
        """Send so many packets of 100 octets up from this slot's subscriber, if it may."""
        ...

    def remove_access(self) -> None:
        """Take acc0 away."""
        ...

    def return_access(self) -> None:
        """Make acc0 anew."""
        ...


def session(slot: int, **changes: object) -> Start:
    start = Start(
        slot,
        f"{slot:016x}",
        "acc0",
        bytes((2, 0, 0, 0, slot >> 8 & 255, slot & 255)),
        IPv4Address("100.64.1.0") + slot,
        RATES,
    )
    return replace(start, **changes)  # type: ignore[arg-type]


def stop(slot: int) -> Stop:
    return Stop(slot, f"{slot:016x}")


class DataPlaneContract:
    """The tests. `plane` is open."""

    @pytest.fixture
    def plane(self, bench: Bench):
        plane = bench.plane()
        plane.open(CONFIG)
        yield plane
        plane.close()

    def test_it_is_a_data_plane(self, plane: DataPlane) -> None:
        assert isinstance(plane, DataPlane)

    def test_nothing_works_before_it_is_open(self, bench: Bench) -> None:
        plane = bench.plane()
        for call in (
            plane.refresh,
            plane.sweep,
            plane.grow,
            plane.audit,
            lambda: plane.start([session(0)]),
            lambda: plane.stop([stop(0)]),
            lambda: plane.change([Change(0, RATES)]),
        ):
            with pytest.raises(DataPlaneError, match="not open"):
                call()
        plane.close()

    def test_an_interface_has_one_role(self, bench: Bench) -> None:
        with pytest.raises(DataPlaneError, match="both"):
            bench.plane().open(DataPlaneConfig(("acc0", "wan0"), "wan0"))

    def test_open_tells_what_it_set_up(self, bench: Bench) -> None:
        plane = bench.plane()
        config = DataPlaneConfig(("acc0", "acc9"), "wan0")
        assert set(plane.open(CONFIG).attached) == {"acc0", "wan0"}
        assert plane.open(CONFIG).attached == ()
        assert plane.open(config).missing == ("acc9",)
        (result,) = plane.start([session(0, interface="acc9")])
        assert result.error is not None
        assert "does not exist" in result.error
        plane.close()

    def test_a_session_begins_and_ends(self, bench: Bench, plane: DataPlane) -> None:
        (begun,) = plane.start([session(0)])
        assert begun.error is None
        assert begun.baseline == ZERO
        bench.carry(0, 10)
        (item,) = plane.installed()
        assert (item.session_id, item.slot, item.interface) == (f"{0:016x}", 0, "acc0")
        assert (item.mac, item.ip) == (session(0).mac, session(0).ip)
        (ended,) = plane.stop([stop(0)])
        assert ended.error is None
        assert ended.final == RawCounters(in_octets=1000, in_packets=10)
        assert plane.installed() == []
        bench.carry(0, 10)
        (begun,) = plane.start([session(0)])
        assert begun.baseline == ended.final

    def test_a_sweep_tells_of_sessions_only(self, bench: Bench, plane: DataPlane) -> None:
        assert len(plane.sweep().valid) == 0
        plane.start([session(1), session(3)])
        bench.carry(3, 5)
        sweep = plane.sweep()
        assert sweep.valid.tolist() == [False, True, False, True]
        assert sweep.values.dtype == np.uint64
        assert sweep.values.tolist() == [[0] * 6, [0] * 6, [0] * 6, [500, 0, 5, 0, 0, 0]]
        assert (sweep.bindings == plane.bindings[:4]).all()
        plane.stop([stop(1)])
        plane.start([session(1, session_id="b" * 16)])
        assert (sweep.bindings != plane.bindings[:4]).tolist() == [False, True, False, False]

    def test_sessions_are_told_of_in_portions(self, plane: DataPlane) -> None:
        assert plane.end == 0
        plane.start([session(1), session(3), session(6)])
        assert plane.end == 7
        assert [item.slot for item in plane.installed(0, 3)] == [1]
        assert [item.slot for item in plane.installed(3, 3)] == [3]
        assert [item.slot for item in plane.installed(2)] == [3, 6]
        assert plane.installed(7, 100) == []
        plane.stop([stop(6)])
        assert plane.end == 4

    def test_one_session_is_read_alone(self, bench: Bench, plane: DataPlane) -> None:
        plane.start([session(1)])
        bench.carry(1, 5)
        assert plane.read(1) == RawCounters(in_octets=500, in_packets=5)
        assert plane.read(0) is None
        bench.remove_access()
        plane.refresh()
        assert plane.read(1) is None

    def test_an_audit_of_what_nobody_touched_finds_nothing(self, plane: DataPlane) -> None:
        plane.start([session(number) for number in range(20)])
        plane.stop([stop(7)])
        assert plane.audit() == Suspicions()
        assert plane.repair(Suspicions(((b"dn\0", session(7).ip.packed),), (3, 7))) == 0
        assert len(plane.installed()) == 19

    def test_a_start_may_be_repeated(self, bench: Bench, plane: DataPlane) -> None:
        plane.start([session(0)])
        bench.carry(0, 5)
        (again,) = plane.start([session(0, rates=Rates(8000, 8000))])
        assert again.error is None
        assert again.baseline is None
        (ended,) = plane.stop([stop(0)])
        assert ended.final is not None
        assert ended.final.in_packets == 5

    def test_a_start_that_is_repeated_may_have_another_public_address(
        self, bench: Bench, plane: DataPlane
    ) -> None:
        address = IPv4Address("203.0.113.7")
        for nat in (Binding(address, 1024, 2047), Binding(address, 2048, 3071), Binding(address), None):
            (result,) = plane.start([session(0, nat=nat)])
            assert result.error is None
            assert [item.nat for item in plane.installed()] == [nat]
        plane.start([session(0, nat=Binding(address, 1024, 2047))])
        before = plane.installed()
        plane.close()
        again = bench.plane()
        again.open(CONFIG)
        assert again.installed() == before
        again.close()

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"slot": -1}, "slot -1 is not within"),
            ({"slot": MAX_SLOTS}, "is not within"),
            ({"slot": 0}, "slot 0 is in use by session 0000000000000000"),
            ({"ip": session(0).ip}, "100.64.1.0 is in use by session 0000000000000000"),
            ({"mac": b"\x02\x00"}, "6 octets"),
            ({"interface": "acc7"}, "acc7 is not a subscriber interface"),
            ({"session_id": ""}, "session id"),
            ({"session_id": "x" * 300}, "session id"),
            ({"rates": Rates(7999, 8000)}, "download rate"),
            ({"rates": Rates(8000, 10**12)}, "upload rate"),
            ({"rates": replace(RATES, upload_burst=-1)}, "upload burst"),
            ({"rates": replace(RATES, priority=8)}, "priority"),
            ({"nat": Binding(IPv4Address("203.0.113.7"), 2048, 2047)}, "no range"),
        ],
    )
    def test_what_cannot_start_does_not_stop_the_others(
        self, plane: DataPlane, changes: dict[str, object], reason: str
    ) -> None:
        plane.start([session(0)])
        bad = session(5, session_id="b" * 16)
        results = plane.start([session(1), replace(bad, **changes), session(2)])  # type: ignore[arg-type]
        assert [result.slot for result in results][::2] == [1, 2]
        assert (results[0].error, results[2].error) == (None, None)
        assert results[1].error is not None
        assert reason in results[1].error
        assert [item.slot for item in plane.installed()] == [0, 1, 2]

    def test_two_of_a_batch_may_not_share_an_address(self, plane: DataPlane) -> None:
        results = plane.start([session(0), session(1, ip=session(0).ip)])
        assert results[0].error is None
        assert results[1].error is not None

    def test_what_is_not_there_is_stopped_already(self, plane: DataPlane) -> None:
        plane.start([session(0)])
        results = plane.stop([stop(7), Stop(0, "b" * 16), stop(0), stop(0)])
        assert [result.slot for result in results] == [7, 0, 0, 0]
        assert results[0].error is results[0].final is None
        assert results[1].error is not None
        assert "0000000000000000" in results[1].error
        assert results[2].final == ZERO
        assert results[3].error is None
        assert plane.installed() == []

    def test_rates_change_for_live_sessions_only(self, plane: DataPlane) -> None:
        plane.start([session(0), session(1)])
        results = plane.change(
            [Change(0, Rates(8000, 8000)), Change(4, RATES), Change(1, Rates(1, 1)), Change(1, RATES)]
        )
        assert [result.error is None for result in results] == [True, False, False, True]
        assert [result.slot for result in results] == [0, 4, 1, 1]

    def test_the_extremes_of_the_rates_are_accepted(self, plane: DataPlane) -> None:
        rates = [
            Rates(8000, 100_000_000_000, 1500, 1 << 28, 0),
            Rates(100_000_000_000, 8000, 1 << 28, 1500, 7),
        ]
        results = plane.start([session(slot, rates=each) for slot, each in enumerate(rates)])
        assert [result.error for result in results] == [None, None]

    def test_the_last_slot_is_as_good_as_the_first(self, bench: Bench, plane: DataPlane) -> None:
        last = session(MAX_SLOTS - 1, mac=session(0).mac, ip=session(0).ip)
        assert plane.start([last])[0].error is None
        assert plane.sweep().valid.sum() == 1
        assert plane.installed()[0].slot == MAX_SLOTS - 1

    def test_a_restart_finds_what_forwards(self, bench: Bench, plane: DataPlane) -> None:
        plane.start([session(0), session(4, mac=None)])
        bench.carry(0, 5)
        before = plane.installed()
        plane.close()
        again = bench.plane()
        result = again.open(CONFIG)
        assert (result.restarted_in, result.restarted_out) == ((), ())
        assert again.installed() == before
        assert again.sweep().values[0].tolist() == [500, 0, 5, 0, 0, 0]
        bench.carry(0, 5)
        (ended,) = again.stop([stop(0)])
        assert ended.final is not None
        assert ended.final.in_packets == 10
        again.close()

    def test_close_for_good_leaves_nothing_to_find(self, bench: Bench, plane: DataPlane) -> None:
        plane.start([session(0)])
        plane.close(remove=True)
        again = bench.plane()
        again.open(CONFIG)
        assert again.installed() == []
        assert again.start([session(0)])[0].baseline == ZERO
        again.close()

    def test_an_interface_may_go_and_return(self, bench: Bench, plane: DataPlane) -> None:
        plane.start([session(0), session(1)])
        bench.remove_access()
        assert plane.refresh().missing == ("acc0",)
        assert not plane.sweep().valid.any()
        (ended,) = plane.stop([stop(1)])
        assert ended.error is ended.final is None
        bench.return_access()
        result = plane.refresh()
        assert (result.attached, result.missing) == (("acc0",), ())
        assert (result.restarted_in, result.restarted_out) == ((), (0,))
        assert plane.sweep().valid.tolist() == [True]
        assert plane.refresh().attached == ()

    def test_sessions_end_with_the_role_of_their_interface(self, plane: DataPlane) -> None:
        plane.start([session(0)])
        plane.open(DataPlaneConfig(("acc5",), "wan0"))
        assert plane.installed() == []
        plane.open(CONFIG)
        assert plane.installed() == []
        assert plane.start([session(0)])[0].error is None

    def test_the_pool_grows_ahead_of_the_sessions(self, plane: DataPlane) -> None:
        plane.start([session(0), session(1)])
        calls = 1
        while plane.grow(4):
            calls += 1
            assert calls < 100
        assert not plane.grow(4)
        assert plane.sweep().valid.tolist() == [True, True]

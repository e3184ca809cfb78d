"""The writer: what leaves when, and what must not stop it."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bng import inbox
from bng.codec import dhcp
from bng.dataplane.base import RawCounters
from bng.seam.journal import Journal
from bng.session import events as ev
from bng.session.settings import Profile
from tests.support.control_bench import Bench, counters_of
from tests.support.waiting import until
from yang.provider import OperationError


class SlowDisk(Journal):
    """A journal whose disk answers when `proceed` is set."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.proceed = threading.Event()
        super().__init__(*arguments, **options)

    def sync(self) -> int:
        self.proceed.wait(10)
        return super().sync()


async def test_a_session_begins(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (session_id,) = await bench.begin(1)
    assert bench.outlets.accounted() == ["start"]
    assert bench.types() == ["session-start", "policy-apply"]
    assert [element.session_id for element in bench.dataplane.installed()] == [session_id]
    await bench.commit.close()


async def test_nothing_is_told_before_it_is_durable(tmp_path: Path) -> None:
    bench = Bench(tmp_path, journal=SlowDisk)
    bench.writer.post(bench.lease(1))
    await until(lambda: bench.outlets.asked)
    ask = bench.outlets.asked[0]
    bench.writer.post(ev.RadiusAccept(ask.session_id, ask.attempt, ("gold",)))
    await until(lambda: bench.dataplane.installed())
    command = asyncio.ensure_future(
        bench.writer.command(lambda token: ev.SetPolicy(token, ask.session_id, profile="gold"))
    )
    await asyncio.sleep(0.05)
    assert bench.outlets.accounts == []
    assert not command.done()
    assert bench.published == []
    assert bench.events() == []
    bench.journal.proceed.set()  # type: ignore[attr-defined]
    await command
    assert bench.outlets.accounted() == ["start"]
    assert bench.published[-1] == bench.journal.newest
    await bench.commit.close()


async def test_a_full_disk_does_not_end_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path)
    monkeypatch.setattr("bng.seam.journal.os.fdatasync", _no_space)
    (session_id,) = await bench.begin(1)
    assert bench.outlets.accounted() == ["start"]
    assert bench.journal.alarm is not None
    await bench.writer.command(lambda token: ev.Disconnect(token, session_id))
    assert bench.outlets.accounted() == ["start", "stop"]
    monkeypatch.undo()
    await until(lambda: bench.journal.pending == 0)
    assert bench.types() == ["session-start", "policy-apply", "session-stop"]
    await bench.commit.close()


def _no_space(_descriptor: int) -> None:
    raise OSError(28, "No space left on device")


async def test_final_counters_are_those_of_the_kernel(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (session_id,) = await bench.begin(1)
    bench.kernel.carry(0, RawCounters(1000, 2000, 1, 2))
    await bench.sweeper.run()
    bench.kernel.carry(0, RawCounters(500, 500, 1, 1))
    await bench.writer.command(lambda token: ev.Disconnect(token, session_id, tombstone=False))
    await bench.settle()
    stop = bench.outlets.accounts[-1]
    assert stop.counters is not None
    assert (stop.counters.in_octets, stop.counters.out_octets) == (1500, 2500)
    assert counters_of(bench.events()[-1]) == (1500, 2500)
    # the next session begins at zero
    again = await bench.begin(1)
    bench.kernel.carry(bench.dataplane.installed()[0].slot, RawCounters(10, 20, 1, 1))
    await bench.writer.command(lambda token: ev.Disconnect(token, again[0]))
    await bench.settle()
    assert counters_of(bench.events()[-1]) == (10, 20)
    await bench.commit.close()


async def test_interim_takes_the_last_sweep(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (session_id,) = await bench.begin(1)
    bench.kernel.carry(0, RawCounters(700, 900, 1, 1))
    await bench.sweeper.run()
    bench.writer.post(ev.TimerDue(ev.Timer.INTERIM, session_id))
    await until(lambda: len(bench.outlets.accounts) == 2)
    interim = bench.outlets.accounts[1]
    assert interim.kind.value == "interim"
    assert interim.counters is not None
    assert (interim.counters.in_octets, interim.counters.out_octets) == (700, 900)
    await bench.commit.close()


async def test_start_and_stop_in_one_turn_leave_nothing_behind(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.writer.post(bench.lease(1))
    await until(lambda: bench.outlets.asked)
    ask = bench.outlets.asked[0]
    bench.writer.post(ev.RadiusAccept(ask.session_id, ask.attempt, ("gold",)))
    await bench.writer.command(lambda token: ev.Disconnect(token, ask.session_id))
    assert bench.dataplane.installed() == []
    assert len(bench.machine.store) == 0
    await bench.commit.close()


async def test_commands_are_answered_or_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    with pytest.raises(OperationError, match="there is no session") as caught:
        await bench.writer.command(lambda token: ev.Disconnect(token, "0" * 16))
    assert caught.value.tag == "data-missing"
    await bench.begin(1, 2)
    output = await bench.writer.command(lambda token: ev.DisconnectMatching(token, remote_id="node-1"))
    assert output == {"disconnected": 2}
    await bench.commit.close()


async def test_an_event_that_goes_wrong_ends_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (session_id,) = await bench.begin(1)
    with pytest.raises(OperationError, match="its log says why"):
        await bench.writer.command(lambda token: ev.SetPolicy(token, session_id, profile=[]))  # type: ignore[arg-type]
    await bench.begin(2)
    await bench.commit.close()


async def test_a_dataplane_that_breaks_ends_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (session_id,) = await bench.begin(1)
    bench.kernel.broken = "netlink is gone"
    with pytest.raises(OperationError, match="netlink is gone"):
        bench.writer.post(ev.ProfileChanged("iron", Profile(1_000_000, 1_000_000)))
        await bench.writer.command(lambda token: ev.SetPolicy(token, session_id, profile="iron"))
    assert bench.enforcer.errors == 1
    assert await bench.sweeper.run() == 0
    bench.kernel.broken = None
    await bench.writer.command(lambda token: ev.SetPolicy(token, session_id, profile="gold"))
    await bench.commit.close()


async def test_what_the_network_sends_is_bounded(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    packet = dhcp.parse(bytes([1, 1, 6, 0]) + bytes(232) + b"\x63\x82\x53\x63" + b"\x35\x01\x01\xff")
    for _ in range(inbox.MAX_WAITING + 50):
        bench.writer.offer(ev.DhcpFromSubscriber("sub0", "02:00:00:00:00:01", packet))
    assert bench.writer.waiting == inbox.MAX_WAITING
    assert bench.writer.dropped == 50
    bench.writer.post(bench.lease(1))
    await until(lambda: bench.outlets.asked)
    await bench.commit.close()


async def test_timers_come_due(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    lease = bench.lease(1)
    soon = ev.LeaseFound(
        *[getattr(lease, name) for name in lease.__slots__][:6],
        time.time_ns() + 10**8,
        lease.renewed,
        lease.server,
    )
    bench.writer.post(soon)
    await until(lambda: "session-stop" in bench.types(), 3)
    assert bench.events()[-1]["terminate-cause"] == "Lost-Carrier"
    await bench.commit.close()

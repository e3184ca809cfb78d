"""The comparison with a DHCP server, over the writer and a fake kernel."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from bng.config import LeaseApi
from bng.leases.keeper import LeaseKeeper
from bng.leases.places import Place
from bng.repairs import Repairs
from bng.session import events as ev
from tests.support.control_bench import Bench
from tests.support.fake_kea import FakeKea, http, lease

SERVER = "127.0.0.1"


class Kept:
    """A bench with a keeper that asks a fake server."""

    def __init__(self, folder: Path, kea: FakeKea, servers: Sequence[str] = (SERVER,)) -> None:
        self.bench = Bench(folder)
        self.repairs = Repairs()
        self.keeper = LeaseKeeper(self.bench.writer, self.repairs)
        self.keeper.configure(
            [LeaseApi(SERVER, kea.port, page_size=10)],
            servers,
            "bng-01",
            lambda origin, address: Place("sub0", "0.0.0.0"),
        )

    async def round(self) -> dict[str, int]:
        """One round; what has been repaired since the start."""
        await self.keeper.run()
        await self.bench.settle()
        return {kind: count for kind, count in self.repairs.counts.items() if count}

    async def authorize(self) -> None:
        for ask in self.bench.outlets.asked:
            self.bench.writer.post(ev.RadiusAccept(ask.session_id, ask.attempt, ("gold",)))
        await self.bench.settle()

    async def close(self) -> None:
        self.keeper.close()
        await self.bench.commit.close()


def now() -> int:
    return int(time.time())


async def test_sessions_come_back_and_a_healthy_round_does_nothing(tmp_path: Path) -> None:
    async with FakeKea() as kea:
        kea.leases = [lease(number, renewed=now() - 60) for number in range(1, 36)]
        kept = Kept(tmp_path, kea)
        assert await kept.round() == {"lease-recovered": 35}
        assert len(kept.bench.outlets.asked) == 35
        await kept.authorize()
        events, asked = len(kept.bench.events()), len(kept.bench.outlets.asked)
        for _ in range(3):
            assert await kept.round() == {"lease-recovered": 35}
        assert (len(kept.bench.events()), len(kept.bench.outlets.asked)) == (events, asked)
        record = kept.keeper.record(SERVER)
        assert record is not None
        assert (record["up"], record["leases"]) == (True, 35)
        leases = kept.repairs.record()["leases"]
        assert (leases["sessions_compared"], leases["complete"]) == (35, True)
        await kept.close()


async def test_a_lease_that_is_gone_ends_its_session(tmp_path: Path) -> None:
    async with FakeKea() as kea:
        kea.leases = [lease(number, renewed=now() - 60) for number in range(1, 4)]
        kept = Kept(tmp_path, kea)
        await kept.round()
        await kept.authorize()
        await kept.round()
        del kea.leases[1]
        assert await kept.round() == {"lease-recovered": 3}
        assert await kept.round() == {"lease-recovered": 3, "lease-gone": 1}
        stop = kept.bench.events()[-1]
        assert (stop["type"], stop["ip-address"], stop["terminate-cause"]) == (
            "session-stop", "10.0.1.2", "Lost-Carrier",
        )  # fmt: skip
        assert stop["reason"] == "the DHCP server has no lease for it any more"
        assert kept.bench.outlets.accounted()[-1] == "stop"
        await kept.close()


async def test_not_when_another_server_may_have_it_or_this_one_began_anew(tmp_path: Path) -> None:
    async with FakeKea() as kea:
        kea.leases = [lease(number, renewed=now() - 60) for number in range(1, 4)]
        kept = Kept(tmp_path, kea, (SERVER, "192.0.2.3"))
        await kept.round()
        await kept.round()
        del kea.leases[1]
        for _ in range(3):
            assert await kept.round() == {"lease-recovered": 3}
        assert kept.repairs.leases.complete is False
        await kept.close()
    async with FakeKea() as kea:
        kea.leases = [lease(number, renewed=now() - 60) for number in range(1, 4)]
        kept = Kept(tmp_path / "other", kea)
        await kept.round()
        await kept.round()
        del kea.leases[1]
        kea.life = (2, 1, 1)
        for _ in range(3):
            assert await kept.round() == {"lease-recovered": 3}
        await kept.close()


async def test_pages_in_a_circle_and_errors_end_the_pass_only(tmp_path: Path) -> None:
    async with FakeKea() as kea:
        kept = Kept(tmp_path, kea)
        page = http([{"result": 0, "arguments": {"leases": [lease(n, renewed=now()) for n in range(10)]}}])
        life = http([{"result": 0, "arguments": {"pid": 1, "uptime": 9, "reload": 9}}])
        kea.answers = [life, page, page]
        await kept.round()
        record = kept.keeper.record(SERVER)
        assert record is not None
        assert record["up"] is False
        kea.answers = [life, http([{"result": 0, "arguments": {"leases": [{"ip-address": 1}]}}])]
        await kept.round()
        assert kept.repairs.leases.complete is False
        await kept.round()
        assert kept.repairs.leases.complete is True
        await kept.close()


async def test_a_lease_that_the_machine_does_not_want_is_told_once(tmp_path: Path) -> None:
    async with FakeKea() as kea:
        kept = Kept(tmp_path, kea)
        kept.bench.machine.store.slots.size = 0  # no slot, though the store is not full
        kea.leases = [lease(1, renewed=now() - 60)]
        for _ in range(3):
            assert await kept.round() == {"lease-recovered": 1}
        assert kept.bench.events() == []
        await kept.close()


async def test_tombstones_stay(tmp_path: Path) -> None:
    async with FakeKea() as kea:
        kea.leases = [lease(1, renewed=now() - 60)]
        kept = Kept(tmp_path, kea)
        await kept.round()
        (ask,) = kept.bench.outlets.asked
        await kept.bench.writer.command(lambda token: ev.Disconnect(token, ask.session_id))
        for _ in range(2):
            assert await kept.round() == {"lease-recovered": 1}
        await kept.close()


async def test_without_servers_nothing_is_asked(tmp_path: Path) -> None:
    async with FakeKea() as kea:
        kept = Kept(tmp_path, kea)
        kept.keeper.configure([], [SERVER], "bng-01", lambda origin, address: None)
        assert not kept.keeper.asks
        await kept.round()
        assert kea.commands == []
        assert kept.repairs.record()["leases"] is None
        await kept.close()

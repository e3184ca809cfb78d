"""A writer over the fake data plane, with outlets that remember."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bng.commit import GroupCommit
from bng.dataplane.base import DataPlaneConfig
from bng.dataplane.fake import FakeDataPlane, FakeKernel
from bng.enforcement import Enforcer
from bng.loop import Writer
from bng.seam.journal import Journal
from bng.seam.matrix import Matrix
from bng.seam.reader import JournalReader
from bng.seam.sessions import Checkpoint, load
from bng.session import effects as fx
from bng.session import events as ev
from bng.session.machine import Machine
from bng.session.settings import Profile, Settings, SubscriberInterface
from bng.sweep import Sweeper
from tests.support.waiting import until

INSTANCE = "6f1f1b5e-8f8e-4a55-9a37-0a4a3b2d4c11"
NS = 1_000_000_000
GOLD = Profile(50_000_000, 20_000_000)


class RecordingOutlets:
    """What left the writer."""

    def __init__(self) -> None:
        self.asked: list[fx.AskRadius] = []
        self.accounts: list[fx.Account] = []
        self.seqs: list[int] = []
        self.packets: list[Any] = []
        self.seen: list[fx.RouterSeen] = []

    def to_server(self, effect: fx.SendToServer) -> None:
        self.packets.append(effect)

    def to_subscriber(self, effect: fx.SendToSubscriber) -> None:
        self.packets.append(effect)

    def ask(self, effect: fx.AskRadius) -> None:
        self.asked.append(effect)

    def account(self, effect: fx.Account, seq: int) -> None:
        self.seqs.append(seq)
        self.accounts.append(effect)

    def router_seen(self, effect: fx.RouterSeen) -> None:
        self.seen.append(effect)

    def accounted(self) -> list[str]:
        return [account.kind.value for account in self.accounts]


class Bench:
    """The control plane between its sockets, over a state folder. Make it again to restart it."""

    def __init__(
        self,
        folder: Path,
        kernel: FakeKernel | None = None,
        journal: type[Journal] = Journal,
        slots: int = 65536,
    ) -> None:
        self.kernel = kernel or FakeKernel({"sub0", "up0"})
        self.dataplane = FakeDataPlane(self.kernel)
        self.dataplane.open(DataPlaneConfig(("sub0",), "up0"))
        self.recovered = load(folder / "checkpoint", JournalReader(folder / "journal"))
        self.checkpoint = Checkpoint(folder / "checkpoint")
        self.checkpoint.start_from(self.recovered)
        self.journal = journal(
            folder / "journal", INSTANCE, on_append=self.checkpoint.note, after=self.recovered.seq
        )
        self.published: list[int] = []
        self.commit = GroupCommit(self.journal, self.checkpoint, self.published.append)
        self.matrix = Matrix(folder / "matrix", INSTANCE, slots=4)
        settings = Settings(
            "bng-01",
            "bng-01",
            "192.0.2.1",
            {"sub0": SubscriberInterface("10.0.0.1")},
            (("192.0.2.2", 67),),
            max_sessions=slots,
        )
        self.machine = Machine(settings, {"gold": GOLD}, sequence=1, now=time.time_ns())
        self.sweeper = Sweeper(self.dataplane, self.matrix, lambda event: self.writer.post(event))
        self.enforcer = Enforcer(self.dataplane, self.matrix, self.sweeper.bind)
        self.writer = Writer(self.machine, self.enforcer, self.commit)
        self.outlets = self.writer.outlets = RecordingOutlets()
        self.folder = folder

    def restore(self) -> None:
        effects = self.machine.restore(
            self.recovered.by_id.values(), self.recovered.tombstones, time.time_ns()
        )
        self.writer.carry_out(effects)

    def lease(self, number: int) -> ev.LeaseFound:
        """What begins a session without a DHCP exchange."""
        now = time.time_ns()
        return ev.LeaseFound(
            "node-1", f"1/0/{number}", "sub0", "0.0.0.0", f"02:00:00:00:00:{number:02x}",
            f"10.0.1.{number}", now + 3600 * NS, now, "192.0.2.2",
        )  # fmt: skip

    async def begin(self, *numbers: int) -> list[str]:
        """Active sessions; their ids."""
        first, before = len(self.outlets.asked), len(self.outlets.accounts)
        for number in numbers:
            self.writer.post(self.lease(number))
        await until(lambda: len(self.outlets.asked) == first + len(numbers))
        for ask in self.outlets.asked[first:]:
            self.writer.post(ev.RadiusAccept(ask.session_id, ask.attempt, ("gold",)))
        await until(lambda: len(self.outlets.accounts) >= before + len(numbers))
        return [ask.session_id for ask in self.outlets.asked[first:]]

    async def settle(self) -> None:
        """Wait until all is done and durable."""
        await until(lambda: not self.writer.waiting and self.journal.pending == 0 and not self.commit.waiting)

    def events(self) -> list[dict[str, Any]]:
        reader = JournalReader(self.folder / "journal")
        return reader.read(reader.oldest, 10_000)

    def types(self) -> list[str]:
        return [event["type"] for event in self.events()]


def counters_of(event: Mapping[str, Any]) -> tuple[int, int]:
    return event["counters"]["in-octets"], event["counters"]["out-octets"]

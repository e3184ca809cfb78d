"""Accounting from one life of the control plane to the next, over files and the fake data plane."""

from __future__ import annotations

from pathlib import Path

import pytest

from bng.aaa.accounting import Record
from bng.aaa.client import AaaClient
from bng.aaa.settings import AaaSettings
from bng.aaa.shell import AaaShell
from bng.aaa.spool import Spool
from bng.daemon.accounting import Accounting
from bng.session import effects as fx
from bng.session import events as ev
from tests.support.control_bench import Bench, RecordingOutlets
from yang.provider import OperationError

STATUS = {
    b"\0\0\0\1": "start",
    b"\0\0\0\2": "stop",
    b"\0\0\0\3": "interim",
    b"\0\0\0\7": "on",
    b"\0\0\0\x08": "off",
}


class SpoolingOutlets(RecordingOutlets):
    """Hands accounting to the RADIUS client; `lost` ones are those that a kill is faster than."""

    lost = False

    def __init__(self, aaa: AaaShell) -> None:
        super().__init__()
        self._aaa = aaa

    def account(self, effect: fx.Account, seq: int) -> None:
        super().account(effect, seq)
        if not self.lost:
            self._aaa.account(effect, effect.counters or ev.Counters(), seq)


class Life:
    """A control plane whose RADIUS servers are not there yet."""

    def __init__(self, folder: Path, bench: Bench | None = None) -> None:
        self.bench = Bench(folder, bench.kernel if bench else None)
        self.spool = Spool(folder / "accounting", self.bench.recovered.seq)
        settings = AaaSettings("bng-01", "192.0.2.1", "line", ())
        self.aaa = AaaShell(AaaClient(settings, store=self.spool), lambda answers: None)
        self.outlets = self.bench.outlets = self.bench.writer.outlets = SpoolingOutlets(self.aaa)
        instance = self.bench.journal.instance_id
        self.accounting = Accounting(self.aaa, self.spool, self.bench.commit, instance)

    async def kill(self) -> Life:
        await self.bench.settle()
        self.bench.journal.close()
        again = Life(self.bench.folder, self.bench)
        again.bench.restore()
        newest = again.bench.recovered.seq
        again.accounting.resume(again.bench.folder / "journal", newest, again.bench.machine.store)
        return again

    def told(self) -> list[tuple[str, str]]:
        """(session, what) as a server would be told."""
        told = []
        backlog = self.aaa.client.backlog
        while (record := backlog.take(0)) is not None:
            told.append((record.chain, status_of(record)))
            backlog.delivered(record)
        return told


def status_of(record: Record) -> str:
    return STATUS[next((a.value for a in record.attributes if a.type == 40), b"\0\0\0\3")]


async def test_what_was_not_spooled_is_made_again_once(tmp_path: Path) -> None:
    life = Life(tmp_path)
    (first,) = await life.bench.begin(1)
    await life.accounting.note()
    life.outlets.lost = True
    (second,) = await life.bench.begin(2)
    await life.bench.writer.command(lambda token: ev.Disconnect(token, first))
    life = await life.kill()
    assert len(life.aaa.client.backlog) == 3
    life = await life.kill()
    assert sorted(life.told()) == sorted([(first, "start"), (second, "start"), (first, "stop")])
    life = await life.kill()
    assert life.told() == []
    await life.bench.commit.close()


async def test_an_interim_outlives_a_kill(tmp_path: Path) -> None:
    life = Life(tmp_path)
    (one,) = await life.bench.begin(1)
    life.bench.writer.post(ev.TimerDue(ev.Timer.INTERIM, one))
    await life.bench.settle()
    life = await life.kill()
    assert life.told() == [(one, "start"), (one, "interim")]
    await life.bench.commit.close()


async def test_nothing_is_noted_while_something_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life(tmp_path)
    await life.bench.begin(1)
    await life.bench.settle()
    given = life.spool.given
    life.bench.commit.journal.append({"type": "system-start"})
    life.bench.commit.after(lambda: None)
    await life.accounting.note()
    assert life.spool.given == given
    life.bench.commit.request()
    await life.bench.settle()
    await life.accounting.note()
    assert life.spool.given == life.bench.journal.durable > given
    await life.bench.commit.close()


async def test_service_ends_with_accounting_off_behind_all_stops(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.accounting.begin_anew()
    ids = await life.bench.begin(1, 2, 3)
    assert await life.accounting.end_service(life.bench.writer, "moved") == 3
    (later,) = await life.bench.begin(4)
    told = life.told()
    assert told[0] == ("", "on")
    assert sorted(told[1:-2]) == sorted([(one, kind) for one in ids for kind in ("start", "stop")])
    assert told[-2:] == [("", "off"), (later, "start")]
    stops = [event for event in life.bench.events() if event["type"] == "session-stop"]
    assert {(event["terminate-cause"], event["reason"]) for event in stops} == {("Admin-Reboot", "moved")}
    await life.bench.commit.close()


async def test_service_does_not_end_while_sessions_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    life = Life(tmp_path)
    await life.bench.begin(1)

    async def refuse(_: object) -> None:
        raise OperationError("data-missing", "gone")

    monkeypatch.setattr(life.bench.writer, "command", refuse)
    with pytest.raises(OperationError, match="begin all the time"):
        await life.accounting.end_service(life.bench.writer, "")
    assert [kind for _, kind in life.told()] == ["start"]
    await life.bench.commit.close()

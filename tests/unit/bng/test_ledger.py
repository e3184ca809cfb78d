"""The ledger of accounting: what is sent again after a restart, and what is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bng.ledger import Ledger, account_of, outstanding
from bng.seam.reader import JournalReader
from bng.session import events as ev
from tests.support.control_bench import Bench


async def test_starts_and_stops_are_made_from_the_journal(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    first, second = await bench.begin(1, 2)
    await bench.writer.command(lambda token: ev.Reauthenticate(token, second))
    ask = bench.outlets.asked[-1]
    bench.writer.post(ev.RadiusAccept(ask.session_id, ask.attempt, (), 5000, 5000))
    await bench.writer.command(lambda token: ev.Disconnect(token, first))
    await bench.settle()
    again = list(outstanding(JournalReader(tmp_path / "journal"), 0))
    assert [replace(account, time=0) for account in again] == [
        replace(account, time=0) for account in bench.outlets.accounts
    ]
    assert [account.kind.value for account in again] == ["start", "start", "stop"]
    (stop,) = [event["seq"] for event in bench.events() if event["type"] == "session-stop"]
    assert list(outstanding(JournalReader(tmp_path / "journal"), stop)) == []
    assert [a.session_id for a in outstanding(JournalReader(tmp_path / "journal"), stop - 1)] == [first]
    await bench.commit.close()


async def test_a_later_change_of_policy_is_no_start(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    await bench.begin(1)
    await bench.settle()
    event = bench.events()[-1]
    assert event["type"] == "policy-apply"
    assert account_of(event) is not None
    assert account_of({**event, "_last_change": event["_last_change"] + 1}) is None
    assert account_of({key: value for key, value in event.items() if key != "_authorized"}) is None
    await bench.commit.close()


def test_the_number_survives(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "accounted", 7)
    assert ledger.settled == 7
    ledger.given(12)
    ledger.given(9)
    assert Ledger(tmp_path / "accounted", 3).settled == 3, "nothing is settled yet"
    ledger.settle()
    ledger.close()
    assert Ledger(tmp_path / "accounted", 3).settled == 12

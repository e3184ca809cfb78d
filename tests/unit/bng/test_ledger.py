"""Accounting made again from the journal, and from the rows of Interim-Updates."""

from __future__ import annotations

from pathlib import Path

from bng.aaa.interims import Interim, InterimRows
from bng.ledger import account_of, interims, outstanding, settled_before
from bng.seam.reader import JournalReader
from bng.session import events as ev
from tests.support.control_bench import NS, Bench


async def test_starts_and_stops_are_made_from_the_journal(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    first, second = await bench.begin(1, 2)
    await bench.writer.command(lambda token: ev.Reauthenticate(token, second))
    ask = bench.outlets.asked[-1]
    bench.writer.post(ev.RadiusAccept(ask.session_id, ask.attempt, (), 5000, 5000))
    await bench.writer.command(lambda token: ev.Disconnect(token, first))
    await bench.settle()
    reader = JournalReader(tmp_path / "journal")
    again = list(outstanding(reader, 0, reader.newest))
    assert [account for _, account in again] == bench.outlets.accounts, "to the nanosecond"
    assert [account.kind.value for _, account in again] == ["start", "start", "stop"]
    assert [seq for seq, _ in again] == sorted(seq for seq, _ in again) == bench.outlets.seqs
    (stop,) = [event["seq"] for event in bench.events() if event["type"] == "session-stop"]
    assert list(outstanding(reader, stop, reader.newest)) == []
    assert list(outstanding(reader, 0, 0)) == []
    assert [(seq, a.session_id) for seq, a in outstanding(reader, stop - 1, stop)] == [(stop, first)]
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


async def test_an_interim_is_that_of_the_session_that_has_the_slot(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (session_id,) = await bench.begin(1)
    session = bench.machine.store.get(session_id)
    assert session is not None
    rows = InterimRows(tmp_path / "interims")
    time = session.authorized_ns + 30 * NS
    rows.put(session.slot, Interim(session_id, time, 30, ev.Counters(5, 6, 7, 8)))
    (account,) = interims(rows, bench.machine.store)
    assert (account.session_id, account.kind.value, account.session_time) == (session_id, "interim", 30)
    assert (account.time, account.counters) == (time, ev.Counters(5, 6, 7, 8))
    assert account.username == session.username
    rows.put(session.slot, Interim("f" * 16, time, 30, ev.Counters(5, 6, 7, 8)))
    assert list(interims(rows, bench.machine.store)) == []
    rows.close()
    await bench.commit.close()


def test_what_a_version_without_a_spool_had_settled_is_where_accounting_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "accounted"
    assert settled_before(path, 9) == 9
    path.write_bytes((7).to_bytes(8, "big"))
    assert settled_before(path, 9) == 7
    assert settled_before(path, 5) == 5
    path.write_bytes(b"torn")
    assert settled_before(path, 9) == 9

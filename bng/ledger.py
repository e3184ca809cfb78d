"""Accounting made again from the journal: what the spool does not hold yet when the control plane dies.

Each Accounting-Start follows from a policy-apply event and each Stop from a session-stop. The spool
(`bng.aaa.spool`) notes up to which event it has them; those behind it were never sent. Interim-Updates are
no events: the spool keeps the newest of each session, and the journal knows the session.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bng.aaa.interims import InterimRows
from bng.seam.reader import JournalReader
from bng.session.accounting import accounting_of
from bng.session.effects import Account, AccountKind
from bng.session.events import Counters
from bng.session.records import Session, from_event

_BATCH = 256


def outstanding(journal: JournalReader, given: int, newest: int) -> Iterator[tuple[int, Account]]:
    """The Starts and Stops that follow from the events behind `given` up to `newest`, in their order, each
    with the number of its event."""
    first, newest = max(given + 1, journal.oldest), min(newest, journal.newest)
    while first <= newest:
        events = journal.read(first, min(_BATCH, newest + 1 - first))
        for event in events:
            account = account_of(event)
            if account is not None:
                yield event["seq"], account
        first += len(events)


def interims(rows: InterimRows, sessions: Iterable[Session]) -> Iterator[Account]:
    """The Interim-Updates of live sessions that nobody took."""
    for session in sessions:
        kept = rows.get(session.slot) if session.authorized_ns else None
        if kept is not None and kept.session_id == session.id:
            yield accounting_of(session, AccountKind.INTERIM, kept.counters, None, kept.time)


def account_of(event: Mapping[str, Any]) -> Account | None:
    """The accounting that an event led to, or None."""
    authorized = event.get("_authorized", 0)
    if not authorized:
        return None
    if event["type"] == "session-stop":
        counters = {name.replace("-", "_"): value for name, value in event["counters"].items()}
        cause = event.get("terminate-cause")
        # when it ended; the session's own times, not the journal's, so that it is the same record again
        return accounting_of(
            from_event(event), AccountKind.STOP, Counters(**counters), cause, event["_last_change"]
        )
    # the first policy-apply is the change by which accounting starts, later ones are changes of policy
    if event["type"] == "policy-apply" and event["_last_change"] == authorized:
        return accounting_of(from_event(event), AccountKind.START, Counters(), None, authorized)
    return None

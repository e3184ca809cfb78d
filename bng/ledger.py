"""Accounting made again from the journal: what the spool does not hold yet when the control plane dies.

Each Accounting-Start follows from a policy-apply event and each Stop from a session-stop. The spool
(`bng.aaa.spool`) notes up to which event it has them; those behind it were never sent. Interim-Updates are
no events: the spool keeps the newest of each session, and the journal knows the session.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bng.aaa.interims import InterimRows
from bng.seam.reader import JournalReader
from bng.session.accounting import accounting_of
from bng.session.effects import Account, AccountKind
from bng.session.events import Counters
from bng.session.records import Session, from_event

SETTLED = "accounted"
"""File in the state folder of versions that had no spool: the event up to which the servers had it all."""
_NUMBER = struct.Struct("!Q")
_BATCH = 256


def settled_before(path: Path, newest: int) -> int:
    """The number in that file, at most `newest`, which it is when there is no such file."""
    try:
        (number,) = _NUMBER.unpack(path.read_bytes()[: _NUMBER.size])
    except (OSError, struct.error):
        return newest
    return min(int(number), newest)


def outstanding(journal: JournalReader, given: int, newest: int) -> Iterator[tuple[int, Account]]:
    """The Starts and Stops that follow from the events behind `given` up to `newest`, in their order, each
    with the number of its event."""
    for events in journal.batches(given + 1, _BATCH):
        for event in events:
            if event["seq"] > newest:
                return
            account = account_of(event)
            if account is not None:
                yield event["seq"], account


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

"""Which accounting the RADIUS servers have taken, so that a restart sends again what they have not.

The journal is the spool: each Accounting-Start follows from a policy-apply event and each Stop from a
session-stop. The ledger remembers the number of the last event up to which all of it was acknowledged. What
comes after it is sent once more after a restart: a server may see a record twice, and never misses one.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bng.seam.reader import JournalReader
from bng.session.effects import Account, AccountKind
from bng.session.events import Counters
from bng.session.records import from_event

_NUMBER = struct.Struct("!Q")
_BATCH = 256


class Ledger:
    """The number in its file. Written without waiting for the disk: a number that is too old costs a record
    sent twice.

    Args:
        path: of the file.
        initial: taken when there is no file.
    """

    def __init__(self, path: Path, initial: int) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        held = os.pread(self._file, _NUMBER.size, 0)
        self.settled: int = _NUMBER.unpack(held)[0] if len(held) == _NUMBER.size else initial
        self._given = self.settled

    def given(self, seq: int) -> None:
        """The accounting of all events up to this one is with the RADIUS client."""
        self._given = max(self._given, seq)

    def settle(self) -> None:
        """The RADIUS client has nothing left that is not acknowledged."""
        if self._given > self.settled:
            self.settled = self._given
            with contextlib.suppress(OSError):
                os.pwrite(self._file, _NUMBER.pack(self.settled), 0)

    def close(self) -> None:
        os.close(self._file)


def outstanding(journal: JournalReader, settled: int) -> Iterator[Account]:
    """The Starts and Stops that follow from the events behind a number, in their order."""
    first = max(settled + 1, journal.oldest)
    while first <= journal.newest:
        events = journal.read(first, _BATCH)
        for event in events:
            account = account_of(event)
            if account is not None:
                yield account
        first += len(events)


def account_of(event: Mapping[str, Any]) -> Account | None:
    """The accounting that an event led to, or None."""
    authorized = event.get("_authorized", 0)
    if not authorized:
        return None
    if event["type"] == "session-stop":
        counters = {name.replace("-", "_"): value for name, value in event["counters"].items()}
        return _account(event, AccountKind.STOP, Counters(**counters))
    # the first policy-apply is the change by which accounting starts, later ones are changes of policy
    if event["type"] == "policy-apply" and event["_last_change"] == authorized:
        return _account(event, AccountKind.START, Counters())
    return None


def _account(event: Mapping[str, Any], kind: AccountKind, counters: Counters) -> Account:
    session = from_event(event)
    time_ns = event["_time_ns"]
    return Account(
        kind,
        session.id,
        session.slot,
        session.generation,
        session.username,
        session.mac_address,
        session.ip_address,
        session.nas_port_id,
        session.classes,
        session.session_time(time_ns),
        counters,
        event.get("terminate-cause"),
        time_ns,
    )

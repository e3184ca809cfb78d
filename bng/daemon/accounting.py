"""Accounting over the life of the control plane: taken up at its start, noted while it runs, and the
operation that ends service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

import structlog

from bng.aaa.shell import AaaShell
from bng.aaa.spool import Spool
from bng.commit import GroupCommit
from bng.ledger import interims, outstanding
from bng.loop import Writer
from bng.seam.reader import JournalReader
from bng.session.events import Counters, Disconnect
from bng.session.records import Session
from yang.provider import OperationError

log = structlog.get_logger()

_ROUNDS, _PER_ROUND = 10, 256
"""How often all sessions are ended when new ones begin meanwhile, and how many at once."""


class Accounting:
    """Between the journal, the spool and the RADIUS client.

    Args:
        instance_id: of this control plane; part of it is the Acct-Session-Id of Accounting-On and -Off.
    """

    def __init__(self, aaa: AaaShell, spool: Spool, commit: GroupCommit, instance_id: str) -> None:
        self._aaa = aaa
        self._spool = spool
        self._commit = commit
        self._id = instance_id.replace("-", "")[:16]

    def begin_anew(self) -> None:
        """Nothing is known of an earlier life: what servers may still hold of it has ended."""
        self._aaa.accounting_on(self._id)

    def resume(self, journal: Path, newest: int, sessions: Iterable[Session]) -> None:
        """Go on with what no RADIUS server had acknowledged when the last control plane ended: the spool has
        it, and the journal (up to its event `newest`) what had not come to the spool yet."""
        spooled, count = len(self._aaa.client.backlog), 0
        for seq, account in outstanding(JournalReader(journal), self._spool.given, newest):
            self._aaa.account(account, account.counters or Counters(), seq)
            count += 1
        for account in interims(self._spool.interims, sessions):
            self._aaa.restore(account, account.counters or Counters())
        if spooled or count:
            log.info("accounting.resumed", spooled=spooled, journaled=count)

    async def note(self) -> None:
        """Note from which event on accounting would have to be made again from the journal. What is noted has
        to be on the disk, and is nothing that still waits to be accounted for."""
        self._aaa.resume()
        if self._aaa.client.backlog.unplaced or self._commit.waiting:
            return
        newest = self._commit.journal.durable
        await asyncio.to_thread(self._spool.flush, self._spool.unflushed())
        self._spool.note(newest)

    async def end_service(self, writer: Writer, reason: str) -> int:
        """End all sessions and say Accounting-Off, behind their Stops. Returns how many there were.

        Raises:
            OperationError: new ones began all the time; Accounting-Off was not said then.
        """
        ended = 0
        for _ in range(_ROUNDS):
            ids = [session.id for session in writer.machine.store]
            if not ids:
                self._aaa.accounting_off(self._id)
                log.warning("control.service-ended", sessions=ended, reason=reason)
                return ended
            for begin in range(0, len(ids), _PER_ROUND):
                commands = [_end(writer, one, reason) for one in ids[begin : begin + _PER_ROUND]]
                ended += sum(await asyncio.gather(*commands))
        raise OperationError(
            "operation-failed", "sessions begin all the time: take access routers down first"
        )


async def _end(writer: Writer, session_id: str, reason: str) -> bool:
    """End a session; False when it had ended already."""
    try:
        await writer.command(lambda token: Disconnect(token, session_id, reason, "Admin-Reboot"))
    except OperationError:
        return False
    return True

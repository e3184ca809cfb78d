"""An accounting record of a session."""

from __future__ import annotations

from bng.session.effects import Account, AccountKind
from bng.session.events import Counters
from bng.session.records import LOCAL, Session


def accounting_of(
    session: Session, kind: AccountKind, counters: Counters | None, cause: str | None, time_ns: int
) -> Account:
    """The record of a session at a time (nanoseconds); `cause` and `counters` as in `effects.Account`."""
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
        cause,
        time_ns,
        session.authorization == LOCAL,
    )

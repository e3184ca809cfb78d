"""State that the server itself brings: sessions and statistics (RFC 6022)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

from nbi.info import Counters
from nbi.protocol.notification import event_time
from nbi.session import NetconfSession
from yang.provider import Keys, Record

MONITORING = "/ietf-netconf-monitoring:netconf-state"
SESSION_START = "/ietf-netconf-notifications:netconf-session-start"
SESSION_END = "/ietf-netconf-notifications:netconf-session-end"


class SessionsProvider:
    """``netconf-state/sessions/session``: one record per session."""

    path = f"{MONITORING}/sessions/session"

    def __init__(self, sessions: dict[int, NetconfSession]) -> None:
        self._sessions = sessions

    def get(self, keys: Keys) -> Record | None:
        """The session with this number."""
        session = self._sessions.get(int(keys[0]))
        return None if session is None else session_record(session)

    def iter(self) -> Iterable[Record]:
        """All sessions, oldest first."""
        for session in tuple(self._sessions.values()):
            yield session_record(session)


def session_record(session: NetconfSession) -> Record:
    """A session as ietf-netconf-monitoring has it."""
    info, counters = session.info, session.counters
    return SimpleNamespace(
        session_id=session.id,
        transport=f"ietf-netconf-monitoring:{info.transport}",
        username=info.datastore.user.name,
        source_host=info.peer or None,
        login_time=event_time(info.login_time),
        **_counters(counters),
    )


class StatisticsProvider:
    """``netconf-state/statistics``."""

    path = f"{MONITORING}/statistics"

    def __init__(self, read: Callable[[], dict[str, Any]]) -> None:
        self._read = read

    def get(self, keys: Keys) -> Record | None:
        """The totals since the server started."""
        return None if keys else SimpleNamespace(**self._read())

    def iter(self) -> Iterable[Record]:
        """The one record."""
        return (SimpleNamespace(**self._read()),)


def statistics(
    started_ns: int, totals: Counters, sessions: int, dropped: int, bad_hellos: int
) -> dict[str, Any]:
    """Attributes of the statistics record."""
    return {
        "netconf_start_time": event_time(started_ns),
        "in_bad_hellos": bad_hellos,
        "in_sessions": sessions,
        "dropped_sessions": dropped,
        **_counters(totals),
    }


def _counters(counters: Counters) -> dict[str, int]:
    return {
        "in_rpcs": counters.in_rpcs,
        "in_bad_rpcs": counters.in_bad_rpcs,
        "out_rpc_errors": counters.out_rpc_errors,
        "out_notifications": counters.out_notifications,
    }


def session_start_record(session: NetconfSession) -> Record:
    """Content of netconf-session-start (RFC 6470)."""
    return SimpleNamespace(
        username=session.info.datastore.user.name,
        session_id=session.id,
        source_host=session.info.peer or None,
    )


def session_end_record(session: NetconfSession) -> Record:
    """Content of netconf-session-end (RFC 6470)."""
    record = session_start_record(session)
    record.killed_by = session.killed_by
    record.termination_reason = session.reason
    return record

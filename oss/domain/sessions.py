"""Subscriber sessions and events as the collector stored them, with the customer they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import asyncpg
from pydantic import BaseModel

from oss.database import Where
from oss.domain.errors import Invalid, NotFound
from oss.domain.paging import Column, Keyset, Order, Page, contains

Status = Literal["pending", "authorizing", "active", "idle", "rejected", "terminating"]

COUNTERS = ("in_octets", "out_octets", "in_packets", "out_packets", "in_discards", "out_discards")


class SessionBase(BaseModel):
    """What `aether-subscriber:sessions/session` says, and whose it is.

    'in' is from the subscriber (upload), 'out' is to the subscriber (download); rates are in bit/s.
    """

    bng_id: str
    session_id: str
    remote_id: str | None
    circuit_id: str | None
    username: str | None
    mac_address: str | None
    ip_address: str | None
    interface: str | None
    nas_port_id: str | None
    status: str | None
    profile: str | None
    download_rate: int | None
    upload_rate: int | None
    started: datetime | None
    last_change: datetime | None
    lease_expiry: datetime | None
    in_octets: int
    out_octets: int
    in_packets: int
    out_packets: int
    in_discards: int
    out_discards: int
    customer_id: int | None = None
    customer_name: str | None = None
    service_id: int | None = None
    plan_name: str | None = None


class Session(SessionBase):
    """A live session. The rates are those between its last two samples, None until there are two."""

    sampled_at: datetime | None = None
    in_rate: float | None = None
    out_rate: float | None = None


class PastSession(SessionBase):
    stopped: datetime
    terminate_cause: str | None
    reason: str | None


class Event(BaseModel):
    """An event of the BNG's journal (`aether-events:events/event`)."""

    bng_id: str
    seq: int
    time: datetime
    type: str
    instance_id: str | None
    session_id: str | None
    remote_id: str | None
    circuit_id: str | None
    username: str | None
    mac_address: str | None
    ip_address: str | None
    status: str | None
    profile: str | None
    download_rate: int | None
    upload_rate: int | None
    terminate_cause: str | None
    reason: str | None
    router: dict[str, Any] | None
    renewed: bool = False
    """A `session-update` with a later end of the lease than the session's event before."""
    customer_id: int | None = None
    customer_name: str | None = None


_SESSION_COLUMNS = (
    ", ".join(
        f"s.{name}"
        for name in (
            *(
                "bng_id",
                "session_id",
                "remote_id",
                "circuit_id",
                "username",
                "interface",
                "nas_port_id",
                "status",
            ),
            *("profile", "download_rate", "upload_rate", "started", "last_change", "lease_expiry"),
            *COUNTERS,
        )
    )
    + ", s.mac_address::text AS mac_address, host(s.ip_address) AS ip_address"
)

_OWNER = "c.id AS customer_id, c.name AS customer_name, v.id AS service_id, p.name AS plan_name"

_LINE = "{0}.bng_id = s.bng_id AND {0}.remote_id = s.remote_id AND {0}.circuit_id = s.circuit_id"
_CUSTOMER_AND_PLAN = """
LEFT JOIN customers c ON c.id = v.customer_id
LEFT JOIN plans p ON p.id = v.plan_id"""

# of a live session: the one live service of its access line
_OWNER_NOW = f"""
LEFT JOIN services v ON {_LINE.format("v")} AND v.status <> 'TERMINATED' {_CUSTOMER_AND_PLAN}"""


def _owner_then(first: str, last: str) -> str:
    """The service that had the line between two times, the later one if there were two.

    What a termination brings about, such as the end of the session, comes a moment after it.
    """
    return f"""
LEFT JOIN LATERAL (
    SELECT o.id, o.customer_id, o.plan_id FROM services o
    WHERE {_LINE.format("o")} AND o.created <= {last}
      AND (o.terminated IS NULL OR o.terminated + interval '1 minute' > {first})
    ORDER BY o.created DESC LIMIT 1
) v ON true {_CUSTOMER_AND_PLAN}"""  # noqa: S608


_EVENT_BEFORE = """
LEFT JOIN LATERAL (
    SELECT e.lease_expiry FROM events e
    WHERE s.type = 'session-update' AND e.session_id = s.session_id AND e.bng_id = s.bng_id
      AND e.time < s.time
    ORDER BY e.time DESC LIMIT 1
) b ON true"""


@dataclass(frozen=True, slots=True)
class Source:
    """Rows `s` of a table, with the customer `c` they belong to.

    Attributes:
        indexed: whether there is an index of what is searched.
    """

    columns: str
    table: str
    joins: str
    indexed: bool = False

    @property
    def select(self) -> str:
        return f"SELECT {self.columns} FROM {self.table} s {self.joins}"  # noqa: S608


ACTIVE = Source(f"{_SESSION_COLUMNS}, s.sampled_at, {_OWNER}", "sessions_active", _OWNER_NOW)
HISTORY = Source(
    f"{_SESSION_COLUMNS}, s.stopped, s.terminate_cause, s.reason, {_OWNER}",
    "sessions_history",
    _owner_then("coalesce(s.started, s.stopped)", "s.stopped"),
    indexed=True,
)
EVENTS = Source(
    """s.bng_id, s.seq, s.time, s.type, s.instance_id::text AS instance_id, s.session_id,
    s.remote_id, s.circuit_id, s.username, s.mac_address::text AS mac_address,
    host(s.ip_address) AS ip_address, s.status, s.profile, s.download_rate, s.upload_rate,
    s.terminate_cause, s.reason, s.router, coalesce(s.lease_expiry > b.lease_expiry, false) AS renewed,
    c.id AS customer_id, c.name AS customer_name""",
    "events",
    f"{_owner_then('s.time', 's.time')} {_EVENT_BEFORE}",
)
SELECT_ACTIVE, SELECT_EVENTS = ACTIVE.select, EVENTS.select

_EPOCH = "'epoch'::timestamptz"
_SESSION_SORTS = {
    "username": Column("coalesce(s.username, '')"),
    "ip_address": Column("coalesce(s.ip_address, '0.0.0.0'::inet)", "inet"),
    "status": Column("coalesce(s.status, '')"),
    "profile": Column("coalesce(s.profile, '')"),
    "customer_name": Column("coalesce(c.name, '')"),
    "started": Column(f"coalesce(s.started, {_EPOCH})", "timestamptz"),
    "in_octets": Column("s.in_octets", "bigint"),
    "out_octets": Column("s.out_octets", "bigint"),
}
ActiveSort = Literal[
    "username", "ip_address", "status", "profile", "customer_name", "started", "in_octets", "out_octets"
]
HistorySort = Literal["stopped", "started", "username", "in_octets", "out_octets"]
_KEY = (Column("s.bng_id"), Column("s.session_id"))


_SEARCHED = """concat_ws(' ', s.username, s.mac_address::text, host(s.ip_address), s.session_id, s.remote_id,
    s.circuit_id)"""
# The same for past sessions, as their index has it (collector/migrations/versions/0010): PostgreSQL does not
# index concat_ws, which is faster where all rows are read.
_INDEXED = """(coalesce(s.username, '') || ' ' || coalesce(s.mac_address::text, '') || ' '
    || coalesce(host(s.ip_address), '') || ' ' || coalesce(s.session_id, '') || ' '
    || coalesce(s.remote_id, '') || ' ' || coalesce(s.circuit_id, ''))"""


_NAMED = """SELECT v.bng_id, v.remote_id, v.circuit_id FROM services v
    JOIN customers n ON n.id = v.customer_id WHERE n.name ILIKE {}"""


class Filter(BaseModel):
    """Which sessions or events are asked for; what is None does not restrict."""

    bng_id: str | None = None
    remote_id: str | None = None
    circuit_id: str | None = None
    session_id: str | None = None
    customer_id: int | None = None
    status: list[Status] | None = None
    profile: str | None = None
    type: list[str] | None = None
    q: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def where(self, time_column: str | None = None) -> Where:
        """All conditions but `q`."""
        where = Where()
        for name in ("bng_id", "remote_id", "circuit_id", "session_id", "profile"):
            value = getattr(self, name)
            if value is not None:
                where.add(f"s.{name} = {{}}", value)
        if self.customer_id is not None:
            where.add("c.id = {}", self.customer_id)
            # says nothing new, but spares the database to look up the owner of every line
            where.add(
                "(s.bng_id, s.remote_id, s.circuit_id) IN "
                "(SELECT bng_id, remote_id, circuit_id FROM services WHERE customer_id = {})",
                self.customer_id,
            )
        if self.status:
            where.add("s.status = ANY({}::text[])", self.status)
        if self.type:
            where.add("s.type = ANY({}::text[])", self.type)
        if time_column and self.since:
            where.add(f"{time_column} >= {{}}", self.since)
        if time_column and self.until:
            where.add(f"{time_column} <= {{}}", self.until)
        return where


async def _page(
    pool: asyncpg.Pool, source: Source, criteria: Filter, time_column: str, keyset: Keyset
) -> tuple[Any, str | None]:
    where = criteria.where(time_column)
    keyset.apply(where)
    by_owner = criteria.customer_id is not None or any("c." in c.expression for c in keyset.columns)
    text = (criteria.q or "").strip()
    if text:
        sql = _search(source, keyset, where, contains(text), by_owner=by_owner)
    else:
        sql = _select(source, keyset, where.sql(), by_owner=by_owner)
    try:
        return keyset.page(await pool.fetch(sql, *where.parameters))
    except asyncpg.DataError as error:
        raise Invalid(f"cursor or filter: {error}") from error


def _search(source: Source, keyset: Keyset, where: Where, pattern: str, *, by_owner: bool) -> str:
    """One page of rows that have a text themselves, or whose customer has it in the name."""
    place = where.parameter(pattern)
    own, name = f"{_INDEXED if source.indexed else _SEARCHED} ILIKE {place}", f"c.name ILIKE {place}"
    # those of nobody who is asked for are passed over before their customers are looked up
    named = f"(s.bng_id, s.remote_id, s.circuit_id) IN ({_NAMED.format(place)})"
    if not source.indexed:
        both = where.sql(f"({own} OR {named})", f"({own} OR {name})")
        return _select(source, keyset, both, by_owner=True)
    # each of the two has an index, both together have none
    return keyset.merge(
        _select(source, keyset, where.sql(own), by_owner=by_owner),
        _select(source, keyset, where.sql(named, name, f"NOT {own}"), by_owner=True),
    )


def _select(source: Source, keyset: Keyset, where: str, *, by_owner: bool) -> str:
    """One page. Who a row belongs to is looked up for the rows of the page only, unless it is asked by."""
    ordered, rows = f"{where} {keyset.order_by} {keyset.limit_sql}", f"{source.table} s"
    if not by_owner:
        ordered, rows = keyset.order_by, f"(SELECT * FROM {rows} {ordered}) s"  # noqa: S608
    return f"SELECT {source.columns}, {keyset.select} FROM {rows} {source.joins} {ordered}"  # noqa: S608


async def active(
    pool: asyncpg.Pool, criteria: Filter, sort: ActiveSort, order: Order, limit: int, cursor: str | None
) -> Page[Session]:
    """One page of live sessions."""
    keyset = Keyset(sort, order, (_SESSION_SORTS[sort], *_KEY), cursor, limit)
    rows, following = await _page(pool, ACTIVE, criteria, "s.started", keyset)
    return Page(items=[Session(**row) for row in rows], next_cursor=following)


async def history(
    pool: asyncpg.Pool, criteria: Filter, sort: HistorySort, order: Order, limit: int, cursor: str | None
) -> Page[PastSession]:
    """One page of sessions that have ended."""
    column = Column("s.stopped", "timestamptz") if sort == "stopped" else _SESSION_SORTS[sort]
    keyset = Keyset(sort, order, (column, *_KEY), cursor, limit)
    rows, following = await _page(pool, HISTORY, criteria, "s.stopped", keyset)
    return Page(items=[PastSession(**row) for row in rows], next_cursor=following)


async def events(
    pool: asyncpg.Pool, criteria: Filter, order: Order, limit: int, cursor: str | None
) -> Page[Event]:
    """One page of events, by time."""
    columns = (Column("s.time", "timestamptz"), Column("s.bng_id"), Column("s.seq", "bigint"))
    rows, following = await _page(
        pool, EVENTS, criteria, "s.time", Keyset("time", order, columns, cursor, limit)
    )
    return Page(items=[Event(**row) for row in rows], next_cursor=following)


async def one(pool: asyncpg.Pool, bng_id: str, session_id: str) -> Session | PastSession:
    """A session, live or past.

    Raises:
        NotFound: the collector has stored no such session.
    """
    condition = " WHERE s.bng_id = $1 AND s.session_id = $2"
    row = await pool.fetchrow(SELECT_ACTIVE + condition, bng_id, session_id)
    if row is not None:
        return Session(**row)
    row = await pool.fetchrow(HISTORY.select + condition + " LIMIT 1", bng_id, session_id)
    if row is not None:
        return PastSession(**row)
    raise NotFound(f"{bng_id} has no session {session_id}.")

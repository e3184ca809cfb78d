"""gNMI notifications → plain records. No I/O.

A notification's prefix and updates name leaves by path; what the tables need are the leaves of one list
entry or container together, named as the columns. Module prefixes of path elements (``aether-events:events``)
are optional on the wire and dropped here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import ip_interface
from typing import Any, TypeGuard

import orjson

from collector.schema import COUNTERS, HEALTH
from telemetry.protocol import gnmi_pb2

Leaves = dict[str, Any]
"""Column name → value. A leaf below a container keeps its own name; see `_flat`."""

MAX_BIGINT = 2**63 - 1

MOST_DEEP = 100
"""Levels of a JSON value, as many as protobuf takes of messages: what is deeper ends in a RecursionError."""

SESSION_TEXTS = ("username", "mac-address", "ip-address", "interface", "nas-port-id", "status", "profile")
EVENT_TEXTS = (*SESSION_TEXTS, "instance-id", "session-id", "terminate-cause", "reason")


class DecodeError(ValueError):
    """A notification that is not what the subscription asked for."""


def timestamp(leaf: Any) -> datetime:
    """A YANG date-and-time (RFC 6991) as an aware datetime, to the microsecond. Raises DecodeError."""
    if not isinstance(leaf, str):
        raise DecodeError(f"not a date-and-time: {str(leaf)[:100]!r}")
    try:
        head, dot, tail = leaf.partition(".")
        whole = leaf
        if dot:  # nanoseconds: Python reads six digits at most
            digits = len(tail) - len(tail.lstrip("0123456789"))
            whole = f"{head}.{tail[:digits][:6]}{tail[digits:]}"
        return datetime.fromisoformat(whole).astimezone(UTC)
    except (ValueError, OverflowError):
        raise DecodeError(f"not a date-and-time: {leaf[:100]!r}") from None


def stamp(time_ns: int) -> datetime:
    """A notification's timestamp to the microsecond. Raises DecodeError where no calendar has it."""
    try:
        return datetime.fromtimestamp(time_ns // 1000 / 1_000_000, UTC)
    except (ValueError, OverflowError, OSError):
        raise DecodeError(f"no time: {time_ns} ns") from None


def value(typed: gnmi_pb2.TypedValue) -> Any:
    """What a TypedValue holds, as Python has it; JSON is decoded. Raises DecodeError."""
    kind = typed.WhichOneof("value")
    if kind in ("json_ietf_val", "json_val"):
        try:
            content = orjson.loads(getattr(typed, kind))
        except orjson.JSONDecodeError as error:
            raise DecodeError(f"broken JSON in a value: {error}") from None
        _check_depth(content)
        return content
    if kind == "leaflist_val":
        return [value(element) for element in typed.leaflist_val.element]
    if kind is None:
        return None
    return getattr(typed, kind)


def _check_depth(content: Any) -> None:
    """Raises DecodeError: it is deeper than what is worked on by recursion."""
    level = [content]
    for _ in range(MOST_DEEP):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise DecodeError(f"JSON of more than {MOST_DEEP} levels in a value")


def _name(element: str) -> str:
    return element.rpartition(":")[2]


def _storable(text: str) -> str:
    """Text without NUL, which PostgreSQL does not take: an access line's ids may be any octets."""
    return text.replace("\0", "\ufffd") if "\0" in text else text


def text(leaf: Any) -> str | None:
    """A leaf that is text. Raises DecodeError."""
    if leaf is None or isinstance(leaf, str):
        return leaf
    raise DecodeError(f"not text: {str(leaf)[:100]!r}")


def _address(leaf: Any) -> str | None:
    found = text(leaf)
    if found is not None:
        try:
            ip_interface(found)
        except ValueError:
            raise DecodeError(f"not an address: {found[:100]!r}") from None
    return found


def _mac(leaf: Any) -> str | None:
    found = text(leaf)
    if found is not None and not MAC.fullmatch(found):
        raise DecodeError(f"not a MAC address: {found[:100]!r}")
    return found


def _texts(leaves: Leaves, names: Iterable[str]) -> dict[str, Any]:
    """Columns of text, from leaves of the same names."""
    return {name.replace("-", "_"): _CHECK.get(name, text)(leaves.get(name)) for name in names}


MAC = re.compile("[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")
_CHECK = {"mac-address": _mac, "ip-address": _address}


def steps(*paths: gnmi_pb2.Path) -> list[tuple[str, Mapping[str, str]]]:
    """The elements of joined paths: (name without module, keys)."""
    return [(_name(e.name), e.key) for path in paths for e in path.elem]


def _flat(prefix: str, content: Any) -> Iterator[tuple[str, Any]]:
    """Leaves of a decoded JSON value, path joined by '/'."""
    if isinstance(content, dict):
        for name, inner in content.items():
            yield from _flat(f"{prefix}/{_name(name)}" if prefix else _name(name), inner)
    else:
        yield prefix, _storable(content) if isinstance(content, str) else content


def entries(
    notification: gnmi_pb2.Notification, *, below: str
) -> Iterator[tuple[tuple[tuple[str, Mapping[str, str]], ...], Leaves]]:
    """Group the updates of a notification by list entry or container.

    Args:
        notification: as received.
        below: name of the element that ends an entry's path (``event``, ``session``, ``health`` …).

    Yields:
        The entry's path with its keys, and its leaves by path relative to the entry, with '/' between
        names and ``-`` as YANG has it; a list below the entry as ``name[key]``.
    """
    groups: dict[tuple[tuple[str, tuple[tuple[str, str], ...]], ...], Leaves] = {}
    heads: dict[Any, tuple[tuple[str, Mapping[str, str]], ...]] = {}
    base = steps(notification.prefix)
    for update in notification.update:
        path = [*base, *steps(update.path)]
        at = next((i for i, (name, _) in enumerate(path) if name == below), None)
        if at is None:
            continue
        head = tuple(path[: at + 1])
        identity = tuple((name, tuple(sorted(keys.items()))) for name, keys in head)
        heads[identity] = head
        relative = "/".join(
            f"{name}[{','.join(keys.values())}]" if keys else name for name, keys in path[at + 1 :]
        )
        groups.setdefault(identity, {}).update(_flat(relative, value(update.val)))
    for identity, leaves in groups.items():
        yield heads[identity], leaves


def integer(leaf: Any, most: int = MAX_BIGINT) -> int | None:
    """An integer leaf: PROTO gives int, RFC 7951 gives 64-bit ones as text. Raises DecodeError."""
    if leaf is None:
        return None
    try:
        number = int(leaf)
    except (TypeError, ValueError, OverflowError):
        raise DecodeError(f"not an integer: {str(leaf)[:100]!r}") from None
    if not 0 <= number <= most:
        raise DecodeError(f"{number} does not fit into {'a bigint' if most == MAX_BIGINT else most}")
    return number


def counters(leaves: Leaves, below: str = "counters/") -> dict[str, int | None]:
    """The six counters of an entry, by column."""
    return {column: integer(leaves.get(below + column.replace("_", "-"))) for column in COUNTERS}


def translation(leaves: Leaves) -> dict[str, Any]:
    """Public address and ports of a session, by column; None without."""
    return {
        "nat_address": _address(leaves.get("nat/address")),
        "nat_port_first": integer(leaves.get("nat/port-first"), 65535),
        "nat_port_last": integer(leaves.get("nat/port-last"), 65535),
    }


def event(notification: gnmi_pb2.Notification) -> dict[str, Any] | None:
    """The row of `events` that a notification of the journal carries, without bng_id; None if it has none."""
    for path, leaves in entries(notification, below="event"):
        seq = integer(path[-1][1].get("seq", leaves.get("seq")))
        kind = text(leaves.get("type"))
        if seq is None or not kind:
            raise DecodeError("an event without seq or type")
        row: dict[str, Any] = {
            "seq": seq,
            "time_ns": notification.timestamp,
            "time": stamp(notification.timestamp),
            "type": kind,
            "remote_id": text(leaves.get("access-line/remote-id")),
            "circuit_id": text(leaves.get("access-line/circuit-id")),
            "router": _router(leaves),
        }
        row.update(_texts(leaves, EVENT_TEXTS))
        for name in ("download-rate", "upload-rate"):
            row[name.replace("-", "_")] = integer(leaves.get(name))
        for name in ("started", "lease-expiry"):
            row[name.replace("-", "_")] = timestamp(leaves[name]) if leaves.get(name) else None
        row.update(translation(leaves))
        row.update(counters(leaves))
        return row
    return None


def _router(leaves: Leaves) -> dict[str, Any] | None:
    found = {
        name.removeprefix("router/").replace("-", "_"): leaf
        for name, leaf in leaves.items()
        if name.startswith("router/")
    }
    return found or None


def is_session(text: str | None) -> TypeGuard[str]:
    """Whether this may be the id of one of our sessions."""
    return text is not None and len(text) == 16 and text.isascii() and text.isprintable()


def samples(notification: gnmi_pb2.Notification) -> Iterable[tuple[str, int, tuple[int, ...]]]:
    """Counter samples in a notification: (session id, tick, counters in the order of COUNTERS)."""
    for path, leaves in entries(notification, below="session"):
        session = path[-1][1].get("id")
        found = [number for number in counters(leaves).values() if number is not None]
        tick = integer(leaves.get("counters/tick"))
        if not is_session(session) or tick is None or len(found) != len(COUNTERS):
            continue  # a partial update, or not one of our sessions: no full sample
        yield session, tick, tuple(found)


def health(leaves: Leaves) -> dict[str, Any]:
    """Columns of `health_samples` from the leaves of the health container."""
    row: dict[str, Any] = {column: integer(leaves.get(column.replace("_", "-"))) for column in HEALTH}
    servers: dict[str, dict[str, dict[str, Any]]] = {"radius-server": {}, "dhcp-server": {}}
    for name, leaf in leaves.items():
        kind, bracket, rest = name.partition("[")
        if bracket and kind in servers:
            key, _, inner = rest.partition("]/")
            servers[kind].setdefault(key, {})[inner.replace("-", "_").replace("/", "_")] = leaf
    for kind, found in servers.items():
        row[kind.replace("-", "_") + "s"] = list(found.values())
    return row


def router(leaves: Leaves, *, configured: bool) -> dict[str, Any]:
    """Columns of `access_routers` from an entry of access-router or discovered."""
    seen = leaves.get("state/last-seen") or leaves.get("last-seen")
    return {
        "remote_id": leaves.get("remote-id"),
        "name": leaves.get("name"),
        "address": leaves.get("address") or leaves.get("giaddr"),
        "reachability": leaves.get("state/reachability"),
        "configured": configured,
        "last_seen": timestamp(seen) if seen else None,
        "round_trip_time": integer(leaves.get("state/round-trip-time")),
        "active_sessions": integer(leaves.get("state/active-sessions")),
    }


def session(leaves: Leaves) -> dict[str, Any]:
    """Columns of `sessions_active` that events set, from an entry of the list of sessions."""
    row = _texts(leaves, SESSION_TEXTS)
    row["remote_id"] = text(leaves.get("access-line/remote-id"))
    row["circuit_id"] = text(leaves.get("access-line/circuit-id"))
    row.update(translation(leaves))
    for name in ("download_rate", "upload_rate"):
        row[name] = integer(leaves.get(name.replace("_", "-")))
    for name in ("started", "last_change", "lease_expiry"):
        time = leaves.get(name.replace("_", "-"))
        row[name] = timestamp(time) if time else None
    return row

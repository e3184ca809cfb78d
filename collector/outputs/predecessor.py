"""Rows of PostgreSQL → messages of the stream `bng_events` as Aether's predecessor wrote them. No I/O.

Names of fields and the texts of `event_type`, `status` and `auth_state` are the predecessor's, so that its
consumers read them unchanged; docs/collector.md has the table. All values are text, times are seconds since
1970. Consumers tell duplicates by (bng_id, bng_instance_id, seq), so each message has a seq that follows from
what it says: that of the journal, or for what the journal does not have one from tick or time, far above it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from collector.outputs.interface import Message

Row = Mapping[str, Any]

TYPES = {
    "session-start": "SESSION_START",
    "session-update": "SESSION_UPDATE",
    "session-stop": "SESSION_STOP",
    "policy-apply": "POLICY_APPLY",
    "session-rejected": "POLICY_APPLY",
    "router-update": "ROUTER_UPDATE",
}
"""The journal's types that the predecessor knew; the others have no counterpart and are left out."""

STATES = {
    "pending": ("PENDING", "PENDING_AUTH"),
    "authorizing": ("ACTIVE", "PENDING_AUTH"),
    "active": ("ACTIVE", "AUTHORIZED"),
    "idle": ("IDLE", "AUTHORIZED"),
    "rejected": ("ACTIVE", "REJECTED"),
}
"""Status of a session → the predecessor's status and auth_state."""

COUNTERS = {
    "input_octets": "in_octets",
    "output_octets": "out_octets",
    "input_packets": "in_packets",
    "output_packets": "out_packets",
}

INTERIM_SEQ = 1 << 62
HEALTH_SEQ = 1 << 61
"""Where the seq of what the journal does not have begins. All fit a bigint."""


def _seconds(time: datetime) -> str:
    return f"{time.timestamp():.6f}"


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def session_uuid(session_id: str) -> str:
    """The predecessor's sessions have UUIDs; ours have 16 hexadecimal digits, which become its last ones."""
    try:
        number = int(session_id, 16)
    except ValueError:
        number = 1 << 64
    return str(UUID(int=number)) if number < 1 << 64 else str(uuid5(NAMESPACE_OID, session_id))


def _state(row: Row) -> tuple[str, str]:
    if row["status"] in STATES:
        return STATES[row["status"]]
    # terminating, or not told: an authorised session has a profile or rates
    authorised = row["profile"] is not None or row["download_rate"] is not None
    status = "EXPIRED" if row["status"] == "terminating" else "ACTIVE"
    return status, "AUTHORIZED" if authorised else "PENDING_AUTH"


def _envelope(bng_id: str, instance_id: Any, seq: int, kind: str, time: str) -> dict[str, str]:
    return {
        "bng_id": bng_id,
        "bng_instance_id": _text(instance_id),
        "seq": str(seq),
        "event_type": kind,
        "ts": time,
    }


def _session(row: Row, bng_id: str, nas_ip: str, time: str) -> dict[str, str]:
    status, auth_state = _state(row)
    line = (bng_id, _text(row["remote_id"]), _text(row["circuit_id"]))
    return {
        "session_last_update": time,
        "nas_ip": nas_ip,
        "session_id": session_uuid(row["session_id"]),
        "acct_session_id": row["session_id"],
        "access_key": "/".join(line),
        "remote_id": line[1],
        "circuit_id": line[2],
        "auth_state": auth_state,
        "status": status,
        "mac_address": _text(row["mac_address"]),
        "ip_address": _text(row["ip_address"]),
        "username": _text(row["username"]),
    }


def _counters(row: Row) -> dict[str, str]:
    return {name: str(row[column] or 0) for name, column in COUNTERS.items()}


def event(row: Row, nas_ip: str) -> Message | None:
    """The message of an event; None for a type that the predecessor did not have.

    `row` has the columns of `events`; the counters of one that has none are the newest that are known.
    """
    kind = TYPES.get(row["type"])
    bng_id, time = row["bng_id"], f"{row['time_ns'] // 10**9}.{row['time_ns'] % 10**9:09d}"
    if kind is None or (row["session_id"] is None and kind != "ROUTER_UPDATE"):
        return None
    message = _envelope(bng_id, row["instance_id"], row["seq"], kind, time)
    if kind == "ROUTER_UPDATE":
        router = row["router"] or {}
        message["router_name"] = _text(router.get("remote_id") or router.get("name"))
        message["giaddr"] = _text(router.get("address"))
        message["is_alive"] = str(router.get("reachability") == "up")
        message["last_seen"] = time
        return message
    message.update(_session(row, bng_id, nas_ip, time))
    if kind == "SESSION_START":
        message.update(dict.fromkeys(COUNTERS, "0"))
        message["session_start"] = _seconds(row["started"]) if row["started"] else time
    elif kind != "POLICY_APPLY":
        message.update(_counters(row))
    if kind == "SESSION_STOP":
        message["terminate_cause"] = _text(row["terminate_cause"])
        message["session_end"] = time
    return message


def interim(row: Row, bng_id: str, instance_id: Any, nas_ip: str) -> Message:
    """The periodic SESSION_UPDATE of a live session: a row of `sessions_active` that has been sampled."""
    time = _seconds(row["sampled_at"])
    low = UUID(session_uuid(row["session_id"])).int & 0xFFFFFF
    seq = INTERIM_SEQ + ((row["tick"] & (1 << 37) - 1) << 24 | low)
    message = _envelope(bng_id, instance_id, seq, "SESSION_UPDATE", time)
    return {**message, **_session(row, bng_id, nas_ip, time), **_counters(row)}


def health(row: Row) -> Message:
    """BNG_HEALTH_UPDATE: CPU in percent of one core, memory in MiB; 0 for no limit of memory."""
    seq = HEALTH_SEQ + int(row["time"].timestamp() * 1e6)
    message = _envelope(row["bng_id"], row["instance_id"], seq, "BNG_HEALTH_UPDATE", _seconds(row["time"]))
    message["cpu_usage"] = f"{(row['cpu_usage'] or 0) / 100:.2f}"
    for name, column in (("mem_usage", "memory_usage"), ("mem_max", "memory_limit")):
        message[name] = f"{(row[column] or 0) / 2**20:.2f}"
    return message

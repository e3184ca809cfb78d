"""Events → what changes in the tables of live and past sessions. No I/O.

A batch of events is folded per session, so that a session that starts and stops within one batch costs one
row, and the order of statements does not matter to the result.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from collector.schema import COUNTERS, SESSION

Row = dict[str, Any]

SESSION_EVENTS = frozenset(
    {"session-start", "session-update", "session-stop", "policy-apply", "session-rejected"}
)


@dataclass(slots=True)
class Changes:
    """What a batch of events does to the read models.

    Attributes:
        live: session id → columns that events set (absent columns keep their value).
        stopped: session id → columns of its end: stopped, terminate_cause, reason, final counters.
        routers: remote_id → columns of `access_routers`.
        instance_id: of the last event, None in an empty batch.
    """

    live: dict[str, Row] = field(default_factory=dict)
    stopped: dict[str, Row] = field(default_factory=dict)
    routers: dict[str, Row] = field(default_factory=dict)
    instance_id: str | None = None


def fold(events: Iterable[Row]) -> Changes:
    """Fold rows of `events`, in order of seq."""
    changes = Changes()
    for event in events:
        changes.instance_id = event["instance_id"] or changes.instance_id
        kind, session = event["type"], event["session_id"]
        if kind in SESSION_EVENTS and session:
            known = changes.live.setdefault(session, {"started": None})
            known.update({column: event[column] for column in SESSION if event.get(column) is not None})
            known["last_change"] = event["time"]
            if kind == "session-start" and known["started"] is None:
                known["started"] = event["time"]
            if kind == "session-stop":
                end = {"stopped": event["time"], "terminate_cause": event["terminate_cause"]}
                end["reason"] = event["reason"]
                end.update({counter: event[counter] for counter in COUNTERS})
                changes.stopped[session] = end
        elif kind == "router-update" and event["router"] and event["router"].get("remote_id"):
            changes.routers[event["router"]["remote_id"]] = {**event["router"], "last_seen": event["time"]}
    return changes

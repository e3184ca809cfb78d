"""Notifications about the configuration itself (RFC 6470)."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Final

from yang.builtin import Node
from yang.datastore.confirm import Event
from yang.datastore.running import Author
from yang.provider import Notification

MAX_REPORTED: Final = 100
"""Changed nodes that a notification names."""


def config_change(changed: Sequence[str], author: Author, datastore: str = "running") -> Notification:
    """netconf-config-change (RFC 6470)."""
    edits = [Node(target=path, operation="merge") for path in changed[:MAX_REPORTED]]
    record = Node(changed_by=_who(author), datastore=datastore, edit=edits)
    return Notification("/ietf-netconf-notifications:netconf-config-change", record, time.time_ns())


def confirmed_commit(event: Event, author: Author, timeout: float | None) -> Notification:
    """netconf-confirmed-commit (RFC 6470)."""
    by = {} if event == "timeout" else vars(_who(author))
    record = Node(**by, confirm_event=event, timeout=None if timeout is None else math.ceil(timeout))
    return Notification("/ietf-netconf-notifications:netconf-confirmed-commit", record, time.time_ns())


def _who(author: Author) -> Node:
    if not author.session:
        return Node(server=True)
    return Node(username=author.user, session_id=author.session)

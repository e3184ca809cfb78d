"""What aether-health says of RADIUS; names with ``_`` for ``-``."""

from __future__ import annotations

from typing import Any

from bng.aaa.client import AaaClient
from bng.aaa.servers import ServerState
from bng.aaa.spool import Spool
from bng.seam.clock import date_and_time


def server_health(state: ServerState) -> dict[str, Any]:
    """A record of radius-server."""
    since = state.dead_since
    return {
        "name": state.server.name,
        "up": state.up,
        "authentication_up": state.authentication.up,
        "accounting_up": state.accounting.up,
        "requests": state.requests,
        "timeouts": state.timeouts,
        "latency": state.latency,
        "in_flight": state.in_flight,
        "failures": state.failures,
        "dead_since": date_and_time(since) if since else None,
    }


def accounting_health(client: AaaClient, spool: Spool) -> dict[str, Any]:
    """The leaves about accounting."""
    return {
        "accounting_pending": len(client.backlog),
        "accounting_lost": client.backlog.lost,
        "accounting_alarm": spool.alarm,
    }

"""What tests of a running lab look at and do to it: rows of its databases, its processes, a device."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import asyncpg

from tests.support.lab_client import Json, Lab, until


def sql(dsn: str, query: str, *args: Any) -> list[asyncpg.Record]:
    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetch(query, *args)
        finally:
            await connection.close()

    return asyncio.run(ask())


def history(lab: Lab, session_id: str) -> asyncpg.Record | None:
    query = "SELECT * FROM sessions_history WHERE session_id = $1"
    return next(iter(sql(lab.status["postgres"]["oss"], query, session_id)), None)


def come_back(lab: Lab, subscriber: Json) -> None:
    """The subscriber switches its device off and on: the lab's supervisor starts a new DHCP client."""
    for service in lab.refresh()["services"]:
        if service["netns"] == subscriber["netns"] and service["pid"]:
            os.kill(service["pid"], signal.SIGKILL)
    until(f"{subscriber['name']} is online again", lambda: online(lab, subscriber), 60)


def online(lab: Lab, subscriber: Json) -> bool:
    found = lab.session(subscriber)
    return bool(found and found["status"] in ("active", "idle") and lab.ping(subscriber))


def pids(lab: Lab, *names: str) -> list[int]:
    return [s["pid"] for s in lab.refresh()["services"] if s["name"] in names and s["pid"]]

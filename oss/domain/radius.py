"""The RADIUS database (FreeRADIUS's SQL schema): groups are plans, users are access lines.

Each function brings one group or user to the wanted state in one transaction, whatever was there before,
so that a delivery can be repeated.
"""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg


@dataclass(frozen=True, slots=True)
class Group:
    """What a plan grants: `Filter-Id` names the profile; the vendor attributes (43242) carry the same
    speeds in kbit/s (bursts in kbit) for a BNG that does not have the profile."""

    name: str
    download_kbps: int
    upload_kbps: int
    download_burst_kbit: int | None = None
    upload_burst_kbit: int | None = None

    def replies(self) -> list[tuple[str, str]]:
        replies = [
            ("Filter-Id", self.name),
            ("OSS-Download-Speed", str(self.download_kbps)),
            ("OSS-Upload-Speed", str(self.upload_kbps)),
        ]
        if self.download_burst_kbit is not None:
            replies.append(("OSS-Download-Burst", str(self.download_burst_kbit)))
        if self.upload_burst_kbit is not None:
            replies.append(("OSS-Upload-Burst", str(self.upload_burst_kbit)))
        return replies


async def put_group(connection: asyncpg.Connection, name: str, group: Group | None) -> None:
    """Make the group's replies these; None removes them."""
    async with connection.transaction():
        await connection.execute("DELETE FROM radgroupreply WHERE groupname = $1", name)
        if group is not None:
            await connection.executemany(
                "INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ($1, $2, ':=', $3)",
                [(name, attribute, value) for attribute, value in group.replies()],
            )


async def put_user(connection: asyncpg.Connection, username: str, group: str | None, password: str) -> None:
    """Let the access line in with this group's replies; None keeps it out."""
    async with connection.transaction():
        await connection.execute("DELETE FROM radcheck WHERE username = $1", username)
        await connection.execute("DELETE FROM radusergroup WHERE username = $1", username)
        if group is None:
            return
        await connection.execute(
            "INSERT INTO radcheck (username, attribute, op, value) "
            "VALUES ($1, 'Cleartext-Password', ':=', $2)",
            username,
            password,
        )
        await connection.execute(
            "INSERT INTO radusergroup (username, groupname, priority) VALUES ($1, $2, 1)", username, group
        )

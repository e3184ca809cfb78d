"""Who is let in: bounds on connections that have not logged in yet, and on sessions."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from nbi.info import Limits


class Connection(Protocol):
    """A connection of which nothing is needed but that it can be told apart."""

    def abort(self) -> None: ...


def network_of(peer: str) -> str:
    """What connections are counted by: an IPv4 address, or the /64 that an IPv6 address is in."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped or ipaddress.ip_network((address, 64), strict=False))
    return str(address)


class Admission:
    """Counts connections and sessions against the limits, which may change at any time.

    Args:
        limits: gives the limits in force.
        users: names of the users of all sessions that are open.
    """

    def __init__(self, limits: Callable[[], Limits], users: Callable[[], Iterable[str]]) -> None:
        self._limits = limits
        self._users = users
        self._logins: dict[Connection, str] = {}
        self._owners: dict[Connection, str] = {}
        self.connections: set[Connection] = set()

    def refusal_of_connection(self, peer: str) -> str | None:
        """Why one more connection from this address is not let in; None when it is."""
        limits, network = self._limits(), network_of(peer)
        if len(self._logins) >= limits.max_logins:
            return f"{limits.max_logins} connections are logging in"
        if sum(other == network for other in self._logins.values()) >= limits.max_logins_per_peer:
            return f"{limits.max_logins_per_peer} connections of this address are logging in"
        if len(self.connections) - len(self._logins) >= limits.max_sessions:
            return f"{limits.max_sessions} connections are open"
        return None

    def connected(self, connection: Connection, peer: str) -> None:
        """A connection that begins to log in."""
        self.connections.add(connection)
        self._logins[connection] = network_of(peer)

    def logged_in(self, connection: Connection, user: str) -> str | None:
        """It has. Why it is not kept all the same; None when it is: connections without sessions would keep
        others out as well as sessions do, so that a user has as many."""
        self._logins.pop(connection, None)
        self._owners[connection] = user
        limit = self._limits().max_sessions_per_user
        if sum(other == user for other in self._owners.values()) <= limit:
            return None
        return f"{limit} connections of this user are open, which is all one may have (max-sessions-per-user)"

    def lost(self, connection: Connection) -> None:
        """It is gone."""
        self.connections.discard(connection)
        self._logins.pop(connection, None)
        self._owners.pop(connection, None)

    def refusal_of_session(self, user: str) -> str | None:
        """Why this user gets no further session; None when he gets one."""
        limits = self._limits()
        by_user = Counter(self._users())
        if by_user.total() >= limits.max_sessions:
            return f"{limits.max_sessions} sessions are open, which is all there may be (max-sessions)"
        if by_user[user] >= limits.max_sessions_per_user:
            return (
                f"{limits.max_sessions_per_user} sessions of this user are open, "
                "which is all one may have (max-sessions-per-user)"
            )
        return None

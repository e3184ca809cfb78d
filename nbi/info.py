"""What is known and counted of sessions, and the bounds that they are kept in."""

from __future__ import annotations

from dataclasses import dataclass

from yang.datastore.model import Session as DatastoreSession


@dataclass(slots=True)
class Counters:
    """Counters of ietf-netconf-monitoring."""

    in_rpcs: int = 0
    in_bad_rpcs: int = 0
    out_rpc_errors: int = 0
    out_notifications: int = 0


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What is known of a session before it begins.

    Attributes:
        transport: ``netconf-ssh`` …, an identity of ietf-netconf-monitoring without its prefix.
        peer: address of the client, "" on a unix socket.
        login_time: nanoseconds since the epoch.
        trusted: the user is not one of the configuration: a process of this machine vouched for him.
    """

    datastore: DatastoreSession
    transport: str
    peer: str
    login_time: int
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that protect the server from its clients.

    Attributes:
        max_message: largest request in octets.
        hello_timeout: seconds until the client's hello has to be there.
        idle_timeout: seconds after which a session without requests and without subscription ends; 0 for
            never.
        stall_timeout: seconds that a client may leave a reply unread.
        keepalive_interval: seconds of silence after which a client is asked whether it is still there; it
            is gone when it leaves three of these unanswered.
        max_sessions: sessions at the same time.
        max_sessions_per_user: the same of one user.
        max_logins: connections that have not logged in yet.
        max_logins_per_peer: the same from one address, so that one peer cannot keep all others out.
        login_timeout: seconds for authentication.
        max_login_failures: wrong secrets on one connection.
        failure_delay: seconds that the answer to the first wrong password waits; to the second twice as
            long, and so on.
    """

    max_message: int = 16 * 1024 * 1024
    hello_timeout: float = 30.0
    idle_timeout: float = 0.0
    stall_timeout: float = 60.0
    keepalive_interval: float = 30.0
    max_sessions: int = 128
    max_sessions_per_user: int = 64
    max_logins: int = 48
    max_logins_per_peer: int = 16
    login_timeout: float = 30.0
    max_login_failures: int = 6
    failure_delay: float = 0.3

"""What a handler may know and do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from lxml import etree

from nbi.files import ConfigFiles
from nbi.subscriptions import SessionSubscriptions
from yang.access import User
from yang.datastore.model import Session
from yang.tree import Tree

Reply = Iterable[bytes] | None
"""Content of an ``rpc-reply`` in pieces that are not split inside a character; None is ``<ok/>``.

Its first piece is asked for before anything is sent, so that an error in it still becomes an rpc-error.
"""


class SessionControl(Protocol):
    """What an operation can do to sessions."""

    @property
    def subscriptions(self) -> SessionSubscriptions:
        """Those of this session."""

    def close_after_reply(self) -> None:
        """End the session once the reply has been sent."""

    async def kill(self, session_id: int) -> None:
        """End another session; returns when its locks are released.

        Raises:
            RpcError: invalid-value when there is no such session, or it is this one.
        """


@dataclass(frozen=True, slots=True)
class Context:
    """The session and the tree that an operation works on.

    Attributes:
        files: what urls name; None without :url.
    """

    tree: Tree
    session: Session
    control: SessionControl
    files: ConfigFiles | None = None

    @property
    def user(self) -> User:
        """On whose behalf."""
        return self.session.user


Handler = Callable[[Context, etree._Element], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A handler with what the session does around it.

    Attributes:
        schema_path: for NACM (RFC 8341 section 3.2.4).
        handler: carries it out.
        interruptible: whether it can be dropped half-way when the session ends: it changes nothing, or
            waits for another session, which may be waiting for this one.
    """

    schema_path: str
    handler: Handler
    interruptible: bool = False

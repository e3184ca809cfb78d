"""Who calls: username and password in the metadata of each RPC, or a certificate."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from telemetry.errors import Code, Refused
from telemetry.source import follow
from yang.access import User
from yang.tree import Tree

log = structlog.get_logger()

REMEMBERED_SECONDS = 60.0
_MOST_REMEMBERED = 1000


class Authenticator:
    """Asks the tree, in a thread because hashing takes long, and remembers for a minute who was right.

    What is remembered is a keyed digest, never the password; a commit that may have changed users forgets
    everything.
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._key = secrets.token_bytes(32)
        self._known: dict[bytes, tuple[User, float]] = {}
        self._threads = ThreadPoolExecutor(2, "gnmi-authenticate")
        self._watcher: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch for changes of the users."""
        watch = self._tree.bus.watch("/ietf-system:system")
        self._watcher = asyncio.create_task(follow(watch, self.forget), name="gnmi-users")

    def forget(self) -> None:
        """Ask the tree again, whoever comes."""
        self._known.clear()

    def close(self) -> None:
        """End the threads."""
        if self._watcher is not None:
            self._watcher.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def user(
        self, metadata: Iterable[tuple[str, Any]] | None, peer: str, certified: Sequence[str] = ()
    ) -> User:
        """The user that the metadata names. Raises Refused (UNAUTHENTICATED).

        A password that is given must be right (specification, 3.1). Without one, the user must be one of
        `certified`; without a user name too it is the first of these.

        Args:
            peer: address of the client, for the log.
            certified: names in the certificate that the client has shown, where these need no password.
        """
        given = dict(metadata or ())
        username, password = given.get("username"), given.get("password")
        if certified and password is None:
            return self._certified(username, peer, certified)
        if not isinstance(username, str) or not isinstance(password, str) or not username:
            raise Refused(Code.UNAUTHENTICATED, "give 'username' and 'password' in the metadata of the RPC")
        secret = f"{len(username)}:{username}{password}".encode()
        digest = hmac.new(self._key, secret, hashlib.sha256).digest()
        known = self._known.get(digest)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        loop = asyncio.get_running_loop()
        user = await loop.run_in_executor(self._threads, self._check, username, password)
        if user is None:
            log.warning("gnmi.authentication.failed", user=username[:64], peer=peer)
            raise Refused(Code.UNAUTHENTICATED, "the username or the password is wrong")
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[digest] = (user, time.monotonic() + REMEMBERED_SECONDS)
        return user

    def _certified(self, username: Any, peer: str, certified: Sequence[str]) -> User:
        name = certified[0] if username is None else username
        if name in certified and self._tree.has_user(name):
            return User(name)
        log.warning("gnmi.authentication.failed", user=str(username or certified[0])[:64], peer=peer)
        raise Refused(
            Code.UNAUTHENTICATED, "the certificate is not of a user, or not of the one that is named"
        )

    def _check(self, username: str, password: str) -> User | None:
        return self._tree.authenticate(username, password=password)

"""The NETCONF server: listens, keeps the sessions, and reports on them."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncssh
import structlog

from nbi import hostkeys, monitoring, ssh, unix
from nbi.admission import Admission
from nbi.callhome import CallHome
from nbi.files import SCHEMES, ConfigFiles
from nbi.info import Counters, Limits, SessionInfo
from nbi.intake import Intake
from nbi.link import Link
from nbi.operations.filters import WITH_DEFAULTS_MODES
from nbi.protocol.capabilities import ModuleCapability, server_capabilities
from nbi.protocol.errors import RpcError
from nbi.session import NetconfSession
from nbi.subscriptions import Registry, Replay
from nbi.subscriptions.providers import subscription_providers
from yang.access import User
from yang.datastore.model import Session as DatastoreSession
from yang.provider import Notification, StateProvider
from yang.tree import Tree

log = structlog.get_logger(__name__)

MODULES_DIR = Path(__file__).parent / "modules"
"""Modules of the protocol itself: to be given to `Tree.open` as one of its `module_dirs`."""

_MAX_SESSION_ID = 4294967295
_HASHING_THREADS = 2
_DROPPED = frozenset({"dropped", "timeout", "other"})
"""Termination reasons that count as dropped-sessions (RFC 6022): neither closed nor killed, nor a bad hello,
which has a counter of its own."""
_STOP_TIMEOUT = 10.0
"""Seconds that sessions may take for the change that they are making when the server stops."""


class NetconfServer:
    """Serves a tree over NETCONF.

    Args:
        tree: what is served; opened with `MODULES_DIR` among its module folders.
        listen: addresses to listen on for SSH, (host, port); port 0 takes a free one.
        host_key_path: the Ed25519 host key; the others are beside it (`nbi.hostkeys`). They are made where
            they do not exist, and only when there is an address to listen on: `call_home` needs them too.
        unix_path: a unix socket that speaks NETCONF without SSH, or None.
        unix_user: who processes of the server's own user and of root are there.
        unix_group: group whose processes may connect as well, each as the configured user of the name that
            the process's user has; None for nobody.
        replay: the journal behind the notification stream, or None when there is no replay.
        limits: bounds on what clients can take.
        files_dir: folder of the files that urls name (RFC 6241 section 8.8), made if need be; None: no :url.
    """

    def __init__(
        self,
        tree: Tree,
        listen: Sequence[tuple[str, int]],
        host_key_path: Path,
        *,
        unix_path: Path | None = None,
        unix_user: User | None = None,
        unix_group: str | None = None,
        replay: Replay | None = None,
        limits: Limits | None = None,
        files_dir: Path | None = None,
    ) -> None:
        if unix_path is not None and unix_user is None:
            raise ValueError("a unix socket needs the user that its clients are")
        if tree.schema.module("notifications") is None:
            raise ValueError("the tree has to be opened with nbi.server.MODULES_DIR among its module_dirs")
        self.tree = tree
        self.replay = replay
        self.limits = limits or Limits()
        self.totals = Counters()
        self.subscriptions = Registry(tree, replay, self.limits)
        self.namespaces = {module.name: module.namespace for module in tree.schema.modules}
        self.files = None if files_dir is None else ConfigFiles(files_dir, self.limits.max_message)
        self.capabilities = _capabilities(tree, self.files)
        self.hashing = ThreadPoolExecutor(_HASHING_THREADS, thread_name_prefix="netconf-login")
        self.sessions: dict[int, NetconfSession] = {}
        self.admission = Admission(
            lambda: self.limits,
            lambda: (session.info.datastore.user.name for session in self.sessions.values()),
        )
        self.intake = Intake(lambda: self.sessions.values())
        self.host_keys: list[asyncssh.SSHKey] = []
        self.call_home = CallHome(self)
        self._listen = tuple(listen)
        self._host_key_path = host_key_path
        self._unix_path = unix_path
        self._unix_user = unix_user
        self._unix_group = unix_group
        self._acceptors: list[asyncssh.SSHAcceptor] = []
        self._unix: asyncio.Server | None = None
        self._ids = itertools.cycle(range(1, _MAX_SESSION_ID + 1))
        self._started_ns = 0
        self._session_count = 0
        self._dropped = 0
        self._bad_hellos = 0

    # --- life ------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: an address cannot be listened on, or the host key not be kept.
        """
        self._started_ns = time.time_ns()
        self.tree.capabilities = self.capabilities
        self.tree.on_users_gone.append(self._users_gone)
        self._add_providers()
        self.subscriptions.start()
        try:
            if self._listen:
                await self._load_host_keys()
                for host, port in self._listen:
                    self._acceptors.append(await ssh.listen(self, host, port, self.host_keys))
            if self._unix_path is not None:
                assert self._unix_user is not None
                self._unix = await unix.listen(self, self._unix_path, self._unix_user, self._unix_group)
        except BaseException:
            await self.stop()
            raise
        log.info("netconf.listening", ports=self.ports, unix=str(self._unix_path or ""))

    async def _load_host_keys(self) -> None:
        self.host_keys = await asyncio.to_thread(hostkeys.load_host_keys, self._host_key_path)
        for key in hostkeys.describe(self.host_keys):
            log.info("netconf.host-key", algorithm=key.algorithm, fingerprint=key.fingerprint)

    async def stop(self) -> None:
        """End all sessions, release their locks, close all sockets."""
        if self._users_gone in self.tree.on_users_gone:
            self.tree.on_users_gone.remove(self._users_gone)
        self.subscriptions.stop()
        await self.call_home.stop()
        for acceptor in self._acceptors:
            acceptor.close()
        if self._unix is not None:
            self._unix.close()
        ending = tuple(self.sessions.values())
        for session in ending:
            session.end("other")
        if ending:
            await asyncio.wait([session.task for session in ending], timeout=_STOP_TIMEOUT)
        for connection in tuple(self.admission.connections):
            connection.abort()
        for acceptor in self._acceptors:
            await acceptor.wait_closed()
        self._acceptors.clear()
        if self._unix is not None and self._unix_path is not None:
            self._unix_path.unlink(missing_ok=True)
        self.hashing.shutdown(wait=False, cancel_futures=True)

    @property
    def ports(self) -> list[int]:
        """The TCP ports in use, in the order of the addresses given."""
        return [acceptor.get_port() for acceptor in self._acceptors]

    def _add_providers(self) -> None:
        providers: list[StateProvider] = [
            monitoring.SessionsProvider(self.sessions),
            monitoring.StatisticsProvider(self._statistics),
            *subscription_providers(self.subscriptions),
        ]
        for provider in providers:
            if self.tree.schema.find(provider.path) is not None:
                self.tree.add_provider(provider)

    def _statistics(self) -> dict[str, object]:
        return monitoring.statistics(
            self._started_ns, self.totals, self._session_count, self._dropped, self._bad_hellos
        )

    # --- what sessions and connections ask for ---------------------------------------------------

    def open_session(
        self, link: Link, user: User, transport: str, peer: str, *, trusted: bool = False
    ) -> NetconfSession | None:
        """Begin a session; None when there are too many, or the user is not configured any more (unless
        he is trusted, see `SessionInfo`)."""
        if not trusted and not self.tree.has_user(user.name):
            return None
        refusal = self.admission.refusal_of_session(user.name)
        if refusal is not None:
            log.warning("netconf.too-many-sessions", user=user.name, peer=peer, detail=refusal)
            return None
        session_id = next(number for number in self._ids if number not in self.sessions)
        info = SessionInfo(
            DatastoreSession(session_id, user, f"netconf {peer}".strip()),
            transport,
            peer,
            time.time_ns(),
            trusted,
        )
        session = NetconfSession(self, link, info)
        self.sessions[session_id] = session
        self._session_count += 1
        session.start(self._session_ended)
        self._publish(monitoring.SESSION_START, monitoring.session_start_record(session))
        return session

    def _users_gone(self, names: frozenset[str], author: int) -> None:
        """End the sessions of users that are not configured any more; the one whose commit it was gets its
        reply first."""
        for session in tuple(self.sessions.values()):
            if session.info.datastore.user.name not in names or session.info.trusted:
                continue
            if session.id == author:
                session.close_after_reply()
            else:
                session.end("other")

    def _session_ended(self, session: NetconfSession) -> None:
        del self.sessions[session.id]
        if session.reason in _DROPPED:
            self._dropped += 1
        self._publish(monitoring.SESSION_END, monitoring.session_end_record(session))

    def _publish(self, path: str, record: object) -> None:
        if self.tree.schema.find(path) is not None:
            self.tree.bus.publish(Notification(path, record, time.time_ns()))
        self.tree.bus.state_changed(monitoring.SessionsProvider.path)

    async def kill(self, session_id: int, by: int) -> None:
        """End a session for another one; returns when its locks are released."""
        session = self.sessions.get(session_id)
        if session is None:
            raise RpcError(
                "invalid-value", f"there is no session {session_id}", info={"bad-element": "session-id"}
            )
        session.end("killed", by)
        await asyncio.wait({session.task})

    def bad_hello(self) -> None:
        """Count a session that ended by its hello."""
        self._bad_hellos += 1


def _capabilities(tree: Tree, files: ConfigFiles | None) -> list[str]:
    """URIs of the server's hello: what it can do, and all modules that it implements."""
    modules = [
        ModuleCapability(module.name, module.namespace, module.revision, module.features, module.deviations)
        for module in tree.schema.modules
        if module.implemented
    ]
    return server_capabilities(
        content_id=tree.schema.content_id,
        with_defaults=WITH_DEFAULTS_MODES,
        modules=modules,
        url_schemes=SCHEMES if files is not None else (),
    )

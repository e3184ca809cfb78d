"""The `Tree`: schema, datastores, providers, access control and bus as the servers see them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from lxml import etree

from yang.access import AccessControl, User
from yang.announcements import MAX_REPORTED, config_change, confirmed_commit
from yang.builtin import SERVED, builtin_providers
from yang.bus import Bus
from yang.datastore import Datastores
from yang.datastore.boot import boot
from yang.datastore.commit_log import CommitLog
from yang.datastore.commits import save_always
from yang.datastore.confirm import Event
from yang.datastore.edit import ValueReader
from yang.datastore.guard import ManagementGuard
from yang.datastore.model import CommitResult, PathOperation, Session
from yang.datastore.operation_input import OperationInputs
from yang.datastore.past import Past, schema_path
from yang.datastore.running import Author, Running, Snapshot
from yang.datastore.startup import this_boot
from yang.datastore.validator import Validator
from yang.operations import InputReader, Invoker, Record, find_operation
from yang.provider import (
    Keys,
    Notification,
    OperationError,
    Registration,
)
from yang.reading import Reading
from yang.schema import Schema
from yang.users import Certificate, PublicKey, Users


class Tree(Reading):
    """Everything that `nbi` and `telemetry` may know of an element.

    Methods are called from the event loop that `open` ran in, except `authenticate` (any thread).

    Attributes:
        schema: the schema tree and the modules.
        datastores: configuration: edits, locks, commits (see `yang.datastore.Datastores`).
        bus: notifications and change wake-ups.
        access: NACM decisions.
        past: what running was.
        served: names of the datastores (RFC 8342).
        capabilities: what ``netconf-state/capabilities`` lists; the NETCONF server sets it.
        on_users_gone: called with the names of users that a commit removed, and the session whose commit
            it was (0: none).
    """

    def __init__(
        self,
        schema: Schema,
        validator: Validator,
        running: Running,
        datastores: Datastores,
        access: AccessControl,
    ) -> None:
        """Use `open`."""
        super().__init__(schema, datastores, access)
        self.bus = Bus()
        self.capabilities: list[str] = []
        self.on_users_gone: list[Callable[[frozenset[str], int], None]] = []
        self.past: Past
        self.served = SERVED
        self._running = running
        self._users = Users()
        values = ValueReader(validator.check_value)
        inputs = OperationInputs(validator.context, validator, lambda: running.snapshot.members)
        self._invoker = Invoker(
            schema, access, self._reader, InputReader(schema, values), inputs.complete, running.in_worker
        )
        self._worker: ThreadPoolExecutor | None = None
        self._nacm: Any = None

    @classmethod
    async def open(
        cls,
        registration: Registration,
        state_dir: Path,
        startup: Path | None = None,
        *,
        module_dirs: Sequence[Path] = (),
        history_limit: int = 100,
        saves: Callable[[Mapping[str, Any]], bool] = save_always,
        boot_id: str | None = None,
        factory: Mapping[str, Any] | None = None,
    ) -> Tree:
        """Load the schema and the configuration.

        Args:
            registration: the element's providers, config handlers and operations. Config handlers are not
                called for the configuration that is loaded here: read it with `running_json`.
            state_dir: private folder; ``config/running.json`` and ``config/history/`` live in it.
            startup: file that is read when there is no ``running.json`` yet, or when a machine is booted
                whose startup configuration was deleted: RFC 7951 JSON, or XML. With neither the configuration
                is empty.
            module_dirs: folders with modules to load besides those of `yang.modules` (every file in them).
            history_limit: commits that are remembered.
            saves: whether commits are startup too, by the running configuration; see
                `yang.datastore.commits.Commits`. Where they are not, a machine that was booted since running
                was written loads startup; a process that starts again goes on with running.
            boot_id: names this boot of the machine; the kernel is asked when None.
            factory: RFC 7951 members that the first configuration gets where it does not have them: the roles
                that the element comes with.

        Raises:
            OperationError: the stored configuration does not fit the model; the message says where.
        """
        worker = ThreadPoolExecutor(1, thread_name_prefix="libyang")
        try:
            booted = this_boot() if boot_id is None else boot_id
            (
                schema,
                validator,
                store,
                snapshot,
                saved,
                resumed,
            ) = await asyncio.get_running_loop().run_in_executor(
                worker, boot, state_dir, startup, tuple(module_dirs), history_limit, booted, factory
            )
        except BaseException:
            worker.shutdown(wait=False)
            raise
        running = Running(schema, validator, worker, store, registration.config, snapshot)
        access = AccessControl(schema)
        datastores = Datastores(schema, validator, running, store, access, saved, saves)
        tree = cls(schema, validator, running, datastores, access)
        tree._worker = worker
        commits = CommitLog(schema, validator, running, store, datastores, access)
        tree.past = Past(schema, validator, running, store, commits.read)
        tree._register(registration, commits)
        tree._configure(snapshot)
        running.on_change(tree._changed)
        datastores.on_startup_change(tree._startup_changed)
        if resumed is not None:
            datastores.confirmed_commit.resume(resumed.confirmation, resumed.backup)
        return tree

    async def close(self) -> None:
        """End timers and the validation thread. A confirmed commit that is under way is reverted, unless it
        persists."""
        await self.datastores.close()
        self._documents.shutdown(wait=False, cancel_futures=True)
        if self._worker is not None:
            self._running.close()
            self._worker.shutdown(wait=False)

    def _register(self, registration: Registration, commits: CommitLog) -> None:
        self._invoker.register(registration.operations, commits.operations())
        self.datastores.guard = ManagementGuard(self.schema, registration.essential)
        self.datastores.confirmed_commit.listeners.append(self._confirmed)
        self.add_provider(commits)
        for provider in builtin_providers(
            self.schema, self.datastores, self.access, lambda: list(self.capabilities)
        ):
            self.add_provider(provider)
        for provider in registration.state:
            self.add_provider(provider)

    def _configure(self, snapshot: Snapshot) -> frozenset[str]:
        """Take over what concerns ourselves. Returns the names of users that are gone."""
        nacm = snapshot.full.get("ietf-netconf-acm:nacm")
        explicit = snapshot.tree.get("ietf-netconf-acm:nacm")
        if explicit is not self._nacm or explicit is None:
            self.access.configure({"ietf-netconf-acm:nacm": nacm})
            self._reader.forget()
        self._nacm = explicit
        return self._users.configure(snapshot.tree)

    def _changed(self, snapshot: Snapshot, changed: Sequence[str], author: Author) -> None:
        """After each commit: take over what concerns ourselves, and tell the others."""
        gone = self._configure(snapshot)
        if gone:
            for listener in tuple(self.on_users_gone):
                listener(gone, author.session)
        paths = set(map(schema_path, changed[:MAX_REPORTED]))
        if len(changed) > MAX_REPORTED:
            paths |= {f"/{top}" for top in {path[1:].partition("/")[0] for path in changed}}
        for path in paths:
            self.bus.state_changed(path)
        self.bus.state_changed(CommitLog.path)
        self.bus.publish(config_change(changed, author))

    def _confirmed(self, event: Event, author: Author, timeout: float | None) -> None:
        """Tell what happens to a confirmed commit."""
        self.bus.state_changed(CommitLog.path)
        self.bus.publish(confirmed_commit(event, author, timeout))

    def _startup_changed(self, changed: Sequence[str], author: Author) -> None:
        self.bus.publish(config_change(changed, author, "startup"))

    # --- who -------------------------------------------------------------------------------------

    def authenticate(
        self,
        username: str,
        *,
        password: str | None = None,
        public_key: PublicKey | None = None,
        certificate: Certificate | None = None,
    ) -> User | None:
        """The user, if the secret is right; None otherwise, after about the same time. Thread-safe.

        Args:
            password: checked against the hash in ``ietf-system``. Slow on purpose (≈ 10 ms and more): call
                it in a thread.
            public_key: (algorithm, key data as in RFC 4253): True if it is one of the user's authorized
                keys. Whoever calls has checked, or will check, the signature.
            certificate: an OpenSSH certificate: True if it is of an authority that is configured, names the
                user, and is not revoked.
        """
        return self._users.authenticate(username, password, public_key, certificate)

    def has_user(self, username: str) -> bool:
        """Whether the running configuration has this user."""
        return username in self._users

    # --- change ----------------------------------------------------------------------------------

    async def transaction(
        self,
        user: User,
        origin: str,
        operations: Sequence[PathOperation],
        *,
        comment: str = "",
        confirm_timeout: float | None = None,
        persist_id: str | None = None,
    ) -> CommitResult:
        """gNMI Set: edit running in one transaction, all or nothing, through the same validation, NACM,
        handlers and history as a NETCONF commit. `operations` are applied deletes first, then replaces,
        then updates. The candidate is left alone.

        Args:
            origin: where it came from, for the history: ``gnmi 192.0.2.1``.
            confirm_timeout: seconds after which it is reverted unless confirmed
                (`datastores.confirm_commit(persist_id)`), None commits for good.

        Raises:
            OperationError: ``in-use`` or ``lock-denied`` while a NETCONF session holds a lock or a
                confirmed commit is under way; ``access-denied``; whatever validation or a handler says.
        """
        return await self.datastores.transaction(
            user,
            origin,
            operations,
            comment=comment,
            confirm_timeout=confirm_timeout,
            persist_id=persist_id,
        )

    async def invoke(
        self,
        schema_path: str,
        keys: Keys,
        input: etree._Element | Mapping[str, Any] | None,
        user: User,
        session: Session | None = None,
    ) -> Mapping[str, Any] | None:
        """Carry out an RPC or an action of the model: access control, validation of the input, then the
        registered operation.

        Args:
            schema_path: ``/aether-subscriber:sessions/session/disconnect``.
            keys: values of all enclosing lists' keys, outermost first, as Python values or text.
            input: element whose children are the input, or RFC 7951 members.
            session: whose locks and confirmed commits count; None when the caller has no session.

        Returns:
            The output as YANG names → Python values, or None. `encode_output` makes XML of it.

        Raises:
            OperationError: ``access-denied``, ``operation-not-supported`` (nothing is registered),
                ``data-missing`` (no such instance), ``invalid-value`` …
        """
        return await self._invoker.invoke(schema_path, keys, input, user, session)

    def find_operation(self, element: etree._Element) -> tuple[str, tuple[str, ...], etree._Element] | None:
        """What an ``<rpc>``'s child asks for, if the model defines it: (schema path, key texts, the element
        whose children are the input). Understands the ``<action xmlns="urn:ietf:params:xml:ns:yang:1">``
        wrapper. None when the schema has no such operation.

        Raises:
            OperationError: a malformed action.
        """
        return find_operation(self.schema, element)

    def encode_output(self, schema_path: str, output: Mapping[str, Any] | None) -> bytes:
        """Children of ``<rpc-reply>`` for the output of an RPC or action; b"" for none (reply ``<ok/>``)."""
        node = self.schema.find(f"{schema_path}/output")
        if node is None or not output:
            return b""
        return self._reader.content(node, Record(node, output))

    def check_exec(self, schema_path: str, user: User) -> None:
        """NACM for a protocol operation that the server carries out itself: ``/ietf-netconf:get-config``.

        Raises:
            OperationError: ``access-denied``.
        """
        self.access.check_exec(self.schema.node(schema_path), user)

    # --- notifications ---------------------------------------------------------------------------

    def may_receive(self, notification_path: str, user: User, keys: Keys = ()) -> bool:
        """NACM for a notification, by schema path; `keys` are those around one that is tied to a node."""
        return self.access.may_receive(self.schema.node(notification_path), user, keys)

    def encode_notification(self, notification: Notification) -> bytes:
        """The content of a notification as one XML element."""
        return self._reader.element(self.schema.node(notification.path), notification.record)

    def notification_json(self, notification: Notification) -> dict[str, Any]:
        """The content of a notification as RFC 7951 members, under its qualified name."""
        node = self.schema.node(notification.path)
        return {node.json_name: self._reader.members(node, notification.record)}

    # --- modules ---------------------------------------------------------------------------------

    def get_schema(self, identifier: str, version: str | None = None, format: str | None = None) -> str:
        """YANG text of a module or submodule (RFC 6022 section 3.1).

        Raises:
            OperationError: ``invalid-value``: an unknown module, version or format.
        """
        if format not in (None, "yang"):
            raise OperationError("invalid-value", f'schemas are served in the format "yang", not "{format}"')
        for module in self.schema.modules:
            if module.name == identifier and version in (None, "", module.revision):
                return module.text
            if identifier in module.submodules and version in (None, "", module.submodules[identifier]):
                return module.submodule_texts[identifier]
        what = identifier if not version else f"{identifier}@{version}"
        raise OperationError("invalid-value", f"there is no module {what}")

"""The `Tree`: schema, datastores, providers, access control and bus as the servers see them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lxml import etree

from yang.access import AccessControl, User
from yang.bus import Bus
from yang.datastore import Datastores
from yang.datastore.model import CommitResult, PathOperation
from yang.path import DataPath
from yang.provider import Keys, Notification, Registration, StateProvider
from yang.query import Selection
from yang.schema import Schema, SchemaNode

Content = Literal["config", "state", "all"]
WithDefaults = Literal["explicit", "report-all", "report-all-tagged", "trim"]


class Tree:
    """Everything that `nbi` and `telemetry` may know of an element.

    Methods are called from the event loop that `open` ran in, except `authenticate` (any thread).

    Attributes:
        schema: the schema tree and the modules.
        datastores: configuration: edits, locks, commits (see `yang.datastore.Datastores`).
        bus: notifications and change wake-ups.
        access: NACM decisions.
        capabilities: what ``netconf-state/capabilities`` lists; the NETCONF server sets it.
    """

    schema: Schema
    datastores: Datastores
    bus: Bus
    access: AccessControl
    capabilities: list[str]

    @classmethod
    async def open(
        cls,
        registration: Registration,
        state_dir: Path,
        startup: Path | None = None,
        *,
        module_dirs: Sequence[Path] = (),
        history_limit: int = 100,
    ) -> Tree:
        """Load the schema and the configuration.

        Args:
            registration: the element's providers, config handlers and operations. Config handlers are not
                called for the configuration that is loaded here: read it with `running_json`.
            state_dir: private folder; ``config/running.json`` and ``config/history/`` live in it.
            startup: RFC 7951 file that is read when there is no ``running.json`` yet. With neither the
                configuration is empty.
            module_dirs: folders with modules to load besides those of `yang.modules` (every file in them).
            history_limit: commits that are remembered.

        Raises:
            OperationError: the stored configuration does not fit the model; the message says where.
        """

    async def close(self) -> None:
        """End timers and the validation thread. A confirmed commit that is under way is reverted."""

    # --- who -------------------------------------------------------------------------------------

    def authenticate(
        self, username: str, *, password: str | None = None, public_key: tuple[str, bytes] | None = None
    ) -> User | None:
        """The user, if the secret is right; None otherwise, after about the same time. Thread-safe.

        Args:
            password: checked against the hash in ``ietf-system``. Slow on purpose (≈ 10 ms and more): call
                it in a thread.
            public_key: (algorithm, key data as in RFC 4253): True if it is one of the user's authorized
                keys. Whoever calls has checked, or will check, the signature.
        """

    # --- what ------------------------------------------------------------------------------------

    def select_all(self) -> Selection:
        """Everything."""

    def select_subtree(self, filter_element: etree._Element | None) -> Selection:
        """Subtree filter (RFC 6241 section 6): the element whose children are the filter; None selects
        everything, an empty element nothing. Nodes that the schema lacks select nothing."""

    def select_xpath(self, expression: str, namespaces: Mapping[str | None, str]) -> Selection:
        """XPath filter: unions of location paths with predicates on keys and leaves.

        Raises:
            OperationError: not XPath (``invalid-value``), or more of it than is supported
                (``operation-not-supported``).
        """

    def select_paths(self, paths: Iterable[DataPath]) -> Selection:
        """Paths, wildcards included (gNMI).

        Raises:
            OperationError: ``unknown-element`` when the schema has no such node.
        """

    def read_xml(
        self,
        selection: Selection,
        user: User,
        *,
        content: Content = "all",
        source: str = "running",
        with_defaults: WithDefaults = "explicit",
        depth: int | None = None,
    ) -> Iterator[bytes]:
        """Children of ``<data>`` as UTF-8 slices of at most about 64 KiB, never split inside a character.

        State comes with source ``running`` only. Between slices the caller may sleep or stop; an abandoned
        iterator costs nothing. What the user may not read is left out.
        """

    def read_json(
        self,
        selection: Selection,
        user: User,
        *,
        content: Content = "all",
        source: str = "running",
        with_defaults: WithDefaults = "explicit",
        depth: int | None = None,
    ) -> Iterator[tuple[DataPath, Any]]:
        """RFC 7951 values for gNMI JSON_IETF: for every instance that the selection's paths lead to, its
        path and value (a dict for a container or list entry; a scalar or list for a leaf or leaf-list).
        Member names are qualified as RFC 7951 says for a value that stands alone."""

    def read_leaves(
        self,
        selection: Selection,
        user: User,
        *,
        content: Content = "all",
        source: str = "running",
        with_defaults: WithDefaults = "explicit",
        depth: int | None = None,
    ) -> Iterator[tuple[DataPath, list[tuple[tuple[str, ...], Any, SchemaNode]]]]:
        """Scalars for gNMI PROTO: per container or list entry that is not inside another list entry's
        container, its path and its leaves: (names relative to it, Python value, schema node). Names are
        RFC 7951 member names. A leaf-list is a list of values."""

    def running_json(self, *, defaults: bool = True) -> dict[str, Any]:
        """The running configuration as RFC 7951 objects, without access control: for the element."""

    def provider(self, schema_path: str) -> StateProvider | None:
        """The provider registered at exactly this schema path, or None: for columns, logs and changes."""

    def add_provider(self, provider: StateProvider) -> None:
        """Register one more provider (a server's own sessions and statistics).

        Raises:
            ValueError: the schema has no container or list at its path, or the path is taken.
        """

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

    async def invoke(
        self, schema_path: str, keys: Keys, input: etree._Element | Mapping[str, Any] | None, user: User
    ) -> Mapping[str, Any] | None:
        """Carry out an RPC or an action of the model: access control, validation of the input, then the
        registered operation.

        Args:
            schema_path: ``/aether-subscriber:sessions/session/disconnect``.
            keys: values of all enclosing lists' keys, outermost first, as Python values or text.
            input: element whose children are the input, or RFC 7951 members.

        Returns:
            The output as YANG names → Python values, or None. `encode_output` makes XML of it.

        Raises:
            OperationError: ``access-denied``, ``operation-not-supported`` (nothing is registered),
                ``data-missing`` (no such instance), ``invalid-value`` …
        """

    def find_operation(self, element: etree._Element) -> tuple[str, tuple[str, ...], etree._Element] | None:
        """What an ``<rpc>``'s child asks for, if the model defines it: (schema path, key texts, the element
        whose children are the input). Understands the ``<action xmlns="urn:ietf:params:xml:ns:yang:1">``
        wrapper. None when the schema has no such operation.

        Raises:
            OperationError: a malformed action.
        """

    def encode_output(self, schema_path: str, output: Mapping[str, Any] | None) -> bytes:
        """Children of ``<rpc-reply>`` for the output of an RPC or action; b"" for none (reply ``<ok/>``)."""

    def check_exec(self, schema_path: str, user: User) -> None:
        """NACM for a protocol operation that the server carries out itself: ``/ietf-netconf:get-config``.

        Raises:
            OperationError: ``access-denied``.
        """

    # --- notifications ---------------------------------------------------------------------------

    def may_receive(self, notification_path: str, user: User) -> bool:
        """NACM for a notification, by schema path."""

    def encode_notification(self, notification: Notification) -> bytes:
        """The content of a notification as one XML element."""

    def notification_json(self, notification: Notification) -> dict[str, Any]:
        """The content of a notification as RFC 7951 members, under its qualified name."""

    # --- modules ---------------------------------------------------------------------------------

    def get_schema(self, identifier: str, version: str | None = None, format: str | None = None) -> str:
        """YANG text of a module (RFC 6022 section 3.1).

        Raises:
            OperationError: ``invalid-value`` (unknown), ``data-not-unique`` (app-tag) or an unknown format.
        """

"""Reading: what a request selects, and what of it a user may read, in the forms of the servers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, Final

from lxml import etree

from yang.access import AccessControl, User
from yang.datastore import Datastores
from yang.datastore.data import Tree, to_json
from yang.documents import OriginView
from yang.encode.leaves import Leaf
from yang.path import DataPath
from yang.provider import FetchedProvider, OperationError, StateProvider
from yang.query import Selection
from yang.query.paths import select_paths
from yang.query.plan import Content, WithDefaults
from yang.query.selection import named_keys
from yang.query.subtree import select_subtree
from yang.query.xpath import select_xpath
from yang.reader import Reader, View
from yang.schema import Schema, SchemaNode

_MAX_FETCHED: Final = 64


class Reading:
    """The part of `yang.tree.Tree` that reads."""

    def __init__(self, schema: Schema, datastores: Datastores, access: AccessControl) -> None:
        self.schema = schema
        self.datastores = datastores
        self.access = access
        self._providers: dict[str, StateProvider] = {}
        self._fetched: list[tuple[SchemaNode, FetchedProvider]] = []
        self._reader = Reader(schema, datastores, access, self._providers)
        self._documents = ThreadPoolExecutor(1, thread_name_prefix="documents")

    def select_all(self) -> Selection:
        """Everything."""
        return Selection(None)

    def select_subtree(self, filter_element: etree._Element | None) -> Selection:
        """Subtree filter (RFC 6241 section 6): the element whose children are the filter; None selects
        everything, an empty element nothing. Nodes that the schema lacks select nothing."""
        return select_subtree(self.schema, filter_element)

    def select_xpath(self, expression: str, namespaces: Mapping[str | None, str]) -> Selection:
        """XPath filter: any XPath 1.0, with the functions of YANG 1.1. Location paths whose predicates look
        at what is below their own node are as fast as other selections; what is more than that is worked out
        by `read`.

        Raises:
            OperationError: ``invalid-value``: not XPath, or an unknown prefix; ``too-big``.
        """
        return select_xpath(self.schema, expression, namespaces)

    def select_paths(self, paths: Iterable[DataPath]) -> Selection:
        """Paths, wildcards included (gNMI).

        Raises:
            OperationError: ``unknown-element`` when the schema has no such node.
        """
        return select_paths(self.schema, paths)

    async def prepare(self, selection: Selection) -> None:
        """Have what a selection names by its keys fetched, where state is elsewhere
        (`yang.provider.FetchedProvider`); to be awaited before reading it.

        Raises:
            OperationError: it cannot be fetched, or too much is named.
        """
        for node, provider in self._fetched:
            wanted = named_keys(selection, node)
            if len(wanted) > _MAX_FETCHED:
                raise OperationError(
                    "too-big", f"a request may name at most {_MAX_FETCHED} entries of {node.path}"
                )
            for keys in wanted:
                await provider.fetch(keys)

    def read_xml(
        self,
        selection: Selection,
        user: User,
        *,
        content: Content = "all",
        source: str = "running",
        with_defaults: WithDefaults = "explicit",
        depth: int | None = None,
        session: int = 0,
        origin: OriginView | None = None,
    ) -> Iterator[bytes]:
        """Children of ``<data>`` as UTF-8 slices of at most about 64 KiB, never split inside a character;
        empty ones where entries are looked at one by one.

        State comes with source ``running`` only; source ``candidate`` is that of `session`. Between slices
        the caller may sleep or stop; an abandoned iterator costs nothing. What the user may not read is left
        out.

        Args:
            depth: levels of what is selected, which is the first itself (RFC 8526); None: all.
            origin: what is asked about origins (RFC 8342).
        """
        view = View(user, content, source, with_defaults, depth, session, origin)
        return self._reader.xml(selection, view)

    async def read(
        self,
        selection: Selection,
        user: User,
        *,
        content: Content = "all",
        source: str = "running",
        with_defaults: WithDefaults = "explicit",
        depth: int | None = None,
        session: int = 0,
        origin: OriginView | None = None,
    ) -> Iterator[bytes]:
        """As `read_xml`; what takes long before there is a first slice (XPath, origins, tagged defaults) is
        done in a thread.

        Raises:
            OperationError: ``too-big``: more data or more work than one request may cause; ``invalid-value``:
                the value of an XPath filter is no node-set.
        """
        view = View(user, content, source, with_defaults, depth, session, origin)
        if not view.needs_document(selection):
            return self._reader.xml(selection, view)
        pending = self._reader.document(selection, view)
        pieces: list[bytes] = []
        for piece in pending.raw:
            pieces.append(piece)
            await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        return chain(await loop.run_in_executor(self._documents, pending.finish, pieces), pending.plain)

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
        return self._reader.json(selection, View(user, content, source, with_defaults, depth))

    def read_leaves(
        self,
        selection: Selection,
        user: User,
        *,
        content: Content = "all",
        source: str = "running",
        with_defaults: WithDefaults = "explicit",
        depth: int | None = None,
        configuration: Tree | None = None,
    ) -> Iterator[tuple[DataPath, list[Leaf]]]:
        """Scalars for gNMI PROTO: per container or list entry that is not inside another list entry's
        container, its path and its leaves: (names relative to it, Python value, schema node). Names are
        RFC 7951 member names. A leaf-list is a list of values.

        Args:
            configuration: what is read in the place of the source, as `yang.datastore.past` has it; there is
                no state with it.
        """
        if configuration is not None:
            content = "config"
        view = View(user, content, source, with_defaults, depth, configuration=configuration)
        return self._reader.leaves(selection, view)

    def running_json(self, *, defaults: bool = True) -> dict[str, Any]:
        """The running configuration as RFC 7951 objects, without access control: for the element."""
        snapshot = self.datastores.running
        return dict(snapshot.members) if defaults else to_json(self.schema.root, snapshot.tree)

    def provider(self, schema_path: str) -> StateProvider | None:
        """The provider registered at exactly this schema path, or None: for columns, logs and changes."""
        return self._providers.get(schema_path)

    def add_provider(self, provider: StateProvider) -> None:
        """Register one more provider (a server's own sessions and statistics).

        Raises:
            ValueError: the schema has no container or list at its path, or the path is taken.
        """
        node = self.schema.find(provider.path)
        if node is None or node.kind not in ("container", "list"):
            raise ValueError(f"a provider is registered at {provider.path}, which is no container or list")
        if provider.path in self._providers:
            raise ValueError(f"two providers are registered at {provider.path}")
        if node.kind == "list" and not node.config and any(level.kind == "list" for level in node.chain[:-1]):
            raise ValueError(f"{provider.path}: a list of state inside a list comes with its entry's record")
        self._providers[provider.path] = provider
        if isinstance(provider, FetchedProvider):
            self._fetched.append((node, provider))
        self._reader.forget()

"""Reading: a selection, a user and a datastore become XML, JSON or scalars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from yang.access import ALLOW_ALL, AccessControl, Rules, User
from yang.datastore import Datastores
from yang.documents import OriginView, Pending, render
from yang.encode.json import JsonEncoder
from yang.encode.leaves import Group, LeavesEncoder
from yang.encode.xml import XmlEncoder
from yang.path import DataPath
from yang.provider import StateProvider
from yang.query.paths import select_paths
from yang.query.plan import Body, Content, Planner, WithDefaults
from yang.query.selection import Children, Part, Selection
from yang.schema import Schema, SchemaNode
from yang.xpath.document import collect, on_document

_MAX_PLANNERS: Final = 128


@dataclass(frozen=True, slots=True)
class View:
    """How a selection is looked at: see `yang.tree.Tree.read_xml`."""

    user: User
    content: Content = "all"
    source: str = "running"
    with_defaults: WithDefaults = "explicit"
    depth: int | None = None
    session: int = 0
    origin: OriginView | None = None
    configuration: Mapping[str, Any] | None = None

    def needs_document(self, selection: Selection) -> bool:
        """Whether the reply cannot be written as it is read: see `yang.documents`."""
        return (
            (selection.query is not None and not self.reads_directly(selection))
            or self.origin is not None
            or self.with_defaults == "report-all-tagged"
        )

    def reads_directly(self, selection: Selection) -> bool:
        """Whether what a query selects is found while it is read. Levels are counted in a document, for two
        paths of a query may lead to nodes inside of each other; and only a document has the entries of
        configuration of which there is state, and no others."""
        return selection.direct is not None and self.depth is None and self.content != "state"


class Reader:
    """Plans what a view shows, and encodes it; keeps plans for users with equal rights.

    Args:
        providers: by schema path; shared with who adds to it, and then calls `forget`.
    """

    def __init__(
        self,
        schema: Schema,
        datastores: Datastores,
        access: AccessControl,
        providers: Mapping[str, StateProvider],
    ) -> None:
        self._schema = schema
        self._datastores = datastores
        self._access = access
        self._providers = providers
        self._planners: dict[tuple[Rules, Content, WithDefaults, bool], Planner] = {}
        self._xml = XmlEncoder(schema)
        self._json = JsonEncoder()
        self._leaves = LeavesEncoder()

    def forget(self) -> None:
        """Drop all plans: providers or access rules have changed."""
        self._planners.clear()

    def xml(self, selection: Selection, view: View) -> Iterator[bytes]:
        """See `yang.tree.Tree.read_xml`."""
        if view.needs_document(selection):
            return self._rendered(selection, view)
        top = selection.top if selection.query is None else selection.direct
        return self._xml.encode(self._plan(top, view, self._depth(selection, view)), self._config(view))

    def _rendered(self, selection: Selection, view: View) -> Iterator[bytes]:
        pending = self.document(selection, view)
        yield from pending.finish(list(pending.raw))
        yield from pending.plain

    def document(self, selection: Selection, view: View) -> Pending:
        """What `xml` shows, for a view that needs a document: in parts, so that the work is not in one piece.

        Only configuration has defaults and an origin: state is shown as it is, unless there is a query.
        """
        explicit = self._datastores.tree(view.source, session=view.session)
        config_shown = self._config(view)
        query = selection.query
        # of what a query selects, only `render` knows the levels that are wanted
        depth = None if query is not None else self._depth(selection, view)
        root = self._plan(selection.top, view, depth)
        config = tuple(plan for plan in root.inner if plan.node.config or query is not None)
        state = tuple(plan for plan in root.inner if plan not in config)
        plain, raw = (
            self._xml.encode(Body(root.node, (), inner, False), config_shown) for inner in (state, config)
        )

        def finish(pieces: Sequence[bytes]) -> list[bytes]:
            tagged = view.with_defaults == "report-all-tagged"
            return on_document(
                self._schema,
                pieces,
                lambda document: list(
                    render(
                        document,
                        query,
                        explicit,
                        config_shown,
                        depth=view.depth,
                        tag_defaults=tagged,
                        origin=view.origin,
                    )
                ),
            )

        return Pending(plain, collect(raw), finish)

    @staticmethod
    def _depth(selection: Selection, view: View) -> int | None:
        """Levels below what is selected; RFC 8526 counts what is selected as the first. Without a filter this
        is what is at the top."""
        return view.depth if selection.top is None or view.depth is None else view.depth - 1

    def leaves(self, selection: Selection, view: View) -> Iterator[Group]:
        """See `yang.tree.Tree.read_leaves`."""
        return self._leaves.encode(self._plan(selection.top, view, view.depth), self._config(view))

    def json(self, selection: Selection, view: View) -> Iterator[tuple[DataPath, Any]]:
        """See `yang.tree.Tree.read_json`."""
        parts = selection.parts or (self._whole(selection.top),)
        return self._parts(parts, view, self._config(view))

    def _parts(
        self, parts: tuple[Part, ...], view: View, config: Mapping[str, Any]
    ) -> Iterator[tuple[DataPath, Any]]:
        for part in parts:
            yield from self._json.encode_part(self._plan(part.top, view, view.depth), part, config)

    def _whole(self, top: Children | None) -> Part:
        """Top-level nodes as targets, for a selection that does not come from paths."""
        targets = [node for node in self._schema.root.data_children if top is None or node in top]
        return Part(top, tuple(targets))

    def exists(self, path: DataPath) -> bool:
        """Whether an instance exists in running or as state, whoever asks."""
        part = select_paths(self._schema, [path]).parts[0]
        root = self._planner(ALLOW_ALL, "all", "explicit", True).plan(part.top)
        return next(self._json.encode_part(root, part, self._datastores.running.tree), None) is not None

    # --- records that come from elsewhere --------------------------------------------------------

    def element(self, node: SchemaNode, record: Any) -> bytes:
        """A record as the XML element of its node: a notification."""
        return self._xml.element(self._whole_body(node), record)

    def content(self, node: SchemaNode, record: Any) -> bytes:
        """What a record holds, as XML elements: the output of an operation."""
        return self._xml.content(self._whole_body(node), record)

    def members(self, node: SchemaNode, record: Any) -> dict[str, Any]:
        """What a record holds, as RFC 7951 members."""
        return self._json.encoder(self._whole_body(node))(None, record, ()) or {}

    def _whole_body(self, node: SchemaNode) -> Body:
        body = self._planner(ALLOW_ALL, "all", "explicit", True).body(node, None, (), None)
        assert body is not None
        return body

    # --- plans -----------------------------------------------------------------------------------

    def _plan(self, top: Children | None, view: View, depth: int | None) -> Body:
        rules = self._access.rules_for(view.user)
        planner = self._planner(rules, view.content, view.with_defaults, view.source == "running")
        return planner.plan(top, depth)

    def _planner(
        self, rules: Rules, content: Content, with_defaults: WithDefaults, with_state: bool
    ) -> Planner:
        known = (rules, content, with_defaults, with_state)
        planner = self._planners.get(known)
        if planner is None:
            if len(self._planners) >= _MAX_PLANNERS:
                self._planners.clear()
            planner = self._planners[known] = Planner(
                self._schema.root,
                rules,
                self._providers,
                content=content,
                with_defaults=with_defaults,
                with_state=with_state,
            )
        return planner

    def _config(self, view: View) -> Mapping[str, Any]:
        if view.configuration is not None:
            return view.configuration
        defaults = view.with_defaults in ("report-all", "report-all-tagged")
        return self._datastores.tree(view.source, defaults=defaults, session=view.session)

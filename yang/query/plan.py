"""From a selection to a plan: what a user sees of it, and where each part comes from.

A `Planner` holds what is the same for all requests of users with equal rights: content, defaults. A
`NodePlan` is a selected schema node with its conditions; a `Body` is what one of its instances shows. Bodies
that do not depend on the request's values are compiled once and kept, and so are the encoders that hang on
them.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from yang.access import Context, Rules
from yang.provider import Keys, StateProvider
from yang.query.readable import ReadableValues
from yang.query.selection import (
    Branch,
    Children,
    Match,
    SelectNode,
    Tester,
    is_value_free,
    merge_children,
    shape_of,
)
from yang.schema import SchemaNode

Content = Literal["config", "state", "all"]
Testers = tuple[Tester | None, ...]
Config = Mapping[str, Any] | None
WithDefaults = Literal["explicit", "report-all", "report-all-tagged", "trim"]
MAX_BODIES: Final = 2_000
_EVERYTHING: Final = 0
"""For a mask of branches: all that may be read of an instance."""


@dataclass(frozen=True, slots=True)
class LeafPlan:
    """A leaf, leaf-list or anydata that a body shows.

    Attributes:
        only: shown (or, of a leaf-list, entries shown) only if among these values; None: no condition.
        skip_default: with-defaults mode trim.
    """

    node: SchemaNode
    only: Container[Any] | None = None
    skip_default: bool = False


@dataclass(slots=True, eq=False)
class Body:
    """What one instance of a container or list shows.

    Attributes:
        node: the container, list, or the root.
        leaves: in schema order; the keys of a list entry come first.
        inner: containers and lists below.
        always: shown even if nothing is in it.
        cut: a container at the depth where the reply ends.
        compiled: encoders, by name; owned by `yang.encode`.
    """

    node: SchemaNode
    leaves: tuple[LeafPlan, ...]
    inner: tuple[NodePlan, ...]
    always: bool
    cut: bool = False
    compiled: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance that a plan shows.

    Attributes:
        keys: values of all lists' keys from the root down.
        config: its configuration, or None.
        record: its state, or None.
        body: what it shows.
    """

    keys: Keys
    config: Config
    record: Any
    body: Body


@dataclass(slots=True, eq=False)
class NodePlan:
    """A selected container or list: finds the instances and says what each shows."""

    planner: Planner
    node: SchemaNode
    branches: tuple[Branch, ...]
    context: Context
    depth: int | None
    provider: StateProvider | None
    wanted: tuple[Keys, ...] | None = None
    _sets: tuple[frozenset[Keys] | None, ...] = ()
    _bodies: dict[tuple[int, Context], Body | None] = field(default_factory=dict)
    _fixed: Context | None = None

    def __post_init__(self) -> None:
        self._sets = tuple(
            frozenset(branch.keys) if branch.keys is not None else None for branch in self.branches
        )
        if all(branch.keys is not None for branch in self.branches):
            self.wanted = tuple(dict.fromkeys(key for b in self.branches for key in b.keys or ()))
        rules = self.planner.rules
        if not rules.conditional(self.context, self.node):
            self._fixed = rules.enter(self.context, self.node)

    @property
    def uniform(self) -> Body | None:
        """The body of every instance, when there is no condition at all; else None."""
        if self._fixed is None or len(self.branches) != 1 or self.branches[0].conditional:
            return None
        return self._body(1, self._fixed)

    def instances(self, config: Config, record: Any, keys: Keys) -> Iterator[Instance]:
        """The instances below one parent.

        Args:
            config: configuration of the parent, or None.
            record: state of the parent, or None.
            keys: key values of the parent.
        """
        return (found for found in self.scan(config, record, keys) if found is not None)

    def scan(self, config: Config, record: Any, keys: Keys) -> Iterator[Instance | None]:
        """As `instances`, with None for an entry that was looked at and is not shown: so that a reader can
        pause where nothing is found for long."""
        if self.node.kind == "list":
            yield from self._entries(config, record, keys)
            return
        own = config.get(self.node.json_name) if config is not None else None
        state = self._container_state(record, keys)
        if own is None and state is None and self.node.presence and self.node.config:
            return
        body = self._choose(None, own, state, keys, self._testers())
        if body is not None:
            yield Instance(keys, own, state, body)

    def _container_state(self, record: Any, keys: Keys) -> Any:
        if not self.planner.with_state:
            return None
        if self.provider is not None:
            return self.provider.get(keys)
        return getattr(record, self.node.attr, None) if record is not None else None

    def _entries(self, config: Config, record: Any, keys: Keys) -> Iterator[Instance | None]:
        source = (
            self._config_entries(config, record, keys)
            if self.node.config
            else self._state_entries(record, keys)
        )
        testers = self._testers()
        for own, entry, state in source:
            whole = (*keys, *own)
            body = self._choose(own, entry, state, whole, testers)
            yield None if body is None else Instance(whole, entry, state, body)

    def _config_entries(self, config: Config, record: Any, keys: Keys) -> Iterator[tuple[Keys, Config, Any]]:
        entries: Mapping[Keys, Any] = (config.get(self.node.json_name) if config is not None else None) or {}
        if self.wanted is not None:
            pairs = [(key, entries[key]) for key in self.wanted if key in entries]
        else:
            pairs = list(entries.items())
        provider = self.provider if self.planner.with_state else None
        if provider is not None:
            absent = getattr(provider, "absent", None)
            for key, entry in pairs:
                state = provider.get((*keys, *key))
                if state is None and absent is not None:
                    state = absent((*keys, *key))
                yield key, entry, state
            if absent is None:
                return
        elif record is None or getattr(record, self.node.attr, None) is None:
            for key, entry in pairs:
                yield key, entry, None
            return
        else:
            found = {key: state for key, _, state in self._state_entries(record, keys)}
            for key, entry in pairs:
                yield key, entry, found.get(key)
        # what is there without configuration
        for key, _, state in self._state_entries(record, keys):
            if key not in entries:
                yield key, None, state

    def _state_entries(self, record: Any, keys: Keys) -> Iterator[tuple[Keys, None, Any]]:
        if not self.planner.with_state:
            return
        attrs = [key.attr for key in self.node.key_nodes]
        if self.provider is not None:
            if self.wanted is not None and attrs:
                for key in self.wanted:
                    found = self.provider.get((*keys, *key))
                    if found is not None:
                        yield key, None, found
                return
            records = self.provider.iter()
        else:
            records = (getattr(record, self.node.attr, None) or ()) if record is not None else ()
        wanted = frozenset(self.wanted) if self.wanted is not None else None
        for found in records:
            own = tuple(getattr(found, attr, None) for attr in attrs)
            if wanted is None or own in wanted:
                yield own, None, found

    def _testers(self) -> Testers:
        return tuple(branch.where.tester() if branch.where is not None else None for branch in self.branches)

    def _choose(
        self, own: Keys | None, config: Config, record: Any, keys: Keys, testers: Testers
    ) -> Body | None:
        """What this instance shows; None if no branch takes it or the user may not see it."""
        context = self._fixed
        if context is None:
            context = self.planner.rules.enter(self.context, self.node, own)
        mask = 0
        for index, branch in enumerate(self.branches):
            entries = self._sets[index]
            if entries is not None and own not in entries:
                continue
            if branch.matches and not all(
                match.holds(config, record) and self._readable(match, context) for match in branch.matches
            ):
                continue
            tester = testers[index]
            if tester is not None:
                readable = self._body(_EVERYTHING, context)
                if readable is None or not tester(readable, config, record, keys):
                    continue
            mask |= 1 << index
        return self._body(mask, context) if mask else None

    def _readable(self, match: Match, context: Context) -> bool:
        """A condition on what the user may not read never holds: it would tell the value."""
        rules = self.planner.rules
        for level in match.path:
            named = level.kind == "leaf-list" and match.value is not None
            context = rules.enter(context, level, (match.value,) if named else None)
            if not rules.permits(context, level, "read"):
                return False
        return True

    def _body(self, mask: int, context: Context) -> Body | None:
        known = (mask, context)
        if known not in self._bodies:
            children: Children | None = None if mask == _EVERYTHING else {}
            for index, branch in enumerate(self.branches):
                if mask >> index & 1:
                    children = merge_children(children, branch.children)
            self._bodies[known] = self.planner.body(self.node, children, context, self.depth)
        return self._bodies[known]


class Planner:
    """Plans for one set of rules, content and mode of defaults; keeps bodies between requests.

    Args:
        rules: of the user.
        providers: by schema path.
        with_state: False when a datastore other than running is read.
    """

    def __init__(
        self,
        root: SchemaNode,
        rules: Rules,
        providers: Mapping[str, StateProvider],
        *,
        content: Content,
        with_defaults: WithDefaults,
        with_state: bool,
    ) -> None:
        self.root = root
        self.rules = rules
        self.providers = providers
        self.content = content
        self.with_defaults = with_defaults
        self.with_state = with_state and content != "config"
        self._state_below: dict[SchemaNode, bool] = {}
        self._bodies: dict[tuple[Any, ...], Body | None] = {}

    def plan(self, top: Children | None, depth: int | None = None) -> Body:
        """The body of the root: what a selection's `top` comes to."""
        body = self.body(self.root, top, self.rules.start, depth)
        assert body is not None
        return body

    def body(
        self, node: SchemaNode, children: Children | None, context: Context, depth: int | None
    ) -> Body | None:
        """What an instance of `node` shows; None if the user may not read it.

        Args:
            children: what is selected below; None for everything.
            context: that of the instance.
            depth: levels to show below what is selected; None: all.
        """
        if not is_value_free(children):
            return self._compile(node, children, context, depth)
        known = (node, shape_of(children), context, depth)
        if known not in self._bodies:
            if len(self._bodies) >= MAX_BODIES:
                self._bodies.clear()
            self._bodies[known] = self._compile(node, children, context, depth)
        return self._bodies[known]

    def _compile(
        self, node: SchemaNode, children: Children | None, context: Context, depth: int | None
    ) -> Body | None:
        if node.kind != "root" and not self.rules.permits(context, node, "read"):
            return None
        if not all(self._readable(context, key) for key in node.key_nodes):
            return None  # an entry cannot be shown without its keys
        selected = self._selected(node, children)
        leaves: list[LeafPlan] = []
        inner: list[NodePlan] = []
        explicit_key = False
        for select in selected:
            child = select.node
            if child.is_key:
                explicit_key = explicit_key or self.content != "state" or not child.config
                continue
            if depth == 0 and children is None:
                continue
            if child.is_leaf:
                if self._shown(child) and (
                    self._readable(context, child) or self.rules.conditional(context, child)
                ):
                    leaves.append(self._leaf(select, context))
            elif child.kind == "anydata":
                if self._shown(child) and self._readable(context, child):
                    leaves.append(LeafPlan(child))
            elif child.kind in ("container", "list") and self._contains(child):
                below = depth - 1 if depth is not None and children is None else depth
                provider = self.providers.get(child.path)
                inner.append(NodePlan(self, child, select.branches, context, below, provider))
        keys = [LeafPlan(key) for key in node.key_nodes] if node.kind == "list" else []
        cut = depth == 0 and children is None and node.kind == "container"
        always = self._always(node, children, explicit_key)
        return Body(node, (*keys, *leaves), tuple(inner), always, cut and not (node.presence and node.config))

    def _always(self, node: SchemaNode, children: Children | None, explicit_key: bool) -> bool:
        if node.kind == "list":
            whole = children is None and (not node.config or self.content != "state")
            return whole or explicit_key
        return node.presence and children is None and self.content != "state"

    def _selected(self, node: SchemaNode, children: Children | None) -> list[SelectNode]:
        if children is None:
            return [SelectNode(child, (Branch(),)) for child in node.data_children]
        return [children[child] for child in node.data_children if child in children]

    def _shown(self, leaf: SchemaNode) -> bool:
        if leaf.config:
            return self.content != "state"
        return self.with_state

    def _readable(self, context: Context, leaf: SchemaNode) -> bool:
        return self.rules.permits(self.rules.enter(context, leaf), leaf, "read")

    def _contains(self, node: SchemaNode) -> bool:
        """True when the content that is asked for can be at or below a node."""
        if self.content == "config":
            return node.config
        if not node.config:
            return self.with_state
        if self.content == "all":
            return True
        below = self._state_below.get(node)
        if below is None:
            below = any(
                not child.config or (not child.is_leaf and self._contains(child))
                for child in node.data_children
            )
            self._state_below[node] = below
        return below

    def _leaf(self, select: SelectNode, context: Context) -> LeafPlan:
        only: Container[Any] | None = None
        if all(branch.matches for branch in select.branches):
            only = frozenset(match.value for branch in select.branches for match in branch.matches)
        if select.node.kind == "leaf-list" and self.rules.conditional(context, select.node):
            only = ReadableValues(self.rules, context, select.node, only)
        defaults = bool(select.node.defaults) and select.node.config
        return LeafPlan(select.node, only, skip_default=defaults and self.with_defaults == "trim")

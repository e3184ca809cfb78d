"""From the path of a subscription to the parts of the tree that feed it, each in the way that suits it.

A path may lead to a whole module: its counters come from a matrix, its journal is a log, other state
tells what changed or has to be looked at, and configuration changes when somebody commits. A `Part` is a
piece of which one of these holds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from telemetry.protocol.model import UnknownNode
from telemetry.reach import Reach, leaves_below
from telemetry.subscribe import Mode
from yang.access import Rules, User
from yang.path import ANY, DESCEND, DataPath, Step
from yang.provider import ColumnProvider, LogProvider, StateProvider, WatchableProvider
from yang.query.paths import takes_keys
from yang.schema import SchemaNode
from yang.tree import Tree

Content = Literal["config", "state", "all"]


class Feed(Enum):
    """How a part is read."""

    COLUMNS = "columns"  # sampled from a matrix
    READ = "read"  # sampled by reading
    LOG = "log"  # each entry once, in order
    WATCH = "watch"  # read again where the provider says that it changed
    CONFIG = "config"  # read again after a commit
    POLL = "poll"  # read again at each interval, and compared


class PlanError(ValueError):
    """A subscription that makes no sense on this path. Its text is for the client."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the tree with one feed.

    Attributes:
        paths: what is selected, all below one subscription's path.
        node: the list of COLUMNS and LOG, the provider's node of WATCH and POLL, else where the path ends.
        leaves: the leaves that are selected, of COLUMNS, LOG and WATCH.
        provider: who owns the state; None for configuration and for READ.
        on_change: of COLUMNS: what did not change is not sent.
        depth: steps of the subscription's own path: an entry at this depth or below is selected as a whole.
    """

    feed: Feed
    paths: tuple[DataPath, ...]
    node: SchemaNode
    content: Content = "all"
    leaves: tuple[SchemaNode, ...] = ()
    provider: Any = None
    on_change: bool = False
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Target:
    """A schema node that a path leads to, and the path to it without wildcards in names."""

    node: SchemaNode
    path: DataPath
    open: bool
    """No key is given on the way."""


class Planner:
    """Takes the paths of subscriptions apart.

    Args:
        columns: whether counters may come from matrices (the encoding must be PROTO).
        reach: what is left out below the paths.
    """

    def __init__(self, tree: Tree, user: User, *, columns: bool, reach: Reach | None = None) -> None:
        self._reach = reach or Reach()
        self._tree = tree
        self._user = user
        self._use_columns = columns

    def plan(self, path: DataPath, mode: Mode | None) -> list[Part]:
        """The parts of one subscription of a stream; without a mode, those of a single look.

        Raises:
            PlanError: a log cannot be sampled.
            OperationError: the schema has no such node.
        """
        parts: list[Part] = []
        for target in reached(targets(self._tree, path), self._reach, path):
            parts.extend(self._plan_target(target, mode))
        return parts

    def _plan_target(self, target: Target, mode: Mode | None) -> Iterator[Part]:
        providers = list(self._providers(target.node))
        hidden = self._reach.hidden(target.node)
        excluded = set(hidden)
        for node, provider in providers:
            if isinstance(provider, LogProvider) and (target.open or node not in target.node.chain):
                excluded.add(node)
                if mode is not Mode.SAMPLE:
                    part = log_part(target, node, provider, hidden)
                    if part.leaves:
                        yield part
                elif node in target.node.chain:
                    raise PlanError(f"{node.path} is a log: subscribe to it ON_CHANGE or TARGET_DEFINED")
            elif isinstance(provider, ColumnProvider):
                leaves = tuple(leaf for leaf in column_leaves(target, node, provider) if leaf not in hidden)
                if self._matrix_suffices(target, node, leaves):
                    excluded.update(leaves)
                    yield column_part(node, provider, leaves, on_change=mode is Mode.ON_CHANGE)
                elif leaves and mode in (Mode.ON_CHANGE, Mode.TARGET_DEFINED):
                    # counters change at each sweep, and nobody announces it
                    excluded.update(leaves)
                    feed = Feed.POLL if mode is Mode.ON_CHANGE else Feed.READ
                    pieces = [_descended(target, leaf) for leaf in leaves]
                    yield from _one_part(feed, node, pieces, target, content="state", provider=provider)
        rest = list(without(target, excluded))
        if mode is None or mode is Mode.SAMPLE:
            yield from _one_part(Feed.READ, target.node, rest, target)
        else:
            yield from self._changing(target, rest, providers, mode)

    def _changing(
        self,
        target: Target,
        rest: Sequence[Target],
        providers: Sequence[tuple[SchemaNode, StateProvider]],
        mode: Mode,
    ) -> Iterator[Part]:
        """The parts of what is neither a log nor a matrix, to be told of by change."""
        configured = [piece for piece in rest if piece.node.config or piece.node.kind == "root"]
        yield from _one_part(Feed.CONFIG, target.node, configured, target, content="config")
        for node, provider in providers:
            pieces = list(within(rest, node, state_only=node.config))
            if not pieces:
                continue
            watchable = isinstance(provider, WatchableProvider) and _lists_above(node) <= 1
            if not watchable and mode is Mode.TARGET_DEFINED:
                yield from _one_part(Feed.READ, node, pieces, target, content="state", provider=provider)
                continue
            feed = Feed.WATCH if watchable else Feed.POLL
            yield from _one_part(feed, node, pieces, target, content="state", provider=provider)

    def _providers(self, node: SchemaNode) -> Iterator[tuple[SchemaNode, StateProvider]]:
        """Who owns state at, above or below a node."""
        for candidate in (*node.chain[:-1], *node.walk()):
            if candidate.kind in ("container", "list"):
                provider = self._tree.provider(candidate.path)
                if provider is not None:
                    yield candidate, provider

    def _matrix_suffices(self, target: Target, node: SchemaNode, leaves: tuple[SchemaNode, ...]) -> bool:
        """True when these columns can be sent as they are: all entries, all permitted, as PROTO."""
        possible = self._use_columns and target.open and node.kind == "list" and _lists_above(node) == 1
        return bool(leaves) and possible and Permission(self._tree, self._user, (node, *leaves)).granted


def column_leaves(target: Target, node: SchemaNode, provider: ColumnProvider) -> tuple[SchemaNode, ...]:
    """The leaves below the target that a matrix has, in its order."""
    found = (column_leaf(node, names) for names in provider.columns().leaves)
    return tuple(leaf for leaf in found if target.node.kind == "root" or _is_below(leaf, target.node))


class Permission:
    """Whether a user may read some nodes in every instance; asks again only when the rules change."""

    def __init__(self, tree: Tree, user: User, nodes: Iterable[SchemaNode]) -> None:
        self._tree = tree
        self._user = user
        self._nodes = tuple(nodes)
        self._rules: Rules | None = None
        self._granted = False

    @property
    def granted(self) -> bool:
        """The answer as of now. False also where it depends on the instance."""
        rules = self._tree.access.rules_for(self._user)
        if rules is not self._rules:
            self._rules = rules
            self._granted = all(_may_read(rules, node) for node in self._nodes)
        return self._granted


def _may_read(rules: Rules, node: SchemaNode) -> bool:
    context = rules.start
    for step in node.chain:
        if rules.conditional(context, step):
            return False
        context = rules.enter(context, step)
        if not rules.permits(context, step, "read"):
            return False
    return True


def column_leaf(node: SchemaNode, names: Sequence[str]) -> SchemaNode:
    """The leaf that a column's names lead to. Raises LookupError when a provider names what is not there."""
    for name in names:
        child = node.child_json(name)
        if child is None:
            raise LookupError(f"{node.path} has no {name}")
        node = child
    return node


def log_part(
    target: Target, node: SchemaNode, provider: LogProvider, hidden: Collection[SchemaNode] = ()
) -> Part:
    """A log, or those of its leaves that the target selects."""
    below = target.node if _is_below(target.node, node) else node
    leaves = tuple(leaf for leaf in leaves_below(below) if leaf not in hidden)
    return Part(Feed.LOG, (target.path,), node, leaves=leaves, provider=provider)


def column_part(
    node: SchemaNode, provider: ColumnProvider, leaves: tuple[SchemaNode, ...], *, on_change: bool
) -> Part:
    """The counters of a list; the paths are what to read where the matrix cannot be used."""
    paths = tuple(DataPath.of_node(leaf) for leaf in leaves)
    return Part(Feed.COLUMNS, paths, node, leaves=leaves, provider=provider, on_change=on_change)


def _one_part(
    feed: Feed,
    node: SchemaNode,
    pieces: Sequence[Target],
    target: Target,
    *,
    content: Content = "all",
    provider: StateProvider | None = None,
) -> Iterator[Part]:
    if pieces:
        leaves = tuple(dict.fromkeys(leaf for piece in pieces for leaf in leaves_below(piece.node)))
        paths = tuple(piece.path for piece in pieces)
        yield Part(feed, paths, node, content, leaves, provider, depth=len(target.node.chain))


def without(target: Target, excluded: Collection[SchemaNode]) -> Iterator[Target]:
    """The target, or the largest parts of it that hold none of the excluded nodes."""
    if any(node in excluded for node in target.node.chain):
        return
    if not any(_is_below(node, target.node) or target.node.kind == "root" for node in excluded):
        yield target
        return
    for child in target.node.data_children:
        yield from without(_child(target, child), excluded)


def within(pieces: Iterable[Target], node: SchemaNode, *, state_only: bool) -> Iterator[Target]:
    """What of these pieces a provider at `node` can own; of a configured list only its state."""
    for piece in pieces:
        if _is_below(piece.node, node):
            if not (state_only and piece.node.config and not _has_state(piece.node)):
                yield piece
        elif piece.node.kind == "root" or _is_below(node, piece.node):
            yield _descended(piece, node)


def _has_state(node: SchemaNode) -> bool:
    return any(not found.config for found in node.walk())


def _child(target: Target, child: SchemaNode) -> Target:
    return Target(child, target.path.child(child.name, child.module), target.open)


def _descended(target: Target, node: SchemaNode) -> Target:
    """The target's descendant `node`."""
    for step in node.chain[len(target.node.chain) :]:
        target = _child(target, step)
    return target


def _is_below(node: SchemaNode, ancestor: SchemaNode) -> bool:
    return ancestor in node.chain


def _lists_above(node: SchemaNode) -> int:
    """Lists on the way to a node, itself included."""
    return sum(1 for step in node.chain if step.kind == "list")


def targets(tree: Tree, path: DataPath) -> list[Target]:
    """What a path with wildcards leads to; what is below another target is left out.

    Raises OperationError when the schema has no such node.
    """
    if all(step.name == DESCEND for step in path.steps):
        return [Target(tree.schema.root, DataPath(()), True)]
    found = dict.fromkeys(node for part in tree.select_paths([path]).parts for node in part.targets)
    outermost = (node for node in found if not any(above in found for above in node.chain[:-1]))
    return [target for node in outermost for target in _targets(node, path)]


def reached(found: Sequence[Target], reach: Reach, path: DataPath) -> list[Target]:
    """The targets that belong to the models that a client uses. Raises UnknownNode when none does."""
    kept = [target for target in found if reach.has(target.node)]
    if not kept:
        raise UnknownNode(f"{path} is not in the models that the request is restricted to")
    return kept


def _targets(node: SchemaNode, path: DataPath) -> Iterator[Target]:
    """The ways in which a path leads to a node: several where `...` leaves open which levels have keys."""
    chain = node.chain
    ways = dict.fromkeys(_ways(path.steps, chain))
    for keys in ways:
        if any(other != keys and all(map(_within, other, keys)) for other in ways):
            continue  # what another way leads to holds what this one does
        steps = (Step(level.module, level.name, given) for level, given in zip(chain, keys, strict=True))
        yield Target(node, DataPath(tuple(steps)), not any(keys))


_Keys = tuple[tuple[str, str], ...]


def _within(fewer: _Keys, more: _Keys) -> bool:
    return set(fewer) <= set(more)


def _ways(steps: Sequence[Step], chain: Sequence[SchemaNode]) -> list[tuple[_Keys, ...]]:
    """The keys that a path gives at each level of a node, for each way to lay its steps over these levels."""
    while steps and steps[-1].name == DESCEND:
        steps = steps[:-1]  # everything below is selected anyhow
    # by number of levels: the ways to lay the steps so far over them
    ways: dict[int, list[tuple[_Keys, ...]]] = {0: [()]}
    for step in steps:
        further: dict[int, dict[tuple[_Keys, ...], None]] = {}
        for done, before in ways.items():
            if step.name == DESCEND:
                for skipped in range(len(chain) - done + 1):
                    found = further.setdefault(done + skipped, {})
                    found.update(dict.fromkeys(way + ((),) * skipped for way in before))
            elif done < len(chain) and _takes(step, chain[done]):
                given = tuple((key, value) for key, value in step.keys if value != ANY)
                found = further.setdefault(done + 1, {})
                found.update(dict.fromkeys((*way, given) for way in before))
        ways = {done: list(found) for done, found in further.items()}
    return ways.get(len(chain), [])


def _takes(step: Step, node: SchemaNode) -> bool:
    return step.name in (ANY, node.name) and step.module in ("", node.module) and takes_keys(step, node)

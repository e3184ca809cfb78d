"""Three-way merge of configurations: what running became, and what a candidate made of what running was.

The comparison is that of draft-ietf-netconf-privcand ("What is a conflict?"): a node is in conflict when it
was changed in running *and* in the candidate since they parted, whatever to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from yang.access import Context, Rules
from yang.datastore.data import EMPTY, Tree, entry_step, value_step
from yang.path import DataPath, Step
from yang.provider import OperationError
from yang.schema import SchemaNode

Keep = Literal["candidate", "running"]
ConflictKind = Literal[
    "value-change",
    "leaf-existence",
    "list-entry",
    "list-order",
    "leaf-list-item",
    "leaf-list-order",
    "presence-container",
]

MAX_CONFLICTS: Final = 100
"""Conflicts that an error lists; it counts all of them."""
_MAX_VALUE: Final = 200


@dataclass(frozen=True, slots=True)
class Conflict:
    """A node that both sides have changed.

    Attributes:
        path: instance-identifier.
        running, candidate: the value on each side as text; None where there is none, or where the user may
            not read it.
    """

    path: str
    kind: ConflictKind
    running: str | None = None
    candidate: str | None = None


class ConflictError(OperationError):
    """A private candidate cannot be brought up to date (``operation-failed``).

    Attributes:
        conflicts: the first `MAX_CONFLICTS` of them.
    """

    def __init__(self, conflicts: tuple[Conflict, ...], count: int) -> None:
        first = conflicts[0]
        values = ""
        if (first.running, first.candidate) != (None, None):
            values = f" (running: {_shown(first.running)}, candidate: {_shown(first.candidate)})"
        others = f", and {count - 1} more" if count > 1 else ""
        super().__init__(
            "operation-failed",
            f"running and this candidate have both changed {first.path}{values}{others}: update with another "
            "resolution-mode, or discard the changes and update",
            path=first.path,
        )
        self.conflicts = conflicts


def _shown(value: str | None) -> str:
    return "none" if value is None else f'"{value[:_MAX_VALUE]}"'


class Merge:
    """Merges, and notes the conflicts; used once.

    Args:
        rules: of the user who is told of the conflicts.
        keep: whose version of a node in conflict the result has.
    """

    def __init__(self, rules: Rules, keep: Keep) -> None:
        self._rules = rules
        self._keep = keep
        self.conflicts: list[Conflict] = []
        self.count = 0

    def trees(self, root: SchemaNode, base: Tree, running: Tree, candidate: Tree) -> Tree:
        """The candidate with what changed in running since `base`."""
        if candidate is base:
            return running
        return self._children(root, base, running, candidate, (), self._rules.start)

    def check(self) -> None:
        """Raise `ConflictError` if there was a conflict."""
        if self.count:
            raise ConflictError(tuple(self.conflicts), self.count)

    # --- kinds of nodes --------------------------------------------------------------------------

    def _children(
        self,
        node: SchemaNode,
        base: Tree,
        running: Tree,
        candidate: Tree,
        steps: tuple[Step, ...],
        context: Context,
    ) -> Tree:
        merged: dict[str, Any] = {}
        for name in dict.fromkeys((*running, *candidate, *base)):
            sides = base.get(name), running.get(name), candidate.get(name)
            child = node.child_json(name)
            assert child is not None, name
            value = self._child(child, *sides, steps, context)
            if value is not None and (value or child.kind in ("leaf", "anydata") or child.presence):
                merged[name] = value
        return merged

    def _child(
        self,
        node: SchemaNode,
        base: Any,
        running: Any,
        candidate: Any,
        steps: tuple[Step, ...],
        context: Context,
    ) -> Any:
        if candidate is base:
            return running
        if running is base:
            return candidate
        if node.kind == "list":
            return self._entries(node, base or {}, running or {}, candidate or {}, steps, context)
        if node.kind == "leaf-list":
            return self._values(node, base or (), running or (), candidate or (), steps, context)
        here = (*steps, Step(node.module, node.name))
        return self._single(node, base, running, candidate, here, self._rules.enter(context, node))

    def _single(
        self,
        node: SchemaNode,
        base: Any,
        running: Any,
        candidate: Any,
        steps: tuple[Step, ...],
        context: Context,
    ) -> Any:
        """A leaf, container or list entry."""
        if node.kind == "container" and not node.presence:
            sides = (base or EMPTY, running or EMPTY, candidate or EMPTY)
            return self._children(node, *sides, steps, context)
        if node.kind in ("container", "list") and None not in (base, running, candidate):
            return self._children(node, base, running, candidate, steps, context)
        if candidate == base:
            return running
        if running == base:
            return candidate
        kind: ConflictKind = "value-change"
        if node.kind == "list":
            kind = "list-entry"
        elif node.kind == "container":
            kind = "presence-container"
        elif None in (base, running, candidate):
            kind = "leaf-existence"
        self._conflict(node, kind, steps, context, running, candidate)
        return self._kept(running, candidate)

    def _entries(
        self,
        node: SchemaNode,
        base: Mapping[Any, Any],
        running: Mapping[Any, Any],
        candidate: Mapping[Any, Any],
        steps: tuple[Step, ...],
        context: Context,
    ) -> Mapping[Any, Any]:
        merged: dict[Any, Any] = {}
        for keys in dict.fromkeys((*running, *candidate, *base)):
            sides = base.get(keys), running.get(keys), candidate.get(keys)
            if sides[2] is sides[0]:
                entry = sides[1]
            elif sides[1] is sides[0]:
                entry = sides[2]
            else:
                here = (*steps, entry_step(node, keys))
                entry = self._single(node, *sides, here, self._rules.enter(context, node, keys))
            if entry is not None:
                merged[keys] = entry
        if not node.user_ordered:
            return merged
        order = self._order(node, list(base), list(running), list(candidate), steps, context)
        return {keys: merged[keys] for keys in order if keys in merged}

    def _values(
        self,
        node: SchemaNode,
        base: tuple[Any, ...],
        running: tuple[Any, ...],
        candidate: tuple[Any, ...],
        steps: tuple[Step, ...],
        context: Context,
    ) -> tuple[Any, ...]:
        merged = set()
        for value in dict.fromkeys((*running, *candidate, *base)):
            was, theirs, ours = value in base, value in running, value in candidate
            if was != theirs and was != ours:
                here = (*steps, value_step(node, value))
                inner = self._rules.enter(context, node, (value,))
                self._conflict(
                    node, "leaf-list-item", here, inner, value if theirs else None, value if ours else None
                )
            if theirs if ours == was else ours:
                merged.add(value)
        order = list(dict.fromkeys((*running, *candidate)))
        if node.user_ordered:
            order = self._order(node, list(base), list(running), list(candidate), steps, context)
        return tuple(value for value in order if value in merged)

    def _order(
        self,
        node: SchemaNode,
        base: list[Any],
        running: list[Any],
        candidate: list[Any],
        steps: tuple[Step, ...],
        context: Context,
    ) -> list[Any]:
        """An order of all that is in running or in the candidate."""
        common = set(base) & set(running) & set(candidate)

        def changed(side: list[Any]) -> bool:
            return [x for x in side if x in common] != [x for x in base if x in common]

        first, second = candidate, running
        if changed(running):
            if changed(candidate):
                here = (*steps, Step(node.module, node.name))
                self._conflict(
                    node,
                    "list-order" if node.kind == "list" else "leaf-list-order",
                    here,
                    context,
                    None,
                    None,
                )
            if self._keep == "running" or not changed(candidate):
                first, second = running, candidate
        order = list(first)
        known = set(order)
        for at, item in enumerate(
            second
        ):  # what only the other side has keeps its place behind its neighbour
            if item not in known:
                order.insert(order.index(second[at - 1]) + 1 if at else 0, item)
                known.add(item)
        return order

    # --- conflicts -------------------------------------------------------------------------------

    def _kept(self, running: Any, candidate: Any) -> Any:
        return candidate if self._keep == "candidate" else running

    def _conflict(
        self,
        node: SchemaNode,
        kind: ConflictKind,
        steps: tuple[Step, ...],
        context: Context,
        running: Any,
        candidate: Any,
    ) -> None:
        self.count += 1
        if len(self.conflicts) >= MAX_CONFLICTS:
            return
        texts: list[str | None] = [None, None]
        if self._rules.permits(context, node, "read"):
            texts = [_text(node, running, steps), _text(node, candidate, steps)]
        self.conflicts.append(Conflict(str(DataPath(steps)), kind, *texts))


def _text(node: SchemaNode, value: Any, steps: tuple[Step, ...]) -> str | None:
    """A value for a person; of a list entry its keys."""
    if value is None or node.kind in ("container", "anydata"):
        return None
    if node.kind == "list":
        return " ".join(text for _, text in steps[-1].keys)
    return node.type.format(value) if node.type is not None else None

"""XPath filters that select while they read: unions of location paths downwards whose predicates look only at
what is below their own node (`yang.xpath.local`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from yang.query.selection import Branch, Children, SelectNode, chain, list_branch, merge
from yang.schema import Schema, SchemaNode
from yang.xpath.engine import NUMERIC, may_be_position
from yang.xpath.local import Local, UnsuitedError
from yang.xpath.syntax import Expression, Resolve, Step

MAX_PARTS: Final = 60
"""Operators, functions, paths and literals in an expression: each is work for each instance."""
MAX_TEXT: Final = 1_000
"""Characters of all literals: the functions that work on texts go through them."""
_MAX_CHAINS: Final = 200
_Chain = tuple[tuple[SchemaNode, Branch], ...]


def direct(schema: Schema, expression: Expression, resolve: Resolve) -> Children | None:
    """What selects the same as an expression in a single reading; None when that needs a document."""
    parts = list(expression.walk())
    if len(parts) > MAX_PARTS or sum(len(str(part.value)) for part in parts) > MAX_TEXT:
        return None
    paths = expression.operands if expression.kind == "union" else (expression,)
    nodes: list[SelectNode] = []
    try:
        for path in paths:
            for found in _Walk(schema, resolve, alone=len(paths) == 1).chains(path):
                nodes.extend((chain(found) or {}).values())
    except UnsuitedError:
        return None
    return merge(nodes)


class _Walk:
    """Follows a location path through the schema.

    Args:
        alone: there is no other path that may lead to the same instances: entries that are named by their
            keys are found by them, in the order of the data all the same.
    """

    def __init__(self, schema: Schema, resolve: Resolve, *, alone: bool) -> None:
        self._schema = schema
        self._resolve = resolve
        self._alone = alone

    def chains(self, path: Expression) -> list[_Chain]:
        """The ways through the schema that a path goes."""
        if path.kind != "path" or path.operands or path.predicates or not path.steps:
            raise UnsuitedError
        chains: list[_Chain] = [()]
        descend = False
        for step in path.steps:
            if (step.axis, step.test.kind) == ("descendant-or-self", "node") and not step.predicates:
                descend = True
                continue
            chains = [found for above in chains for found in self._step(above, step, descend)]
            descend = False
            if len(chains) > _MAX_CHAINS:
                raise UnsuitedError
        if descend:
            raise UnsuitedError
        return chains

    def _step(self, above: _Chain, step: Step, descend: bool) -> Iterator[_Chain]:
        test = step.test
        if step.axis != "child" or test.kind != "name":
            raise UnsuitedError
        parent = above[-1][0] if above else self._schema.root
        for between in _descents(parent) if descend else ((),):
            below = between[-1] if between else parent
            found = [
                node
                for node in below.data_children
                if test.name in ("", node.name) and test.namespace in (None, node.namespace)
            ]
            if len(found) > 1 and any(map(may_be_position, step.predicates)):
                raise UnsuitedError  # they are counted together
            middle = tuple((level, Branch()) for level in between)
            for node in found:
                branch = self._branch(node, step.predicates) if step.predicates else Branch()
                if branch is not None:
                    yield (*above, *middle, (node, branch))

    def _branch(self, node: SchemaNode, predicates: tuple[Expression, ...]) -> Branch | None:
        """The condition on instances of a node; None when none satisfies it."""
        where = Local(self._schema, node, predicates, self._resolve)
        tests = where.tests(None)
        if node.kind == "anydata":
            raise UnsuitedError
        if node.is_leaf:  # it has no children: the same for all
            if any(map(may_be_position, predicates)):
                raise UnsuitedError
            return Branch() if all(test(None, None, (), 1) for test in tests) else None
        branch = list_branch(node, self._keys(node, predicates)) if self._alone and node.keys else Branch()
        return Branch(branch.keys, where=where)

    def _keys(self, node: SchemaNode, predicates: Iterable[Expression]) -> dict[str, Any]:
        """The values of keys that an entry must have."""
        values: dict[str, Any] = {}
        for predicate in predicates:
            if may_be_position(predicate) or predicate.value in NUMERIC:
                break  # which entry is the n-th depends on the others
            for term in predicate.operands if predicate.kind == "and" else (predicate,):
                if term.kind != "=" or {each.kind for each in term.operands} != {"path", "literal"}:
                    continue
                path, literal = sorted(term.operands, key=lambda each: each.kind == "literal")
                key = _key(node, path)
                if key is None or key.type is None or key.type.has_identities:
                    continue
                try:
                    values.setdefault(key.name, key.type.parse(str(literal.value)))
                except ValueError:
                    continue  # no entry has it, which the predicate finds too
        return values


def _key(node: SchemaNode, path: Expression) -> SchemaNode | None:
    if len(path.steps) != 1:
        return None
    test = path.steps[0].test
    for key in node.key_nodes:
        if test.name == key.name and test.namespace in (None, key.namespace):
            return key
    return None


def _descents(parent: SchemaNode) -> Iterator[tuple[SchemaNode, ...]]:
    yield ()
    for child in parent.data_children:
        for below in _descents(child):
            yield (child, *below)

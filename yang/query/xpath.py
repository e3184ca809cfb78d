"""XPath filters that are selections: unions of location paths with predicates on keys and leaves.

Grammar: ``path ('|' path)*``; a path is absolute, of child steps (``p:name``, ``*``), with ``//`` for any
depth; a predicate is ``term (('and'|'or') term)*`` with terms ``leaf-path = literal``,
``literal = leaf-path``, ``. = literal`` and ``leaf-path`` (it exists). These are the fast ones: keys reach
the providers. Everything else of XPath is left to `yang.xpath`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from yang.provider import OperationError
from yang.query.selection import Branch, Match, Selection, SelectNode, chain, list_branch, merge
from yang.schema import Schema, SchemaNode
from yang.types import INTEGER_BITS
from yang.xpath.filter import select_any_xpath

MAX_LENGTH: Final = 16_384
MAX_TERMS: Final = 1_000
MAX_NESTING: Final = 40
MAX_WORK: Final = 50_000
"""Tokens read and nodes of the schema looked at: both come again for each way through the schema."""

_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<literal>'[^']*'|"[^"]*"|[0-9]+(?:\.[0-9]+)?)|(?P<double>//)"""
    r"""|(?P<symbol>[/|\[\]=*.()])|(?P<name>[A-Za-z_][\w.-]*(?::(?:[A-Za-z_][\w.-]*|\*))?))"""
)
_Chain = tuple[tuple[SchemaNode, Branch], ...]
_Conjunction = tuple[Match, ...]


def select_xpath(schema: Schema, expression: str, namespaces: Mapping[str | None, str]) -> Selection:
    """The selection of an XPath filter.

    Raises:
        OperationError: ``invalid-value`` when it is not XPath or a prefix is unknown, ``too-big`` when it is
            longer than `MAX_LENGTH`.
    """
    if len(expression) > MAX_LENGTH:
        raise OperationError("too-big", f"an XPath filter may have at most {MAX_LENGTH} characters")
    try:
        chains = _Parser(schema, expression, namespaces).parse()
    except _BeyondSelectionError:
        return select_any_xpath(schema, expression, namespaces)
    if any(not found for found in chains):
        return Selection(None)
    nodes: list[SelectNode] = []
    for found in chains:
        nodes.extend((chain(found) or {}).values())
    return Selection(merge(nodes))


class _BeyondSelectionError(Exception):
    """The expression is more than the grammar above, or no XPath at all."""


class _Parser:
    def __init__(self, schema: Schema, expression: str, namespaces: Mapping[str | None, str]) -> None:
        self._schema = schema
        self._expression = expression
        self._namespaces = namespaces
        self._tokens = list(self._tokenise())
        self._position = 0
        self._nesting = 0
        self._left = MAX_WORK

    def _spend(self) -> None:
        """Count work, which is done in the event loop: what takes more is left to a thread with a budget."""
        self._left -= 1
        if self._left < 0:
            raise _BeyondSelectionError

    # --- tokens ----------------------------------------------------------------------------------

    def _tokenise(self) -> Iterator[tuple[str, str]]:
        text = self._expression.rstrip()
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                raise _BeyondSelectionError
            position = match.end()
            yield match.lastgroup, match[match.lastgroup]
        yield "end", ""

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._position]

    def _next(self) -> tuple[str, str]:
        self._spend()
        token = self._tokens[self._position]
        self._position = min(self._position + 1, len(self._tokens) - 1)
        return token

    def _accept(self, text: str) -> bool:
        if self._peek()[1] == text and self._peek()[0] != "literal":
            self._next()
            return True
        return False

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise _BeyondSelectionError

    # --- paths -----------------------------------------------------------------------------------

    def parse(self) -> list[_Chain]:
        """All chains that the union selects; an empty chain is the root."""
        chains = self._path()
        while self._accept("|"):
            chains.extend(self._path())
            if len(chains) > MAX_TERMS:
                raise _BeyondSelectionError
        if self._peek()[0] != "end":
            raise _BeyondSelectionError
        return chains

    def _path(self) -> list[_Chain]:
        chains: list[_Chain] = [()]
        kind, text = self._peek()
        if kind not in ("double", "name") and text != "/":
            raise _BeyondSelectionError
        if text == "/":
            following = self._tokens[self._position + 1]
            if following[0] == "end" or following[1] == "|":
                self._next()
                return chains
        first = kind == "name"  # a relative path starts at the root, the context node (RFC 6241 8.9.4)
        while first or self._peek()[0] == "double" or self._peek()[1] == "/":
            descend = not first and self._next()[0] == "double"
            first = False
            chains = self._step(chains, descend)
        return chains

    def _step(self, chains: list[_Chain], descend: bool) -> list[_Chain]:
        kind, name = self._next()
        if kind != "name" and name != "*":
            raise _BeyondSelectionError
        if self._peek()[1] == "(":
            raise _BeyondSelectionError
        module, local = self._resolve(name)
        found: list[_Chain] = []
        for prefix in chains:
            parent = prefix[-1][0] if prefix else self._schema.root
            for between in _descents(parent) if descend else ((),):
                self._spend()
                below = between[-1] if between else parent
                for node in below.data_children:
                    if (local == "*" or node.name == local) and (not module or node.module == module):
                        middle = tuple((level, Branch()) for level in between)
                        found.append((*prefix, *middle, (node, Branch())))
        if len(found) > MAX_TERMS:
            raise _BeyondSelectionError
        start = self._position
        while self._peek()[1] == "[" and self._peek()[0] == "symbol":
            start = self._position
            # each predicate multiplies the ways
            met: list[_Chain] = []
            for each in found:
                met.extend(self._predicated(each, start))
                if len(met) > MAX_TERMS:
                    raise _BeyondSelectionError
            found = met
            if not found:
                self._skip_predicate(start)
        return found

    def _skip_predicate(self, start: int) -> None:
        self._position = start
        depth = 0
        while True:
            kind, text = self._next()
            depth += (text == "[") - (text == "]") if kind == "symbol" else 0
            if depth == 0 or kind == "end":
                return

    def _resolve(self, name: str) -> tuple[str, str]:
        prefix, colon, local = name.rpartition(":")
        if not colon:
            return "", local
        uri = self._namespaces.get(prefix)
        module = self._schema.module_of_namespace(uri) if uri else None
        if module is None and uri is None and self._schema.module(prefix) is not None:
            module = prefix
        if module is None:
            if uri is None:
                raise OperationError("invalid-value", f'XPath filter: the prefix "{prefix}" is not declared')
            return uri, local  # a namespace that we do not have: nothing matches
        return module, local

    # --- predicates ------------------------------------------------------------------------------

    def _predicated(self, found: _Chain, start: int) -> list[_Chain]:
        """The chain with its last node's predicate applied: one chain for each way to satisfy it."""
        self._position = start
        self._expect("[")
        node, branch = found[-1]
        if node.is_key:
            raise _BeyondSelectionError  # entries show their keys without being asked
        ways = self._disjunction(node)
        self._expect("]")
        if branch.conditional:
            known = (*branch.matches, *_key_matches(node, branch))
            ways = [(*known, *way) for way in ways]
        return [(*found[:-1], (node, _branch(node, way))) for way in ways]

    def _disjunction(self, node: SchemaNode) -> list[_Conjunction]:
        ways = self._conjunction(node)
        while self._accept("or"):
            ways = [*ways, *self._conjunction(node)]
        return ways

    def _conjunction(self, node: SchemaNode) -> list[_Conjunction]:
        ways = self._term(node)
        while self._accept("and"):
            more = self._term(node)
            ways = [(*left, *right) for left in ways for right in more]
            if len(ways) > MAX_TERMS:
                raise _BeyondSelectionError
        return ways

    def _term(self, node: SchemaNode) -> list[_Conjunction]:
        if self._accept("("):
            self._nesting += 1
            if self._nesting > MAX_NESTING:
                raise _BeyondSelectionError
            ways = self._disjunction(node)
            self._nesting -= 1
            self._expect(")")
            return ways
        literal: str | None = None
        quoted = True
        if self._peek()[0] == "literal":
            quoted = self._peek()[1][:1] in "'\""
            literal = self._literal()
            self._expect("=")
        path = self._leaf_path(node)
        if literal is None and self._accept("="):
            if self._peek()[0] != "literal":
                raise _BeyondSelectionError
            quoted = self._peek()[1][:1] in "'\""
            literal = self._literal()
        if path is None:
            return []
        if literal is None:
            return [(Match(path),)]
        leaf = path[-1]
        if not quoted and (leaf.type is None or leaf.type.base not in INTEGER_BITS or "." in literal):
            raise _BeyondSelectionError  # a comparison of numbers
        try:
            value = leaf.type.parse(literal, self._module) if leaf.type is not None else None
        except ValueError:
            return []
        return [(Match(path, value),)]

    def _module(self, prefix: str) -> str | None:
        return self._schema.module_of_namespace(self._namespaces.get(prefix or None, "")) or prefix

    def _literal(self) -> str:
        text = self._next()[1]
        return text[1:-1] if text[:1] in "'\"" else text

    def _leaf_path(self, node: SchemaNode) -> tuple[SchemaNode, ...] | None:
        """The schema nodes of a relative path to a leaf, through containers; None when the schema has no such
        node."""
        if self._accept("."):
            return (node,) if node.is_leaf else None
        nodes: list[SchemaNode] = []
        known = True
        while True:
            kind, name = self._next()
            if kind != "name" or self._peek()[1] == "(":
                raise _BeyondSelectionError
            module, local = self._resolve(name)
            child = (nodes[-1] if nodes else node).child(local, module or None) if known else None
            known = child is not None
            if child is not None:
                nodes.append(child)
            if not self._accept("/"):
                break
        if not known:
            return None
        if not nodes[-1].is_leaf or any(level.kind != "container" for level in nodes[:-1]):
            raise _BeyondSelectionError  # of several entries any may do; a container is there or not
        return tuple(nodes)


def _key_matches(node: SchemaNode, branch: Branch) -> list[Match]:
    if branch.keys is None:
        return []
    return [Match((key,), value) for key, value in zip(node.key_nodes, branch.keys[0], strict=True)]


def _branch(node: SchemaNode, way: _Conjunction) -> Branch:
    values = {}
    rest: list[Match] = []
    for match in way:
        leaf = match.path[0]
        if leaf.is_key and match.value is not None and leaf.name not in values:
            values[leaf.name] = match.value
        else:
            rest.append(match)
    if node.kind == "list":
        return list_branch(node, values, rest)
    return Branch(None, way)


def _descents(parent: SchemaNode) -> Iterator[tuple[SchemaNode, ...]]:
    yield ()
    for child in parent.data_children:
        for below in _descents(child):
            yield (child, *below)

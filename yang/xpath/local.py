"""Predicates that look only at what is below their own node: evaluated on an instance's configuration and
record while it is read, without a document.

What they see is what a document would hold, the `Body` of all that the user may read. Comparisons of a leaf
with a value, ``starts-with`` and the like become functions of their own; the rest is evaluated by the
`Engine`, whose paths are then answered from the record: paths through containers, not into lists. So the work
for an instance is linear in the expression, which `yang.xpath.direct` limits: there is no further budget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from yang.provider import Keys
from yang.query.plan import Body
from yang.query.selection import Tester
from yang.schema import Schema, SchemaNode
from yang.types import INTEGER_BITS
from yang.xpath.document import Document, Node
from yang.xpath.engine import COMPARISONS, MIRRORED, NUMERIC, Context, Engine, Value
from yang.xpath.functions import FUNCTIONS
from yang.xpath.numbers import text_number
from yang.xpath.record import NOTHING, Reference, reference
from yang.xpath.syntax import Expression, Resolve

Test = Callable[[Mapping[str, Any] | None, Any, Keys, int], Any]
"""Of an instance's configuration, record, keys, and its position among its siblings."""

_OPERATORS: Final = frozenset({"negate", "+", "-", "*", "div", "mod"}) | COMPARISONS.keys()
_JOINTS: Final = frozenset({"or", "and"})
_OF_NODES: Final = frozenset(
    {"count", "sum", "local-name", "namespace-uri", "name", "enum-value", "bit-is-set", "derived-from"}
) | {"derived-from-or-self"}
_UNSUITED: Final = frozenset({"last", "id", "lang", "re-match", "deref"})
_TRUTHS: Final = frozenset({"not", "boolean"})


class UnsuitedError(Exception):
    """This needs a document."""


@dataclass(frozen=True, slots=True, eq=False)
class Local:
    """The predicates of one step, as a `yang.query.selection.Condition`.

    Attributes:
        node: the schema node that the step leads to.
    """

    schema: Schema
    node: SchemaNode
    predicates: tuple[Expression, ...]
    resolve: Resolve
    _tests: dict[Body | None, tuple[Test, ...]] = field(default_factory=dict)

    def tests(self, body: Body | None) -> tuple[Test, ...]:
        """A function for each predicate.

        Args:
            body: what may be read of the instances; None: only find out whether it can be done, or, of a
                leaf, what the value is.

        Raises:
            UnsuitedError: a predicate needs a document.
        """
        known = self._tests.get(body)
        if known is None:
            compiler = _Compiler(self, body)
            known = self._tests[body] = tuple(map(compiler.predicate, self.predicates))
        return known

    def tester(self) -> Tester:
        """See `yang.query.selection.Condition`."""
        passed = [0] * len(self.predicates)

        def test(body: Body, config: Mapping[str, Any] | None, record: Any, keys: Keys) -> bool:
            for number, predicate in enumerate(self.tests(body)):
                passed[number] += 1
                if not predicate(config, record, keys, passed[number]):
                    return False
            return True

        return test


class _Records(Engine):
    """Evaluates what has no function of its own; its paths lead into the instance at hand."""

    def __init__(self, schema: Schema, resolve: Resolve) -> None:
        super().__init__(Document(schema, ()), resolve, FUNCTIONS)
        self.references: dict[Expression, Reference] = {}
        self.instance: tuple[Mapping[str, Any] | None, Any, Keys] = (None, None, ())

    def spend(self, steps: int = 1) -> None:
        """Nothing here repeats."""

    def path(self, expression: Expression, context: Context) -> list[Node]:  # noqa: ARG002
        found = self.references[expression]
        return [found.node(value) for value in found.values(*self.instance)]


class _Compiler:
    def __init__(self, local: Local, body: Body | None) -> None:
        self._node = local.node
        self._body = body
        self._engine = _Records(local.schema, local.resolve)

    def predicate(self, expression: Expression) -> Test:
        """Whether the instance stays: a number is a position."""
        if not _is_number(expression):
            return self.test(expression)
        value = self._value(expression)
        return lambda c, r, k, p: value(c, r, k, p) == p

    def test(self, expression: Expression) -> Test:
        """boolean() of an expression."""
        kind = expression.kind
        if kind in _JOINTS:
            tests = tuple(map(self.test, expression.operands))
            return _either(tests) if kind == "or" else _both(tests)
        if kind == "path":
            found = self._reference(expression)
            if found.single is not None:
                single = found.single
                return lambda c, r, k, _: single(c, r, k) is not None
            return lambda c, r, k, _: bool(found.values(c, r, k))
        if kind == "call" and expression.value in _TRUTHS and len(expression.operands) == 1:
            test = self.test(expression.operands[0])
            return test if expression.value == "boolean" else lambda c, r, k, p: not test(c, r, k, p)
        quick = self._comparison(expression) or self._search(expression)
        if quick is not None:
            return quick
        value = self._value(expression)
        boolean = self._engine.boolean
        return lambda c, r, k, p: boolean(value(c, r, k, p))

    def _comparison(self, expression: Expression) -> Test | None:
        """Of one leaf with a text or a number."""
        operator = expression.kind
        if operator not in COMPARISONS:
            return None
        left, right = expression.operands
        if left.kind in ("number", "literal"):
            left, right, operator = right, left, MIRRORED[operator]
        if left.kind != "path" or right.kind not in ("number", "literal"):
            return None
        found = self._reference(left)
        single, leaf, wanted = found.single, found.leaf, right.value
        if single is None or leaf is None or leaf.type is None:
            return None
        compare = COMPARISONS[operator]
        if isinstance(wanted, str) and operator in ("=", "!="):
            if leaf.type.base in ("identityref", "union"):
                return None  # names with prefixes
            text = found.text

            def by_text(c: Any, r: Any, k: Keys, _: int) -> bool:
                value = single(c, r, k)
                return value is not None and compare(text(value), wanted)

            return by_text
        number = self._engine.number(wanted)
        convert = float if leaf.type.base in INTEGER_BITS else _number_of(found)

        def by_number(c: Any, r: Any, k: Keys, _: int) -> bool:
            value = single(c, r, k)
            return value is not None and compare(convert(value), number)

        return by_number

    def _search(self, expression: Expression) -> Test | None:
        """``starts-with`` or ``contains`` of one leaf and a literal."""
        if expression.kind != "call" or len(expression.operands) != 2:
            return None
        where, what = expression.operands
        search = {"starts-with": str.startswith, "contains": str.__contains__}.get(str(expression.value))
        if search is None or where.kind != "path" or what.kind != "literal":
            return None
        found = self._reference(where)
        single, text, part = found.single, found.text, str(what.value)
        if single is None:
            return None

        def contains(c: Any, r: Any, k: Keys, _: int) -> bool:
            value = single(c, r, k)
            return search(text(value) if value is not None else "", part)

        return contains

    def _value(self, expression: Expression) -> Callable[..., Value]:
        """What the engine makes of it."""
        self._admit(expression)
        engine, anywhere = self._engine, self._engine.document.root

        def value(config: Any, record: Any, keys: Keys, position: int) -> Value:
            engine.instance = config, record, keys
            return engine.evaluate(expression, Context(anywhere, position))

        return value

    def _admit(self, expression: Expression, *, as_nodes: bool = False) -> None:
        """Find the paths of an expression.

        Args:
            as_nodes: it only matters which nodes there are: they need have no text.

        Raises:
            UnsuitedError: it needs a document.
        """
        kind, name, operands = expression.kind, expression.value, expression.operands
        if kind == "path":
            found = self._reference(expression)
            if found.leaf is None and found is not NOTHING and not as_nodes:
                raise UnsuitedError
            self._engine.references[expression] = found
            return
        if kind == "call":
            low, high, _ = FUNCTIONS.get(str(name), (1, 0, None))
            without = name in ("position", "true", "false")
            if name in _UNSUITED or not low <= len(operands) <= high or bool(operands) is without:
                raise UnsuitedError
            if name in _OF_NODES and operands[0].kind != "path":
                raise UnsuitedError
        elif kind not in _OPERATORS | _JOINTS | {"number", "literal"}:
            raise UnsuitedError
        for operand in operands:
            self._admit(operand, as_nodes=kind in _JOINTS or (kind == "call" and name in _TRUTHS | {"count"}))

    def _reference(self, expression: Expression) -> Reference:
        """What a path leads to from the instance."""
        if expression.absolute or expression.operands or expression.predicates:
            raise UnsuitedError
        steps = [step for step in expression.steps if (step.axis, step.test.kind) != ("self", "node")]
        if not steps or any(step.predicates for step in expression.steps):
            raise UnsuitedError
        node = self._node
        path: list[SchemaNode] = []
        for step in steps:
            test = step.test
            if step.axis != "child" or test.kind != "name" or not test.name:
                raise UnsuitedError
            found = [
                child
                for child in node.data_children
                if child.name == test.name and test.namespace in (None, child.namespace)
            ]
            if not found:
                return NOTHING
            node = found[0]
            # a list may be all sessions, or the whole journal: to go through it takes a thread and a budget
            if node.kind in ("list", "anydata") or len(found) > 1:
                raise UnsuitedError
            if node.type is not None and node.type.prefixed:
                raise UnsuitedError
            path.append(node)
        return reference(self._body, tuple(path))


def _is_number(expression: Expression) -> bool:
    kind = expression.kind
    if kind == "call":
        return expression.value in NUMERIC
    return kind == "number" or (kind in _OPERATORS and kind not in COMPARISONS)


def _number_of(found: Reference) -> Callable[[Any], float]:
    text = found.text
    return lambda value: text_number(text(value))


def _either(tests: tuple[Test, ...]) -> Test:
    def test(c: Any, r: Any, k: Keys, p: int) -> bool:
        for each in tests:  # noqa: SIM110 - a generator for each instance takes as long as the tests
            if each(c, r, k, p):
                return True
        return False

    return test


def _both(tests: tuple[Test, ...]) -> Test:
    def test(c: Any, r: Any, k: Keys, p: int) -> bool:
        for each in tests:  # noqa: SIM110
            if not each(c, r, k, p):
                return False
        return True

    return test

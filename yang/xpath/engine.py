"""Evaluates XPath 1.0 on a `Document`, within a budget of steps and time.

Node-sets are lists in document order without duplicates. The value of an absolute path does not depend on the
context node, for a filter has no variables: it is worked out once, which keeps ``//a[//b]`` linear.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, Final

from yang.provider import OperationError
from yang.xpath.axes import AXES
from yang.xpath.document import Document, Node
from yang.xpath.numbers import arithmetic, number_text, text_number
from yang.xpath.syntax import Expression, Resolve, Step, Test

MAX_STEPS: Final = 4_000_000
MAX_SECONDS: Final = 2.0
"""Of CPU time of the thread that evaluates: it does not matter what else the machine does."""
MAX_TEXT: Final = 1 << 20
CHECK_EVERY: Final = 10_000
"""Steps between two looks at the budget."""
_REVERSE: Final = frozenset({"ancestor", "ancestor-or-self", "preceding", "preceding-sibling"})

Value = list[Node] | float | str | bool
Function = Callable[["Engine", "Context", list[Value]], Value]


@dataclass(frozen=True, slots=True)
class Context:
    """What an expression is evaluated in: a node, its position (from 1) and how many there are."""

    node: Node
    position: int = 1
    size: int = 1


class NodeSet(list[Node]):
    """The value of an absolute path: kept, with the texts of its nodes for comparisons."""

    __slots__ = ("texts",)

    def __init__(self, nodes: Iterable[Node]) -> None:
        super().__init__(nodes)
        self.texts: frozenset[str] | None = None


class Engine:
    """One evaluation.

    Args:
        resolve: prefix → namespace, for the functions whose arguments hold names.
        functions: name → (fewest and most arguments, what it does).
    """

    def __init__(
        self, document: Document, resolve: Resolve, functions: Mapping[str, tuple[int, int, Function]]
    ) -> None:
        self.document = document
        self.resolve = resolve
        self._functions = functions
        self._left = MAX_STEPS
        self._deadline = time.thread_time() + MAX_SECONDS
        self._check = self._left - CHECK_EVERY
        self._constants: dict[Expression, NodeSet] = {}

    def spend(self, steps: int = 1) -> None:
        """Count work. Raises OperationError ``too-big`` when there was too much of it."""
        self._left -= steps
        if self._left < self._check:
            self._check = self._left - CHECK_EVERY
            if self._left < 0 or time.thread_time() > self._deadline:
                raise OperationError(
                    "too-big", "the XPath filter takes too much work: name more of the paths in it"
                )

    # --- expressions -----------------------------------------------------------------------------

    def evaluate(self, expression: Expression, context: Context) -> Value:
        """The value of an expression."""
        self.spend()
        kind = expression.kind
        if kind in ("number", "literal"):
            return expression.value
        if kind == "path":
            return self.path(expression, context)
        if kind == "call":
            return self._call(expression, context)
        if kind in ("or", "and"):
            wanted = kind == "or"
            return (
                wanted
                if any(
                    self.boolean(self.evaluate(operand, context)) is wanted for operand in expression.operands
                )
                else not wanted
            )
        if kind == "union":
            return ordered(chain.from_iterable(self.nodes(o, context) for o in expression.operands))
        operands = [self.evaluate(operand, context) for operand in expression.operands]
        if kind == "negate":
            return -self.number(operands[0])
        if kind in COMPARISONS:
            return self._compare(kind, *operands)
        left, right = (self.number(operand) for operand in operands)
        return arithmetic(kind, left, right)

    def nodes(self, expression: Expression, context: Context) -> list[Node]:
        """The value of an expression that has to be a node-set."""
        value = self.evaluate(expression, context)
        if not isinstance(value, list):
            raise OperationError("invalid-value", "XPath filter: a node-set is needed where a value is given")
        return value

    def _call(self, expression: Expression, context: Context) -> Value:
        name = str(expression.value)
        function = self._functions.get(name)
        if function is None:
            raise OperationError("invalid-value", f"XPath filter: there is no function {name[:60]}()")
        low, high, call = function
        if not low <= len(expression.operands) <= high:
            raise OperationError("invalid-value", f"XPath filter: wrong number of arguments for {name}()")
        return call(self, context, [self.evaluate(operand, context) for operand in expression.operands])

    # --- paths -----------------------------------------------------------------------------------

    def path(self, expression: Expression, context: Context) -> list[Node]:
        """The nodes that a location path leads to."""
        if expression.absolute:
            known = self._constants.get(expression)
            if known is None:
                known = NodeSet(self._walk([self.document.root], expression.steps))
                self._constants[expression] = known
            return known
        if not expression.operands:
            return self._walk([context.node], expression.steps)
        start = self.nodes(expression.operands[0], context)
        for predicate in expression.predicates:
            start = self._filter(start, predicate)
        return self._walk(start, expression.steps)

    def _walk(self, start: list[Node], steps: tuple[Step, ...]) -> list[Node]:
        nodes = start
        skip = False
        for number, step in enumerate(steps):
            if skip:
                skip = False
                continue
            axis = step.axis
            following = steps[number + 1] if number + 1 < len(steps) else None
            if (
                axis == "descendant-or-self"
                and step.test.kind == "node"
                and not step.predicates
                and following is not None
                and following.axis == "child"
                and not any(may_be_position(predicate) for predicate in following.predicates)
            ):
                # //name is the same as descendant::name unless a predicate counts
                step, skip = Step("descendant", following.test, following.predicates), True
            nodes = self._step(nodes, step)
        return nodes

    def _step(self, nodes: list[Node], step: Step) -> list[Node]:
        axis, test, predicates = AXES[step.axis], step.test, step.predicates
        if len(nodes) == 1:
            found = self._apply(nodes[0], axis, test, predicates)
            return found[::-1] if step.axis in _REVERSE else found
        if step.axis in ("descendant", "descendant-or-self") and not any(map(may_be_position, predicates)):
            nodes = _outermost(nodes)
        result: list[Node] = []
        for node in nodes:
            result.extend(self._apply(node, axis, test, predicates))
        if step.axis == "self" or (step.axis == "child" and not _nested(nodes)):
            return result
        return ordered(result)

    def _apply(
        self,
        node: Node,
        axis: Callable[[Node], Iterable[Node]],
        test: Test,
        predicates: tuple[Expression, ...],
    ) -> list[Node]:
        found: list[Node] = []
        namespace, name = test.namespace, test.name
        source = iter(axis(node))
        while batch := list(islice(source, 512)):
            self.spend(len(batch))
            if test.kind == "name":
                found += [
                    each
                    for each in batch
                    if (not name or each.name == name)
                    and each.name
                    and (namespace is None or each.namespace == namespace)
                ]
            elif test.kind == "node":
                found += batch
            elif test.kind == "text":
                found += [each for each in batch if each.is_text]
        for predicate in predicates:
            found = self._filter(found, predicate)
        return found

    def _filter(self, nodes: list[Node], predicate: Expression) -> list[Node]:
        size = len(nodes)
        result = []
        for position, node in enumerate(nodes, 1):
            value = self.evaluate(predicate, Context(node, position, size))
            if isinstance(value, float):
                if value == position:
                    result.append(node)
            elif self.boolean(value):
                result.append(node)
        return result

    # --- conversions (XPath 1.0 section 4) -------------------------------------------------------

    def text_of(self, node: Node) -> str:
        """The string-value of a node."""
        if not node.children:
            return node.text
        parts: list[str] = []
        size = 0
        for below in node.walk():
            self.spend()
            parts.append(below.text)
            size += len(below.text)
            if size > MAX_TEXT:
                raise _text_too_long()
        return "".join(parts)

    def string(self, value: Value) -> str:
        """string()"""
        if isinstance(value, list):
            return self.text_of(value[0]) if value else ""
        if isinstance(value, bool):
            return "true" if value else "false"
        return number_text(value) if isinstance(value, float) else value

    def number(self, value: Value) -> float:
        """number()"""
        if isinstance(value, bool):
            return float(value)
        if isinstance(value, float):
            return value
        return text_number(self.string(value))

    def boolean(self, value: Value) -> bool:
        """boolean()"""
        if isinstance(value, float):
            return value != 0 and not math.isnan(value)
        return bool(value)

    # --- comparisons (XPath 1.0 section 3.4) -----------------------------------------------------

    def _compare(self, operator: str, left: Value, right: Value) -> bool:
        if isinstance(right, list) and not isinstance(left, list):
            return self._compare(MIRRORED[operator], right, left)
        if isinstance(left, list) and not isinstance(right, bool):
            if isinstance(right, list):
                return self._compare_sets(operator, left, right)
            return any(self._compare_text(operator, node, right) for node in left)
        if operator in ("=", "!="):
            if isinstance(left, bool) or isinstance(right, bool):
                equal = self.boolean(left) == self.boolean(right)
            elif isinstance(left, float) or isinstance(right, float):
                equal = self.number(left) == self.number(right)
            else:
                equal = left == right
            return equal is (operator == "=")
        if isinstance(left, list):
            left = self.boolean(left)
        return COMPARISONS[operator](self.number(left), self.number(right))

    def _compare_text(self, operator: str, node: Node, value: float | str) -> bool:
        self.spend()
        text = self.text_of(node)
        if isinstance(value, float) or operator not in ("=", "!="):
            return COMPARISONS[operator](text_number(text), self.number(value))
        equal = text == value or (":" in value and text == self._qualified(node, value))
        return equal is (operator == "=")

    def _qualified(self, node: Node, text: str) -> str | None:
        """A name with the expression's prefix as the document has it, where the node holds names."""
        kind = node.schema.type if node.schema is not None else None
        if kind is None or kind.base not in ("identityref", "union"):
            return None
        return self.identity(text)

    def identity(self, text: str) -> str | None:
        """``module:name`` of a name with the expression's prefix; None when it is none."""
        prefix, _, name = text.strip().rpartition(":")
        try:
            namespace = self.resolve(prefix)
        except OperationError:
            return None
        module = self.document.schema.module_of_namespace(namespace)
        return f"{module}:{name}" if module else None

    def _compare_sets(self, operator: str, left: list[Node], right: list[Node]) -> bool:
        if operator == "=":
            smaller = self._texts(right)
            return any(self._text(node) in smaller for node in left)
        if operator == "!=":
            texts = self._texts(left) | self._texts(right) if left and right else frozenset()
            return len(texts) > 1
        ones, others = ([text_number(text) for text in self._texts(side)] for side in (left, right))
        ones, others = ([n for n in side if not math.isnan(n)] for side in (ones, others))
        if not ones or not others:
            return False
        if operator in ("<", "<="):
            return COMPARISONS[operator](min(ones), max(others))
        return COMPARISONS[operator](max(ones), min(others))

    def _text(self, node: Node) -> str:
        self.spend()
        return self.text_of(node)

    def _texts(self, nodes: list[Node]) -> frozenset[str]:
        if isinstance(nodes, NodeSet) and nodes.texts is not None:
            return nodes.texts
        texts = frozenset(self._text(node) for node in nodes)
        if isinstance(nodes, NodeSet):
            nodes.texts = texts
        return texts


def ordered(nodes: Iterable[Node]) -> list[Node]:
    """In document order, each once."""
    unique: dict[Node, None] = {}
    source = iter(nodes)
    while batch := list(islice(source, 4096)):  # piece by piece: other threads get their turn in between
        unique.update(dict.fromkeys(batch))
    return sorted(unique, key=lambda node: node.order)


def _outermost(nodes: list[Node]) -> list[Node]:
    """Without those that are below others: their descendants are found along with these."""
    result: list[Node] = []
    end = -1
    for node in nodes:
        if node.start >= end:
            result.append(node)
            end = node.end
    return result


def _nested(nodes: list[Node]) -> bool:
    """True when the children of these nodes, one after the other, may not be in document order."""
    end = -1
    for node in nodes:
        if node.start < end:
            return True
        end = node.end
    return False


def may_be_position(expression: Expression) -> bool:
    """True when a predicate may depend on the position of a node among its siblings."""
    if expression.kind in ("number", "negate", "+", "-", "*", "div", "mod"):
        return True
    if expression.kind == "call" and expression.value in NUMERIC:
        return True
    return any(e.kind == "call" and e.value in ("position", "last") for e in expression.walk())


def _text_too_long() -> OperationError:
    return OperationError("too-big", f"XPath filter: a text of more than {MAX_TEXT} characters")


COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
MIRRORED: Final = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
NUMERIC: Final = frozenset(
    {"last", "position", "count", "number", "sum", "floor", "ceiling", "round", "string-length", "enum-value"}
)

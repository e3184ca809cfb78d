"""XPath 1.0: text to syntax tree (XPath 1.0, W3C Recommendation, section 3.7)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from yang.provider import OperationError

MAX_LENGTH: Final = 16_384
MAX_NESTING: Final = 40
AXES: Final = frozenset(
    {
        "ancestor",
        "ancestor-or-self",
        "attribute",
        "child",
        "descendant",
        "descendant-or-self",
        "following",
        "following-sibling",
        "namespace",
        "parent",
        "preceding",
        "preceding-sibling",
        "self",
    }
)
_NODE_TYPES: Final = frozenset({"comment", "text", "processing-instruction", "node"})
_NAME: Final = r"[^\W\d][\w.\-]*(?![\w.\-])"
_TOKEN: Final = re.compile(
    rf"""\s*(?:(?P<number>\d+(?:\.\d*)?|\.\d+)|(?P<literal>"[^"]*"|'[^']*')"""
    rf"""|(?P<name>{_NAME}(?::(?:{_NAME}|\*))?)"""
    rf"""|(?P<symbol>::|//|\.\.|!=|<=|>=|[()\[\].@,/|+\-=<>*$]))"""
)
_BEFORE_OPERAND: Final = frozenset(
    {"@", "::", "(", "[", ",", "and", "or", "mod", "div", "*", "/", "//", "|", "+", "-"}
    | {"=", "!=", "<", "<=", ">", ">="}
)
_LEVELS: Final = (("=", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "div", "mod"))

Resolve = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Test:
    """A node test.

    Attributes:
        kind: ``name``, or a node type: ``node``, ``text``, ``comment``, ``processing-instruction``.
        namespace: of a name; None matches any.
        name: local name; "" matches any.
    """

    kind: str
    namespace: str | None = None
    name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One step of a location path."""

    axis: str
    test: Test
    predicates: tuple[Expression, ...] = ()


@dataclass(slots=True, eq=False)
class Expression:
    """A node of the syntax tree.

    Attributes:
        kind: ``number``, ``literal``, ``call``, ``path``, ``or``, ``and``, ``union``, ``negate``, or an
            operator: ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``+``, ``-``, ``*``, ``div``, ``mod``.
        value: of a number or literal; name of a function.
        operands: arguments of a call or operator; of a path the expression that it starts from, if any.
        predicates: of a path: those of the expression that it starts from.
        absolute: of a path: it starts at the root.
        steps: of a path.
    """

    kind: str
    value: str | float = ""
    operands: tuple[Expression, ...] = ()
    predicates: tuple[Expression, ...] = ()
    absolute: bool = False
    steps: tuple[Step, ...] = ()
    cache: dict[int, object] = field(default_factory=dict)

    def walk(self) -> Iterator[Expression]:
        """This expression and all inside it."""
        yield self
        inner = [*self.operands, *self.predicates]
        inner.extend(predicate for step in self.steps for predicate in step.predicates)
        for expression in inner:
            yield from expression.walk()


def parse(text: str, resolve: Resolve) -> Expression:
    """The syntax tree of an expression.

    Args:
        resolve: prefix → namespace; raises OperationError for one that is not declared.

    Raises:
        OperationError: ``invalid-value``: it is not XPath 1.0; ``too-big``: longer than `MAX_LENGTH`
            characters or nested more than `MAX_NESTING` deep.
    """
    if len(text) > MAX_LENGTH:
        raise OperationError("too-big", f"an XPath filter may have at most {MAX_LENGTH} characters")
    return _Parser(text, resolve).parse()


class _Parser:
    def __init__(self, text: str, resolve: Resolve) -> None:
        self._text = text
        self._resolve = resolve
        self._tokens = _tokens(text)
        self._position = 0
        self._nesting = 0

    def parse(self) -> Expression:
        if self._peek()[0] == "end":
            raise OperationError("invalid-value", "XPath filter: the expression is empty")
        expression = self._expression()
        if self._peek()[0] != "end":
            raise self._unexpected()
        return expression

    # --- tokens ----------------------------------------------------------------------------------

    def _peek(self, ahead: int = 0) -> tuple[str, str]:
        index = self._position + ahead
        return self._tokens[index] if index < len(self._tokens) else ("end", "")

    def _next(self) -> tuple[str, str]:
        word = self._peek()
        self._position += 1
        return word

    def _accept(self, *symbols: str) -> str:
        kind, text = self._peek()
        if kind in ("symbol", "operator") and text in symbols:
            self._position += 1
            return text
        return ""

    def _expect(self, symbol: str) -> None:
        if not self._accept(symbol):
            raise self._unexpected(symbol)

    def _unexpected(self, wanted: str = "") -> OperationError:
        found = self._peek()[1] or "the end"
        expected = f' where "{wanted}" is expected' if wanted else ""
        return OperationError(
            "invalid-value", f'"{self._text[:200]}" is not XPath 1.0: "{found[:40]}"{expected}'
        )

    # --- expressions -----------------------------------------------------------------------------

    def _expression(self) -> Expression:
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise OperationError("too-big", f"an XPath filter may be nested {MAX_NESTING} deep at most")
        result = self._joined("or", lambda: self._joined("and", lambda: self._binary(0)))
        self._nesting -= 1
        return result

    def _joined(self, operator: str, operand: Callable[[], Expression]) -> Expression:
        operands = [operand()]
        while self._accept(operator):
            operands.append(operand())
        return operands[0] if len(operands) == 1 else Expression(operator, operands=tuple(operands))

    def _binary(self, level: int) -> Expression:
        if level == len(_LEVELS):
            return self._unary()
        left = self._binary(level + 1)
        count = 0
        while operator := self._accept(*_LEVELS[level]):
            count += 1
            if count > MAX_NESTING:  # a chain is evaluated from its innermost left
                raise OperationError("too-big", f'an XPath filter may chain "{operator}" {MAX_NESTING} times')
            left = Expression(operator, operands=(left, self._binary(level + 1)))
        return left

    def _unary(self) -> Expression:
        minus = 0
        while self._accept("-"):
            minus += 1
        operand = self._joined("|", self._path)
        if operand.kind == "|":
            operand = Expression("union", operands=operand.operands)
        if not minus:
            return operand
        negated = Expression("negate", operands=(operand,))
        return negated if minus % 2 else Expression("negate", operands=(negated,))

    # --- paths -----------------------------------------------------------------------------------

    def _path(self) -> Expression:
        kind, text = self._peek()
        if text in ("/", "//") and kind == "symbol":
            return self._absolute()
        following = self._peek(1)
        is_call = kind == "name" and following == ("symbol", "(") and text not in _NODE_TYPES
        if not (kind in ("number", "literal") or is_call or (kind, text) in _PRIMARY):
            return Expression("path", steps=tuple(self._relative()))
        primary = self._primary()
        predicates = self._predicates()
        steps: list[Step] = []
        while separator := self._accept("/", "//"):
            if separator == "//":
                steps.append(_ANY_BELOW)
            steps.append(self._step())
        if not predicates and not steps:
            return primary
        return Expression("path", operands=(primary,), predicates=predicates, steps=tuple(steps))

    def _absolute(self) -> Expression:
        steps: list[Step] = []
        if self._next()[1] == "//":
            steps.append(_ANY_BELOW)
        elif not self._starts_step():
            return Expression("path", absolute=True)
        steps.extend(self._relative())
        return Expression("path", absolute=True, steps=tuple(steps))

    def _starts_step(self) -> bool:
        kind, text = self._peek()
        return kind == "name" or (kind == "symbol" and text in (".", "..", "@", "*"))

    def _relative(self) -> list[Step]:
        steps = [self._step()]
        while separator := self._accept("/", "//"):
            if separator == "//":
                steps.append(_ANY_BELOW)
            steps.append(self._step())
        return steps

    def _step(self) -> Step:
        if self._accept(".."):
            return Step("parent", Test("node"))
        if self._accept("."):
            return Step("self", Test("node"))
        axis = "child"
        if self._accept("@"):
            axis = "attribute"
        elif self._peek(1) == ("symbol", "::"):
            axis = self._next()[1]
            if axis not in AXES:
                raise OperationError("invalid-value", f'XPath filter: there is no axis "{axis[:40]}"')
            self._next()
        return Step(axis, self._test(), self._predicates())

    def _test(self) -> Test:
        kind, text = self._peek()
        if kind == "symbol" and text == "*":
            self._next()
            return Test("name")
        if kind != "name":
            raise self._unexpected("a name")
        self._next()
        if text in _NODE_TYPES and self._accept("("):
            if text == "processing-instruction" and self._peek()[0] == "literal":
                self._next()
            self._expect(")")
            return Test(text)
        prefix, colon, local = text.rpartition(":")
        return Test("name", self._resolve(prefix) if colon else None, "" if local == "*" else local)

    def _predicates(self) -> tuple[Expression, ...]:
        predicates = []
        while self._accept("["):
            predicates.append(self._expression())
            self._expect("]")
        return tuple(predicates)

    def _primary(self) -> Expression:
        kind, text = self._next()
        if kind == "number":
            return Expression("number", float(text))
        if kind == "literal":
            return Expression("literal", text[1:-1])
        if text == "$":
            raise OperationError("invalid-value", "XPath filter: no variable is defined")
        if text == "(":
            inner = self._expression()
            self._expect(")")
            return inner
        self._expect("(")
        arguments = []
        if not self._accept(")"):
            arguments.append(self._expression())
            while self._accept(","):
                arguments.append(self._expression())
            self._expect(")")
        if text == "current":  # the initial context node of a filter is the root (RFC 7950 section 10.1.1)
            if arguments:
                raise OperationError("invalid-value", "XPath filter: current() has no arguments")
            return Expression("path", absolute=True)
        return Expression("call", text, tuple(arguments))


_PRIMARY: Final = {("symbol", "("), ("symbol", "$")}
_ANY_BELOW: Final = Step("descendant-or-self", Test("node"))


def _tokens(text: str) -> list[tuple[str, str]]:
    """Tokens as (kind, text); a name or ``*`` that is an operator where it stands is one."""
    tokens: list[tuple[str, str]] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or match.lastgroup is None:
            raise OperationError(
                "invalid-value",
                f'"{text[:200]}" is not XPath 1.0 at character {position + 1}: "{text[position:][:20]}"',
            )
        position = match.end()
        kind, word = match.lastgroup, match[match.lastgroup]
        before = tokens[-1] if tokens else None
        operand_ended = before is not None and not (
            before[0] == "operator" or (before[0] == "symbol" and before[1] in _BEFORE_OPERAND)
        )
        if operand_ended and (word == "*" or (kind == "name" and word in ("and", "or", "mod", "div"))):
            kind = "operator"
        tokens.append((kind, word))
    return tokens

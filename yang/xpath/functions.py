"""The functions of XPath 1.0 (section 4) and of YANG 1.1 (RFC 7950 section 10)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, cast

from lxml import etree

from yang.provider import OperationError
from yang.xpath.document import Node
from yang.xpath.engine import MAX_TEXT, Context, Engine, Function, Value, ordered
from yang.xpath.syntax import Expression, parse

_SPACE: Final = re.compile("[ \t\r\n]+")
_RELAXNG: Final = "http://relaxng.org/ns/structure/1.0"
_DATATYPES: Final = "http://www.w3.org/2001/XMLSchema-datatypes"


def _nodes(value: Value) -> list[Node]:
    if not isinstance(value, list):
        raise OperationError("invalid-value", "XPath filter: a function needs a node-set as argument")
    return value


def _first(context: Context, values: list[Value]) -> Node | None:
    """The node that a function is about: the argument's first, without argument the context node."""
    if not values:
        return context.node
    return next(iter(_nodes(values[0])), None)


def _text(engine: Engine, context: Context, values: list[Value]) -> str:
    value = engine.string(values[0]) if values else engine.text_of(context.node)
    engine.spend(len(value) // 64)
    return value


def _concat(engine: Engine, _context: Context, values: list[Value]) -> Value:
    parts = [engine.string(value) for value in values]
    size = sum(map(len, parts))
    engine.spend(size // 64)
    if size > MAX_TEXT:
        raise OperationError("too-big", f"XPath filter: a text of more than {MAX_TEXT} characters")
    return "".join(parts)


def _pair(engine: Engine, values: list[Value]) -> tuple[str, str]:
    one, other = engine.string(values[0]), engine.string(values[1])
    engine.spend((len(one) + len(other)) // 64)
    return one, other


def _substring_before(engine: Engine, _context: Context, values: list[Value]) -> Value:
    text, mark = _pair(engine, values)
    before, found, _ = text.partition(mark) if mark else ("", "", "")
    return before if found else ""


def _substring_after(engine: Engine, _context: Context, values: list[Value]) -> Value:
    text, mark = _pair(engine, values)
    return text.partition(mark)[2] if mark else text


def _substring(engine: Engine, _context: Context, values: list[Value]) -> Value:
    text = engine.string(values[0])
    engine.spend(len(text) // 64)
    start = _rounded(engine.number(values[1]))
    end = start + _rounded(engine.number(values[2])) if len(values) > 2 else math.inf
    if math.isnan(start) or math.isnan(end) or start == math.inf or end == -math.inf:
        return ""
    first = max(int(start), 1) if start > -math.inf else 1
    last = min(int(end), len(text) + 1) if end < math.inf else len(text) + 1
    return text[first - 1 : max(last - 1, 0)] if last > first else ""


def _translate(engine: Engine, _context: Context, values: list[Value]) -> Value:
    text, old, new = (engine.string(value) for value in values)
    engine.spend((len(text) + len(old) + len(new)) // 16)
    table: dict[int, int | None] = {}
    for index, character in enumerate(old):
        table.setdefault(ord(character), ord(new[index]) if index < len(new) else None)
    return text.translate(table)


def _rounded(value: float) -> float:
    return math.floor(value + 0.5) if math.isfinite(value) else value


def _sum(engine: Engine, _context: Context, values: list[Value]) -> Value:
    nodes = _nodes(values[0])
    engine.spend(len(nodes))
    return sum((engine.number(engine.text_of(node)) for node in nodes), 0.0)


def _integral(function: Callable[[float], int]) -> Function:
    def call(engine: Engine, _context: Context, values: list[Value]) -> Value:
        value = engine.number(values[0])
        return float(function(value)) if math.isfinite(value) else value

    return call


def _name(_engine: Engine, context: Context, values: list[Value]) -> Value:
    node = _first(context, values)
    if node is None or not node.name:
        return ""
    schema = node.schema
    return f"{schema.module}:{node.name}" if schema is not None and schema.module else node.name


def _local_name(_engine: Engine, context: Context, values: list[Value]) -> Value:
    node = _first(context, values)
    return node.name if node is not None else ""


def _namespace_uri(_engine: Engine, context: Context, values: list[Value]) -> Value:
    node = _first(context, values)
    return node.namespace if node is not None else ""


# --- YANG 1.1 ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _pattern(text: str) -> Any:
    """A validator of texts by an XML Schema pattern, as YANG has them: libxml2's, which cannot run away."""
    grammar = etree.Element(f"{{{_RELAXNG}}}element", name="v", datatypeLibrary=_DATATYPES)
    data = etree.SubElement(grammar, f"{{{_RELAXNG}}}data", type="string")
    etree.SubElement(data, f"{{{_RELAXNG}}}param", name="pattern").text = text
    return etree.RelaxNG(etree.ElementTree(grammar))


def _re_match(engine: Engine, _context: Context, values: list[Value]) -> Value:
    text, pattern = _pair(engine, values)
    engine.spend(100)
    if len(pattern) > 256 or len(text) > 4096:
        raise OperationError("too-big", "XPath filter: re-match() takes 4096 characters and a pattern of 256")
    try:
        validator = _pattern(pattern)
        element = etree.Element("v")
        element.text = text
        return bool(validator.validate(element))
    except (etree.RelaxNGParseError, ValueError) as error:
        raise OperationError(
            "invalid-value", f'XPath filter: "{pattern}" is no pattern of XML Schema'
        ) from error


def _derived(or_self: bool) -> Function:
    def call(engine: Engine, _context: Context, values: list[Value]) -> Value:
        base = engine.identity(engine.string(values[1]))
        nodes = _nodes(values[0])
        engine.spend(len(nodes))
        derived = engine.document.schema.identities.derived(base) if base else frozenset()
        texts = {engine.text_of(node) for node in nodes if _base(node) in ("identityref", "union")}
        return bool(texts & derived) or (or_self and base in texts)

    return call


def _base(node: Node) -> str:
    return node.schema.type.base if node.schema is not None and node.schema.type is not None else ""


def _enum_value(engine: Engine, _context: Context, values: list[Value]) -> Value:
    node = next(iter(_nodes(values[0])), None)
    if node is None or _base(node) != "enumeration" or node.schema is None or node.schema.type is None:
        return math.nan
    return float(node.schema.type.enums.get(engine.text_of(node), math.nan))


def _bit_is_set(engine: Engine, _context: Context, values: list[Value]) -> Value:
    node = next(iter(_nodes(values[0])), None)
    return node is not None and _base(node) == "bits" and engine.string(values[1]) in node.text.split()


def _deref(engine: Engine, _context: Context, values: list[Value]) -> Value:
    """What the first node of the set, a leafref or an instance-identifier, refers to."""
    node = next(iter(_nodes(values[0])), None)
    kind = node.schema.type if node is not None and node.schema is not None else None
    if node is None or kind is None:
        return []
    if kind.leafref:
        expression = _reference(engine, kind.leafref, node.schema.module if node.schema is not None else "")
        engine.spend(100)
        text = node.text
        return [found for found in engine.nodes(expression, Context(node)) if found.text == text]
    if kind.is_path:
        expression = _reference(engine, node.text, "")
        return ordered(engine.nodes(expression, Context(node)))
    return []


def _reference(engine: Engine, path: str, module: str) -> Expression:
    """A path that a module or a value holds: its prefixes are the module's own, or names of modules."""
    schema = engine.document.schema

    def resolve(prefix: str) -> str:
        name = schema.identities.imported(module, prefix) or prefix
        namespace = schema.namespace_of(name)
        if namespace is None:
            raise OperationError("invalid-value", f'XPath filter: deref() does not know "{prefix}"')
        return namespace

    return parse(path, resolve)


def _bool(value: bool) -> Function:
    return lambda _engine, _context, _values: value


FUNCTIONS: Final[dict[str, tuple[int, int, Function]]] = {
    "last": (0, 0, lambda _e, c, _v: float(c.size)),
    "position": (0, 0, lambda _e, c, _v: float(c.position)),
    "count": (1, 1, lambda _e, _c, v: float(len(_nodes(v[0])))),
    "id": (1, 1, lambda _e, _c, _v: cast("list[Node]", [])),
    "local-name": (0, 1, _local_name),
    "namespace-uri": (0, 1, _namespace_uri),
    "name": (0, 1, _name),
    "string": (0, 1, _text),
    "concat": (2, 1_000, _concat),
    "starts-with": (2, 2, lambda e, _c, v: str.startswith(*_pair(e, v))),
    "contains": (2, 2, lambda e, _c, v: str.__contains__(*_pair(e, v))),
    "substring-before": (2, 2, _substring_before),
    "substring-after": (2, 2, _substring_after),
    "substring": (2, 3, _substring),
    "string-length": (0, 1, lambda e, c, v: float(len(_text(e, c, v)))),
    "normalize-space": (0, 1, lambda e, c, v: " ".join(filter(None, _SPACE.split(_text(e, c, v))))),
    "translate": (3, 3, _translate),
    "boolean": (1, 1, lambda e, _c, v: e.boolean(v[0])),
    "not": (1, 1, lambda e, _c, v: not e.boolean(v[0])),
    "true": (0, 0, _bool(True)),
    "false": (0, 0, _bool(False)),
    "lang": (1, 1, _bool(False)),
    "number": (0, 1, lambda e, c, v: e.number(v[0]) if v else e.number(e.text_of(c.node))),
    "sum": (1, 1, _sum),
    "floor": (1, 1, _integral(math.floor)),
    "ceiling": (1, 1, _integral(math.ceil)),
    "round": (1, 1, _integral(lambda value: math.floor(value + 0.5))),
    "re-match": (2, 2, _re_match),
    "deref": (1, 1, _deref),
    "derived-from": (2, 2, _derived(False)),
    "derived-from-or-self": (2, 2, _derived(True)),
    "enum-value": (1, 1, _enum_value),
    "bit-is-set": (2, 2, _bit_is_set),
}
"""Name → (fewest and most arguments, what it does)."""

"""Paths as people write them: from text to XPath filters and to edits. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lxml import etree

from nbi.cli.model import Model, Node
from nbi.cli.target import TargetError
from nbi.protocol.names import BASE_NS, qualified

_NAME = r"[A-Za-z_][\w.\-]*"
_STEP = re.compile(rf"(?:({_NAME}):)?({_NAME})")
_PREDICATE = re.compile(rf"""\[\s*(?:(?:{_NAME}:)?({_NAME})|(\.))\s*=\s*('[^']*'|"[^"]*"|[^\]'"]+?)\s*\]""")


@dataclass(frozen=True, slots=True)
class Step:
    """One level: its module, its name, its node, and (key, value) of its predicates."""

    module: str
    node: Node
    predicates: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The name without its module."""
        return self.node.path.rpartition("/")[2].rpartition(":")[2]


def parse(text: str, model: Model) -> tuple[Step, ...]:
    """Read ``/module:a/b[key='v']/c``; modules may be left out where that is unambiguous.

    Raises:
        TargetError: it is no path, or names what the element does not have.
    """
    steps: list[Step] = []
    module, at = "", 0
    text = text if text.startswith("/") else f"/{text}"
    text = text.rstrip("/") if len(text) > 1 else text
    while at < len(text):
        match = _STEP.match(text, at + 1) if text[at] == "/" else None
        if match is None:
            raise TargetError(f'"{text}" is no path: a name is expected at "{text[at:][:40]}"')
        above = steps[-1].node.path if steps else ""
        node = _child(model, above, module, match[1], match[2])
        if node is None:
            raise TargetError(_unknown(model, above, match[0]))
        module = _module_of(node, module)
        at = match.end()
        predicates: list[tuple[str, str]] = []
        while text.startswith("[", at):
            predicate = _PREDICATE.match(text, at)
            if predicate is None:
                raise TargetError(f"\"{text[at:][:60]}\" is not understood; a key is written [name='value']")
            value = predicate[3]
            predicates.append((predicate[1] or ".", value[1:-1] if value[0] in "'\"" else value))
            at = predicate.end()
        steps.append(Step(module, node, tuple(predicates)))
    return tuple(steps)


def _child(model: Model, above: str, module: str, prefix: str | None, name: str) -> Node | None:
    if not above and not prefix:
        found = model.top(name)
        if len(found) > 1:
            raise TargetError(f'"{name}" is in several modules: {", ".join(found)}')
        return model.nodes.get(f"/{found[0]}") if found else None
    if prefix and prefix != module:
        return model.nodes.get(f"{above}/{prefix}:{name}")
    plain = model.nodes.get(f"{above}/{name}")
    if plain is not None or prefix:
        return plain
    augmented = [path for path in children(model, above) if path.rpartition("/")[2].endswith(f":{name}")]
    return model.nodes[augmented[0]] if len(augmented) == 1 else None


def children(model: Model, above: str) -> list[str]:
    """Schema paths right below one ("" is the root)."""
    start, depth = f"{above}/", above.count("/") + 1
    return [path for path in model.nodes if path.startswith(start) and path.count("/") == depth]


def _module_of(node: Node, module: str) -> str:
    return node.path.rpartition("/")[2].rpartition(":")[0] or module


def _unknown(model: Model, above: str, name: str) -> str:
    names = sorted(path.rpartition("/")[2] for path in children(model, above))
    listed = ", ".join(names[:12]) + (" …" if len(names) > 12 else "")
    return f'{above or "the element"} has no "{name}"' + (f"; there is: {listed}" if names else "")


def xpath(steps: Sequence[Step], model: Model) -> tuple[str, dict[str, str]]:
    """The XPath of a path, and the namespaces of its prefixes (module names).

    Raises:
        TargetError: a value that XPath 1.0 cannot write (it has both kinds of quotes).
    """
    namespaces: dict[str, str] = {}
    parts: list[str] = []
    for step in steps:
        namespaces[step.module] = model.namespaces[step.module]
        parts.append(f"/{step.module}:{step.name}")
        for key, value in step.predicates:
            left = "." if key == "." else f"{step.module}:{key}"
            parts.append(f"[{left}={_literal(value)}]")
    return "".join(parts), namespaces


def _literal(value: str) -> str:
    if "'" not in value:
        return f"'{value}'"
    if '"' not in value:
        return f'"{value}"'
    raise TargetError("a value with both kinds of quotes cannot be asked for")


def edit(steps: Sequence[Step], model: Model, value: str | None, operation: str | None) -> etree._Element:
    """The ``config`` element that sets a leaf, creates a node, or deletes one.

    Args:
        value: of a leaf or leaf-list entry; None for anything else.
        operation: ``delete``, ``remove``, ``replace`` …; None merges.

    Raises:
        TargetError: state cannot be set; a key is missing.
    """
    config = etree.Element(qualified(BASE_NS, "config"), nsmap={None: BASE_NS, "nc": BASE_NS})  # type: ignore[dict-item]
    parent = config
    for step in steps:
        if not step.node.config or step.node.kind not in ("container", "list", "leaf", "leaf-list"):
            raise TargetError(f"{step.node.path} is no configuration")
        namespace = model.namespaces[step.module]
        parent = etree.SubElement(parent, f"{{{namespace}}}{step.name}", nsmap={None: namespace})  # type: ignore[dict-item]
        given = dict(step.predicates)
        for key in step.node.keys:
            if key not in given:
                if step is steps[-1] and operation in ("delete", "remove") and not given:
                    raise TargetError(f"{step.node.path}: name the entry, as in [{key}='…']")
                raise TargetError(f"{step.node.path} needs its key: [{key}='…']")
            etree.SubElement(parent, f"{{{namespace}}}{key}").text = given[key]
        if "." in given:
            parent.text = given["."]
    if value is not None:
        if steps[-1].node.kind not in ("leaf", "leaf-list"):
            raise TargetError(f"{steps[-1].node.path} is no leaf: it has no value")
        parent.text = value
    if operation is not None:
        parent.set(qualified(BASE_NS, "operation"), operation)
    return config


def split_assignment(text: str) -> tuple[str, str | None]:
    """The path and the value of ``PATH=VALUE``; None without a value. An ``=`` in brackets is the path's."""
    depth, quote = 0, ""
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif depth and char in "'\"":
            quote = char
        elif char in "[]":
            depth += 1 if char == "[" else -1
        elif char == "=" and not depth:
            return text[:at], text[at + 1 :]
    return text, None

"""Data paths: which instance, or which instances, of which schema node.

One form inside, three outside: RFC 7951 instance-identifiers, XPath with the caller's prefixes (keys and
leaf-list values as predicates), and gNMI element lists (plain tuples here: no stub is imported).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from yang.schema import Schema, SchemaNode

ANY: Final = "*"
DESCEND: Final = "..."
GnmiElem = tuple[str, Mapping[str, str]]

_NAME: Final = r"[A-Za-z_][\w.-]*"
_STEP: Final = re.compile(rf"/(?:({_NAME}):)?({_NAME}|\*|\.\.\.)")
_KEY: Final = rf"\[\s*(?:(?:({_NAME}):)?({_NAME})|(\.))\s*=\s*"
_PREDICATE: Final = re.compile(rf"""{_KEY}(?:'([^']*)'|"((?:[^"\\]|\\.)*)"|(\$USER))\s*\]""", re.DOTALL)
_XPATH_PREDICATE: Final = re.compile(rf"""{_KEY}(?:'([^']*)'|"([^"]*)"|(\$USER))\s*\]""", re.DOTALL)
_ESCAPE: Final = re.compile(r'\\([\\"])')
MAX_STEPS: Final = 64
USER: Final = "\0USER"
"""Value of a key that stands for the variable ``$USER`` of NACM's paths; no value of a leaf can be equal."""


class PathError(ValueError):
    """A path that cannot be read, or that names what the schema does not have."""


class Step(NamedTuple):
    """One level of a path.

    Attributes:
        module: module of the node; "" means that of the step before (or any, after a wildcard).
        name: name of the node, `ANY` or `DESCEND`.
        keys: (key name, value as text) in the order given; a key that is missing, or ``*``, matches all. The
            value of a leaf-list entry has the key name ``.``.
    """

    module: str
    name: str
    keys: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DataPath:
    """A path from the root. ``DataPath()`` is the root itself."""

    steps: tuple[Step, ...] = ()

    @classmethod
    def parse(cls, text: str, *, variables: bool = False) -> DataPath:
        r"""Read an RFC 7951 instance-identifier: ``/module:a/b[key='v']/module2:c``.

        A value in double quotes may hold ``\"`` and ``\\``. Names may be wildcards.

        Args:
            variables: a value may be ``$USER``, which becomes `USER` (RFC 8341, node-instance-identifier).

        Raises:
            PathError: it is not one.
        """
        steps: list[Step] = []
        module = ""
        for prefix, name, predicates in _split(text, _PREDICATE, variables):
            module = prefix or module
            if not module and name not in (ANY, DESCEND):
                raise PathError(f'"{text[:200]}": the first name needs its module, as in /module:{name}')
            keys = tuple((key, value) for _, key, value in predicates)
            steps.append(Step(prefix or module if name not in (ANY, DESCEND) else prefix, name, keys))
        return cls(tuple(steps))

    @classmethod
    def parse_xpath(cls, text: str, namespaces: Mapping[str, str], schema: Schema) -> DataPath:
        """Read an absolute XPath whose prefixes are declared in `namespaces` (prefix → URI).

        A prefix that is not declared may be the name of a module.

        Raises:
            PathError: unknown prefix, or more than child steps with predicates on keys and leaf-list values.
        """

        def module_of(prefix: str) -> str:
            uri = namespaces.get(prefix)
            module = schema.module_of_namespace(uri) if uri else None
            if module is None and uri is None and schema.module(prefix) is not None:
                module = prefix
            if module is None:
                raise PathError(f'"{text[:200]}": the prefix "{prefix}" is not declared, or names no module')
            return module

        steps: list[Step] = []
        module = ""
        for prefix, name, predicates in _split(text, _XPATH_PREDICATE, False):
            if prefix:
                module = module_of(prefix)
            elif not module and name not in (ANY, DESCEND):
                raise PathError(f'"{text[:200]}": the name "{name}" needs a prefix')
            for key_prefix, _, _ in predicates:
                if key_prefix:
                    module_of(key_prefix)
            steps.append(Step(module, name, tuple((key, value) for _, key, value in predicates)))
        return cls(tuple(steps))

    @classmethod
    def from_gnmi(cls, elems: Iterable[GnmiElem], schema: Schema, origin: str = "") -> DataPath:
        """From gNMI path elements; names with or without ``module:``, keys as text, wildcards kept.

        A top-level name without a module is resolved when it is unambiguous. An `origin` that is the name of
        a module resolves the first name.

        Raises:
            PathError: no node of the schema matches.
        """
        steps: list[Step] = []
        candidates = [schema.root]
        default = origin if schema.module(origin) is not None else ""
        for text, keys in elems:
            if len(steps) >= MAX_STEPS:
                raise PathError(f"the path has more than {MAX_STEPS} elements")
            step, candidates = _resolve(text, default, candidates)
            if len(candidates) == 1:
                _check_keys(candidates[0], keys)
            plain = tuple((name.rpartition(":")[2], value) for name, value in keys.items())
            steps.append(Step(step.module, step.name, plain))
            default = ""
        return cls(tuple(steps))

    @classmethod
    def of_module(cls, module: str) -> DataPath:
        """The top-level nodes of a module: what a gNMI origin without a path stands for."""
        return cls((Step(module, ANY),))

    @property
    def module_only(self) -> str | None:
        """The module, of what `of_module` makes; None of another path."""
        only = self.steps[0] if len(self.steps) == 1 else None
        return only.module if only is not None and only.name == ANY and only.module else None

    @classmethod
    def of_node(cls, node: SchemaNode, keys: Sequence[object] = ()) -> DataPath:
        """The path of an instance: `keys` are the values of all enclosing lists' keys, outermost first."""
        steps: list[Step] = []
        position = 0
        for level in node.chain:
            pairs: list[tuple[str, str]] = []
            for key in level.key_nodes if level.kind == "list" else ():
                if position < len(keys) and key.type is not None:
                    pairs.append((key.name, key.type.format(keys[position])))
                    position += 1
            steps.append(Step(level.module, level.name, tuple(pairs)))
        return cls(tuple(steps))

    def to_gnmi(self, *, prefixes: bool = True) -> list[tuple[str, dict[str, str]]]:
        """As gNMI elements; with `prefixes` names carry ``module:`` where it changes (RFC 7951)."""
        return [
            (f"{module}:{step.name}" if prefixes and module else step.name, dict(step.keys))
            for module, step in self._qualified()
        ]

    def to_xpath(self, prefixes: Mapping[str, str]) -> str:
        """As XPath; `prefixes` maps module name → prefix."""
        parts: list[str] = []
        module = ""
        for step in self.steps:
            module = step.module or module
            prefix = prefixes.get(module, module)
            predicates = "".join(
                f"[{key if key == '.' else f'{prefix}:{key}'}={_quote(value)}]" for key, value in step.keys
            )
            parts.append(f"/{step.name if step.name == ANY else f'{prefix}:{step.name}'}{predicates}")
        return "".join(parts) or "/"

    def schema_node(self, schema: Schema) -> SchemaNode:
        """The schema node that the path leads to.

        Raises:
            PathError: there is none, or the path holds a wildcard in place of a name.
        """
        node = schema.root
        for step in self.steps:
            if step.name in (ANY, DESCEND):
                raise PathError(f"{self}: a wildcard does not lead to one node")
            found = node.child(step.name, step.module or None)
            if found is None:
                raise PathError(f'{self}: {node.path or "the root"} has no child "{step.name}"')
            node = found
        return node

    @property
    def schema_path(self) -> str:
        """Canonical schema path: the same without predicates."""
        return "".join(f"/{module}:{s.name}" if module else f"/{s.name}" for module, s in self._qualified())

    @property
    def exact(self) -> bool:
        """True when no step is a wildcard and no key is ``*`` (missing keys are not looked for)."""
        return all(
            step.name not in (ANY, DESCEND) and all(value != ANY for _, value in step.keys)
            for step in self.steps
        )

    def child(self, name: str, module: str = "", keys: Iterable[tuple[str, str]] = ()) -> DataPath:
        """The path one level down; without a module the child is in that of this path's last step."""
        module = module or (self.steps[-1].module if self.steps else "")
        return DataPath((*self.steps, Step(module, name, tuple(keys))))

    def __truediv__(self, other: DataPath) -> DataPath:
        return DataPath(self.steps + other.steps)

    def __str__(self) -> str:
        """RFC 7951 instance-identifier form."""
        text = last = ""
        for step in self.steps:
            module = step.module
            text += f"/{step.name}" if module == last or not module else f"/{module}:{step.name}"
            last = module or last
            for key, value in step.keys:
                text += f"[{key}={_quote(value)}]"
        return text or "/"

    def _qualified(self) -> Iterable[tuple[str, Step]]:
        """Each step with its module where it differs from the step before, else ""."""
        last = ""
        for step in self.steps:
            module = step.module if step.module != last else ""
            last = step.module or last
            yield module, step


def _split(
    text: str, predicate: re.Pattern[str], variables: bool
) -> Iterable[tuple[str, str, list[tuple[str, str, str]]]]:
    """Steps of a path as (prefix, name, [(prefix of the key, key, value)])."""
    text = text.strip()
    if text == "/":
        return
    position = count = 0
    while position < len(text) or not text:
        step = _STEP.match(text, position)
        count += 1
        if step is None or count > MAX_STEPS:
            raise PathError(
                f'"{text[:200]}" is not a path that can be used here (at character {position + 1})'
            )
        position = step.end()
        predicates: list[tuple[str, str, str]] = []
        while position < len(text) and text[position] == "[":
            match = predicate.match(text, position)
            if match is None or (match[6] and not variables):
                raise PathError(f'"{text[:200]}": the predicate at character {position + 1} is not key=value')
            value = match[4]
            if value is None:
                value = match[5] if match[6] is None else USER
                if predicate is _PREDICATE:
                    value = _ESCAPE.sub(r"\1", value)
            predicates.append((match[1] or "", match[2] or ".", value))
            position = match.end()
        yield step[1] or "", step[2], predicates


def paths_text(paths: Iterable[Sequence[Step]]) -> list[str]:
    """RFC 7951 instance-identifiers of many paths, as `str` of `DataPath` makes them.

    Paths that follow each other often share their first steps: what was written of these is not written anew.
    """
    known: list[tuple[Step, str, str]] = []
    texts: list[str] = []
    for steps in paths:
        depth = 0
        for step in steps:
            if depth < len(known) and known[depth][0] is step:
                depth += 1
                continue
            del known[depth:]
            text, last = (known[-1][1], known[-1][2]) if depth else ("", "")
            module = step.module
            text += f"/{step.name}" if module == last or not module else f"/{module}:{step.name}"
            for key, value in step.keys:
                text += f"[{key}={_quote(value)}]"
            known.append((step, text, module or last))
            depth += 1
        texts.append(known[depth - 1][1] if depth else "/")
    return texts


def _quote(value: str) -> str:
    if value == USER:
        return "$USER"
    if "'" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _resolve(text: str, default: str, candidates: list[SchemaNode]) -> tuple[Step, list[SchemaNode]]:
    """One gNMI element name below any of `candidates` → (step, what it may be)."""
    if text == ANY:
        return Step("", ANY), list(dict.fromkeys(c for node in candidates for c in node.data_children))
    if text == DESCEND:
        # each once: with several of these there are very many ways to most of them
        return Step("", DESCEND), list(dict.fromkeys(b for node in candidates for b in node.walk()))
    module, colon, name = text.rpartition(":")
    module = module if colon else default
    found = [child for node in candidates if (child := node.child(name, module or None)) is not None]
    if not found:
        where = candidates[0].path or "/" if len(candidates) == 1 else "what the wildcard matches"
        raise PathError(f'no node "{text}" below {where}')
    modules = {node.module for node in found}
    return Step(modules.pop() if len(modules) == 1 else module, name), found


def _check_keys(node: SchemaNode, keys: Mapping[str, str]) -> None:
    for key in keys:
        name = key.rpartition(":")[2]
        if name not in node.keys and not (name == "." and node.kind == "leaf-list"):
            known = f"its keys are {', '.join(node.keys)}" if node.keys else "it has no keys"
            raise PathError(f'"{key}" is not a key of {node.path}: {known}')

"""YAML with line numbers: plain data, and the line that each value stands on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab.config.errors import ConfigError, Problem

MAX_SIZE = 1 << 20
"""Octets of the largest file that is read."""

MAX_DEPTH = 40
"""Levels of nesting; the deepest key of the schema is at ten."""

DataPath = tuple[str | int, ...]
"""Keys and list indexes from the top of the file."""


@dataclass
class Document:
    """A parsed file."""

    path: Path
    data: Any = None
    lines: dict[DataPath, int] = field(default_factory=dict)

    def line(self, where: DataPath) -> int:
        """The line of a value; of the nearest value around it when it is not in the file."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)

    def problem(self, where: DataPath, message: str) -> Problem:
        """A finding about the value at ``where``."""
        return Problem(self.line(where), dotted(where), message)


def dotted(where: DataPath) -> str:
    """``("bngs", 0, "bng-id")`` as ``bngs[0].bng-id``."""
    text = ""
    for part in where:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def read_document(path: Path) -> Document:
    """Read a file; raises ConfigError when it cannot be read or is not YAML."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SIZE + 1)
    except OSError as error:
        raise ConfigError(path, [Problem(1, "", f"cannot be read: {error.strerror}")]) from error
    if len(raw) > MAX_SIZE:
        raise ConfigError(path, [Problem(1, "", f"is larger than {MAX_SIZE} octets")])
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(path, [Problem(line, "", "is not UTF-8 text")]) from error
    return parse_document(text, path)


def parse_document(text: str, path: Path) -> Document:
    """Parse YAML text; ``path`` is only used in errors."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(path, [Problem(line, "", f"not valid YAML: {error.problem}")]) from error
    except yaml.YAMLError as error:
        raise ConfigError(path, [Problem(1, "", f"not valid YAML: {error}")]) from error
    except RecursionError as error:
        raise ConfigError(path, [Problem(1, "", "is nested too deeply")]) from error
    if node is None:
        raise ConfigError(path, [Problem(1, "", "is empty; start from the example aether.config.yaml")])
    document = Document(path)
    reader = _Reader(document)
    document.data = reader.convert(node, ())
    if reader.problems:
        raise ConfigError(path, reader.problems)
    return document


class _Reader:
    """Turns YAML nodes into plain data and remembers where they stood."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._seen: set[int] = set()
        self._scalars = yaml.SafeLoader("")
        self.problems: list[Problem] = []

    def convert(self, node: yaml.Node, where: DataPath) -> Any:
        line = node.start_mark.line + 1
        self._document.lines.setdefault(where, line)
        if id(node) in self._seen:
            # an alias: harmless in small files, exponential in hostile ones, and never needed here
            self._report(line, where, "aliases (*name) are not supported; write the value out")
            return None
        self._seen.add(id(node))
        if len(where) > MAX_DEPTH:
            self._report(line, where, "is nested too deeply")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, where)
        if isinstance(node, yaml.SequenceNode):
            return [self.convert(child, (*where, index)) for index, child in enumerate(node.value)]
        try:
            return self._scalars.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            self._report(line, where, f"cannot be understood: {error}")
            return None

    def _mapping(self, node: yaml.MappingNode, where: DataPath) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                self._report(line, where, "keys must be plain words")
                continue
            if key in result:
                first = self._document.lines[(*where, key)]
                self._report(line, (*where, key), f"is given twice; the first is on line {first}")
                continue
            self._document.lines[(*where, key)] = line
            result[key] = self.convert(value_node, (*where, key))
        return result

    def _report(self, line: int, where: DataPath, message: str) -> None:
        self.problems.append(Problem(line, dotted(where), message))

"""Reads from the source which messages it logs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = ("bng", "nbi", "telemetry", "yang", "collector", "oss", "lab")
LEVELS = ("debug", "info", "warning", "error", "exception", "critical")

Function = ast.FunctionDef | ast.AsyncFunctionDef


class UnreadableId(Exception):
    """The id of a message is put together in a way that cannot be followed; the text says where."""


@dataclass
class Message:
    """Where a message id is logged."""

    levels: set[str] = field(default_factory=set)
    packages: set[str] = field(default_factory=set)


def messages(root: Path) -> dict[str, Message]:
    """All message ids of the source below `root`: the first argument of ``log.<level>(…)``."""
    found: dict[str, Message] = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            if "node_modules" in path.parts:
                continue
            for name, level in logged(ast.parse(path.read_text(encoding="utf-8")), path):
                message = found.setdefault(name, Message())
                message.levels.add("error" if level == "exception" else level)
                message.packages.add(package)
    return found


def logged(module: ast.Module, path: Path) -> Iterator[tuple[str, str]]:
    """(id, level) of each message that a module logs."""
    for function, call in _calls(module, None):
        if _is_log(call):
            assert isinstance(call.func, ast.Attribute)
            for name in _ids(module, function, call.args[0], path):
                yield name, call.func.attr
        elif _is_log_effect(call):
            level, name = (str(part.value) for part in call.args if isinstance(part, ast.Constant))
            yield name, level


def _calls(node: ast.AST, function: Function | None) -> Iterator[tuple[Function | None, ast.Call]]:
    """All calls below a node, with the function that each is in."""
    for child in ast.iter_child_nodes(node):
        inside = child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
        if isinstance(child, ast.Call):
            yield function, child
        yield from _calls(child, inside)


def _is_log(call: ast.Call) -> bool:
    """``log.warning("id", …)``, also of ``self.log`` and ``self._log``."""
    target = call.func
    if not isinstance(target, ast.Attribute) or target.attr not in LEVELS or not call.args:
        return False
    logger = target.value
    name = logger.id if isinstance(logger, ast.Name) else getattr(logger, "attr", "")
    return name.lstrip("_") == "log"


def _is_log_effect(call: ast.Call) -> bool:
    """``self._log("warning", "id", …)``: the session machine only says what is to be logged."""
    texts = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
    return (
        getattr(call.func, "attr", "") == "_log" and len(call.args) == len(texts) == 2 and texts[0] in LEVELS
    )


def _ids(module: ast.Module, function: Function | None, argument: ast.expr, path: Path) -> Iterator[str]:
    """The id that an argument stands for; of a parameter, each constant that the module passes for it."""
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        yield argument.value
        return
    names = [part.id for part in ast.walk(argument) if isinstance(part, ast.Name)]
    found = list(_passed(module, function, names[0])) if function is not None and len(names) == 1 else []
    if not found:
        raise UnreadableId(f"{path}:{argument.lineno}: the id of a log message must be a constant")
    for value in found:
        parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else value for part in parts)


def _passed(module: ast.Module, function: Function, parameter: str) -> Iterator[str]:
    """The constants that the calls of a function give one of its parameters."""
    position = [argument.arg for argument in function.args.args].index(parameter)
    for _, call in _calls(module, None):
        if getattr(call.func, "id", "") == function.name and len(call.args) > position:
            given = call.args[position]
            if isinstance(given, ast.Constant):
                yield str(given.value)

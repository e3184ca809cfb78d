"""Identities and imports, read from the text of the modules: the bindings of libyang do not show them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

_NAME: Final = r"[A-Za-z_][\w.-]*"
# Comments and quoted strings; a string that is a name in quotes is kept as that name.
_NOISE: Final = re.compile(r"//[^\n]*|/\*.*?\*/|\"((?:[^\"\\]|\\.)*)\"|'([^']*)'", re.DOTALL)
_IDENTITY: Final = re.compile(rf"\bidentity\s+({_NAME})\s*(;|{{)")
_BASE: Final = re.compile(rf"\bbase\s+(?:({_NAME}):)?({_NAME})\s*;")
_IMPORT: Final = re.compile(rf"\bimport\s+({_NAME})\s*{{[^}}]*?\bprefix\s+({_NAME})\s*;")
_PLAIN: Final = re.compile(rf"(?:{_NAME}:)?{_NAME}")


class Identities:
    """How identities derive from each other (RFC 7950 section 7.18).

    Args:
        texts: name of a module → its own prefix and its YANG texts (its own and those of its submodules).
    """

    def __init__(self, texts: Mapping[str, tuple[str, Iterable[str]]]) -> None:
        self._imports: dict[str, dict[str, str]] = {}
        children: dict[str, set[str]] = {}
        for module, (prefix, sources) in texts.items():
            imports = self._imports[module] = {prefix: module}
            for source in sources:
                text = _NOISE.sub(_without_noise, source)
                imports.update((found[2], found[1]) for found in _IMPORT.finditer(text))
                for name, bases in _identities(text):
                    for base_prefix, base in bases:
                        home = imports.get(base_prefix, module) if base_prefix else module
                        children.setdefault(f"{home}:{base}", set()).add(f"{module}:{name}")
        self._children = children
        self._derived: dict[str, frozenset[str]] = {}

    def derived(self, identity: str) -> frozenset[str]:
        """All identities (``module:name``) that derive from this one, itself not among them."""
        known = self._derived.get(identity)
        if known is None:
            found: set[str] = set()
            waiting = [identity]
            while waiting:
                for child in self._children.get(waiting.pop(), ()):
                    if child not in found:
                        found.add(child)
                        waiting.append(child)
            known = self._derived[identity] = frozenset(found)
        return known

    def imported(self, module: str, prefix: str) -> str | None:
        """The module that a prefix means inside a module, or None."""
        return self._imports.get(module, {}).get(prefix)


def _without_noise(match: re.Match[str]) -> str:
    text = match[1] if match[1] is not None else match[2]
    return text if text is not None and _PLAIN.fullmatch(text) else '""'


def _identities(text: str) -> Iterable[tuple[str, list[tuple[str, str]]]]:
    for match in _IDENTITY.finditer(text):
        if match[2] == ";":
            yield match[1], []
            continue
        depth, end = 1, match.end()
        while depth and end < len(text):
            depth += (text[end] == "{") - (text[end] == "}")
            end += 1
        yield match[1], [(found[1] or "", found[2]) for found in _BASE.finditer(text, match.end(), end)]

"""Instance-identifiers: from the JSON form of RFC 7951 to the XML form that error-path has."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"(?:([A-Za-z_][\w.\-]*):)?([A-Za-z_][\w.\-]*)")
_PREDICATE = re.compile(
    r"""\[\s*(?:(?:([A-Za-z_][\w.\-]*):)?([A-Za-z_][\w.\-]*)|(\.))\s*=\s*('[^']*'|"[^"]*")\s*\]"""
)
_POSITION = re.compile(r"\[\s*[1-9][0-9]*\s*\]")


def instance_identifier_to_xpath(
    path: str, namespaces: Mapping[str, str]
) -> tuple[str, dict[str | None, str]]:
    """The path with a prefix on every name, and the prefixes it needs.

    Names without a module are of their parent's module (RFC 7951 section 6.11). The module's name serves
    as prefix. A path that cannot be read, or of an unknown module, is returned as it is.

    Args:
        path: ``/aether-shaping:shaping-profiles/profile[name='gold']``.
        namespaces: module name → XML namespace.
    """
    steps: list[str] = []
    nsmap: dict[str | None, str] = {}
    module = ""
    at = 0
    while at < len(path):
        name = _NAME.match(path, at + 1) if path[at] == "/" else None
        if name is None:
            return path, {}
        module = name[1] or module
        if module not in namespaces:
            return path, {}
        nsmap[module] = namespaces[module]
        steps.append(f"/{module}:{name[2]}")
        at = name.end()
        while path.startswith("[", at):
            position = _POSITION.match(path, at)
            predicate = None if position else _PREDICATE.match(path, at)
            if position:
                steps.append(position[0])
                at = position.end()
            elif predicate:
                key_module = predicate[1] or module
                if key_module not in namespaces:
                    return path, {}
                nsmap[key_module] = namespaces[key_module]
                key = "." if predicate[3] else f"{key_module}:{predicate[2]}"
                steps.append(f"[{key}={predicate[4]}]")
                at = predicate.end()
            else:
                return path, {}
    return "".join(steps), nsmap

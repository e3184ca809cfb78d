"""Pages of the model: every leaf with its owner and its test, and all of it to browse."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from model_owners import DRIVEN, Element, Owner

_DOTALL = re.MULTILINE | re.DOTALL
TEMPLATE = Path(__file__).with_name("model.template.html")
_WORDS = {
    "config": "set to another value, which is read back and changes what its owner does",
    "state": "read from a whole element that is filled",
    "operation": "sent to a whole element, which carries it out",
    "notification": "sent by a whole element to a subscriber",
}


def cell(text: str) -> str:
    """Text in a table."""
    return " ".join(text.split()).replace("|", "\\|")


def leaves_page(has: Element, owners: Mapping[str, Owner]) -> str:
    """Every leaf, RPC, action and notification of all modules that are implemented."""
    lines = [
        "# Leaves",
        "",
        "Every leaf and leaf-list, RPC, action and notification of the modules that a BNG implements, in the",
        "order of the model; paths are without the module's name in front and without keys. *config* can be",
        "set, *state* is read only, *input* and *output* belong to an operation, *notification* to a",
        "notification. Types without a module are those of aether-types or of YANG.",
        "",
        "*served by* is the module that gives the value, acts on it, or carries the operation out; *kept* is",
        "what is read back and changes nothing else. What is not supported is not here: see",
        "[aether-deviations](aether-deviations.md). *tested* by name of a kind means that every one is",
        "",
    ]
    lines += [f"- *{kind}*: {words} (`{DRIVEN[kind]}`);" for kind, words in _WORDS.items()]
    lines += ["", "else the test is named. A leaf without an owner or a test fails these tests.", ""]
    nodes = (node for node in has.schema.root.walk() if node.path in owners)
    top = lambda node: node.chain[0].module  # noqa: E731
    grouped = sorted(nodes, key=top)
    for module, members in itertools.groupby(grouped, key=top):
        lines += [f"## {module}", "", "| path | type | units | kind | served by | tested | description |"]
        lines.append("|---|---|---|---|---|---|---|")
        for node in members:
            owner = owners[node.path]
            what = f"{type_of(node)} | {node.units} | {role(node)} | {_served(owner)} | {_tested(owner)}"
            path = node.path.removeprefix(f"/{module}:")
            lines.append(f"| `{path}` | {what} | {cell(node.description)} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def deviations(text: str) -> str:
    """A table of what a module of deviations says; "" for any other module."""
    found = re.findall(
        r'^  deviation\s+"([^"]+)" \{\s+description\s+"([^"]+)";\s+deviate (.*?)\n  \}', text, _DOTALL
    )
    lines = ["| node | deviation | why |", "|---|---|---|"]
    for path, why, what in found:
        how = "; ".join(part.strip() for part in re.split(r"[{};]", what) if part.strip())
        lines.append(f"| `{path}` | {how} | {cell(why)} |")
    return "\n".join(lines) if found else ""


def _served(owner: Owner) -> str:
    if owner.kind == "never":
        return f"never: {owner.reason}"
    if owner.kind == "kept":
        return f"kept: {owner.reason}"
    return owner.who or "**nobody**"


def _tested(owner: Owner) -> str:
    if not owner.driven and owner.kind != "never":
        return f"`{owner.test}`"
    return {"kept": "config", "never": "state"}.get(owner.kind, owner.kind)


def type_of(node: Any) -> str:
    """A leaf's type, with what narrows it; nothing for other nodes."""
    kind = node.type
    if kind is None:
        return ""
    name = kind.typedef.removeprefix("aether-types:") or kind.base
    if node.kind == "leaf-list":
        name = f"list of {name}"
    details = []
    if kind.base == "enumeration" and not kind.typedef:
        details.append(" \\| ".join(kind.enums))
    elif kind.range and not kind.typedef:
        details.append(kind.range.replace("|", "\\|"))
    if node.defaults:
        details.append(f"default {' '.join(_value(value) for value in node.defaults)}")
    if node.is_key:
        details.append("key")
    elif node.mandatory:
        details.append("mandatory")
    return f"{name} ({', '.join(details)})" if details else name


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def role(node: Any) -> str:
    """config, state, input, output, notification, rpc or action."""
    if node.kind in ("rpc", "action"):
        return str(node.kind)
    for above in node.chain:
        if above.kind in ("input", "output", "notification"):
            return str(above.kind)
    return "config" if node.config else "state"


# --- to browse -------------------------------------------------------------------------------------


def browsable(has: Element, owners: Mapping[str, Owner]) -> str:
    """One HTML page that needs nothing else."""
    revisions = {module.name: module.revision for module in has.schema.modules}
    nodes = sorted(has.schema.root.children.values(), key=lambda node: (node.module, _is_call(node)))
    modules = [
        {
            "name": module,
            "kind": "module",
            "path": module,
            "revision": revisions[module],
            "children": [_node(node, owners) for node in members],
        }
        for module, members in itertools.groupby(nodes, key=lambda node: node.module)
    ]
    modules.sort(key=lambda module: (not module["name"].startswith("aether-"), module["name"]))
    data = json.dumps(modules, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return TEMPLATE.read_text(encoding="utf-8").replace("/*MODEL*/[]", data)


def _is_call(node: Any) -> bool:
    return node.kind in ("rpc", "action", "notification")


def _node(node: Any, owners: Mapping[str, Owner]) -> dict[str, Any]:
    found = {
        "name": node.json_name.partition(":")[2] or node.json_name,
        "kind": node.kind,
        "path": node.path,
        **dict(_facts(node)),
    }
    owner = owners.get(node.path)
    if owner is not None:
        found["owner"] = _served(owner).replace("**", "")
        found["test"] = owner.test
    children = [_node(child, owners) for child in node.children.values()]
    if children:
        found["children"] = children
    return found


def _facts(node: Any) -> Iterator[tuple[str, Any]]:
    """What there is to say of a node, and only that."""
    yield "role", role(node)
    if node.parent is not None and node.parent.module not in ("", node.module):
        yield "module", node.module
    kind = node.type
    if kind is not None:
        yield "type", kind.typedef or kind.base
        if kind.enums:
            yield "values", list(kind.enums)
        elif kind.identities:
            yield "values", sorted(kind.identities)[:40]
        if kind.limits:
            yield "length" if kind.base in ("string", "binary") else "range", kind.limits
        if kind.patterns and not kind.typedef.startswith("ietf-"):  # an address is known to all
            yield "pattern", " and ".join(kind.patterns)
        if kind.leafref:
            yield "refers", kind.leafref
    for name, value in (
        ("units", node.units),
        ("description", " ".join(node.description.split())),
        ("reference", " ".join(node.reference.split())),
        ("default", " ".join(_value(value) for value in node.defaults)),
        ("keys", " ".join(node.keys)),
        ("limit", node.max_elements),
        ("cases", ", ".join(f"{choice.partition('#')[0]}: {case}" for choice, case in node.cases)),
        ("mandatory", node.mandatory),
        ("presence", node.presence),
        ("key", node.is_key),
        ("nacm", "default-deny-all" if node.deny_all else "default-deny-write" if node.deny_write else ""),
    ):
        if value:
            yield name, value

"""Writes the parts of the documentation that the source knows better than any author.

``python docs/generate.py`` writes them, ``python docs/generate.py --check`` only says what is out of date and
then returns 1. What is written:

- ``docs/yang/``: a tree of each module (by pyang), a page with every leaf, and one to browse;
- in ``docs/log-messages.md``: every message id that the source logs, with its meaning from
  ``docs/log-messages.yaml``;
- in ``docs/lab.md``: the keys of ``aether.config.yaml``, from its JSON schema;
- in ``docs/netconf.md``: the capabilities of the server's hello.

Parts of a page stand between ``<!-- generated: NAME -->`` and ``<!-- end of NAME -->``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import model_owners
import model_pages
import yaml
from log_messages import LEVELS, UnreadableId, messages

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
NOTE = "<!-- Written by docs/generate.py; change its source, not this page. -->"


class DocsError(Exception):
    """Something that the author of the documentation has to mend; the text says what."""


# --- log messages ----------------------------------------------------------------------------------


def meanings() -> dict[str, str]:
    """Message id → what it means, by hand."""
    loaded: dict[str, str] = yaml.safe_load((DOCS / "log-messages.yaml").read_text(encoding="utf-8"))
    return loaded


def log_table() -> str:
    """A table of the ids of each part. Raises DocsError when an id has no meaning, or a meaning no id."""
    try:
        found = messages(ROOT)
    except UnreadableId as error:
        raise DocsError(str(error)) from None
    known = meanings()
    complaints = [
        f"{name} is logged, and docs/log-messages.yaml does not say what it means"
        for name in found.keys() - known
    ]
    complaints += [
        f"{name} is in docs/log-messages.yaml, and nothing logs it" for name in known.keys() - found
    ]
    if complaints:
        raise DocsError("\n".join(sorted(complaints)))
    lines = []
    for group, names in itertools.groupby(sorted(found), key=lambda name: name.partition(".")[0]):
        lines += ["", f"### {group}", "", "| id | level | package | meaning |", "|---|---|---|---|"]
        for name in names:
            levels = ", ".join(level for level in LEVELS if level in found[name].levels)
            packages = ", ".join(sorted(found[name].packages))
            lines.append(f"| `{name}` | {levels} | {packages} | {_cell(known[name])} |")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# --- YANG ------------------------------------------------------------------------------------------


def yang_pages() -> dict[str, str]:
    """Pages of ``docs/yang/`` by name."""
    from yang.datastore.context import SchemaBuilder, load_context
    from yang.datastore.sources import own_dir, standard_dirs

    schema = SchemaBuilder(load_context()).build()
    files = sorted(own_dir().glob("*.yang"))
    trees = _trees(files, [own_dir(), *standard_dirs()])
    pages = {f"{path.stem}.md": _module_page(path, trees.get(path.stem), schema) for path in files}
    has = model_owners.element()
    owners = model_owners.owners(has)
    pages["leaves.md"] = f"{NOTE}\n\n{model_pages.leaves_page(has, owners)}"
    pages["model.html"] = model_pages.browsable(has, owners)
    pages["README.md"] = _yang_index(files, schema)
    return pages


def _trees(files: list[Path], folders: list[Path]) -> dict[str, str]:
    """pyang's tree of each module that has one."""
    command = [sys.executable, "-c", "from pyang.scripts.pyang_tool import run; run()", "-f", "tree"]
    # see lab/setup/lint.sh
    command += ["--ignore-error", "BAD_DEVIATE_ADD"]
    search = ":".join(map(str, folders))
    done = subprocess.run(
        [
            *command,
            "--tree-line-length",
            "110",
            "--path",
            search,
            *map(str, files),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise DocsError(f"pyang failed: {done.stderr}")
    parts = re.split(r"^(?=module: )", done.stdout, flags=re.MULTILINE)
    return {part.split()[1]: part.rstrip() for part in parts if part.startswith("module: ")}


def _statement(text: str, name: str) -> str:
    """The quoted argument of the first statement of a module that has this name."""
    match = re.search(rf'^  {name}\s+"([^"]*)";', text, re.MULTILINE)
    return " ".join(match[1].split()) if match else ""


def _module_page(path: Path, tree: str | None, schema: Any) -> str:
    text = path.read_text(encoding="utf-8")
    module = schema.module(path.stem)
    lines = [
        NOTE,
        "",
        f"# {path.stem}",
        "",
        _statement(text, "description"),
        "",
        f"Source: [`yang/modules/{path.name}`](../../yang/modules/{path.name}) · namespace "
        f"`{module.namespace}` · revision {module.revision}",
        "",
    ]
    if tree and len(tree.splitlines()) > 1:
        lines += ["```", tree, "```", ""]
    elif deviated := model_pages.deviations(text):
        lines += [deviated, ""]
    else:
        names = sorted(re.findall(r"^  (?:typedef|grouping) ([a-z-]+)", text, re.MULTILINE))
        lines += [
            "It has no data of its own: it defines " + ", ".join(f"`{name}`" for name in names) + ".",
            "",
        ]
    return "\n".join(lines)


def _yang_index(files: list[Path], schema: Any) -> str:
    lines = [NOTE, "", "# The model", "", "| module | revision | what it describes |", "|---|---|---|"]
    for path in files:
        what = _statement(path.read_text(encoding="utf-8"), "description")
        lines.append(
            f"| [{path.stem}]({path.stem}.md) | {schema.module(path.stem).revision} | {_cell(what)} |"
        )
    lines += [
        "",
        "[Every leaf](leaves.md) with type, units, description, who serves it or acts on it, and which test",
        "touches it. [model.html](model.html) is all of it in one page to search and to browse, without a",
        "server: open it in a browser.",
        "",
    ]
    others = [m for m in schema.modules if not m.name.startswith("aether-") and m.implemented]
    lines += ["Standard modules that a BNG implements beside them:", ""]
    lines += [f"- `{m.name}` {m.revision}" for m in sorted(others, key=lambda module: module.name)]
    lines += [
        "",
        "To these come the modules of RFC 5277, RFC 5717 and private candidates in `nbi/modules/`.",
        "",
    ]
    return "\n".join(lines)


# --- parts of pages --------------------------------------------------------------------------------


def capabilities() -> str:
    """The capabilities of the NETCONF server's hello; modules by name only."""
    from nbi.files import SCHEMES
    from nbi.operations.filters import WITH_DEFAULTS_MODES
    from nbi.protocol.capabilities import ModuleCapability, server_capabilities
    from nbi.server import MODULES_DIR
    from yang.datastore.context import SchemaBuilder, load_context

    schema = SchemaBuilder(load_context([MODULES_DIR])).build()
    modules = [module for module in schema.modules if module.implemented]
    uris = server_capabilities(
        content_id="…",
        with_defaults=WITH_DEFAULTS_MODES,
        modules=[ModuleCapability(module.name, module.namespace) for module in modules],
        url_schemes=SCHEMES,
    )
    protocol = [uri.replace("%E2%80%A6", "…") for uri in uris if "?module=" not in uri]
    names = ", ".join(f"`{module.name}`" for module in sorted(modules, key=lambda module: module.name))
    return "\n".join(["```", *protocol, "```", "", f"Modules: {names}."])


def config_keys() -> str:
    """A table of all keys of aether.config.yaml."""
    schema = json.loads((ROOT / "lab/config/aether.config.schema.json").read_text(encoding="utf-8"))
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{key}` | {value} | {default} | {meaning} |"
        for key, value, default, meaning in _keys(schema, schema)
    ]
    return "\n".join(lines)


def _keys(
    root: Mapping[str, Any], node: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, str, str, str]]:
    required = node.get("required", ())
    for name, raw in node.get("properties", {}).items():
        child = _resolved(root, raw)
        key = f"{prefix}{name}"
        default = "required" if name in required else _default(child)
        yield key, _value_of(root, child), default, _cell(child.get("description", ""))
        if child.get("type") == "array":
            yield from _keys(root, _resolved(root, child["items"]), f"{key}[].")
        else:
            yield from _keys(root, child, f"{key}.")


def _resolved(root: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return dict(node)
    target: Any = root
    for part in node["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    return {**target, **{name: value for name, value in node.items() if name != "$ref"}}


def _default(node: Mapping[str, Any]) -> str:
    value = node.get("default")
    return "" if value in (None, {}, []) else f"`{value}`"


_FORMATS = {"ipv4": "IPv4 address", "ipv4-interface": "IPv4 address/length", "ipv4-prefix": "IPv4 prefix"}


def _value_of(root: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    if "enum" in node:
        return " \\| ".join(f"`{value}`" for value in node["enum"])
    if "oneOf" in node:
        return " or ".join(_value_of(root, _resolved(root, one)) for one in node["oneOf"])
    if node.get("format") in _FORMATS:
        return _FORMATS[node["format"]]
    kind = str(node.get("type", ""))
    if kind == "array":
        items = _resolved(root, node["items"])
        return "list" if items.get("type") == "object" else f"list of {_value_of(root, items)}"
    low, high = node.get("minimum"), node.get("maximum")
    if low is None:
        return {"object": "mapping"}.get(kind, kind)
    return f"{kind}, {low}–{high}" if high is not None else f"{kind}, from {low}"


def with_part(text: str, name: str, part: str) -> str:
    """The text of a page with one generated part replaced. Raises DocsError when it has no such part."""
    start, end = f"<!-- generated: {name} -->", f"<!-- end of {name} -->"
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise DocsError(f"a page lacks the marks of its generated part {name!r}")
    return f"{before}{start}\n{part}\n{end}{after}"


PARTS: tuple[tuple[str, str, Callable[[], str]], ...] = (
    ("log-messages.md", "messages", log_table),
    ("lab.md", "keys", config_keys),
    ("netconf.md", "capabilities", capabilities),
)
"""Page, name of its generated part, and what makes it."""


def pages() -> dict[Path, str]:
    """Every page that is generated, wholly or in part, with what it has to hold. Raises DocsError."""
    found = {DOCS / "yang" / name: text for name, text in yang_pages().items()}
    for name, part, make in PARTS:
        path = DOCS / name
        found[path] = with_part(path.read_text(encoding="utf-8"), part, make())
    return found


def main(arguments: list[str] | None = None) -> int:
    """0 when all is written, or with ``--check`` when nothing is out of date."""
    parser = argparse.ArgumentParser(description="write the generated parts of the documentation")
    parser.add_argument("--check", action="store_true", help="only say what is out of date")
    check = parser.parse_args(arguments).check
    try:
        wanted = pages()
    except DocsError as error:
        print(f"docs/generate.py: {error}", file=sys.stderr)
        return 1
    stale = [
        path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    gone = [path for path in (DOCS / "yang").iterdir() if path not in wanted]
    for path in (*stale, *gone):
        print(f"{path.relative_to(ROOT)}: {'out of date' if check else 'written'}")
    if check:
        if stale or gone:
            print("run: python docs/generate.py", file=sys.stderr)
        return 1 if stale or gone else 0
    for path in stale:
        path.parent.mkdir(exist_ok=True)
        path.write_text(wanted[path], encoding="utf-8")
    for path in gone:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.path.insert(1, str(ROOT))
    sys.exit(main())

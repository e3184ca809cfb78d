"""Completion of paths: names from what is remembered of the element, keys from the element itself."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from typing import Any

from nbi.cli.model import Model, known_model, learn
from nbi.cli.paths import children, parse, xpath
from nbi.cli.target import TargetError, dial, resolve
from nbi.client import NetconfClient, NetconfError
from nbi.protocol.names import CONFIGURATION_NS, qualified

TIMEOUT = 5.0
"""Seconds that completion may take at most for each request."""
MAX_KEYS = 1000
_OPEN_KEY = re.compile(r"^(?P<list>.*)\[(?P<key>[\w.\-]+)=(?P<quote>['\"]?)(?P<value>[^\]]*)$", re.DOTALL)
_OPEN_NAME = re.compile(r"^(?P<list>.*)\[(?P<key>[\w.\-]*)$", re.DOTALL)
_PLAIN = re.compile(r"[\w.:/@-]+")
_DATA = ("container", "list", "leaf", "leaf-list", "anydata")


def data_paths(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Paths that go on from what is written (argcomplete)."""
    try:
        target = resolve(parsed_args, ask=False)
        open_key = _OPEN_KEY.match(prefix)
        model = known_model(target)
        if model is not None and open_key is None:
            return list(names(prefix, model))
        with dial(target, TIMEOUT) as client:
            model = learn(client, target)
            if open_key is None:
                return list(names(prefix, model))
            return list(_keys(client, model, open_key))
    except (TargetError, NetconfError, OSError):
        return []


def config_paths(prefix: str, parsed_args: argparse.Namespace, **kwargs: Any) -> list[str]:
    """As `data_paths`; for ``path=value`` only as far as the path goes."""
    return (
        []
        if re.search(r"\]?=[^\]]*$", prefix) and "[" not in prefix
        else data_paths(prefix, parsed_args, **kwargs)
    )


def commits(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    """Numbers of the commits that the element remembers (argcomplete)."""
    try:
        with dial(resolve(parsed_args, ask=False), TIMEOUT) as client:
            asked = f"<commits xmlns='{CONFIGURATION_NS}'><commit><number/></commit></commits>"
            found = client.get(asked).iter(qualified(CONFIGURATION_NS, "number"))
            return [number.text or "" for number in found]
    except (TargetError, NetconfError, OSError):
        return []


def names(prefix: str, model: Model) -> Iterator[str]:
    """Paths with one more name; a list's path gets ``[key=``, too.

    What is not written with a slash first is completed without one.
    """
    open_name = _OPEN_NAME.match(prefix)
    if open_name is not None:
        yield from _key_names(model, open_name)
        return
    written, _, part = prefix.rpartition("/")
    try:
        above = parse(written, model)[-1].node.path if written.strip("/") else ""
    except TargetError:
        return
    start = f"{written}/" if "/" in prefix else ""
    for path in children(model, above):
        node = model.nodes[path]
        name = path.rpartition("/")[2]
        local = name.rpartition(":")[2]
        if node.kind not in _DATA:
            continue
        if not name.startswith(part):
            # people leave the module out
            if not local.startswith(part) or (not above and len(model.top(local)) > 1):
                continue
            name = local
        yield f"{start}{name}"
        if node.kind == "list" and node.keys and name == part:
            yield f"{start}{name}[{node.keys[0]}="


def _key_names(model: Model, written: re.Match[str]) -> Iterator[str]:
    """What a predicate may begin with: the keys that are not given yet."""
    try:
        last = parse(written["list"], model)[-1]
    except TargetError:
        return
    given = {key for key, _ in last.predicates}
    for key in last.node.keys:
        if key not in given and key.startswith(written["key"]):
            yield f"{written['list']}[{key}="


def _keys(client: NetconfClient, model: Model, written: re.Match[str]) -> Iterator[str]:
    steps = parse(written["list"], model)
    expression, namespaces = xpath(steps, model)
    module = steps[-1].module
    data = client.get(xpath=(f"{expression}/{module}:{written['key']}", namespaces))
    quote = written["quote"]
    found = sorted({leaf.text or "" for leaf in data.iter(f"{{{model.namespaces[module]}}}{written['key']}")})
    for value in [one for one in found if one.startswith(written["value"])][:MAX_KEYS]:
        mark = quote or ("" if _PLAIN.fullmatch(value) else "'")
        yield f"{written['list']}[{written['key']}={mark}{value}{mark}]"

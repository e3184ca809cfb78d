"""What an element can be asked for: its modules and the paths of its nodes, learnt from itself.

The YANG library tells the modules, get-schema brings them, pyang makes paths of them. All of it is kept in
``~/.cache/aether/netconf``, by content-id, so that it is learnt once and completion is at hand at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lxml import etree

from nbi.cli.target import Target
from nbi.client import NetconfClient, NetconfError
from nbi.protocol.names import MONITORING_NS

_LIBRARY_NS = "urn:ietf:params:xml:ns:yang:ietf-yang-library"
_CONTENT_ID = re.compile(r"content-id=([^&]+)")
_FORMAT = 1
"""Of the cached files; raised when they change."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the schema.

    Attributes:
        path: RFC 7951 schema path: ``/aether-subscriber:sessions/session``.
        kind: ``container``, ``list``, ``leaf``, ``leaf-list``, ``rpc``, ``action``, ``notification`` …
        config: whether it is configuration.
    """

    path: str
    kind: str
    config: bool = True
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """Modules and nodes of an element.

    Attributes:
        namespaces: module → XML namespace.
        nodes: by schema path, parents first.
    """

    namespaces: dict[str, str]
    nodes: dict[str, Node] = field(repr=False)

    def top(self, name: str) -> list[str]:
        """The top-level data nodes of that name, as ``module:name``."""
        return [path[1:] for path in self.nodes if path.count("/") == 1 and path.partition(":")[2] == name]


def known_model(target: Target) -> Model | None:
    """What is remembered of an element, without asking it."""
    try:
        content_id = _pointer(target).read_text()
    except OSError:
        return None
    return _read(content_id)


def learn(client: NetconfClient, target: Target) -> Model:
    """The model of an element; asks it for what is not known yet.

    Raises:
        NetconfError: the element has no YANG library, or does not give its modules.
    """
    content_id = _content_id(client)
    model = _read(content_id)
    if model is None:
        modules = _modules(client)
        texts = {name: _schema(client, name, revision) for name, revision, _ in modules}
        nodes = {node.path: node for node in nodes_of(texts)}
        model = Model({name: namespace for name, _, namespace in modules}, nodes)
        _write(content_id, model)
    pointer = _pointer(target)
    pointer.parent.mkdir(parents=True, exist_ok=True)
    pointer.write_text(content_id)
    return model


def nodes_of(texts: dict[str, str]) -> Iterator[Node]:
    """The nodes of YANG modules, given as name → text; imports among them are followed."""
    from pyang import context, repository

    class Given(repository.Repository):  # type: ignore[misc]
        def get_modules_and_revisions(self, _ctx: Any) -> list[Any]:
            return [(name, None, name) for name in texts]

        def get_module_from_handle(self, handle: str) -> Any:
            return handle, "yang", texts[handle]

    found = context.Context(Given())
    modules = [found.add_module(name, text) for name, text in texts.items()]
    found.validate()
    for module in modules:
        for child in getattr(module, "i_children", None) or ():
            yield from _walk(child, "", "")


def _walk(statement: Any, parent: str, module: str) -> Iterator[Node]:
    keyword = statement.keyword
    own = statement.i_module.i_modulename
    path = parent
    if keyword not in ("choice", "case", "input", "output"):
        path = f"{parent}/{statement.arg if own == module else f'{own}:{statement.arg}'}"
        keys = tuple(key.arg for key in getattr(statement, "i_key", None) or ())
        yield Node(path, str(keyword), bool(getattr(statement, "i_config", True)), keys)
        module = own
    elif keyword in ("input", "output"):
        path = f"{parent}/{keyword}"
    for child in getattr(statement, "i_children", None) or ():
        yield from _walk(child, path, module)


# --- asking -------------------------------------------------------------------------------------------


def _content_id(client: NetconfClient) -> str:
    for capability in client.capabilities:
        match = _CONTENT_ID.search(capability) if "yang-library" in capability else None
        if match:
            return match[1]
    return hashlib.sha256("\n".join(sorted(client.capabilities)).encode()).hexdigest()


def _modules(client: NetconfClient) -> list[tuple[str, str, str]]:
    data = client.get(f"<modules-state xmlns='{_LIBRARY_NS}'/>")
    found = []
    for module in data.iter(f"{{{_LIBRARY_NS}}}module"):
        name, revision, namespace = (
            module.findtext(f"{{{_LIBRARY_NS}}}{tag}") or "" for tag in ("name", "revision", "namespace")
        )
        found.append((name, revision, namespace))
    if not found:
        raise NetconfError("the element has no YANG library: write the path with --xpath")
    return found


def _schema(client: NetconfClient, name: str, revision: str) -> str:
    request = etree.Element(f"{{{MONITORING_NS}}}get-schema", nsmap={None: MONITORING_NS})  # type: ignore[dict-item]
    for tag, text in (("identifier", name), ("version", revision), ("format", "yang")):
        if text:
            etree.SubElement(request, f"{{{MONITORING_NS}}}{tag}").text = text
    return client.rpc(request).findtext(f"{{{MONITORING_NS}}}data") or ""


# --- remembering --------------------------------------------------------------------------------------


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "aether/netconf"


def _pointer(target: Target) -> Path:
    name = hashlib.sha256(f"{target.host}:{target.port}".encode()).hexdigest()[:32]
    return _folder() / f"{name}.id"


def _file(content_id: str) -> Path:
    return _folder() / f"{hashlib.sha256(content_id.encode()).hexdigest()[:32]}.json"


def _read(content_id: str) -> Model | None:
    try:
        data = json.loads(_file(content_id).read_text())
        if data["format"] != _FORMAT:
            return None
        nodes = (Node(path, kind, config, tuple(keys)) for path, kind, config, keys in data["nodes"])
        return Model(dict(data["namespaces"]), {node.path: node for node in nodes})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(content_id: str, model: Model) -> None:
    file = _file(content_id)
    file.parent.mkdir(parents=True, exist_ok=True)
    nodes = [(node.path, node.kind, node.config, node.keys) for node in model.nodes.values()]
    temporary = file.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps({"format": _FORMAT, "namespaces": model.namespaces, "nodes": nodes}))
    temporary.replace(file)

"""Targets and subscriptions as gnmic's configuration file has them. No I/O.

A file of gnmic can be used as it is: `username`, `password`, `encoding`, `targets`, `subscriptions` and of
those the keys below are read, and keys that say how gnmic itself works are not. See https://gnmic.openconfig.net.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MODES = ("stream", "once", "poll")
STREAM_MODES = ("target-defined", "on-change", "sample")
ENCODINGS = ("json", "bytes", "proto", "ascii", "json_ietf")
UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


class ForeignError(ValueError):
    """The text says where and why."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What to ask for.

    Attributes:
        name: key of `subscriptions`.
        paths: gNMI paths as text.
        mode: stream, once or poll; once and poll are repeated each interval.
        stream_mode: target-defined, on-change or sample.
        sample_interval, heartbeat_interval: nanoseconds, 0 for the target's choice.
        encoding: json, bytes, proto, ascii or json_ietf.
    """

    name: str
    paths: tuple[str, ...]
    mode: str = "stream"
    stream_mode: str = "target-defined"
    sample_interval: int = 0
    heartbeat_interval: int = 0
    encoding: str = "json"
    prefix: str = ""
    target: str = ""
    suppress_redundant: bool = False
    updates_only: bool = False


@dataclass(frozen=True, slots=True)
class ForeignTarget:
    """Where to ask.

    Attributes:
        name: key of `targets`; of leases, states and rows.
        address: ``host:port``.
        insecure: without TLS.
        ca, cert, key: PEM files; ca may be absent when the system's authorities have signed.
        server_name: name to expect in the certificate, where it is not the address.
    """

    name: str
    address: str
    subscriptions: tuple[Subscription, ...]
    username: str = ""
    password: str = field(default="", repr=False)
    insecure: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class Foreign:
    """All targets of a file, None when they stand in the collector's own configuration."""

    targets: tuple[ForeignTarget, ...] = ()
    file: Path | None = None


def nanoseconds(text: Any, where: str) -> int:
    """A duration of Go (``10s``, ``1m30s``, ``500ms``) in ns, 0 to a day. Raises ForeignError."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)", text) if isinstance(text, str) else []
    total = sum(float(number) * UNITS[unit] for number, unit in parts)
    if not parts or "".join(number + unit for number, unit in parts) != text or total > 86400e9:
        raise ForeignError(f"{where} must be a duration such as 10s, a day at most, not {text!r}")
    return round(total)


def _mapping(source: Any, where: str) -> dict[str, Any]:
    if not isinstance(source, dict) or not all(isinstance(key, str) for key in source):
        raise ForeignError(f"{where} must be a mapping of names")
    return source


def _word(source: dict[str, Any], key: str, default: str, words: tuple[str, ...], where: str) -> str:
    value = str(source.get(key, default)).lower().replace("_", "-")
    for word in words:
        if value == word.replace("_", "-"):
            return word
    raise ForeignError(f"{where}.{key} must be one of {', '.join(words)}, not {source.get(key)!r}")


def _text(source: dict[str, Any], key: str, where: str, default: str = "") -> str:
    value = source.get(key, default)
    if not isinstance(value, str):
        raise ForeignError(f"{where}.{key} must be text")
    return value


def _flag(source: dict[str, Any], key: str, where: str) -> bool:
    value = source.get(key, False)
    if not isinstance(value, bool):
        raise ForeignError(f"{where}.{key} must be true or false")
    return value


def _subscription(name: str, source: Any, encoding: str) -> Subscription:
    where = f"subscriptions.{name}"
    given = _mapping(source, where)
    listed = given.get("paths", given.get("path"))
    paths = [listed] if isinstance(listed, str) else listed
    if not isinstance(paths, list) or not paths or not all(isinstance(path, str) for path in paths):
        raise ForeignError(f"{where}.paths must be a list of paths")
    for path in paths:
        parse_path(path, where)
    interval, heartbeat = (
        nanoseconds(given[key], f"{where}.{key}") if key in given else 0
        for key in ("sample-interval", "heartbeat-interval")
    )
    prefix = _text(given, "prefix", where)
    parse_path(prefix, where)
    return Subscription(
        name,
        tuple(paths),
        mode=_word(given, "mode", "stream", MODES, where),
        stream_mode=_word(given, "stream-mode", "target-defined", STREAM_MODES, where),
        sample_interval=interval,
        heartbeat_interval=heartbeat,
        encoding=_word(given, "encoding", encoding, ENCODINGS, where),
        prefix=prefix,
        target=_text(given, "target", where),
        suppress_redundant=_flag(given, "suppress-redundant", where),
        updates_only=_flag(given, "updates-only", where),
    )


def _target(
    name: str, source: Any, all_of: dict[str, Subscription], common: dict[str, Any], base: Path
) -> ForeignTarget:
    where = f"targets.{name}"
    given = {**common, **_mapping(source or {}, where)}
    address = _text(given, "address", where, name)
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ForeignError(f"{where}.address must be host:port, not {address!r}")
    wanted = given.get("subscriptions", list(all_of))
    if not isinstance(wanted, list) or not wanted:
        raise ForeignError(f"{where}.subscriptions must be a list of names")
    for subscription in wanted:
        if subscription not in all_of:
            raise ForeignError(f"{where}.subscriptions: there is no subscription {subscription!r}")
    if _flag(given, "skip-verify", where):
        raise ForeignError(f"{where}.skip-verify is not supported: give tls-ca, or insecure without TLS")
    files = {key: _text(given, f"tls-{key}", where) for key in ("ca", "cert", "key")}
    return ForeignTarget(
        name,
        address,
        tuple(all_of[subscription] for subscription in wanted),
        username=_text(given, "username", where),
        password=_text(given, "password", where),
        insecure=_flag(given, "insecure", where),
        server_name=_text(given, "tls-server-name", where),
        **{key: base / file if file else None for key, file in files.items()},
    )


COMMON = (
    "username",
    "password",
    "insecure",
    "skip-verify",
    "tls-ca",
    "tls-cert",
    "tls-key",
    "tls-server-name",
)


def read_foreign(source: Any, base: Path, file: Path | None = None) -> Foreign:
    """Check a decoded file. Raises ForeignError."""
    given = _mapping(source, "the file")
    encoding = _word(given, "encoding", "json", ENCODINGS, "the file")
    subscriptions = {
        name: _subscription(name, content, encoding)
        for name, content in _mapping(given.get("subscriptions", {}), "subscriptions").items()
    }
    common = {key: given[key] for key in COMMON if key in given}
    targets = _mapping(given.get("targets", {}), "targets")
    return Foreign(
        tuple(_target(name, content, subscriptions, common, base) for name, content in targets.items()), file
    )


PathText = tuple[str, list[tuple[str, dict[str, str]]]]


def parse_path(text: str, where: str = "path") -> PathText:
    r"""A path as text (gNMI path conventions): ``origin:/a/b[k=v]/c``; ``\`` escapes ``]`` in a value.

    Returns origin and elements with keys. Raises ForeignError.
    """
    origin = ""
    found = re.match(r"([A-Za-z][\w-]*):(?=/)", text)
    if found:
        origin, text = found[1], text[found.end() :]
    elements: list[tuple[str, dict[str, str]]] = []
    rest = text.strip("/")
    while rest:
        name = re.match(r"[^/\[\]]+", rest)
        if not name:
            raise ForeignError(f"{where}: no path: {text!r}")
        rest, keys = rest[name.end() :], {}
        while rest.startswith("["):
            key = re.match(r"\[([^=\]]+)=((?:\\.|[^\\\]])*)\]", rest)
            if not key:
                raise ForeignError(f"{where}: no path: {text!r}")
            keys[key[1]] = re.sub(r"\\(.)", r"\1", key[2])
            rest = rest[key.end() :]
        elements.append((name[0], keys))
        if rest and not rest.startswith("/"):
            raise ForeignError(f"{where}: no path: {text!r}")
        rest = rest.lstrip("/")
    return origin, elements


def path_text(origin: str, elements: list[tuple[str, dict[str, str]]]) -> str:
    """The canonical text of a path: keys in order of their names."""
    text = f"{origin}:" if origin else ""
    for name, keys in elements:
        inside = "".join(f"[{key}={_escaped(value)}]" for key, value in sorted(keys.items()))
        text += f"/{name}{inside}"
    return text if elements else text + "/"


def _escaped(value: str) -> str:
    return re.sub(r"([\\\]])", r"\\\1", value)

"""The member `bus` of the configuration: which NATS, with which credentials, and what the stream keeps."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MEMBERS = {
    *("url", "user", "password", "nkey", "ca", "cert", "key"),
    *("stream", "subject", "size", "age", "replicas"),
}
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class BusConfig:
    """A NATS with JetStream.

    Attributes:
        urls: servers of one cluster, ``nats://`` or ``tls://``.
        user, password: credentials, empty for none.
        nkey: file with the seed of an NKey, None for none.
        ca, cert, key: PEM files of TLS; without `ca` the system's authorities count.
        stream: name of the stream; that of the seats is beside it, with ``-SEATS`` after the name.
        subject: what subjects begin with.
        size: MiB that the stream keeps, 16–2²⁴; the oldest messages go first.
        age: seconds that it keeps them, 60–10⁸.
        replicas: servers of the cluster that keep it, 1–5.
    """

    urls: tuple[str, ...]
    user: str = ""
    password: str = field(default="", repr=False)
    nkey: Path | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    stream: str = "AETHER"
    subject: str = "aether"
    size: int = 8192
    age: int = 86400
    replicas: int = 1


def _urls(source: Any) -> tuple[str, ...]:
    urls = [source] if isinstance(source, str) else source
    if not isinstance(urls, list) or not urls or not all(isinstance(url, str) for url in urls):
        raise ValueError("'url' must be an address, or a list of them")
    for url in urls:
        scheme, _, rest = url.partition("://")
        if scheme not in ("nats", "tls") or not rest:
            raise ValueError("'url' must begin with nats:// or tls://")
        if "@" in rest:
            raise ValueError("'url': credentials are 'user' and 'password', or 'nkey'")
    if len({url.partition("://")[0] for url in urls}) > 1:
        raise ValueError("'url': either all of them are tls:// or none is")
    return tuple(urls)


def parse(source: Any, base: Path) -> BusConfig | None:
    """Check the member; files in it are relative to `base`. Raises ValueError."""
    if source is None:
        return None
    if not isinstance(source, dict):
        raise ValueError("must be an object")
    if unknown := source.keys() - MEMBERS:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")

    def text(name: str, default: str = "") -> str:
        value = source.get(name, default)
        if not isinstance(value, str) or (name in source and not value):
            raise ValueError(f"'{name}' must be a non-empty string")
        return value

    def file(name: str) -> Path | None:
        return base / text(name) if name in source else None

    def number(name: str, default: int, low: int, high: int) -> int:
        value = source.get(name, default)
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"'{name}' must be a whole number from {low} to {high}, not {value!r}")
        return value

    def name(member: str, default: str) -> str:
        if not NAME.fullmatch(value := text(member, default)):
            raise ValueError(f"'{member}' may have letters, digits, - and _ only")
        return value

    urls = _urls(source.get("url"))
    if ("user" in source) != ("password" in source):
        raise ValueError("'user' and 'password' belong together")
    if "user" in source and "nkey" in source:
        raise ValueError("either 'user' or 'nkey', not both")
    if ("cert" in source) != ("key" in source):
        raise ValueError("'cert' and 'key' belong together")
    if not urls[0].startswith("tls://") and ("ca" in source or "cert" in source):
        raise ValueError("'ca' and 'cert' are of tls:// only")
    return BusConfig(
        urls,
        text("user"),
        text("password"),
        file("nkey"),
        file("ca"),
        file("cert"),
        file("key"),
        name("stream", "AETHER"),
        name("subject", "aether"),
        number("size", 8192, 16, 1 << 24),
        number("age", 86400, 60, 10**8),
        number("replicas", 1, 1, 5),
    )

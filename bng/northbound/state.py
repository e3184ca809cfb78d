"""State that control pushes: health, access routers, and who this element is."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

from bng.northbound.changes import ChangeLog
from bng.northbound.container import ContainerProvider
from yang.provider import Change, Keys


class HealthProvider(ContainerProvider):
    """``/aether-health:health``, watchable: the last report of control."""

    path = "/aether-health:health"

    def __init__(self) -> None:
        self._record: SimpleNamespace | None = None
        self._version = 0
        self._time = 0

    def put(self, report: Mapping[str, Any]) -> None:
        """A report came; its leaves have ``_`` for ``-``."""
        lists = {
            name: [SimpleNamespace(**entry) for entry in report.get(name) or ()]
            for name in ("radius_server", "dhcp_server", "dhcp_drop", "process")
        }
        dynamic = report.get("dynamic_authorization")
        if dynamic is not None:
            clients = [SimpleNamespace(**entry) for entry in dynamic["client"]]
            dynamic = SimpleNamespace(**{**dynamic, "client": clients})
        for server in lists["dhcp_server"]:
            server.lease_api = _namespace(getattr(server, "lease_api", None))
        reconcile = _namespace(report.get("reconcile"))
        nested = {"dynamic_authorization": dynamic, "reconcile": reconcile}
        self._record = SimpleNamespace(**{**report, **lists, **nested})
        self._version += 1
        self._time = time.time_ns()

    def record(self) -> SimpleNamespace | None:
        return self._record

    @property
    def version(self) -> int:
        return self._version

    def changes(self, since: int) -> Sequence[Change]:
        return [Change((), self._record, self._time)] if since < self._version else []


def _namespace(record: Mapping[str, Any] | None) -> SimpleNamespace | None:
    """A container with the containers in it."""
    if record is None:
        return None
    return SimpleNamespace(
        **{name: _namespace(value) if isinstance(value, Mapping) else value for name, value in record.items()}
    )


class ListProvider:
    """A watchable list whose records come as a whole, from time to time.

    Args:
        path: schema path of the list.
        key: attribute that is its key.
    """

    def __init__(self, path: str, key: str) -> None:
        self.path = path
        self._key = key
        self._records: dict[str, SimpleNamespace] = {}
        self._log = ChangeLog(20_000)
        self._time = 0

    def put(self, records: Iterable[SimpleNamespace]) -> bool:
        """Take all records in. True when something is different."""
        fresh = {getattr(record, self._key): record for record in records}
        before, version = self._records, self._log.version
        for key in before.keys() | fresh.keys():
            if before.get(key) != fresh.get(key):
                self._log.note((key,))
        self._records = fresh
        self._time = time.time_ns()
        return self._log.version != version

    def get(self, keys: Keys) -> SimpleNamespace | None:
        return self._records.get(keys[0])

    def iter(self) -> list[SimpleNamespace]:
        return list(self._records.values())

    @property
    def version(self) -> int:
        return self._log.version

    def changes(self, since: int) -> Sequence[Change] | None:
        changed = self._log.since(since)
        if changed is None:
            return None
        return [Change(keys, self._records.get(keys[0]), self._time) for keys in changed]


class RoutersState:
    """Access routers as control sees them: the state of configured ones, and those discovered."""

    def __init__(self) -> None:
        base = "/aether-access-router:access-routers"
        self.configured = ListProvider(f"{base}/access-router", "name")
        self.discovered = ListProvider(f"{base}/discovered", "remote_id")

    def put(self, records: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
        """Take what control told in. Returns the schema paths of what is different."""
        configured = [
            SimpleNamespace(
                name=record["name"],
                state=SimpleNamespace(**{key: value for key, value in record.items() if key != "name"}),
            )
            for record in records["configured"]
        ]
        discovered = [SimpleNamespace(**record) for record in records["discovered"]]
        changed = []
        for provider, fresh in ((self.configured, configured), (self.discovered, discovered)):
            if provider.put(fresh):
                changed.append(provider.path)
        return changed


class Identity(NamedTuple):
    """State of aether-bng:bng/identity."""

    instance_id: str
    version: str
    started: str


class IdentityProvider(ContainerProvider):
    """State of ``/aether-bng:bng/identity``, as control said hello."""

    path = "/aether-bng:bng/identity"

    def __init__(self) -> None:
        self.identity: Identity | None = None

    def record(self) -> Identity | None:
        return self.identity

"""The NETCONF server's own settings: from the configuration to the server, and its state back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

from bng.northbound.container import ContainerProvider
from nbi.callhome import Client, Endpoint, State
from nbi.hostkeys import describe
from nbi.info import Limits
from nbi.server import NetconfServer
from nbi.subscriptions import event_time
from yang.provider import ConfigDiff, Keys, StateProvider

PATH = "/aether-bng:bng/management/netconf"

_LIMITS = {
    "max-sessions": "max_sessions",
    "max-sessions-per-user": "max_sessions_per_user",
    "max-logins": "max_logins",
    "max-logins-per-address": "max_logins_per_peer",
    "max-auth-tries": "max_login_failures",
    "login-timeout": "login_timeout",
    "hello-timeout": "hello_timeout",
    "idle-timeout": "idle_timeout",
    "keepalive-interval": "keepalive_interval",
}


def settings(running: Mapping[str, Any]) -> Mapping[str, Any]:
    """The NETCONF server's part of a configuration with defaults (RFC 7951)."""
    part: Mapping[str, Any] = running.get("aether-bng:bng", {}).get("management", {}).get("netconf", {})
    return part


def limits_of(configured: Mapping[str, Any]) -> Limits:
    """The limits; what is not configured as the server has it."""
    given = configured.get("limits", {})
    return Limits(**{ours: given[theirs] for theirs, ours in _LIMITS.items() if theirs in given})


def clients_of(configured: Mapping[str, Any]) -> list[Client]:
    """The clients that are called."""
    return [
        _client(entry)
        for entry in configured.get("call-home", {}).get("netconf-client", ())
        if entry.get("enabled", True)
    ]


def _client(entry: Mapping[str, Any]) -> Client:
    strategy = entry.get("reconnect-strategy", {})
    return Client(
        entry["name"],
        tuple(
            Endpoint(endpoint["name"], endpoint["remote-address"], endpoint.get("remote-port", 4334))
            for endpoint in entry.get("endpoint", ())
        ),
        strategy.get("max-wait", 5),
        strategy.get("min-backoff", 1),
        strategy.get("max-backoff", 300),
    )


class NetconfSettings:
    """A `yang.provider.ConfigHandler`: puts what may change at any time in force."""

    def __init__(self) -> None:
        self._server: NetconfServer | None = None

    def providers(self) -> list[StateProvider]:
        """The server's state."""
        return [ServerState(self), CallHomeState(self)]

    @property
    def server(self) -> NetconfServer | None:
        """The server; None before it has started."""
        return self._server

    async def serve(self, server: NetconfServer, configured: Mapping[str, Any]) -> None:
        """The server has started with this configuration."""
        self._server = server
        await server.call_home.configure(clients_of(configured))

    async def prepare(self, diff: ConfigDiff) -> Mapping[str, Any] | None:
        """There is nothing that could be refused."""
        after = settings(diff.new)
        return after if after != settings(diff.old) else None

    async def commit(self, token: Mapping[str, Any] | None) -> None:
        """Put a change in force."""
        if token is not None and self._server is not None:
            self._server.limits = limits_of(token)
            await self._server.call_home.configure(clients_of(token))

    async def abort(self, token: Mapping[str, Any] | None) -> None:
        """Nothing has happened."""


class ServerState(ContainerProvider):
    """State of ``management/netconf``: the host keys."""

    path = PATH

    def __init__(self, settings: NetconfSettings) -> None:
        self._settings = settings

    def record(self) -> SimpleNamespace | None:
        """The host keys."""
        server = self._settings.server
        if server is None:
            return None
        keys = [SimpleNamespace(**key._asdict()) for key in describe(server.host_keys)]
        return SimpleNamespace(host_key=keys)


class CallHomeState:
    """State of the clients that are called."""

    path = f"{PATH}/call-home/netconf-client"

    def __init__(self, settings: NetconfSettings) -> None:
        self._settings = settings

    def get(self, keys: Keys) -> SimpleNamespace:
        """The client with this name; one that is configured and not called is disabled."""
        return _client_record(keys[0], self._states().get(keys[0]))

    def iter(self) -> Iterable[SimpleNamespace]:
        """All that are called."""
        return [_client_record(name, state) for name, state in self._states().items()]

    def _states(self) -> Mapping[str, State]:
        server = self._settings.server
        return {} if server is None else server.call_home.states


def _client_record(name: str, state: State | None) -> SimpleNamespace:
    if state is None:
        return SimpleNamespace(name=name, state=SimpleNamespace(status="disabled"))
    return SimpleNamespace(
        name=name,
        state=SimpleNamespace(
            status=state.status,
            endpoint=state.endpoint or None,
            attempts=state.attempts,
            failures=state.failures,
            last_attempt=event_time(state.last_attempt) if state.last_attempt else None,
            last_connected=event_time(state.last_connected) if state.last_connected else None,
            last_error=state.last_error or None,
        ),
    )

"""Dial-out of the gNMI server: from the configuration to the tunnel servers that are called, and its state
back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc

from bng.daemon import tls
from bng.seam.clock import date_and_time
from telemetry.server import GnmiServer
from telemetry.tunnel.connection import GNMI, KEEPALIVE, TunnelServer
from telemetry.tunnel.dialer import State, Tunnels
from yang.provider import ConfigDiff, Keys, OperationError, StateProvider

PATH = "/aether-bng:bng/management/gnmi/tunnel/tunnel-server"


def servers_of(running: Mapping[str, Any]) -> list[TunnelServer]:
    """The tunnel servers that are called by a configuration with defaults (RFC 7951)."""
    bng = running.get("aether-bng:bng", {})
    tunnel = bng.get("management", {}).get("gnmi", {}).get("tunnel", {})
    own_name = bng.get("identity", {}).get("bng-id", "")
    return [
        _server(entry, own_name) for entry in tunnel.get("tunnel-server", ()) if entry.get("enabled", True)
    ]


def _server(entry: Mapping[str, Any], own_name: str) -> TunnelServer:
    strategy = entry.get("reconnect-strategy", {})
    return TunnelServer(
        name=entry["name"],
        address=entry["remote-address"],
        port=entry["remote-port"],
        target=entry.get("target-name", own_name),
        target_type=entry.get("target-type", GNMI),
        ca_file=entry["ca-file"],
        certificate_file=entry.get("certificate-file"),
        key_file=entry.get("private-key-file"),
        server_name=entry.get("server-name", ""),
        keepalive=entry.get("keepalive-interval", KEEPALIVE),
        min_wait=strategy.get("min-backoff", 1),
        max_wait=strategy.get("max-backoff", 300),
    )


def credentials_of(server: TunnelServer) -> grpc.ChannelCredentials:
    """By its files as they are now. Raises OSError, ValueError: they cannot be used."""
    authorities = tls.read_authorities(server.ca_file)
    if server.certificate_file is None or server.key_file is None:
        return grpc.ssl_channel_credentials(authorities)
    pair = tls.read_pair(Path(server.key_file), Path(server.certificate_file))
    return grpc.ssl_channel_credentials(authorities, *pair)


class TunnelSettings:
    """A `yang.provider.ConfigHandler`: has those called that are configured."""

    def __init__(self) -> None:
        self._tunnels: Tunnels | None = None

    @property
    def states(self) -> Mapping[str, State]:
        """By name of tunnel server."""
        return {} if self._tunnels is None else self._tunnels.states

    def providers(self) -> list[StateProvider]:
        """How it stands with each tunnel server."""
        return [TunnelState(self)]

    async def serve(self, server: GnmiServer, running: Mapping[str, Any]) -> None:
        """The gNMI server has started."""
        self._tunnels = Tunnels(server, credentials_of)
        await self._tunnels.configure(servers_of(running))

    async def stop(self) -> None:
        """Call nobody any more."""
        if self._tunnels is not None:
            await self._tunnels.stop()

    async def prepare(self, diff: ConfigDiff) -> list[TunnelServer] | None:
        """Refuses files that cannot be used, of what is new."""
        before, after = servers_of(diff.old), servers_of(diff.new)
        if after == before or self._tunnels is None:
            return None
        for server in after:
            if server in before:
                continue
            try:
                credentials_of(server)
            except (OSError, ValueError) as error:
                path = f"{PATH}[name='{server.name}']"
                raise OperationError("invalid-value", str(error), path=path) from None
        return after

    async def commit(self, token: list[TunnelServer] | None) -> None:
        """Put a change in force."""
        if token is not None and self._tunnels is not None:
            await self._tunnels.configure(token)

    async def abort(self, token: list[TunnelServer] | None) -> None:
        """Nothing has happened."""


class TunnelState:
    """State of the tunnel servers."""

    path = PATH

    def __init__(self, settings: TunnelSettings) -> None:
        self._settings = settings

    def get(self, keys: Keys) -> SimpleNamespace:
        """The server with this name; one that is configured and not called is disabled."""
        return _record(keys[0], self._settings.states.get(keys[0]))

    def iter(self) -> Iterable[SimpleNamespace]:
        """All that are called."""
        return [_record(name, state) for name, state in self._settings.states.items()]


def _record(name: str, state: State | None) -> SimpleNamespace:
    if state is None:
        return SimpleNamespace(name=name, state=SimpleNamespace(status="disabled"))
    sessions, opened, refused = state.sessions()
    return SimpleNamespace(
        name=name,
        state=SimpleNamespace(
            status=state.status,
            attempts=state.attempts,
            failures=state.failures,
            last_attempt=_time(state.last_attempt),
            last_connected=_time(state.last_connected),
            next_attempt=_time(state.next_attempt),
            last_error=state.last_error or None,
            connections=sessions,
            connections_asked=opened,
            connections_refused=refused,
        ),
    )


def _time(nanoseconds: int) -> str | None:
    return date_and_time(nanoseconds) if nanoseconds else None

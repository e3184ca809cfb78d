"""What the BNG stands on: interfaces with their addresses and routes, the data plane's ground, the sockets.

Interfaces may not be there yet, or go and come back: `refresh` sets them up when they (re)appear.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from bng import netif
from bng.aaa.settings import AaaSettings, Server
from bng.access import Captures
from bng.config import Config
from bng.dataplane.base import DataPlane, DataPlaneConfig, DataPlaneError, Refresh
from bng.protection import guard_of, nat_of, ports_of
from bng.session.settings import AccessRouter, Settings, SubscriberInterface
from bng.uplink import Uplink

log = structlog.get_logger()

_ROLES = "/aether-bng:bng/interfaces"
_NONE = "0.0.0.0"  # noqa: S104 - the address of what has none


def machine_settings(config: Config, addresses: Mapping[str, str]) -> Settings:
    """What the session machine needs of the configuration.

    Args:
        addresses: the address of each interface that has one.
    """
    return Settings(
        bng_id=config.bng_id,
        relay_id=config.relay.relay_id,
        uplink_address=addresses.get(config.dhcp_uplink or "", _NONE),
        interfaces={
            name: SubscriberInterface(addresses[name]) for name in config.subscriber if name in addresses
        },
        servers=config.relay.servers,
        routers={
            router.remote_id: AccessRouter(
                router.routed,
                router.in_service,
                router.interface,
                None if router.address is None else str(router.address),
                tuple(map(str, router.subnets)),
            )
            for router in config.routers.values()
        },
        max_hops=config.relay.max_hops,
        rate_limit=config.relay.rate_limit,
        device_rate_limit=config.relay.device_rate_limit,
        max_devices=config.relay.max_devices,
        accept_unknown=config.relay.accept_unknown,
        max_sessions=config.policy.max_sessions,
        max_sessions_per_access_router=config.policy.max_sessions_per_access_router,
        port_move=config.policy.port_move,
        second_device=config.policy.second_device,
        idle_timeout=config.policy.idle_timeout,
        session_timeout=config.policy.session_timeout,
        nak_threshold=config.policy.nak_threshold,
        pending_timeout=config.policy.pending_timeout,
        tombstone_ttl=config.policy.tombstone_ttl,
        interim_interval=config.aaa.interim_interval,
        auth_retry_interval=config.aaa.auth_retry_interval,
        unanswered_action=config.aaa.unanswered_action,
        unanswered_profile=config.aaa.unanswered_profile,
        nat=config.nat_pool,
    )


def aaa_settings(config: Config, addresses: Mapping[str, str]) -> AaaSettings:
    """What the RADIUS client needs of the configuration."""
    own = addresses.get(config.dhcp_uplink or "", _NONE)
    return AaaSettings(
        nas_identifier=config.aaa.nas_identifier,
        nas_ip_address=config.aaa.nas_ip_address or own,
        user_password=config.aaa.user_password,
        servers=tuple(
            Server(
                server.name,
                server.address,
                server.secret,
                server.auth_port,
                server.acct_port,
                round(server.timeout * 1000),
                server.retries,
                server.priority,
                server.status_server,
            )
            for server in config.aaa.servers
        ),
        source_ports=config.aaa.source_ports,
        max_age=config.aaa.accounting_retention,
    )


class Underlay:
    """Brings the kernel to the configuration, and keeps it there.

    Args:
        refreshed: told what the data plane made anew.
        captures, uplink: the sockets of the relay.
    """

    def __init__(
        self,
        dataplane: DataPlane,
        refreshed: Callable[[Refresh], None],
        captures: Captures,
        uplink: Uplink,
    ) -> None:
        self.addresses: dict[str, str] = {}
        self._dataplane = dataplane
        self._refreshed = refreshed
        self._captures = captures
        self._uplink = uplink
        self._config = Config()
        self._opened: DataPlaneConfig | None = None
        self._thread = ThreadPoolExecutor(1, "netif")
        self._links: dict[str, str] = {}
        self._unfinished = False
        self._restoring = False
        self._missing: tuple[str, ...] = ()
        self.refused: frozenset[tuple[str, str]] = frozenset()
        """What the kernel will not take of the configuration: (path, what in words)."""

    async def apply(self, config: Config) -> bool:
        """Bring everything to this configuration. True when an address of ours changed by it."""
        self._config = config
        self._links = self._read_links()
        applied, addresses = await asyncio.get_running_loop().run_in_executor(
            self._thread, _apply_and_read, config
        )
        for change in applied.changes:
            log.info("interfaces.changed", change=change)
        for error in applied.errors:
            log.warning("interfaces.not-applied", reason=error)
        if applied.missing != self._missing:
            log.info("interfaces.waiting-for", names=list(applied.missing))
        self._missing = applied.missing
        self._unfinished = bool(applied.errors)
        self.refused = frozenset(applied.refused)
        changed, self.addresses = addresses != self.addresses, addresses
        self._open_dataplane()
        self._open_sockets()
        return changed

    @property
    def ready(self) -> bool:
        """Whether the data plane is open."""
        return self._opened is not None

    def forwards(self, interface: str) -> bool:
        """Whether sessions behind an interface can forward: it and the upstream interface are there."""
        return self.ready and interface in self._links and (self._config.upstream or "") in self._links

    async def refresh(self) -> bool:
        """Look whether interfaces came, went or were made anew; call it every second or two. True when an
        address of ours changed."""
        if self._unfinished or self._read_links() != self._links:
            return await self.apply(self._config)
        if self._opened is not None:
            self._try(self._dataplane.refresh)
            while self._restoring:
                await asyncio.sleep(0)
                self._try(self._dataplane.refresh)
        return False

    def close(self) -> None:
        """Let go of everything; the kernel goes on as it is."""
        self._captures.close()
        self._uplink.close()
        self._thread.shutdown()
        self._dataplane.close()

    def _open_dataplane(self) -> None:
        config = self._config
        if config.upstream is None or not config.subscriber:
            return
        wanted = DataPlaneConfig(
            config.subscriber,
            config.upstream,
            nat_of(config),
            config.policy.prepared_sessions,
            guard_of(config),
            ports_of(config),
        )
        if wanted == self._opened:
            self._try(self._dataplane.refresh)
        elif (fault := self._try(lambda: self._dataplane.open(wanted))) is not None:
            self.refused |= {(_ROLES, fault)}
        else:
            self._opened = wanted
            for warning in self._dataplane.capabilities.warnings:
                log.warning("dataplane.warning", reason=warning)

    def _try(self, action: Callable[[], Refresh]) -> str | None:
        """What went wrong, or None."""
        try:
            refresh = action()
            self._restoring = refresh.unfinished
            self._refreshed(refresh)
            return None
        except DataPlaneError as error:
            log.error("dataplane.failed", reason=str(error))
            self._unfinished, self._restoring = True, False
            return str(error)

    def _open_sockets(self) -> None:
        self._captures.follow(self._config.subscriber)
        try:
            self._uplink.bind(self.addresses.get(self._config.dhcp_uplink or ""))
        except OSError as error:
            log.warning("dhcp.no-uplink", reason=error.strerror)
            self._unfinished = True

    def _read_links(self) -> dict[str, str]:
        """A mark for each interface that we use and that exists; another one when it was made anew."""
        marks = {}
        for name in netif.wanted_interfaces(self._config):
            try:
                folder = Path("/sys/class/net") / name
                index, flags = (folder / "ifindex").read_text(), (folder / "flags").read_text()
                marks[name] = f"{index.strip()} {flags.strip()}"
            except OSError:
                continue
        return marks


def _apply_and_read(config: Config) -> tuple[netif.Applied, dict[str, str]]:
    applied = netif.apply(config)
    addresses = {}
    for name in (*config.subscriber, config.dhcp_uplink):
        address = netif.address_of(name) if name else None
        if name and address is not None:
            addresses[name] = address
    return applied, addresses

"""The management process: the datastores and the two servers, over the read model."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog

from bng.daemon.gnmi import GnmiCertificates
from bng.daemon.netconf import NetconfSettings, limits_of
from bng.daemon.process import collect_seldom, hand_over_quickly, run_until_signal
from bng.daemon.tunnel import TunnelSettings
from bng.northbound.provider import Northbound
from bng.roles import FACTORY
from bng.units import Units, empty_units, units_of
from nbi.server import MODULES_DIR, NetconfServer
from telemetry.server import GnmiServer
from yang.access import User
from yang.provider import OperationError
from yang.tree import Tree

log = structlog.get_logger()

_RETRY_LISTEN = 1.0


class Management:
    """The management plane of a BNG.

    Args:
        state_dir: as docs/architecture.md describes it.
        startup: read when there is no running configuration yet; may be None.
    """

    def __init__(self, state_dir: Path, startup: Path | None) -> None:
        self.state_dir = state_dir
        self.startup = startup
        self.tree: Tree | None = None
        self.northbound = Northbound(state_dir, self._running_units)
        self.netconf_settings = NetconfSettings()
        self.gnmi_certificates = GnmiCertificates(state_dir / "tls")
        self.tunnel_settings = TunnelSettings()

    async def run(self) -> None:
        """Serve until cancelled. Raises OperationError, OSError."""
        registration = self.northbound.registration()
        registration.config.extend((self.netconf_settings, self.gnmi_certificates, self.tunnel_settings))
        registration.state.extend((*self.netconf_settings.providers(), *self.tunnel_settings.providers()))
        self.tree = await Tree.open(
            registration,
            self.state_dir,
            self.startup,
            module_dirs=[MODULES_DIR],
            saves=saves_commits,
            factory=FACTORY,
        )
        collect_seldom()
        netconf = None
        try:
            following = asyncio.ensure_future(self.northbound.run(self.tree.bus))
            servers = self.tree.running_json().get("aether-bng:bng", {}).get("management", {})
            netconf = await self._start_netconf(servers.get("netconf", {}))
            gnmi = await self._start_gnmi(servers.get("gnmi", {}))
            await self.tunnel_settings.serve(gnmi, self.tree.running_json())
            log.info("management.started", netconf=netconf.ports, gnmi=gnmi.ports)
            await following
        finally:
            await self.tunnel_settings.stop()
            await self.gnmi_certificates.stop()
            if netconf is not None:
                await netconf.stop()
            await self.tree.close()
            log.info("management.ended")

    def _running_units(self) -> Units:
        return empty_units() if self.tree is None else units_of(self.tree.running_json())

    async def _start_netconf(self, configured: Mapping[str, Any]) -> NetconfServer:
        assert self.tree is not None
        listen = _listen(configured, 830)
        await _wait_for_addresses(listen)
        local = configured.get("local-socket", {})
        server = NetconfServer(
            self.tree,
            listen,
            self.state_dir / "ssh_host_ed25519_key",
            unix_path=Path(local["path"]) if local else None,
            unix_user=User("root", recovery=True),
            unix_group=local.get("group"),
            replay=self.northbound.replay,
            limits=limits_of(configured),
            files_dir=self.state_dir / "files",
        )
        await server.start()
        await self.netconf_settings.serve(server, configured)
        return server

    async def _start_gnmi(self, configured: Mapping[str, Any]) -> GnmiServer:
        assert self.tree is not None
        listen = _listen(configured, 57400)
        await _wait_for_addresses(listen)
        return await self.gnmi_certificates.start(self.tree, listen)


def saves_commits(running: Mapping[str, Any]) -> bool:
    """Whether commits are startup too, by /aether-bng:bng/management/startup/save of a configuration."""
    management = running.get("aether-bng:bng", {}).get("management", {})
    return bool(management.get("startup", {}).get("save") != "explicit")


def _listen(configured: Mapping[str, Any], default_port: int) -> list[tuple[str, int]]:
    port = int(configured.get("port", default_port))
    return [(address, port) for address in configured.get("listen") or ["127.0.0.1"]]


async def _wait_for_addresses(listen: list[tuple[str, int]]) -> None:
    """Wait until each address is one of ours: control may have to set it first."""
    for host, _ in listen:
        told = False
        while not _is_ours(host):
            if not told:
                log.info("management.waiting-for", address=host)
                told = True
            await asyncio.sleep(_RETRY_LISTEN)


def _is_ours(host: str) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


def main(state_dir: Path, startup: Path | None) -> int:
    """Run the management process until SIGTERM. Returns the exit code."""
    hand_over_quickly()
    try:
        run_until_signal(Management(state_dir, startup).run())
    except OperationError as error:
        log.error("management.cannot-start", reason=str(error), path=error.path)
        return 1
    except OSError as error:
        log.error("management.cannot-start", reason=str(error))
        return 1
    return 0

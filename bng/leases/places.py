"""Where on this BNG a lease belongs: the subscriber interface, and the routed node's address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from typing import NamedTuple

from bng.codec.address import NO_IP
from bng.config import Config, Router
from bng.leases.lease import Origin


class Place(NamedTuple):
    """What `bng.session.events.LeaseFound` needs to know."""

    interface: str
    giaddr: str


class Places:
    """Finds places by the configuration.

    Args:
        addresses: the address of each interface that has one.
    """

    def __init__(self, config: Config, addresses: Mapping[str, str]) -> None:
        self._interfaces: Sequence[str] = [name for name in config.subscriber if name in addresses]
        self._by_address = {addresses[name]: name for name in self._interfaces}
        self._routers: dict[str, Router] = {router.remote_id: router for router in config.routers.values()}
        self._networks = [
            (address.network, name)
            for name in self._interfaces
            if name in config.interfaces
            for address in config.interfaces[name].addresses or ()
        ]
        self._networks.sort(key=lambda entry: entry[0].prefixlen, reverse=True)

    def find(self, origin: Origin, address: str) -> Place | None:
        """The place of a lease; None when the configuration does not tell.

        The configured access router's interface counts first. A link-selection that is the address of a
        subscriber interface was written by this BNG for a bridged node behind it; any other one is the giaddr
        of a routed node. Last, the interface whose subnet holds the node's or the subscriber's address.
        """
        router = self._routers.get(origin.line.remote_id)
        bridged = self._by_address.get(origin.link)
        giaddr = NO_IP if bridged is not None or not origin.link else origin.link
        if router is not None and router.interface in self._interfaces:
            return Place(router.interface or "", giaddr)
        if bridged is not None:
            return Place(bridged, NO_IP)
        node = str(router.address) if router is not None and router.address is not None else ""
        for candidate in (node, origin.link, address):
            interface = self._holding(candidate)
            if interface is not None:
                return Place(interface, giaddr)
        if giaddr != NO_IP and len(self._interfaces) == 1:
            return Place(self._interfaces[0], giaddr)
        return None

    def _holding(self, address: str) -> str | None:
        if not address:
            return None
        number = IPv4Address(address)
        return next((name for network, name in self._networks if number in network), None)

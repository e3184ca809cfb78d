"""Interfaces, addresses and routes of the kernel, brought to what the configuration says.

Everything here blocks for a few milliseconds and runs in a thread of its own (pyroute2 brings its own event
loop). `apply` is idempotent: it changes what differs, and only what it is responsible for: addresses of
interfaces whose configuration has an ``ipv4`` container, and routes that carry `PROTOCOL`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from socket import AF_INET

from pyroute2 import IPRoute, NetlinkError

from bng.config import Config, Interface

PROTOCOL = 174
"""Routing protocol number of our routes (rtm_protocol): tells them from an operator's."""

_MAIN_TABLE = 254
_FINAL = frozenset({errno.EINVAL, errno.ERANGE, errno.EAFNOSUPPORT, errno.EOPNOTSUPP})
"""What the kernel says of values that it will never take. A gateway that cannot be reached yet, or an
interface that is down, may change."""
_ANYWHERE = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True, slots=True)
class Route:
    """A route that the BNG keeps; `interface` is a name, or None where the next hop decides."""

    destination: IPv4Network
    gateway: IPv4Address
    interface: str | None = None
    path: str = field(default="", compare=False)
    """Where the configuration says so."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` found and did.

    Attributes:
        missing: configured interfaces that do not exist.
        changes: what was changed, in words, for the log.
        errors: what the kernel refused, in words.
        refused: those of them that no time will mend: (path of the configuration, what in words).
    """

    missing: tuple[str, ...]
    changes: tuple[str, ...]
    errors: tuple[str, ...]
    refused: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """An interface of the kernel."""

    index: int
    name: str
    up: bool
    mtu: int


def wanted_routes(config: Config) -> tuple[Route, ...]:
    """The default route through upstream, and the subnets behind routed access nodes."""
    routes = []
    if config.default_gateway is not None and config.upstream is not None:
        gateway = config.default_gateway
        routes.append(Route(_ANYWHERE, gateway, config.upstream, "/aether-bng:bng/routing/default-gateway"))
    for router in config.routers.values():
        if router.address is not None and router.in_service:
            path = f"/aether-access-router:access-routers/access-router[name='{router.name}']"
            routes += [Route(subnet, router.address, router.interface, path) for subnet in router.subnets]
    return tuple(routes)


def wanted_interfaces(config: Config) -> tuple[str, ...]:
    """Names of all interfaces that the configuration uses."""
    roles = [*config.subscriber, config.upstream, config.dhcp_uplink]
    return tuple(dict.fromkeys([*(name for name in roles if name), *config.interfaces]))


def address_of(name: str) -> str | None:
    """First global IPv4 address of an interface, dotted; None when it has none or does not exist."""
    with IPRoute() as kernel:
        index = kernel.link_lookup(ifname=name)
        if not index:
            return None
        for message in kernel.get_addr(family=AF_INET, index=index[0]):
            if message["scope"] == 0:
                return str(message.get_attr("IFA_LOCAL"))
    return None


def mac_of(name: str) -> str | None:
    """Hardware address of an interface, lower-case colon text; None when it does not exist."""
    try:
        return (Path("/sys/class/net") / name / "address").read_text().strip()
    except OSError:
        return None


def apply(config: Config) -> Applied:
    """Bring the kernel to the configuration."""
    with IPRoute() as kernel:
        work = _Work(kernel)
        for interface in config.interfaces.values():
            work.interface(interface)
        work.routes(wanted_routes(config))
        missing = tuple(name for name in wanted_interfaces(config) if name not in work.links)
    return Applied(missing, tuple(work.changes), tuple(work.errors), tuple(work.refused))


class _Work:
    """One run of `apply`."""

    def __init__(self, kernel: IPRoute) -> None:
        self.kernel = kernel
        self.links = _links(kernel)
        self.addresses = _addresses(kernel)
        self.changes: list[str] = []
        self.errors: list[str] = []
        self.refused: list[tuple[str, str]] = []
        self.path = ""

    def interface(self, wanted: Interface) -> None:
        link = self.links.get(wanted.name)
        if link is None:
            return
        self.path = f"/ietf-interfaces:interfaces/interface[name='{wanted.name}']"
        if wanted.mtu is not None and wanted.mtu != link.mtu:
            self._try(f"{link.name} mtu {wanted.mtu}", "link", "set", index=link.index, mtu=wanted.mtu)
        if wanted.addresses is not None:
            self._addresses(link, set(wanted.addresses))
        if wanted.enabled != link.up:
            state = "up" if wanted.enabled else "down"
            self._try(f"{link.name} {state}", "link", "set", index=link.index, state=state)

    def routes(self, wanted: Iterable[Route]) -> None:
        there = _routes(self.kernel, {link.index: link.name for link in self.links.values()})
        for destination, route in there.items():
            if not any(_same(route, other) for other in wanted if other.destination == destination):
                self._try(f"route {destination} removed", "route", "del", **self._route(route))
        for route in wanted:
            self.path = route.path
            held = there.get(route.destination)
            known = route.interface is None or route.interface in self.links
            if known and (held is None or not _same(held, route)):
                self._try(
                    f"route {route.destination} via {route.gateway}", "route", "add", **self._route(route)
                )

    def _addresses(self, link: Link, wanted: set[IPv4Interface]) -> None:
        held = self.addresses.get(link.index, set())
        # New ones first: an interface never stands without an address, its routes survive.
        for address in sorted(wanted - held):
            self._address(link, address, "add")
        if held - wanted:
            self._keep_secondaries(link)
        for address in sorted(held - wanted):
            self._address(link, address, "del")

    @staticmethod
    def _keep_secondaries(link: Link) -> None:
        """Have the kernel keep the other addresses of a subnet when the first one goes. By default it removes
        them with it: an interface that gets another address of its subnet would end with none."""
        with suppress(OSError):  # a container may have it read-only
            Path(f"/proc/sys/net/ipv4/conf/{link.name}/promote_secondaries").write_text("1")

    def _address(self, link: Link, address: IPv4Interface, command: str) -> None:
        length = address.network.prefixlen
        what = f"{link.name} {command} {address}"
        self._try(what, "addr", command, index=link.index, address=str(address.ip), prefixlen=length)

    def _route(self, route: Route) -> dict[str, object]:
        values: dict[str, object] = {
            "dst": str(route.destination),
            "gateway": str(route.gateway),
            "proto": PROTOCOL,
            "table": _MAIN_TABLE,
        }
        if route.interface is not None and route.interface in self.links:
            values["oif"] = self.links[route.interface].index
        return values

    def _try(self, what: str, kind: str, command: str, **values: object) -> None:
        try:
            getattr(self.kernel, kind)(command, **values)
            self.changes.append(what)
        except NetlinkError as error:
            said = f"{what}: {error.args[1] if len(error.args) > 1 else error}"
            self.errors.append(said)
            if error.code in _FINAL:
                self.refused.append((self.path, said))


def _same(held: Route, wanted: Route) -> bool:
    return held.gateway == wanted.gateway and wanted.interface in (None, held.interface)


def _links(kernel: IPRoute) -> dict[str, Link]:
    return {
        message.get_attr("IFLA_IFNAME"): Link(
            message["index"],
            message.get_attr("IFLA_IFNAME"),
            bool(message["flags"] & 1),
            message.get_attr("IFLA_MTU"),
        )
        for message in kernel.get_links()
    }


def _addresses(kernel: IPRoute) -> Mapping[int, set[IPv4Interface]]:
    """Global IPv4 addresses by interface index."""
    found: dict[int, set[IPv4Interface]] = {}
    for message in kernel.get_addr(family=AF_INET):
        if message["scope"] == 0:
            address = IPv4Interface(f"{message.get_attr('IFA_LOCAL')}/{message['prefixlen']}")
            found.setdefault(message["index"], set()).add(address)
    return found


def _routes(kernel: IPRoute, names: Mapping[int, str]) -> dict[IPv4Network, Route]:
    """Routes of the main table that are ours."""
    found = {}
    for message in kernel.get_routes(family=AF_INET, table=_MAIN_TABLE, proto=PROTOCOL):
        if message["proto"] != PROTOCOL or message.get_attr("RTA_GATEWAY") is None:
            continue
        prefix = message.get_attr("RTA_DST") or "0.0.0.0"  # noqa: S104 - a destination
        destination = IPv4Network(f"{prefix}/{message['dst_len']}")
        gateway = IPv4Address(message.get_attr("RTA_GATEWAY"))
        found[destination] = Route(destination, gateway, names.get(message.get_attr("RTA_OIF")))
    return found

"""Permanent neighbours of routed access nodes: nobody else on their link can take their subscribers' traffic
by answering ARP for them.

A node's MAC address is pinned when two ways tell the same one: what the kernel resolved, and the Ethernet
source of DHCP that the node relayed with its configured address (`bng.session.relay` admits that from its
interface only). The entry outlasts this process and is taken over by the next one. When a node was replaced,
another MAC address relays its DHCP while the pinned one neither answers a probe nor relays. The entry is
given up then, and what the two ways tell next is pinned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from socket import NETLINK_ROUTE

import structlog

from bng.config import Router
from bng.dataplane import link
from bng.dataplane.netlink import Connection, Message
from bng.seam.clock import NS

log = structlog.get_logger()

_LOST, _PATIENCE = 3, 300 * NS
"""Probes without an answer before the pinned address counts as gone; and how long another one must have
relayed meanwhile if it never answered any."""


@dataclass(slots=True)
class _Pin:
    router: Router
    mac_address: str = ""
    answers: bool = False
    rival: str = ""
    since: int = 0
    lost: int = 0
    looked: int = 0


class Pins:
    """The entries of all routed nodes that have an address and an interface.

    Args:
        changed: told of a node whose MAC address is another one now, with a sentence.
        clock: nanoseconds.
    """

    def __init__(self, changed: Callable[[Router, str], None], clock: Callable[[], int]) -> None:
        self._changed = changed
        self._clock = clock
        self._pins: dict[str, _Pin] = {}
        self._connection: Connection | None = None

    def configure(self, routers: Mapping[str, Router]) -> None:
        """Take over the configured routers: entries of those that are gone go, those that are there stay."""
        wanted = {
            router.remote_id: router
            for router in routers.values()
            if router.routed and router.address is not None and router.interface is not None
        }
        before, self._pins = self._pins, {}
        for remote_id, pin in before.items():
            router = wanted.get(remote_id)
            if router is not None and _place(router) == _place(pin.router):
                pin.router = router
                self._pins[remote_id] = pin
            else:
                self._release(pin)
        for remote_id in wanted.keys() - self._pins.keys():
            mac_address, permanent = self._resolved(wanted[remote_id])
            self._pins[remote_id] = _Pin(wanted[remote_id], mac_address if permanent else "")

    def of(self, remote_id: str) -> str | None:
        """The MAC address that is pinned."""
        pin = self._pins.get(remote_id)
        return pin.mac_address or None if pin is not None else None

    def seen(self, remote_id: str, giaddr: str, interface: str, mac_address: str) -> bool:
        """A node relayed DHCP. Returns whether a probe is to tell if the pinned address is still there."""
        pin, now = self._pins.get(remote_id), self._clock()
        if pin is None or (interface, giaddr) != _place(pin.router):
            return False
        if not pin.mac_address:
            if now - pin.looked >= NS:
                pin.looked = now
                self._learn(pin, mac_address)
            return False
        if mac_address == pin.mac_address:
            pin.rival = ""
            return False
        if mac_address != pin.rival:
            pin.rival, pin.since, pin.lost = mac_address, now, 0
        if pin.lost >= _LOST and (pin.answers or now - pin.since >= _PATIENCE):
            self._give_up(pin)
            return True  # makes the kernel ask who has it
        due = now - pin.looked >= NS
        pin.looked = now if due else pin.looked
        return due

    def probing(self, remote_id: str) -> None:
        """A probe is about to be sent: to the pinned address, also after the interface was down."""
        pin = self._pins.get(remote_id)
        if pin is not None and pin.mac_address:
            self._set(pin)

    def answered(self, remote_id: str) -> None:
        """The pinned address answered."""
        pin = self._pins.get(remote_id)
        if pin is not None and pin.mac_address:
            pin.answers, pin.rival = True, ""

    def unanswered(self, remote_id: str) -> None:
        """A probe was lost."""
        pin = self._pins.get(remote_id)
        if pin is not None and pin.rival:
            pin.lost += 1

    def close(self) -> None:
        """Let go of the socket; the entries stay."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _learn(self, pin: _Pin, mac_address: str) -> None:
        if self._resolved(pin.router)[0] != mac_address:
            return
        pin.mac_address, pin.answers, pin.rival = mac_address, False, ""
        if self._set(pin):
            log.info("routers.pinned", router=pin.router.name, mac=mac_address)
        else:
            pin.mac_address = ""

    def _give_up(self, pin: _Pin) -> None:
        before, now = pin.mac_address, pin.rival
        log.warning("routers.replaced", router=pin.router.name, mac=now, before=before)
        self._release(pin)
        pin.mac_address = pin.rival = ""
        pin.looked = 0
        self._changed(pin.router, f"{now} relays instead of {before}, which is silent")

    def _release(self, pin: _Pin) -> None:
        if pin.mac_address and pin.router.address is not None:
            self._request(pin.router, link.no_neighbour)

    def _set(self, pin: _Pin) -> bool:
        octets = bytes.fromhex(pin.mac_address.replace(":", ""))
        return self._request(pin.router, lambda index, address: link.neighbour(index, address, octets))

    def _request(self, router: Router, message: Callable[[int, IPv4Address], Message]) -> bool:
        try:
            index = self._index(router)
            if index is None or router.address is None:
                return False
            self._open().one(message(index, router.address))
        except OSError as error:
            log.debug("routers.not-pinned", router=router.name, reason=error.strerror)
            return False
        return True

    def _resolved(self, router: Router) -> tuple[str, bool]:
        """(MAC address that the kernel has for a node or nothing, whether it is pinned)"""
        try:
            index = self._index(router)
            if index is None or router.address is None:
                return "", False
            return link.neighbour_of(self._open(), index, router.address)
        except OSError:
            return "", False

    def _index(self, router: Router) -> int | None:
        found = link.find(self._open(), router.interface or "")
        return None if found is None else found.index

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = Connection(NETLINK_ROUTE)
        return self._connection


def _place(router: Router) -> tuple[str | None, str]:
    return router.interface, str(router.address)

"""A lease as Kea's control channel tells of it; no I/O.

A command's answer is a list of one object ``{"result": n, "text": …, "arguments": …}``. ``lease4-get-page``
gives leases in the order of their addresses. The relay agent's information (option 82) is in a lease only
while the server's ``store-extended-info`` is true: as hexadecimal text up to Kea 2.2, within an object since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from bng.codec import option82
from bng.codec.address import ip_octets, ip_text, mac_octets, mac_text
from bng.codec.errors import DecodeError
from bng.codec.option82 import SubOption
from bng.codec.text import clean_message
from bng.session.records import AccessLine

DONE, EMPTY = 0, 3
"""Results of a command: done, and done but nothing was found."""

_ASSIGNED = 0
_INFINITE = 0xFFFFFFFF
_MAX_TIME = 1 << 34
_MAX_RELAY_AGENT = 1024


class LeaseError(Exception):
    """A server cannot be asked, or what it says cannot be used; the text says which and why."""


class Lease(NamedTuple):
    """A lease that somebody may hold.

    Attributes:
        number: the address as a number; pages are in its order.
        mac_address: empty when it is not an Ethernet address.
        assigned: neither declined nor reclaimed.
        renewed: when the server last heard of the client (cltt), seconds of the server's clock.
        lifetime: seconds; None if the lease is infinite.
        relay_agent: option 82 in hexadecimal, as it was stored; empty without.
    """

    number: int
    ip_address: str
    mac_address: str
    assigned: bool
    renewed: int
    lifetime: int | None
    relay_agent: str


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a lease's client was when it was last heard of.

    Attributes:
        line: the access line.
        relay_id: sub-option 12, cleaned like an agent-id; empty when the relay wrote none.
        link: sub-option 5 (link-selection) as dotted text; empty without.
    """

    line: AccessLine
    relay_id: str
    link: str


def arguments_of(body: bytes) -> tuple[int, Mapping[str, Any]]:
    """(result, arguments) of a command's answer.

    Raises:
        LeaseError: it is no answer, or the server refused.
    """
    try:
        answers = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise LeaseError("the answer is not JSON") from None
    answer = answers[0] if isinstance(answers, list) and len(answers) == 1 else answers
    if not isinstance(answer, dict) or type(answer.get("result")) is not int:
        raise LeaseError("the answer is not one of Kea's")
    result, text, arguments = answer["result"], answer.get("text"), answer.get("arguments", {})
    if result not in (DONE, EMPTY):
        said = clean_message(text.encode("utf-8", "replace")) if isinstance(text, str) else ""
        raise LeaseError(f"result {result}: {said}")
    if not isinstance(arguments, dict):
        raise LeaseError("the answer is not one of Kea's")
    return result, arguments


def leases_of(arguments: Mapping[str, Any], limit: int) -> Sequence[Any]:
    """The leases of a page, still as they came.

    Raises:
        LeaseError: there are none, or more than were asked for.
    """
    leases = arguments.get("leases", [])
    if not isinstance(leases, list):
        raise LeaseError("a page without a list of leases")
    if len(leases) > limit:
        raise LeaseError(f"a page of {len(leases)} leases, {limit} were asked for")
    return leases


def read(raw: Any) -> Lease:
    """A lease of a page.

    Raises:
        LeaseError: its address or its times are missing or impossible.
    """
    if not isinstance(raw, dict):
        raise LeaseError("a lease that is not an object")
    address, renewed, lifetime = raw.get("ip-address"), raw.get("cltt"), raw.get("valid-lft")
    try:
        octets = ip_octets(address if isinstance(address, str) else "")
    except DecodeError:
        raise LeaseError("a lease without an address") from None
    if type(renewed) is not int or not 0 <= renewed < _MAX_TIME:
        raise LeaseError("a lease with an impossible cltt")
    if type(lifetime) is not int or not 0 <= lifetime <= _INFINITE:
        raise LeaseError("a lease with an impossible valid-lft")
    return Lease(
        int.from_bytes(octets, "big"),
        ip_text(octets),
        _mac(raw.get("hw-address")),
        raw.get("state") == _ASSIGNED,
        renewed,
        None if lifetime == _INFINITE else lifetime,
        _relay_agent(raw.get("user-context")),
    )


def _mac(value: Any) -> str:
    try:
        return mac_text(mac_octets(value if isinstance(value, str) else ""))
    except DecodeError:
        return ""


def _relay_agent(context: Any) -> str:
    isc = context.get("ISC") if isinstance(context, dict) else None
    stored = isc.get("relay-agent-info") if isinstance(isc, dict) else None
    if isinstance(stored, dict):
        stored = stored.get("sub-options")
    return stored if isinstance(stored, str) else ""


def origin_of(lease: Lease) -> Origin | None:
    """Where a lease belongs; None when its option 82 is missing or cannot be understood."""
    text = lease.relay_agent.removeprefix("0x")
    if not text or len(text) > 2 * _MAX_RELAY_AGENT:
        return None
    try:
        octets = bytes.fromhex(text)
        line = AccessLine(*option82.access_line(octets))
        found = dict(option82.parse(octets))
        link = found.get(SubOption.LINK_SELECTION, b"")
        return Origin(
            line,
            clean_message(found.get(SubOption.RELAY_ID, b"")),
            ip_text(link) if len(link) == 4 else "",
        )
    except (DecodeError, ValueError):
        return None

"""The relay agent information option (RFC 3046) and what a relay does with it.

Added towards the servers: link-selection (RFC 3527), server-identifier-override (RFC 5107), relay-id
(RFC 6925). What the access node wrote stays as it is, octet for octet and in its order.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

from bng.codec.address import ip_octets
from bng.codec.errors import DecodeError
from bng.codec.text import clean_agent_id, restore_agent_id

SubOptions = tuple[tuple[int, bytes], ...]


class SubOption(IntEnum):
    """Codes that the relay reads or writes."""

    CIRCUIT_ID = 1
    REMOTE_ID = 2
    LINK_SELECTION = 5
    SERVER_ID_OVERRIDE = 11
    RELAY_ID = 12


OURS = frozenset({SubOption.LINK_SELECTION, SubOption.SERVER_ID_OVERRIDE, SubOption.RELAY_ID})
"""What this relay writes. From an access node it is not believed: it would let a subscriber's side
choose its subnet or redirect its renewals."""


def parse(value: bytes) -> SubOptions:
    """Split the value of option 82 into (code, value) pairs, in order.

    Raises:
        DecodeError: a sub-option runs past the end.
    """
    found: list[tuple[int, bytes]] = []
    position, end = 0, len(value)
    while position < end:
        if position + 2 > end:
            raise DecodeError("option 82 ends inside a sub-option")
        stop = position + 2 + value[position + 1]
        if stop > end:
            raise DecodeError(f"sub-option {value[position]} runs past the end of option 82")
        found.append((value[position], value[position + 2 : stop]))
        position = stop
    return tuple(found)


def build(sub_options: SubOptions) -> bytes:
    """The value of option 82.

    Raises:
        DecodeError: a value is longer than 255 octets.
    """
    parts = []
    for code, value in sub_options:
        if len(value) > 255:
            raise DecodeError(f"sub-option {code} of {len(value)} octets")
        parts.append(bytes((code, len(value))) + value)
    return b"".join(parts)


@lru_cache(maxsize=8192)
def access_line(value: bytes) -> tuple[str, str]:
    """(remote-id, circuit-id) in their text form.

    Raises:
        DecodeError: malformed, or one of them is missing, empty, or there twice: then nobody can
            tell whose packet it is.
    """
    names: dict[int, bytes] = {}
    for code, content in parse(value):
        if code in (SubOption.CIRCUIT_ID, SubOption.REMOTE_ID):
            if code in names:
                raise DecodeError(f"option 82 has sub-option {code} twice")
            names[code] = content
    if len(names) != 2:
        raise DecodeError("option 82 without circuit-id or remote-id")
    return clean_agent_id(names[SubOption.REMOTE_ID]), clean_agent_id(names[SubOption.CIRCUIT_ID])


def of_line(remote_id: str, circuit_id: str) -> bytes:
    """Option 82 of an access line, made from the text of its ids.

    Raises:
        DecodeError: an id was so long that its text does not tell the octets.
    """
    return build(
        (
            (SubOption.CIRCUIT_ID, restore_agent_id(circuit_id)),
            (SubOption.REMOTE_ID, restore_agent_id(remote_id)),
        )
    )


def beyond_text(value: bytes, remote_id: str, circuit_id: str) -> bytes:
    """What has to be remembered of an access node's option 82 beside the text of its access line: nothing
    (empty) when `of_line` makes it again, else all but the sub-options that this relay writes.

    Raises:
        DecodeError: malformed.
    """
    circuit, remote = circuit_id.encode(), remote_id.encode()
    if value == b"\x01%c%b\x02%c%b" % (len(circuit), circuit, len(remote), remote) and b"%" not in value:
        return b""  # as most write it
    theirs = strip(value)
    try:
        made = parse(of_line(remote_id, circuit_id))
    except DecodeError:
        return theirs
    return b"" if sorted(parse(theirs)) == sorted(made) else theirs


def add(value: bytes, relay_id: str, link: str) -> bytes:
    """What goes to the servers: the access node's sub-options, then ours.

    Args:
        value: option 82 as the access node wrote it.
        relay_id: names this relay.
        link: dotted text; selects the subnet, and is the server that the client shall renew with.

    Raises:
        DecodeError: malformed.
    """
    address = ip_octets(link)
    ours = (
        (SubOption.LINK_SELECTION, address),
        (SubOption.SERVER_ID_OVERRIDE, address),
        (SubOption.RELAY_ID, relay_id.encode("ascii")),
    )
    return strip(value) + build(ours)


def strip(value: bytes) -> bytes:
    """Option 82 without the sub-options that this relay writes.

    Raises:
        DecodeError: malformed.
    """
    pairs = parse(value)
    if OURS.isdisjoint(code for code, _ in pairs):
        return value
    return build(tuple(pair for pair in pairs if pair[0] not in OURS))

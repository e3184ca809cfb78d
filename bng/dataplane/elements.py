"""Elements of the nftables maps: a session's place in the gate, as the kernel stores it.

Three maps, whose data is the class (`skb->priority`): ``up`` keyed by interface, MAC and IP (bridged),
``up_routed`` by interface and IP, ``dn`` by IP. What is translated to addresses of a pool has an element in
one of two more (`natmap`), which is added and removed with the others. The comment of an upload element
holds the session id, so that who finds the element knows the session.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from bng.dataplane import natmap
from bng.dataplane.base import Binding
from bng.dataplane.natmap import MAP_BLOCK, MAP_WHOLE
from bng.dataplane.netlink import (
    CREATE,
    EXCL,
    NETFILTER_SUBSYSTEM,
    Connection,
    Message,
    attribute,
    attribute_map,
    attributes,
    messages,
    nested,
)

TABLE = b"aether\0"
MAP_UP, MAP_ROUTED, MAP_DOWN = b"up\0", b"up_routed\0", b"dn\0"
_MAPS = (MAP_UP, MAP_ROUTED, MAP_DOWN, MAP_BLOCK, MAP_WHOLE)

_FAMILY_IPV4 = 2
_SUBSYSTEM = NETFILTER_SUBSYSTEM << 8
_GETSET = _SUBSYSTEM | 10
_NEWSETELEM, _GETSETELEM, _DELSETELEM = _SUBSYSTEM | 12, _SUBSYSTEM | 13, _SUBSYSTEM | 14
_SET_TABLE, _SET_NAME = 1, 2
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_ELEM_KEY, _ELEM_DATA, _ELEM_USERDATA = 1, 2, 6
_DATA_VALUE = 1
_LIST_ELEM = 1
_COMMENT = 0
_LIST_LIMIT = 60_000
"""Octets of elements in one message: an attribute's length has 16 bits."""

_GENERIC = struct.pack("=BBH", _FAMILY_IPV4, 0, 0)


@dataclass(frozen=True, slots=True)
class Gate:
    """What the gate holds of one session.

    Attributes:
        index: of the subscriber interface.
        mac: None behind a routed access node.
        class_id: HTB class, ``major << 16 | minor``.
        nat: public address and ports.
    """

    session_id: str
    index: int
    mac: bytes | None
    ip: IPv4Address
    class_id: int
    nat: Binding | None = None

    def upload_key(self) -> bytes:
        if self.mac is None:
            return struct.pack("=I", self.index) + self.ip.packed
        return struct.pack("=I6sxx", self.index, self.mac) + self.ip.packed

    @property
    def upload_map(self) -> bytes:
        return MAP_ROUTED if self.mac is None else MAP_UP


def _element(key: bytes, data: int | bytes | None = None, comment: str = "") -> bytes:
    body = nested(_ELEM_KEY, attribute(_DATA_VALUE, key))
    if data is not None:
        value = data if isinstance(data, bytes) else struct.pack("=I", data)
        body += nested(_ELEM_DATA, attribute(_DATA_VALUE, value))
    if comment:
        text = comment.encode() + b"\0"
        body += attribute(_ELEM_USERDATA, bytes((_COMMENT, len(text))) + text)
    return nested(_LIST_ELEM, body)


def _requests(kind: int, flags: int, name: bytes, elements: list[bytes]) -> Iterator[Message]:
    """As few messages as the length of an attribute permits."""
    head = _GENERIC + attribute(_LIST_TABLE, TABLE) + attribute(_LIST_SET, name)
    part: list[bytes] = []
    size = 0
    for element in elements:
        if size + len(element) > _LIST_LIMIT:
            yield Message(kind, flags, head + nested(_LIST_ELEMENTS, b"".join(part)))
            part, size = [], 0
        part.append(element)
        size += len(element)
    if part:
        yield Message(kind, flags, head + nested(_LIST_ELEMENTS, b"".join(part)))


def add(gates: list[Gate]) -> list[Message]:
    """Open gates."""
    bridged = [gate for gate in gates if gate.mac is not None]
    routed = [gate for gate in gates if gate.mac is None]
    found: list[Message] = []
    for name, some in ((MAP_UP, bridged), (MAP_ROUTED, routed)):
        up = [_element(gate.upload_key(), gate.class_id, gate.session_id) for gate in some]
        found += _requests(_NEWSETELEM, CREATE | EXCL, name, up)
    down = [_element(gate.ip.packed, gate.class_id) for gate in gates]
    found += _requests(_NEWSETELEM, CREATE | EXCL, MAP_DOWN, down)
    return found + add_translations(gates)


def add_translations(gates: list[Gate]) -> list[Message]:
    """Only their public addresses and ports."""
    found: list[Message] = []
    for name in (MAP_BLOCK, MAP_WHOLE):
        some = [
            _element(gate.ip.packed, natmap.encode(gate.nat))
            for gate in gates
            if gate.nat is not None and natmap.map_of(gate.nat) == name
        ]
        found += _requests(_NEWSETELEM, CREATE | EXCL, name, some)
    return found


def remove(gates: list[Gate]) -> list[Message]:
    """Close gates."""
    return remove_upload(gates) + remove_download([gate.ip for gate in gates]) + remove_translations(gates)


def remove_translations(gates: list[Gate]) -> list[Message]:
    """Only their public addresses and ports."""
    found: list[Message] = []
    for name in (MAP_BLOCK, MAP_WHOLE):
        keys = [
            _element(gate.ip.packed)
            for gate in gates
            if gate.nat is not None and natmap.map_of(gate.nat) == name
        ]
        found += _requests(_DELSETELEM, 0, name, keys)
    return found


def remove_upload(gates: list[Gate]) -> list[Message]:
    """Close the upload side only."""
    found: list[Message] = []
    for name in (MAP_UP, MAP_ROUTED):
        keys = [_element(gate.upload_key()) for gate in gates if gate.upload_map == name]
        found += _requests(_DELSETELEM, 0, name, keys)
    return found


def remove_download(addresses: list[IPv4Address]) -> list[Message]:
    """Close the download side only."""
    return list(_requests(_DELSETELEM, 0, MAP_DOWN, [_element(ip.packed) for ip in addresses]))


def exists(connection: Connection) -> bool:
    """Whether the maps are there."""
    query = _GENERIC + attribute(_SET_TABLE, TABLE) + attribute(_SET_NAME, MAP_DOWN)
    try:
        connection.one(Message(_GETSET, 0, query))
    except OSError as fault:
        if fault.errno == errno.ENOENT:
            return False
        raise
    return True


def read_gates(connection: Connection) -> list[Gate]:
    """The upload side of all sessions."""
    gates = []
    for key, data, comment in _dump(connection, MAP_UP):
        if len(key) == 16 and len(data) == 4:
            index, mac, ip = struct.unpack("=I6sxx4s", key)
            gates.append(Gate(comment, index, mac, IPv4Address(ip), _number(data)))
    for key, data, comment in _dump(connection, MAP_ROUTED):
        if len(key) == 8 and len(data) == 4:
            index, ip = struct.unpack("=I4s", key)
            gates.append(Gate(comment, index, None, IPv4Address(ip), _number(data)))
    return gates


def read_download(connection: Connection) -> dict[IPv4Address, int]:
    """The download side: class of each address."""
    return {
        IPv4Address(key): _number(data)
        for key, data, _ in _dump(connection, MAP_DOWN)
        if len(key) == 4 and len(data) == 4
    }


def read_translations(connection: Connection) -> dict[IPv4Address, Binding]:
    """Public address and ports of each address that has them."""
    found = {}
    for name in (MAP_BLOCK, MAP_WHOLE):
        for key, data, _ in _dump(connection, name):
            binding = natmap.decode(name, data)
            if len(key) == 4 and binding is not None:
                found[IPv4Address(key)] = binding
    return found


def remove_bindings(bindings: dict[IPv4Address, Binding]) -> list[Message]:
    """Remove what `read_translations` found."""
    return remove_translations([Gate("", 0, None, ip, 0, nat) for ip, nat in bindings.items()])


def read_keys(connection: Connection) -> dict[bytes, set[bytes]]:
    """The keys of all maps, without the rest: some milliseconds for thousands."""
    return {name: set(_keys(connection, name)) for name in _MAPS}


def keys_of(gates: Iterable[Gate]) -> dict[bytes, set[bytes]]:
    """What `read_keys` finds when these gates, and no others, are open."""
    keys: dict[bytes, set[bytes]] = {name: set() for name in _MAPS}
    for gate in gates:
        keys[gate.upload_map].add(gate.upload_key())
        keys[MAP_DOWN].add(gate.ip.packed)
        if gate.nat is not None:
            keys[natmap.map_of(gate.nat)].add(gate.ip.packed)
    return keys


def remove_keys(name: bytes, keys: Iterable[bytes]) -> list[Message]:
    """Remove elements by their keys."""
    return list(_requests(_DELSETELEM, 0, name, [_element(key) for key in keys]))


def _keys(connection: Connection, name: bytes) -> Iterator[bytes]:
    for data, start, end in _element_lists(connection, name):
        _, length = next(((kind, b - a + 4) for kind, a, b in attributes(data, start, end)), (0, 0))
        headers = {data[at : at + 4] for at in range(start, end, length or 4)}
        if length % 4 == 0 and len(headers) == 1 and (end - start) % length == 0:
            # All elements of a message are alike: the key is where the first has it.
            first, last = _key_place(data, start + 4, start + length)
            yield from (data[at + first : at + last] for at in range(start, end, length))
            continue
        for _, first, last in attributes(data, start, end):
            begin = first - 4
            key_first, key_last = _key_place(data, first, last)
            yield data[begin + key_first : begin + key_last]


def _key_place(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the key is in an element, from the element's own header on."""
    where = attribute_map(data, start, end).get(_ELEM_KEY)
    first, last = attribute_map(data, *where).get(_DATA_VALUE, (0, 0)) if where else (0, 0)
    return first - start + 4, last - start + 4


def _number(data: bytes) -> int:
    return int(struct.unpack("=I", data)[0])


def _dump(connection: Connection, name: bytes) -> Iterator[tuple[bytes, bytes, str]]:
    """Key, data and comment of each element."""
    for answer, start, end in _element_lists(connection, name):
        for _, first, last in attributes(answer, start, end):
            parts = attribute_map(answer, first, last)
            key, data = _value(answer, parts.get(_ELEM_KEY)), _value(answer, parts.get(_ELEM_DATA))
            yield key, data, _comment(answer[slice(*parts.get(_ELEM_USERDATA, (0, 0)))])


def _element_lists(connection: Connection, name: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Where the kernel's answer lists elements: (answer, start, end)."""
    query = _GENERIC + attribute(_LIST_TABLE, TABLE) + attribute(_LIST_SET, name)
    answer = bytes(connection.dump(_GETSETELEM, query))
    for kind, _, start, end in messages(answer):
        if kind == _NEWSETELEM:
            listed = attribute_map(answer, start + len(_GENERIC), end).get(_LIST_ELEMENTS)
            if listed is not None:
                yield answer, *listed


def _value(data: bytes, where: tuple[int, int] | None) -> bytes:
    """What a nest of NFTA_DATA_VALUE holds."""
    if where is None:
        return b""
    first, last = attribute_map(data, *where).get(_DATA_VALUE, (0, 0))
    return data[first:last]


def _comment(userdata: bytes) -> str:
    """nft's own encoding of comments: type, length, text with a NUL."""
    if len(userdata) < 3 or userdata[0] != _COMMENT:
        return ""
    return userdata[2 : 2 + userdata[1]].rstrip(b"\0").decode("ascii", "replace")

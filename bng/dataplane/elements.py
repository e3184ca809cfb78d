"""Elements of the nftables maps: a session's place in the gate, as the kernel stores it.

Three maps, whose data is the class (`skb->priority`): ``up`` keyed by interface, MAC and IP (bridged),
``up_routed`` by interface and IP, ``dn`` by IP. What is translated to addresses of a pool has an element in
one of two more (`natmap`), which is added and removed with the others. The comment of an upload element
holds the session id, so that who finds the element knows the session.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Iterator, Sequence
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
MAPS = (MAP_UP, MAP_ROUTED, MAP_DOWN, MAP_BLOCK, MAP_WHOLE)

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
    downloads = remove_download(gate.ip.packed for gate in gates)
    return remove_upload(gates) + downloads + remove_translations(gates)


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


def remove_download(addresses: Iterable[bytes]) -> list[Message]:
    """Close the download side only, of addresses in network order."""
    return list(_requests(_DELSETELEM, 0, MAP_DOWN, [_element(each) for each in addresses]))


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


def read_download(connection: Connection) -> dict[bytes, int]:
    """The download side: class of each address, which is in network order."""
    return {
        key: _number(data) for key, data, _ in _dump(connection, MAP_DOWN) if len(key) == 4 and len(data) == 4
    }


def read_translations(connection: Connection) -> dict[bytes, dict[bytes, Binding | None]]:
    """Public address and ports of each address, which is in network order, by map; None where the data are
    not ours."""
    return {
        name: {key: natmap.decode(name, data) for key, data, _ in _dump(connection, name)}
        for name in (MAP_BLOCK, MAP_WHOLE)
    }


def holds(connection: Connection, keys: Sequence[tuple[bytes, bytes]]) -> list[bool]:
    """Whether there are elements in these maps, by these keys."""
    requests = [message for name, key in keys for message in _requests(_GETSETELEM, 0, name, [_element(key)])]
    errors = connection.request(requests).errors
    for code in errors.values():
        if code != errno.ENOENT:
            raise OSError(code, "cannot look elements up")
    return [at not in errors for at in range(len(keys))]


def remove_keys(name: bytes, keys: Iterable[bytes]) -> list[Message]:
    """Remove elements by their keys."""
    return list(_requests(_DELSETELEM, 0, name, [_element(key) for key in keys]))


def keys(connection: Connection, name: bytes) -> Iterator[list[bytes]]:
    """The keys of a map, some hundred at a time, without the rest: what is quick enough to be looked at all
    the time."""
    for data, start, end in _element_lists(connection, name):
        if length := _length_of_each(data, start, end):
            first, last = _key_place(data, start + 4, start + length)
            yield [data[at + first : at + last] for at in range(start, end, length)]
            continue
        some = []
        for _, first, last in attributes(data, start, end):
            begin = first - 4
            key_first, key_last = _key_place(data, first, last)
            some.append(data[begin + key_first : begin + key_last])
        yield some


def _length_of_each(data: bytes, start: int, end: int) -> int:
    """The octets of each element of a list, when all are alike: then all have everything in the same places
    as the first. Else 0."""
    length = next((last - first + 4 for _, first, last in attributes(data, start, end)), 0)
    if length == 0 or length % 4 or (end - start) % length:
        return 0
    return length if len({data[at : at + 4] for at in range(start, end, length)}) == 1 else 0


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
        if length := _length_of_each(answer, start, end):
            yield from _dump_alike(answer, start, end, length)
            continue
        for _, first, last in attributes(answer, start, end):
            parts = attribute_map(answer, first, last)
            key, data = _value(answer, parts.get(_ELEM_KEY)), _value(answer, parts.get(_ELEM_DATA))
            yield key, data, _comment(answer[slice(*parts.get(_ELEM_USERDATA, (0, 0)))])


def _dump_alike(data: bytes, start: int, end: int, length: int) -> Iterator[tuple[bytes, bytes, str]]:
    """The same of elements that are alike, in a fraction of the time."""
    parts = attribute_map(data, start + 4, start + length)
    places = [parts.get(_ELEM_USERDATA, (start, start))]
    for kind in (_ELEM_KEY, _ELEM_DATA):
        nest = parts.get(kind)
        places.append(attribute_map(data, *nest).get(_DATA_VALUE, (start, start)) if nest else (start, start))
    (note, note_end), (key, key_end), (value, value_end) = places
    for shift in range(0, end - start, length):
        comment = _comment(data[note + shift : note_end + shift])
        yield data[key + shift : key_end + shift], data[value + shift : value_end + shift], comment


def _element_lists(connection: Connection, name: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Where the kernel's answers list elements: (answer, start, end)."""
    query = _GENERIC + attribute(_LIST_TABLE, TABLE) + attribute(_LIST_SET, name)
    for part in connection.parts(_GETSETELEM, query):
        answer = bytes(part)
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

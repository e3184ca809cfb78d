"""HTB: one class per slot, changed at the start of a session and never deleted.

What matches no class (the BNG's own traffic) goes out unshaped. Adding a class costs time in proportion to
those that its HTB has, changing one does not: see `bng.dataplane.shards` and `DataPlane.grow`. Which class is
whose, `shards.Layout` tells; here classes go by their ids, ``major << 16 | minor``.

Questions about one object carry NLM_F_ECHO: newer kernels answer them as they answer notifications, only to
who listens or wants the echo.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass

from bng.dataplane.netlink import (
    CREATE,
    ECHO,
    EXCL,
    REPLACE,
    Connection,
    Message,
    attribute,
    attribute_map,
    messages,
    nested,
)

NEWQDISC, DELQDISC, GETQDISC = 36, 37, 38
NEWCLASS, DELCLASS, GETCLASS = 40, 41, 42

MAJOR = 1 << 16
"""Handle of the root."""
_MAJOR_MASK = 0xFFFF0000
_ROOT = 0xFFFFFFFF
_DIRECT_PACKETS = 1000

TCMSG = struct.Struct("=BxxxiIII")
TCA_KIND, TCA_OPTIONS = 1, 2
_HTB_PARMS, _HTB_INIT, _HTB_DIRECT_QLEN, _HTB_RATE64, _HTB_CEIL64 = 1, 2, 5, 6, 7
_RATESPEC = struct.Struct("=BBHhHI")
_ETHERNET = 1
_HTB_GLOBAL = struct.Struct("=IIIII")
_HTB_VERSION, _RATE_TO_QUANTUM = 3, 10
QUANTUM = 3028
_U32 = 0xFFFFFFFF
_TICK_NS = 64

_MIN_BURST = 16_384
_BURST_SECONDS = 0.004


@dataclass(frozen=True, slots=True)
class Leaf:
    """The queue of a class.

    Attributes:
        kind: name of the queueing discipline.
        options: its TCA_OPTIONS, already encoded.
    """

    kind: str
    options: bytes = b""


def fq_codel() -> Leaf:
    """fq_codel sized for one subscriber: its defaults would take 64 KiB and more for each class."""
    limit, flows, memory = 2, 5, 9
    options = attribute(limit, struct.pack("=I", 1024)) + attribute(flows, struct.pack("=I", 64))
    return Leaf("fq_codel", options + attribute(memory, struct.pack("=I", 4 << 20)))


@dataclass(frozen=True, slots=True)
class Shape:
    """One direction's token bucket: rate in bits per second, burst in octets (0 = default), priority."""

    bps: int
    burst: int = 0
    priority: int = 4


PARKED = Shape(8000)
"""Shape of a class that no session has used yet."""


def default_burst(bps: int) -> int:
    """4 ms at the rate, at least 16 KiB: enough for the timer's grain and for one large segment."""
    return max(int(bps / 8 * _BURST_SECONDS), _MIN_BURST)


def root(index: int) -> Message:
    """Make HTB the root of an interface."""
    return htb(index, MAJOR, _ROOT, REPLACE)


def htb(index: int, handle: int, parent: int, flags: int) -> Message:
    """Make an HTB at the root or in a class."""
    init = _HTB_GLOBAL.pack(_HTB_VERSION, _RATE_TO_QUANTUM, 0, 0, 0)
    options = attribute(_HTB_INIT, init) + attribute(_HTB_DIRECT_QLEN, struct.pack("=I", _DIRECT_PACKETS))
    payload = TCMSG.pack(0, index, handle, parent, 0) + attribute(TCA_KIND, b"htb\0")
    return Message(NEWQDISC, CREATE | flags, payload + nested(TCA_OPTIONS, options))


def no_htb(index: int, handle: int, parent: int) -> Message:
    """Take an HTB that is in a class away, with all of its classes."""
    return Message(DELQDISC, 0, TCMSG.pack(0, index, handle, parent, 0))


def no_root(index: int) -> Message:
    """Take the root, and all classes, away."""
    return Message(DELQDISC, 0, TCMSG.pack(0, index, 0, _ROOT, 0))


def has_root(connection: Connection, index: int) -> bool:
    """Whether the interface's root is our HTB."""
    try:
        answer = connection.one(Message(GETQDISC, ECHO, TCMSG.pack(0, index, 0, _ROOT, 0)))
    except OSError as fault:
        if fault.errno in (errno.ENOENT, errno.ENODEV, errno.EINVAL):
            return False
        raise
    for kind, _, start, end in messages(answer):
        if kind == NEWQDISC:
            handle = TCMSG.unpack_from(answer, start)[2]
            first, last = attribute_map(answer, start + TCMSG.size, end).get(TCA_KIND, (0, 0))
            return bool(handle == MAJOR and answer[first:last].rstrip(b"\0") == b"htb")
    return False


def shape_class(
    index: int,
    class_id: int,
    shape: Shape,
    *,
    only_new: bool = False,
    echo: bool = False,
    quantum: int = QUANTUM,
) -> Message:
    """Make or change a class.

    Args:
        only_new: EEXIST when the class is there.
        echo: answer with the class as it then is, counters included.
        quantum: octets that it sends in its turn when others of its priority wait too.
    """
    rate = shape.bps // 8
    burst = shape.burst or default_burst(shape.bps)
    ticks = min(burst * 1_000_000_000 // rate // _TICK_NS, _U32)
    spec = _RATESPEC.pack(0, _ETHERNET, 0, 0, 0, min(rate, _U32))
    numbers = struct.pack("=IIIII", ticks, ticks, quantum, 0, shape.priority)
    options = attribute(_HTB_PARMS, spec + spec + numbers)
    if rate > _U32:
        wide = struct.pack("=Q", rate)
        options += attribute(_HTB_RATE64, wide) + attribute(_HTB_CEIL64, wide)
    payload = TCMSG.pack(0, index, class_id, class_id & _MAJOR_MASK, 0)
    payload += attribute(TCA_KIND, b"htb\0") + nested(TCA_OPTIONS, options)
    flags = CREATE | (EXCL if only_new else 0) | (ECHO if echo else 0)
    return Message(NEWCLASS, flags, payload)


def read_class(index: int, class_id: int) -> Message:
    """Ask for one class with its counters."""
    return Message(GETCLASS, ECHO, TCMSG.pack(0, index, class_id, 0, 0))


def no_class(index: int, class_id: int) -> Message:
    """Take a class away."""
    return Message(DELCLASS, 0, TCMSG.pack(0, index, class_id, 0, 0))


def all_classes(index: int, handle: int = 0) -> bytes:
    """Payload of the dump of an interface's classes, or of those of one HTB."""
    return TCMSG.pack(0, index, 0, handle, 0)


def read_qdisc(index: int, handle: int) -> Message:
    """Ask for the queueing discipline of a handle."""
    return Message(GETQDISC, ECHO, TCMSG.pack(0, index, handle, 0, 0))


def put_leaf(index: int, class_id: int, leaf: Leaf) -> Message:
    """Give a class a queue of its own kind."""
    payload = TCMSG.pack(0, index, 0, class_id, 0) + attribute(TCA_KIND, leaf.kind.encode() + b"\0")
    if leaf.options:
        payload += nested(TCA_OPTIONS, leaf.options)
    return Message(NEWQDISC, CREATE | REPLACE, payload)


def read_leaf(index: int, class_id: int) -> Message:
    """Ask for the queue of a class with its counters."""
    return Message(GETQDISC, ECHO, TCMSG.pack(0, index, 0, class_id, 0))


def flush_leaf(index: int, class_id: int, leaf: Leaf | None) -> list[Message]:
    """Throw away what waits in a class: another queue takes the place of the full one, and goes again."""
    bare = Message(DELQDISC, 0, TCMSG.pack(0, index, 0, class_id, 0))
    if leaf is None:
        return [put_leaf(index, class_id, Leaf("pfifo")), bare]
    return [bare, put_leaf(index, class_id, leaf)]

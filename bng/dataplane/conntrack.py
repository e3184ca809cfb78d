"""Cutting the flows of sessions that ended out of the kernel's connection tracking.

The gate stops a session's packets at once. But its flows stay known, with their translation, until they
time out (an established TCP connection after days): who gets the same address inside next could send into
them with the public address of the holder before, and would receive what still arrives for them. So they are
deleted. So are flows that began without a translation, while there was no ruleset.

The kernel finds them by walking its whole table (0.2 µs for each entry), too long to wait for with a large
one: a thread does it, and a session that is about to take over an address inside, or ports, of flows that
still wait to be cut has them cut first.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import structlog

from bng.dataplane.base import Binding
from bng.dataplane.netlink import NETFILTER, Connection, Message, attribute, nested

log = structlog.get_logger(__name__)

_PROC = Path("/proc/sys/net/netfilter")

_SUBSYSTEM = 1 << 8
_GET, _DELETE = _SUBSYSTEM | 1, _SUBSYSTEM | 2
_GENERIC = struct.pack("=BBH", 2, 0, 0)
_TUPLE_ORIG, _FILTER = 1, 25
_TUPLE_IP, _IP_SOURCE = 1, 1
_FILTER_ORIG_FLAGS, _BY_SOURCE = 1, 1
_TUPLE_AT, _SOURCE_AT = 20, 32
"""Where, in a message about a flow, its first attribute begins (the tuple of its first packet), and in that
the source address. The kernel has always written them in this order; what differs is left alone."""
_SHORTEST = _SOURCE_AT + 4 - _TUPLE_AT
_DESTINATION_AT = 20
"""Where the destination address is in a tuple; the answers' tuple is behind that of the first packet."""
_LENGTH = struct.Struct("=I")
_HEADS = struct.Struct("=HHHHHH")
_EACH = 8
"""More addresses than this are cheaper to look for in one reading of the whole table."""

_Match = Callable[[bytes], bool]
_Strangers = tuple[tuple[IPv4Network, ...], frozenset[bytes]]
"""Networks inside, and the addresses there that have a session."""


def usage() -> tuple[int, int] | None:
    """Flows that are tracked in this network namespace, and how many may be; None when none can be."""
    try:
        count, limit = (int((_PROC / f"nf_conntrack_{name}").read_text()) for name in ("count", "max"))
        return count, limit
    except (OSError, ValueError):
        return None


def by_source(source: bytes) -> Message:
    """Delete all flows whose first packet came from an address (Linux 6.11)."""
    wanted = nested(_TUPLE_ORIG, nested(_TUPLE_IP, attribute(_IP_SOURCE, source)))
    flags = nested(_FILTER, attribute(_FILTER_ORIG_FLAGS, struct.pack("=I", _BY_SOURCE)))
    return Message(_DELETE, 0, _GENERIC + wanted + flags)


class FlowCutter:
    """Cuts flows, in a thread of its own, in the network namespace of the thread that makes it."""

    def __init__(self) -> None:
        self._connection = Connection(NETFILTER)
        self._working = threading.Lock()  # held while the connection is in use
        self._state = threading.Condition()
        self._waiting: dict[IPv4Address, Binding | None] = {}
        self._being_cut: dict[IPv4Address, Binding | None] = {}
        self._strangers: _Strangers | None = None
        self._strangers_being_cut: _Strangers | None = None
        self._untranslated: tuple[IPv4Network, ...] = ()
        self._ended = False
        self._filter_works = True
        self._thread = threading.Thread(target=self._run, name="flows", daemon=True)
        self._thread.start()

    def cut(self, ended: Mapping[IPv4Address, Binding | None]) -> None:
        """Cut the flows of sessions that ended: address inside and what it was translated to."""
        if ended:
            with self._state:
                self._waiting.update(ended)
                self._state.notify()

    def cut_strangers(self, inside: tuple[IPv4Network, ...], known: Iterable[IPv4Address]) -> None:
        """Cut the flows from these networks that are not of these addresses."""
        with self._state:
            self._strangers = inside, frozenset(address.packed for address in known)
            self._state.notify()

    def cut_untranslated(self, inside: tuple[IPv4Network, ...]) -> None:
        """Cut the flows from these networks that began while there was no translation: they would go on
        without."""
        with self._state:
            self._untranslated = inside
            self._state.notify()

    def settle(self, starting: Iterable[tuple[IPv4Address, Binding | None]]) -> None:
        """Have cut what these sessions, which are about to start, would take over; and what was to be cut as
        strangers' flows, that theirs are not taken for such."""
        with self._state:
            strangers = self._strangers or self._strangers_being_cut
            if not (self._waiting or self._being_cut or strangers):
                return
            pending = {**self._being_cut, **self._waiting}
            bindings = {binding for binding in pending.values() if binding is not None}
            hit = any(
                ip in pending or nat in bindings or (strangers is not None and ip.packed not in strangers[1])
                for ip, nat in starting
            )
        if hit:
            self._work()

    def close(self) -> None:
        """End the thread; what waits is cut first."""
        with self._state:
            self._ended = True
            self._state.notify()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while True:
            with self._state:
                while not (self._waiting or self._strangers or self._untranslated or self._ended):
                    self._state.wait()
                if self._ended and not self._waiting:
                    return
            self._work()

    def _work(self) -> None:
        with self._working:
            with self._state:
                self._being_cut, self._waiting = self._waiting, {}
                strangers = self._strangers_being_cut = self._strangers
                self._strangers = None
                untranslated, self._untranslated = self._untranslated, ()
            try:
                if self._being_cut:
                    self._cut([address.packed for address in self._being_cut])
                if strangers is not None:
                    self._cut_matching(_stranger(*strangers))
                if untranslated:
                    self._cut_matching(_stranger(untranslated, frozenset()), untranslated=True)
            except OSError as fault:
                log.warning("dataplane.flows-not-cut", reason=fault.strerror)
            finally:
                with self._state:
                    self._being_cut, self._strangers_being_cut = {}, None

    def _cut(self, sources: list[bytes]) -> None:
        if self._filter_works and len(sources) <= _EACH:
            errors = self._connection.request([by_source(source) for source in sources]).errors
            if not errors:
                return
            self._filter_works = False
        self._cut_matching(set(sources).__contains__)

    def _cut_matching(self, match: _Match, *, untranslated: bool = False) -> None:
        """Read the whole table and delete the flows from sources that match; only those that are answered to
        the same address, when `untranslated` says so."""
        found: list[Message] = []
        for part in self._connection.parts(_GET, _GENERIC):
            found += _deletions(bytes(part), match, untranslated)
        for code in self._connection.request(found).errors.values():
            if code != errno.ENOENT:  # it ended meanwhile
                raise OSError(code, os.strerror(code))


def _deletions(data: bytes, match: _Match, untranslated: bool) -> list[Message]:
    found = []
    at, end = 0, len(data)
    while at + _SOURCE_AT + 4 <= end:
        (length,) = _LENGTH.unpack_from(data, at)
        if length < 16:
            break
        source = data[at + _SOURCE_AT : at + _SOURCE_AT + 4]
        if match(source):
            size, kind, _, inner, _, first = _HEADS.unpack_from(data, at + _TUPLE_AT)
            answered = at + _TUPLE_AT + ((size + 3) & ~3) + _DESTINATION_AT
            # a deletion whose tuple is not whole would be one of all flows
            wanted = _SHORTEST <= size <= end - at - _TUPLE_AT
            wanted = wanted and (not untranslated or data[answered : answered + 4] == source)
            if wanted and (kind & 0x3FFF, inner & 0x3FFF, first) == (_TUPLE_ORIG, _TUPLE_IP, _IP_SOURCE):
                whole = data[at + _TUPLE_AT : at + _TUPLE_AT + size]
                found.append(Message(_DELETE, 0, _GENERIC + whole))
        at += (length + 3) & ~3
    return found


def _stranger(inside: tuple[IPv4Network, ...], known: frozenset[bytes]) -> _Match:
    judged: dict[bytes, bool] = {}

    def match(source: bytes) -> bool:
        verdict = judged.get(source)
        if verdict is None:
            address = IPv4Address(source)
            verdict = source not in known and any(address in network for network in inside)
            judged[source] = verdict
        return verdict

    return match

"""What a data plane must do.

Vocabulary
----------
A *slot* is a small number, allocated by `bng.session.store`, that stands for one session while it lives: it
has an HTB class on the session's subscriber interface (download) and one on the upstream interface (upload);
`bng.dataplane.shards` tells which. Slots start at 0. 'in' is from the subscriber, 'out' is to the subscriber
(RFC 2866).

A slot's raw counters never restart while its classes exist: they go on over the sessions that use the
slot one after the other. `StartResult.baseline` is where a session begins, and `bng.session.counters`
turns raw values into totals. Reuse the slot that has been free for longest, never the one just freed.

Methods are synchronous and short (tens of microseconds per session). Only `sweep`, `grow` and `audit` may run
in a thread of their own beside the others, one call of each at a time.

A fault of one item never fails a batch: each item has its own result, in the order of the request. What
concerns the whole data plane (no privileges, no kernel support) raises `DataPlaneError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Protocol, runtime_checkable

MAX_SLOTS = 1 << 17
"""Slots are 0 … MAX_SLOTS-1."""

COUNTERS = ("in_octets", "out_octets", "in_packets", "out_packets", "in_discards", "out_discards")
"""The columns of `Sweep.values`, in this order; also the fields of `RawCounters`."""


class DataPlaneError(Exception):
    """The data plane as a whole cannot do what is asked; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Nat:
    """Source NAT towards upstream.

    Attributes:
        prefixes: what is translated.
        address: the address that packets leave with; None takes that of the upstream interface.
        pool: public addresses that sessions have bindings of (`Start.nat`). When there are any, a session
            of `prefixes` without a binding sends nothing upstream, and `address` is not used.
        flow_limit: flows upstream that a subscriber may have at once; 0 for no limit.
    """

    prefixes: tuple[IPv4Network, ...]
    address: IPv4Address | None = None
    pool: tuple[IPv4Network, ...] = ()
    flow_limit: int = 0


@dataclass(frozen=True, slots=True)
class Binding:
    """What a session's packets leave upstream with.

    Attributes:
        address: public address.
        port_first, port_last: its ports (and ICMP identifiers), both within them; 0 … 65535 stands for the
            whole address: then protocols without ports are translated as well.
    """

    address: IPv4Address
    port_first: int = 0
    port_last: int = 65535

    @property
    def whole(self) -> bool:
        return self.port_first == 0 and self.port_last == 65535


@dataclass(frozen=True, slots=True)
class Service:
    """Something of the BNG that may be reached from upstream.

    Attributes:
        protocol: ``tcp`` or ``udp``.
        ports: of the BNG; of the other side when `answers` is set.
        address: of the BNG; None for any of the upstream interface.
        sources: who may; empty for everybody.
        answers: it is the other side's port that tells: the BNG asked.
    """

    protocol: str
    ports: tuple[int, ...]
    address: IPv4Address | None = None
    sources: tuple[IPv4Network, ...] = ()
    answers: bool = False


@dataclass(frozen=True, slots=True)
class Guard:
    """How the BNG's own addresses are protected.

    Attributes:
        inside: networks of subscribers: no source of what comes from upstream.
        hidden: what subscribers do not reach, though the way there leads upstream.
        answers: addresses that subscribers may ping, besides those of their own interface.
        services: what may be reached from upstream, besides answers, pings and ICMP errors.
    """

    inside: tuple[IPv4Network, ...] = ()
    hidden: tuple[IPv4Network, ...] = ()
    answers: tuple[IPv4Address, ...] = ()
    services: tuple[Service, ...] = ()


@dataclass(frozen=True, slots=True)
class DataPlaneConfig:
    """What the data plane stands on.

    Attributes:
        subscriber: names of the subscriber interfaces.
        upstream: name of the interface to the Internet.
        nat: None to forward subscribers' addresses as they are.
        reserve: class slots that `grow` keeps ready ahead of the highest slot in use, at the least: of a rush
            it keeps ahead by two seconds.
        guard: protection of the BNG itself.
        listening: ports that the BNG's servers listen on, so that no client of this machine is given one.
    """

    subscriber: tuple[str, ...]
    upstream: str
    nat: Nat | None = None
    reserve: int = 256
    guard: Guard = Guard()
    listening: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Rates:
    """The shaping of one session.

    Attributes:
        download_bps, upload_bps: bits per second of Ethernet frames, 8000 … 100e9.
        download_burst, upload_burst: bucket depth in octets; 0 takes 4 ms at the rate, at least 16 KiB.
        priority: HTB priority 0 … 7, 0 is served first.
    """

    download_bps: int
    upload_bps: int
    download_burst: int = 0
    upload_burst: int = 0
    priority: int = 4


@dataclass(frozen=True, slots=True)
class Start:
    """Let a session forward.

    Attributes:
        slot: see above.
        session_id: 16 hexadecimal digits; kept in the kernel beside the session.
        interface: the subscriber interface it comes from.
        mac: six octets, the source guard of a bridged access node; None behind a routed one, whose
            packets all carry the node's own address.
        ip: the subscriber's address.
        rates: its shaping.
        nat: its public address and ports; a start that is repeated with others changes them.
    """

    slot: int
    session_id: str
    interface: str
    mac: bytes | None
    ip: IPv4Address
    rates: Rates
    nat: Binding | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """End a session's forwarding. `session_id` must be the one that the slot was started with."""

    slot: int
    session_id: str


@dataclass(frozen=True, slots=True)
class Change:
    """Shape a live session otherwise, without interruption."""

    slot: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class RawCounters:
    """The kernel's counters of one slot, uint64: IP octets and packets delivered past the shaper, and
    packets that the shaper dropped."""

    in_octets: int = 0
    out_octets: int = 0
    in_packets: int = 0
    out_packets: int = 0
    in_discards: int = 0
    out_discards: int = 0


@dataclass(frozen=True, slots=True)
class StartResult:
    """Outcome of a `Start`.

    Attributes:
        slot: of the request.
        error: None when the session now forwards; else a sentence that says why not.
        baseline: raw counters of the slot before the first packet of the session; None when there was an
            error, and when the session was forwarding already: then its counters go on.
    """

    slot: int
    error: str | None = None
    baseline: RawCounters | None = None


@dataclass(frozen=True, slots=True)
class StopResult:
    """Outcome of a `Stop`.

    Attributes:
        slot: of the request.
        error: None when the gate is closed, else why it is not known to be. A session that the kernel
            did not hold is no error: it is stopped.
        final: raw counters, read after the gate closed; None when the classes are gone (the interface
            was removed): then the last sweep is all there is.
    """

    slot: int
    error: str | None = None
    final: RawCounters | None = None


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """Outcome of a `Change`: error is None when the new rates hold."""

    slot: int
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Sweep:
    """The counters of all sessions at one time.

    Attributes:
        values: numpy uint64, shape (slots, 6), columns as `COUNTERS`; raw, see `bng.session.counters`.
        valid: numpy bool, shape (slots,): rows that were read. The others are 0: the slot has no
            session, or the kernel's dump left it out this once (then it is unchanged, not zero).
        bindings: numpy uint32, shape (slots,): `DataPlane.bindings` when the sweep began.
        time_ns: when it was made, nanoseconds since the epoch.
    """

    values: Any
    valid: Any
    bindings: Any
    time_ns: int


@dataclass(frozen=True, slots=True)
class Installed:
    """A session that the kernel holds; found at `open`, or programmed since."""

    session_id: str
    slot: int
    interface: str
    mac: bytes | None
    ip: IPv4Address
    nat: Binding | None = None


@dataclass(frozen=True, slots=True)
class Refresh:
    """What `refresh` did.

    Attributes:
        attached: interfaces that were set up, because they are new or were made anew.
        restarted_in, restarted_out: slots of live sessions whose upload or download class was made anew: its
            raw counters begin at 0 (`bng.session.counters.restart`).
        missing: configured interfaces that do not exist at this time.
        unfinished: more sessions are to be brought back than can be at one go: call `refresh` again, soon.
    """

    attached: tuple[str, ...] = ()
    restarted_in: tuple[int, ...] = ()
    restarted_out: tuple[int, ...] = ()
    missing: tuple[str, ...] = ()
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Suspicions:
    """What looked wrong to `audit`.

    Attributes:
        elements: map and key of elements that seem to belong to no session.
        slots: of sessions whose gate seems to be closed.
        neighbours: slots of bridged sessions whose permanent neighbour seems to be gone.
    """

    elements: tuple[tuple[bytes, bytes], ...] = ()
    slots: tuple[int, ...] = ()
    neighbours: tuple[int, ...] = ()

    def slices(self, size: int) -> Iterator[Suspicions]:
        """The same, of at most so many at a time."""
        for at in range(0, len(self.elements), size):
            yield Suspicions(elements=self.elements[at : at + size])
        for at in range(0, len(self.slots), size):
            yield Suspicions(slots=self.slots[at : at + size])
        for at in range(0, len(self.neighbours), size):
            yield Suspicions(neighbours=self.neighbours[at : at + size])


@dataclass(frozen=True, slots=True)
class Capabilities:
    """How this data plane does its work.

    Attributes:
        backend: ``nft`` or ``fake``.
        leaf: queue of a class: ``pfifo`` or ``fq_codel``.
        warnings: sentences about what is missing or would falsify something; for the log.
    """

    backend: str
    leaf: str
    warnings: tuple[str, ...] = ()


@runtime_checkable
class DataPlane(Protocol):
    """See the module's text for what holds for all methods."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def bindings(self) -> Any:
        """numpy uint32 per slot: counts the starts of each slot. Where it differs from
        `Sweep.bindings`, the slot was bound after that sweep began and the sweep's row is not its."""
        ...

    @property
    def end(self) -> int:
        """One more than the highest slot in use."""
        ...

    def open(self, config: DataPlaneConfig) -> Refresh:
        """Build what is missing, keep what is there; call again to apply another configuration. Sessions
        that the kernel holds go on forwarding and are then in `installed`. Interfaces that do not exist
        are waited for: `refresh`. Raises DataPlaneError."""
        ...

    def refresh(self) -> Refresh:
        """Set up interfaces that have (re)appeared, with their sessions, and bring back a ruleset that is
        gone. Cheap when nothing changed: call it every few seconds and when the kernel tells of a link. It
        brings back as many sessions as take some milliseconds: see `Refresh.unfinished`."""
        ...

    def audit(self) -> Suspicions:
        """Compare the gates with the sessions. What changes meanwhile may look wrong: `repair` asks again."""
        ...

    def repair(self, suspicions: Suspicions) -> int:
        """Close the gates of strangers and open those of sessions, where it is true. Returns how many."""
        ...

    def start(self, starts: Sequence[Start]) -> list[StartResult]:
        """Shape, then open the gate. Repeating a start that holds is no error."""
        ...

    def stop(self, stops: Sequence[Stop]) -> list[StopResult]:
        """Close the gates in one transaction, live flows included, then read the final counters."""
        ...

    def change(self, changes: Sequence[Change]) -> list[ChangeResult]:
        """Other rates for live sessions."""
        ...

    def sweep(self) -> Sweep:
        """Read the counters of all sessions."""
        ...

    def read(self, slot: int) -> RawCounters | None:
        """Read the counters of one session. None when there is none, or its classes are gone."""
        ...

    def installed(self, first: int = 0, count: int | None = None) -> list[Installed]:
        """The sessions that forward, in the order of their slots: all, or those of slots `first` …
        `first + count - 1`."""
        ...

    def grow(self, limit: int = 32) -> bool:
        """Make up to `limit` classes towards the reserve; True while there are more to make. Off the hot
        path: adding a class takes up to some tenths of a millisecond."""
        ...

    def close(self, remove: bool = False) -> None:
        """Let go of the kernel. What it holds stays and goes on working, unless `remove`."""
        ...

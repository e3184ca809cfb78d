"""Public addresses and port blocks, handed out to sessions (RFC 6888; port blocks as in RFC 7422).

Each session has one public address for all it sends (paired pooling, REQ-2 of RFC 6888) and one contiguous
range of ports of it, for as long as it may forward: so the events at the ends of that time are all that has
to be kept to tell who had an address and port.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import accumulate
from typing import NamedTuple

FIRST_PORT, LAST_PORT = 1024, 65535
"""Ports that blocks are made of: those below are of services, and some networks drop them as a source."""


class NatBinding(NamedTuple):
    """What a session's packets leave with: a public address (dotted) and a range of ports, both ends within
    it. 0 … 65535 is an address without a second holder."""

    address: str
    port_first: int
    port_last: int


@dataclass(frozen=True, slots=True)
class NatPool:
    """The pool of bng/nat.

    Attributes:
        ranges: first and last address (dotted) of each range, both within it; ranges do not overlap.
        sources: prefixes whose addresses are translated.
        port_block_size: ports of a session, 64 … 64512; 0 gives each session a whole address.
    """

    ranges: tuple[tuple[str, str], ...]
    sources: tuple[str, ...]
    port_block_size: int = 0

    @property
    def blocks_per_address(self) -> int:
        if not self.port_block_size:
            return 1
        return (LAST_PORT - FIRST_PORT + 1) // self.port_block_size


EXHAUSTED = "no public address or port block is free"


class NatAllocator:
    """Hands bindings out and takes them back; each in constant time.

    What has never been handed out is taken first, one block of each address before the second of any, so
    that few share an address while there is room; then what has been free for longest.

    Bindings that an earlier configuration gave stay with their sessions. Blocks that overlap one are not
    handed out.
    """

    def __init__(self, pool: NatPool | None = None) -> None:
        self._offered: deque[NatBinding] | None = None  # all that there is to take, for a replay
        self.change(pool, ())

    def change(self, pool: NatPool | None, bindings: Iterable[NatBinding | None]) -> None:
        """Another pool, while sessions have these bindings."""
        self.pool = pool
        self._held: Counter[int] = Counter()  # block → bindings that overlap it
        self._free: deque[int] = deque()  # longest free first; may name blocks adopted meanwhile
        self._fresh = 0
        sources = [IPv4Network(prefix) for prefix in pool.sources] if pool is not None else []
        self._sources = [(int(source.network_address), int(source.netmask)) for source in sources]
        ranges = pool.ranges if pool is not None else ()
        self._ranges = [(int(IPv4Address(first)), int(IPv4Address(last))) for first, last in ranges]
        self._ends = list(accumulate(last - first + 1 for first, last in self._ranges))
        self._addresses = self._ends[-1] if self._ends else 0
        for binding in bindings:
            if binding is not None:
                self.adopt(binding)

    @property
    def size(self) -> int:
        """Bindings that there are."""
        return self._addresses * self.pool.blocks_per_address if self.pool is not None else 0

    def covers(self, ip_address: str) -> bool:
        """Whether a subscriber with this address is translated by the pool."""
        if not self._sources:
            return False
        address = int(IPv4Address(ip_address))
        return any(address & mask == network for network, mask in self._sources)

    @property
    def held(self) -> int:
        """Bindings that are not free."""
        return len(self._held)

    def take(self) -> NatBinding:
        """A free binding.

        Raises:
            LookupError: none is free.
        """
        if self._offered is not None:
            if not self._offered:
                raise LookupError(EXHAUSTED)
            binding = self._offered.popleft()
            self._held.update(self._overlapped(binding))
            return binding
        if self._fresh < self.size:  # `adopt` leaves none behind that has a holder
            self._fresh += 1
            return self._hold(self._fresh - 1)
        while self._free:
            block = self._free.popleft()
            if block not in self._held:
                return self._hold(block)
        raise LookupError(EXHAUSTED)

    def offer(self, bindings: Iterable[NatBinding]) -> None:
        """Make these the next to be taken, and no others: for a replay of a few sessions of many."""
        self._offered = deque(bindings)

    def adopt(self, binding: NatBinding) -> None:
        """A session has this binding already."""
        blocks = self._overlapped(binding)
        self._held.update(blocks)
        if blocks and self._offered is None and self._fresh <= blocks[-1]:
            # those in between were free for an unknown time: behind those that never had a holder
            self._free.extend(range(self._fresh, blocks[-1]))
            self._fresh = blocks[-1] + 1

    def blocks(self, bindings: Iterable[NatBinding | None]) -> Counter[int]:
        """The blocks that bindings overlap, and how many of them do."""
        return Counter(
            block for binding in bindings if binding is not None for block in self._overlapped(binding)
        )

    def give_back(self, binding: NatBinding) -> None:
        """A session does not have it any more."""
        for block in self._overlapped(binding):
            self._held[block] -= 1
            if not self._held[block]:
                del self._held[block]
                self._free.append(block)

    def _hold(self, block: int) -> NatBinding:
        self._held[block] += 1
        assert self.pool is not None
        offset, nth = divmod(block, self._addresses)
        at = bisect_right(self._ends, nth)
        address = str(IPv4Address(self._ranges[at][1] - (self._ends[at] - 1 - nth)))
        size = self.pool.port_block_size
        if not size:
            return NatBinding(address, 0, LAST_PORT)
        first = FIRST_PORT + offset * size
        return NatBinding(address, first, first + size - 1)

    def _overlapped(self, binding: NatBinding) -> range:
        """Blocks of the pool that share an address and port with a binding, ascending."""
        nth = self._nth(IPv4Address(binding.address))
        if nth is None or self.pool is None:
            return range(0)
        size, count = self.pool.port_block_size, self.pool.blocks_per_address
        first, last = 0, 0
        if size:
            first = max(0, (binding.port_first - FIRST_PORT) // size)
            last = min(count - 1, (binding.port_last - FIRST_PORT) // size)
        return range(nth + first * self._addresses, nth + last * self._addresses + 1, self._addresses)

    def _nth(self, address: IPv4Address) -> int | None:
        for end, (first, last) in zip(self._ends, self._ranges, strict=True):
            if first <= int(address) <= last:
                return end - 1 - (last - int(address))
        return None

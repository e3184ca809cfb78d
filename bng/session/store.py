"""All sessions of a BNG with their indexes, and the pool of slots."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence

from bng.session.records import AccessLine, Session
from bng.session.states import State

MAX_SLOTS = 1 << 17
"""As many as the data plane has classes for (`bng.dataplane.base`)."""

QUARANTINE = 64
"""Freed slots that are kept back while the pool can still grow: packets of the session before may yet
leave the class of a slot that was freed just now."""


class SlotPool:
    """Numbers of rows and classes, dense from 0.

    The slot that has been free for longest is taken first; a new one only while few are free. Each
    handing out counts the slot's generation up, so that counters of an earlier session in the same
    slot are never taken for the next one's.

    Attributes:
        size: how many slots there are.
        first_generation: the least generation handed out. A pool that starts anew with a higher one
            than its predecessor reached never repeats a pair of slot and generation.
    """

    def __init__(self, size: int, first_generation: int = 1) -> None:
        self.size = min(size, MAX_SLOTS)
        self.first_generation = first_generation
        self._generations: list[int] = []  # of every slot up to the highest used so far
        self._free: deque[int] = deque()  # longest free first; may name slots adopted meanwhile
        self._used: set[int] = set()

    def __len__(self) -> int:
        return len(self._used)

    def take(self) -> tuple[int, int]:
        """A free slot and its new generation.

        Raises:
            LookupError: all are in use.
        """
        while self._free and self._free[0] in self._used:
            self._free.popleft()
        can_grow = len(self._generations) < self.size
        if self._free and (len(self._free) > QUARANTINE or not can_grow):
            slot = self._free.popleft()
        elif can_grow:
            slot = len(self._generations)
            self._generations.append(self.first_generation - 1)
        else:
            raise LookupError("all slots are in use")
        self._generations[slot] += 1
        self._used.add(slot)
        return slot, self._generations[slot]

    def adopt(self, slot: int, generation: int) -> None:
        """Mark a slot as in use by a restored session.

        Raises:
            ValueError: there is no such slot, or it is in use.
        """
        if not 0 <= slot < MAX_SLOTS or slot in self._used:
            raise ValueError(f"slot {slot} cannot be adopted")
        while len(self._generations) <= slot:
            self._free.append(len(self._generations))
            self._generations.append(self.first_generation - 1)
        self._generations[slot] = max(generation, self._generations[slot])
        self._used.add(slot)

    def offer(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Make these pairs of slot and generation the next to be taken: for a replay."""
        for slot, generation in pairs:
            while len(self._generations) <= slot:
                self._generations.append(self.first_generation - 1)
            self._generations[slot] = generation - 1
        self._free = deque(slot for slot, _ in pairs)
        self.size = len(self._generations)

    def give_back(self, slot: int) -> None:
        """Free a slot that is in use."""
        self._used.remove(slot)
        self._free.append(slot)


class Store:
    """Sessions by id, access line, address, device, profile and access node; each look-up is O(1).

    A terminating session keeps its id, line and slot until it is gone, its address only until
    another session takes it. The Acct-Session-Id is the id.
    """

    def __init__(self, max_sessions: int, first_generation: int = 1) -> None:
        self.slots = SlotPool(max_sessions, first_generation)
        self.max_sessions = max_sessions
        self.by_status: Counter[State] = Counter()
        self._by_id: dict[str, Session] = {}
        self._by_line: dict[AccessLine, Session] = {}
        self._by_ip: dict[str, Session] = {}
        self._by_mac: dict[str, dict[str, Session]] = {}
        self._by_client: dict[bytes, Session] = {}
        self._by_profile: dict[str, dict[str, Session]] = {}
        self._by_remote: dict[str, dict[str, Session]] = {}
        self._by_circuit: dict[str, dict[str, Session]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Session]:
        """All sessions, in the order of their start. A copy: the caller may pause in between."""
        return iter(list(self._by_id.values()))

    @property
    def full(self) -> bool:
        """Whether no more sessions may start."""
        return len(self._by_id) >= min(self.max_sessions, MAX_SLOTS)

    def get(self, session_id: str) -> Session | None:
        return self._by_id.get(session_id)

    def on_line(self, line: AccessLine) -> Session | None:
        return self._by_line.get(line)

    def with_ip(self, ip_address: str) -> Session | None:
        return self._by_ip.get(ip_address)

    def with_mac(self, mac_address: str) -> Iterator[Session]:
        """Sessions of a device; more than one when it is on several lines."""
        return iter(self._by_mac.get(mac_address, {}).values())

    def has_mac(self, mac_address: str) -> bool:
        """Whether a device has any session."""
        return mac_address in self._by_mac

    def with_client(self, client_id: bytes) -> Session | None:
        """The session of a client identifier; of several the one that came last."""
        return self._by_client.get(client_id)

    def with_profile(self, profile: str) -> list[Session]:
        return list(self._by_profile.get(profile, {}).values())

    def behind(self, remote_id: str) -> list[Session]:
        return list(self._by_remote.get(remote_id, {}).values())

    def with_circuit(self, circuit_id: str) -> list[Session]:
        """Sessions of a circuit-id; several where access nodes number their ports alike."""
        return list(self._by_circuit.get(circuit_id, {}).values())

    def count_profile(self, profile: str) -> int:
        """Sessions that a profile shapes: aether-shaping:sessions-using."""
        return len(self._by_profile.get(profile, ()))

    def count_behind(self, remote_id: str) -> int:
        """Sessions through an access node: aether-access-router:active-sessions."""
        return len(self._by_remote.get(remote_id, ()))

    def resize(self, max_sessions: int) -> None:
        """Change the limit; sessions beyond a smaller one live on."""
        self.max_sessions = max_sessions
        self.slots.size = min(max_sessions, MAX_SLOTS)

    def add(self, session: Session) -> None:
        """Index a session that has a slot."""
        self._by_id[session.id] = session
        self._by_line[session.line] = session
        self._by_ip[session.ip_address] = session
        self._by_mac.setdefault(session.mac_address, {})[session.id] = session
        if session.client_id:
            self._by_client[session.client_id] = session
        self._by_remote.setdefault(session.line.remote_id, {})[session.id] = session
        self._by_circuit.setdefault(session.line.circuit_id, {})[session.id] = session
        if session.profile is not None:
            self._by_profile.setdefault(session.profile, {})[session.id] = session
        self.by_status[session.state] += 1

    def set_state(self, session: Session, state: State) -> None:
        """Move a session to another state, keeping the counts right."""
        self.by_status[session.state] -= 1
        self.by_status[state] += 1
        session.state = state

    def reindex_client(self, session: Session, client_id: bytes) -> None:
        """The session's device says another client identifier now."""
        self._forget_client(session)
        session.client_id = client_id
        if client_id:
            self._by_client[client_id] = session

    def reindex_profile(self, session: Session, before: str | None) -> None:
        """The session's policy was changed; `before` is the profile that it had."""
        if before == session.profile:
            return
        if before is not None:
            self._drop(self._by_profile, before, session.id)
        if session.profile is not None:
            self._by_profile.setdefault(session.profile, {})[session.id] = session

    def remove(self, session: Session) -> None:
        """Forget a session and free its slot."""
        del self._by_id[session.id]
        if self._by_line.get(session.line) is session:
            del self._by_line[session.line]
        if self._by_ip.get(session.ip_address) is session:
            del self._by_ip[session.ip_address]
        self._drop(self._by_mac, session.mac_address, session.id)
        self._forget_client(session)
        self._drop(self._by_remote, session.line.remote_id, session.id)
        self._drop(self._by_circuit, session.line.circuit_id, session.id)
        if session.profile is not None:
            self._drop(self._by_profile, session.profile, session.id)
        self.by_status[session.state] -= 1
        self.slots.give_back(session.slot)

    def _forget_client(self, session: Session) -> None:
        if self._by_client.get(session.client_id) is session:
            del self._by_client[session.client_id]

    @staticmethod
    def _drop(index: dict[str, dict[str, Session]], key: str, session_id: str) -> None:
        held = index[key]
        del held[session_id]
        if not held:
            del index[key]

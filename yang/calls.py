"""Peers that a server calls by itself: clients of NETCONF call home, tunnel servers of gNMI dial-out."""

from __future__ import annotations

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

_JITTER: Final = 0.25


class Peer(Protocol):
    """Whom to call. Equal ones are configured alike."""

    @property
    def name(self) -> str: ...


P = TypeVar("P", bound=Peer)
S = TypeVar("S")


@dataclass(slots=True)
class _Called(Generic[S]):
    peer: Peer
    state: S
    task: asyncio.Task[None]


class Calls(ABC, Generic[P, S]):
    """Keeps a call with each peer that is configured; S is how it stands with one.

    Args:
        label: begins the names of the tasks.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._called: dict[str, _Called[S]] = {}

    @abstractmethod
    def _begin(self) -> S:
        """How it stands with a peer that was never called."""

    @abstractmethod
    async def _keep(self, peer: P, state: S) -> None:
        """Call a peer, and again whenever a call has ended, until cancelled."""

    @property
    def states(self) -> Mapping[str, S]:
        """By name of peer."""
        return {name: called.state for name, called in self._called.items()}

    async def configure(self, peers: Iterable[P]) -> None:
        """Call these from now on. Calls of peers that are no more, or that are configured otherwise than
        before, end, and with them what goes on in them."""
        wanted = {peer.name: peer for peer in peers}
        for name, called in tuple(self._called.items()):
            if wanted.get(name) != called.peer:
                await self._end(name)
        for name, peer in wanted.items():
            if name not in self._called:
                state = self._begin()
                task = asyncio.create_task(self._keep(peer, state), name=f"{self._label}-{name}")
                self._called[name] = _Called(peer, state, task)

    async def stop(self) -> None:
        """End all calls; call nobody any more."""
        for name in tuple(self._called):
            await self._end(name)

    async def _end(self, name: str) -> None:
        task = self._called.pop(name).task
        task.cancel()
        await asyncio.wait({task})


def jittered(wait: float) -> float:
    """A quarter more or less by chance, so that a peer which comes back is not called by all at once."""
    return wait * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311

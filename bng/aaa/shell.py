"""The UDP sockets and the clock around `client`: thin on purpose."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import replace

import structlog

from bng.aaa.client import AaaClient, Answer
from bng.aaa.settings import AaaSettings
from bng.session.effects import Account, AskRadius
from bng.session.events import Counters

log = structlog.get_logger("bng.aaa")

_SAY_AGAIN = 60.0
"""Seconds between two lines about what the network reports."""
_BUFFER = 1 << 20
"""Octets of socket buffer asked for, of each port: answers to all that may be in flight."""


class _Port(asyncio.DatagramProtocol):
    """One source port."""

    def __init__(self, shell: AaaShell, index: int) -> None:
        self._shell, self._index = shell, index

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._shell.received(data, (addr[0], addr[1]), self._index)

    def error_received(self, exc: Exception) -> None:
        self._shell.refused(exc)


class AaaShell:
    """Runs a client on the loop.

    Args:
        client: the protocol.
        deliver: called with the answers, in the loop, as they come.
    """

    def __init__(self, client: AaaClient, deliver: Callable[[list[Answer]], None]) -> None:
        self.client = client
        self._deliver = deliver
        self._ports: list[asyncio.DatagramTransport] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: int | None = None
        self._local_address = ""
        self._opening: asyncio.Task[None] | None = None
        self._reported: tuple[float, int] = (0.0, 0)

    async def start(self, local_address: str = "0.0.0.0") -> None:  # noqa: S104 - the NAS's own address
        """Open the source ports.

        Raises:
            OSError: the address is not ours.
        """
        self._local_address = local_address
        await self._open(self.client.settings.source_ports)

    async def _open(self, wanted: int) -> None:
        """Have at least so many source ports. Those that were opened once are kept: answers may come."""
        loop = asyncio.get_running_loop()
        while len(self._ports) < wanted:
            port = _Port(self, len(self._ports))
            transport, _ = await loop.create_datagram_endpoint(
                lambda port=port: port,  # type: ignore[misc]
                local_addr=(self._local_address, 0),
            )
            made = transport.get_extra_info("socket")
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._ports.append(transport)

    def configure(self, settings: AaaSettings) -> None:
        """Take over changed settings; more source ports are used as soon as they are open."""
        there = len(self._ports) or self.client.settings.source_ports
        usable = min(settings.source_ports, there)
        now = time.time_ns()
        self.client.configure(replace(settings, source_ports=usable), now)
        self.client.resume(now)
        self._done([])
        if settings.source_ports > there:
            if self._opening is not None:
                self._opening.cancel()
            self._opening = asyncio.get_running_loop().create_task(self._use_more(settings))

    async def _use_more(self, settings: AaaSettings) -> None:
        try:
            await self._open(settings.source_ports)
        except OSError as error:
            log.warning("radius.no-source-port", reason=error.strerror, ports=len(self._ports))
        wanted = min(settings.source_ports, len(self._ports))
        self.client.configure(replace(self.client.settings, source_ports=wanted), time.time_ns())
        self.resume()

    def close(self) -> None:
        """Close the ports; requests in flight stay unanswered."""
        if self._timer is not None:
            self._timer.cancel()
        if self._opening is not None:
            self._opening.cancel()
        for port in self._ports:
            port.close()
        self._ports.clear()

    def authenticate(self, ask: AskRadius) -> None:
        """See `AaaClient.authenticate`; the answer comes through `deliver`."""
        self._done(self.client.authenticate(ask, time.time_ns()))

    def account(self, account: Account, counters: Counters, given: int = 0) -> None:
        """See `AaaClient.account`."""
        self.client.account(account, counters, time.time_ns(), given)
        self._done([])

    def resume(self) -> None:
        """See `AaaClient.resume`."""
        self.client.resume(time.time_ns())
        self._done([])

    def restore(self, account: Account, counters: Counters) -> None:
        """See `AaaClient.restore`."""
        self.client.restore(account, counters, time.time_ns())
        self._done([])

    def accounting_on(self, session_id: str) -> None:
        """See `AaaClient.accounting_on`."""
        self.client.accounting_on(session_id, time.time_ns())
        self._done([])

    def accounting_off(self, session_id: str) -> None:
        """See `AaaClient.accounting_off`."""
        self.client.accounting_off(session_id, time.time_ns())
        self._done([])

    async def drain(self, timeout: float) -> bool:
        """Wait until all accounting is delivered; False when it was not in time (seconds)."""
        deadline = asyncio.get_running_loop().time() + timeout
        while len(self.client.backlog):
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    def received(self, data: bytes, address: tuple[str, int], source: int) -> None:
        """A datagram came to a source port."""
        self._done(self.client.receive(data, address, source, time.time_ns()))

    def refused(self, error: Exception) -> None:
        """The network reported that a server cannot be reached. That proves nothing, anybody may send such
        a report: the retransmission timer decides."""
        said, count = self._reported
        now = time.monotonic()
        if now - said < _SAY_AGAIN and count:
            self._reported = said, count + 1
            return
        log.info("radius.icmp", error=str(error), reports=count or 1)
        self._reported = now, 1

    def _due(self) -> None:
        self._timer = self._timer_at = None
        self._done(self.client.handle_timer(time.time_ns()))

    def _done(self, answers: list[Answer]) -> None:
        """Send what is to be sent, set the timer anew, hand over the answers."""
        for datagram in self.client.to_send():
            if self._ports:
                self._ports[datagram.source].sendto(datagram.data, datagram.destination)
        deadline = self.client.next_timer()
        if deadline != self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at, self._timer = deadline, None
            if deadline is not None:
                wait = max(0.0, (deadline - time.time_ns()) / 1e9)
                self._timer = asyncio.get_running_loop().call_later(wait, self._due)
        if answers:
            self._deliver(answers)

"""One call to a tunnel server: a channel, the target's registration in it, and the connections it brings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import grpc
import structlog

from telemetry.tunnel.registration import MAXIMUM_SESSIONS, Answer, End, Open, Registration, TunnelError
from telemetry.tunnel.session import CHUNK, LINGER_SECONDS, STALL_SECONDS, Session
from telemetry.tunnel.stream import Stream

log = structlog.get_logger()

GNMI: Final = "GNMI_GNOI"
KEEPALIVE: Final = 310
REGISTER_SECONDS: Final = 20.0
"""Time for TCP, TLS and the acceptance of the target."""
_LOCAL_SECONDS: Final = 5.0
_MAXIMUM_MESSAGE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class TunnelServer:
    """A tunnel server to call.

    Attributes:
        name: of it here.
        address, port: where it listens.
        target, target_type: as what this target is announced.
        ca_file: authorities of its certificate.
        certificate_file, key_file: what this target shows; None for nothing.
        server_name: in its certificate; "" for its address.
        keepalive: seconds of silence after which it is asked whether it is still there.
        min_wait, max_wait: bounds of the time between calls, seconds.
    """

    name: str
    address: str
    port: int
    target: str
    target_type: str = GNMI
    ca_file: str = ""
    certificate_file: str | None = None
    key_file: str | None = None
    server_name: str = ""
    keepalive: int = KEEPALIVE
    min_wait: float = 1.0
    max_wait: float = 300.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one call; see `Registration` and `Session`."""

    sessions: int = MAXIMUM_SESSIONS
    stall: float = STALL_SECONDS
    linger: float = LINGER_SECONDS
    register: float = REGISTER_SECONDS


class Served(Protocol):
    """The server that connections go to.

    Attributes:
        origins: (address, port) of a client of it → who that really is.
    """

    origins: dict[tuple[str, int], str]

    @property
    def local_address(self) -> tuple[str, int]:
        """Where it can be connected to from this machine."""
        ...


class Connection:
    """One call.

    Attributes:
        registration: how it stands.

    Args:
        server: who is called.
        credentials: of the channel.
        served: what connections go to.
        bounds: of all of it.
    """

    def __init__(
        self, server: TunnelServer, credentials: grpc.ChannelCredentials, served: Served, bounds: Bounds
    ) -> None:
        self.registration = Registration(server.target, server.target_type, bounds.sessions)
        self._server = server
        self._credentials = credentials
        self._served = served
        self._bounds = bounds
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._told = False

    async def run(self, accepted: Callable[[], None]) -> None:
        """Until it ends, of which a TunnelError says why.

        Args:
            accepted: called when the server has taken the target.
        """
        channel = grpc.aio.secure_channel(self._target(), self._credentials, self._options())
        try:
            stream = _open(channel, "Register")
            try:
                await self._register(channel, stream, accepted)
            finally:
                stream.cancel()
        finally:
            tasks = set(self._tasks.values())
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)
            await channel.close()

    async def _register(
        self, channel: grpc.aio.Channel, stream: Stream, accepted: Callable[[], None]
    ) -> None:
        registration = self.registration
        try:
            async with asyncio.timeout(self._bounds.register) as patience:
                await stream.write(registration.begin())
                while (octets := await stream.read()) is not None:
                    action = registration.receive(octets)
                    if registration.accepted and patience.when() is not None:
                        patience.reschedule(None)
                        accepted()
                    await self._do(channel, stream, action)
        except TimeoutError:
            raise TunnelError(
                f"the tunnel server did not take the target within {self._bounds.register:g} seconds"
            ) from None
        raise TunnelError("the tunnel server has ended the registration")

    async def _do(
        self, channel: grpc.aio.Channel, stream: Stream, action: Open | End | Answer | None
    ) -> None:
        # An answer is sent before the next message is read: who asks for too much has to wait.
        if isinstance(action, Answer):
            self._tell_refusal()
            await stream.write(action.octets)
        elif isinstance(action, End):
            self._tasks[action.tag].cancel()
        elif isinstance(action, Open):
            tag = action.tag
            task = asyncio.create_task(self._carry(channel, stream, tag), name="tunnel-session")
            self._tasks[tag] = task
            # not in the task itself: one that is cancelled before it has begun never gets there
            task.add_done_callback(lambda _: self._ended(tag))

    def _ended(self, tag: int) -> None:
        del self._tasks[tag]
        self.registration.ended(tag)

    def _tell_refusal(self) -> None:
        if not self._told:
            self._told = True
            log.warning("gnmi.tunnel.session-refused", server=self._server.name)

    async def _carry(self, channel: grpc.aio.Channel, registering: Stream, tag: int) -> None:
        try:
            host, port = self._served.local_address
            try:
                async with asyncio.timeout(_LOCAL_SECONDS):
                    reader, writer = await asyncio.open_connection(host, port, limit=CHUNK)
            except (OSError, TimeoutError) as error:
                log.warning("gnmi.tunnel.unreachable", server=self._server.name, reason=str(error))
                await registering.write(self.registration.unable(tag, "the gNMI server cannot be reached"))
                return
            origin: tuple[str, int] = writer.get_extra_info("sockname")[:2]
            self._served.origins[origin] = self._server.address
            try:
                session = Session(tag, self._bounds.stall, self._bounds.linger)
                await session.run(_open(channel, "Tunnel"), reader, writer)
            finally:
                del self._served.origins[origin]
        except TunnelError as error:
            log.info("gnmi.tunnel.session-ended", server=self._server.name, reason=str(error))
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("gnmi.tunnel.defect", server=self._server.name)

    def _target(self) -> str:
        address = self._server.address
        return f"[{address}]:{self._server.port}" if ":" in address else f"{address}:{self._server.port}"

    def _options(self) -> list[tuple[str, Any]]:
        options: list[tuple[str, Any]] = [
            ("grpc.keepalive_time_ms", self._server.keepalive * 1000),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.max_receive_message_length", _MAXIMUM_MESSAGE),
            ("grpc.enable_retries", 0),
            ("grpc.enable_http_proxy", 0),
            # a call of its own: nothing that is left of the one before
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if self._server.server_name:
            options.append(("grpc.ssl_target_name_override", self._server.server_name))
        return options


def _open(channel: grpc.aio.Channel, method: str) -> Stream:
    return Stream(channel.stream_stream(f"/grpctunnel.Tunnel/{method}")())

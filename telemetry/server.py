"""The gNMI server: TLS, who may call, how many, and how it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from urllib.parse import unquote

import grpc
import structlog
from grpc_reflection.v1alpha import reflection

from telemetry.authentication import Authenticator
from telemetry.errors import Code, Refused, invalid
from telemetry.get import MAXIMUM_ANSWER, capabilities, get
from telemetry.listener import Admission, Listener
from telemetry.memory import share
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.requests import MALFORMED, NOT_PROTOBUF, parser
from telemetry.sampler import Sampler
from telemetry.set import Setter
from telemetry.stream import Service, Stream
from telemetry.subscribe import Limits
from telemetry.tls import ServerCertificate, names_of
from yang.access import User
from yang.tree import Tree

log = structlog.get_logger()

MAXIMUM_REQUEST: Final = 16 * 1024 * 1024
STALL_SECONDS: Final = 60.0
SERVICE: Final = "gnmi.gNMI"

_OPTIONS: Final = [
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAXIMUM_REQUEST),
    ("grpc.max_send_message_length", MAXIMUM_ANSWER + 1024 * 1024),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.max_concurrent_streams", 100),
    # A dead peer is noticed within a minute; clients may ping as often as they like.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 1000),
    ("grpc.http2.max_ping_strikes", 0),
]


def endpoint(peer: str) -> tuple[str, int]:
    """Address and port in gRPC's name of a peer: ``ipv4:192.0.2.1:50000`` or ``ipv6:%5B::1%5D:50000``."""
    host, _, port = unquote(peer).partition(":")[2].rpartition(":")
    return host.strip("[]") or peer, int(port) if port.isdecimal() else 0


class GnmiServer:
    """Serves a tree over gNMI.

    Attributes:
        ports: where it listens.
        origins: (address, port) of a client that somebody else connects → who that is.

    Args:
        tree: what is served; the server runs in the event loop that opened it.
        listen: (host, port) pairs; port 0 takes a free one, see `ports`.
        tls_key, tls_cert: PEM.
        client_ca: PEM of the authorities whose certificates clients must show; None asks for none.
        certificate_users: a client's certificate says who it is: a user name in it needs no password.
        limits: intervals of samples that are kept.
        maximum_subscriptions: Subscribe RPCs at a time. A user has at most half of what others leave; one
            more is RESOURCE_EXHAUSTED.
        stall_seconds: a subscriber that takes nothing for so long is dismissed.
    """

    def __init__(
        self,
        tree: Tree,
        listen: Sequence[tuple[str, int]],
        tls_key: bytes,
        tls_cert: bytes,
        *,
        client_ca: bytes | None = None,
        certificate_users: bool = False,
        limits: Limits | None = None,
        maximum_subscriptions: int = 128,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        certificate = ServerCertificate(tls_key, tls_cert, client_ca)
        self._listener = Listener(self._make, listen, certificate)
        self.ports = self._listener.ports
        self._tree = tree
        self.origins: dict[tuple[str, int], str] = {}
        self._hosts = [host for host, _ in listen]
        self._certificate_users = certificate_users and client_ca is not None
        self._maximum_subscriptions = maximum_subscriptions
        self._stall_seconds = stall_seconds
        self._authenticator = Authenticator(tree)
        self._sampler = Sampler()
        self._setter = Setter(tree)
        self._service = Service(tree, self._sampler, limits or Limits())
        self._streams: dict[Stream, asyncio.Future[Refused]] = {}
        self._serving = False
        self._watchdog: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen. Raises OSError when an address cannot be had."""
        await self._listener.start()
        self._authenticator.start()
        self._tree.on_users_gone.append(self._users_gone)
        self._sampler.start()
        self._watchdog = asyncio.create_task(self._watch(), name="gnmi-watchdog")
        self._serving = True
        log.info("gnmi.listening", addresses=self._listener.addresses)

    def _make(self, admission: Admission) -> grpc.aio.Server:
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=self._maximum_subscriptions + 64)
        server.add_generic_rpc_handlers((self._handlers(admission),))
        reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), server)
        return server

    async def use(
        self,
        key: bytes,
        certificate: bytes,
        client_ca: bytes | None = None,
        *,
        certificate_users: bool = False,
    ) -> None:
        """From now on use another certificate, and other authorities of clients: see `__init__`. Streams go
        on, but not when clients are asked for a certificate now, or an authority of theirs is no more.

        Raises:
            OSError: the port was lost to somebody else; to be called again.
        """
        self._certificate_users = certificate_users and client_ca is not None
        reason = "clients must show a certificate of an authority that is trusted from now on"
        await self._listener.replace(
            key, certificate, client_ca, lambda: self._dismiss(Refused(Code.UNAUTHENTICATED, reason))
        )

    def _dismiss(self, reason: Refused) -> None:
        """End all streams."""
        for dismissed in self._streams.values():
            if not dismissed.done():
                dismissed.set_result(reason)

    @property
    def local_address(self) -> tuple[str, int]:
        """Where this machine itself can connect to it."""
        host = self._hosts[0]
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), self.ports[0]  # noqa: S104

    def _origin(self, context: Any) -> str:
        """Address of the client of an RPC, for logs and the history of commits."""
        found = endpoint(context.peer())
        return self.origins.get(found, found[0])

    async def stop(self, grace: float = 1.0) -> None:
        """End all streams (UNAVAILABLE) and stop listening; safe to call twice."""
        if not self._serving:
            return
        self._serving = False
        self._dismiss(Refused(Code.UNAVAILABLE, "the server stops"))
        await self._listener.stop(grace)
        await self._sampler.stop()
        self._authenticator.close()
        self._tree.on_users_gone.remove(self._users_gone)
        if self._watchdog is not None:
            self._watchdog.cancel()

    def _handlers(self, admission: Admission) -> grpc.GenericRpcHandler:
        def unary(
            behaviour: Callable[[Any, User, Any], Awaitable[Any]], request: Any, response: Any = None
        ) -> grpc.RpcMethodHandler:
            serializer = response.SerializeToString if response is not None else None
            read = parser(request) if request is not None else None
            guarded = self._guarded(behaviour, admission, read)
            return grpc.unary_unary_rpc_method_handler(guarded, None, serializer)

        methods = {
            "Capabilities": unary(self._capabilities, pb.CapabilityRequest, pb.CapabilityResponse),
            # without a serializer: messages are octets already
            "Set": unary(self._set, None),
            "Get": unary(self._get, pb.GetRequest),
            "Subscribe": grpc.stream_stream_rpc_method_handler(
                self._guarded(self._subscribe, admission), parser(pb.SubscribeRequest), None
            ),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def _guarded(
        self,
        behaviour: Callable[[Any, User, Any], Awaitable[Any]],
        admission: Admission,
        read: Callable[[bytes], Any] | None = None,
    ) -> Any:
        """Authenticates, and turns what is refused into a status. The request is parsed by `read`, if by
        any, when it is known whose it is: a large one holds the loop."""

        async def handler(request: Any, context: Any) -> Any:
            try:
                with admission.call():
                    names = names_of(context) if self._certificate_users else ()
                    metadata = context.invocation_metadata()
                    user = await self._authenticator.user(metadata, self._origin(context), names)
                    message = read(request) if read else request
                    if message is MALFORMED:
                        raise invalid(NOT_PROTOBUF)
                    return await behaviour(message, user, context)
            except Refused as refused:
                await context.abort(refused.code, refused.message, refused.trailers)
            except (asyncio.CancelledError, grpc.aio.AbortError):
                raise
            except Exception:
                log.exception("gnmi.failed", method=behaviour.__name__, peer=self._origin(context))
                await context.abort(Code.INTERNAL, "the target failed to answer; its log says why")

        return handler

    async def _capabilities(
        self, request: pb.CapabilityRequest, _user: User, _context: Any
    ) -> pb.CapabilityResponse:
        return capabilities(self._tree, request)

    async def _get(self, request: pb.GetRequest, user: User, _context: Any) -> bytes:
        return await get(self._tree, user, request)

    async def _set(self, request: bytes, user: User, context: Any) -> bytes:
        return await self._setter.set(user, self._origin(context), request)

    async def _subscribe(self, _requests: Any, user: User, context: Any) -> None:
        self._admit(user)
        stream = Stream(self._service, user, context)
        dismissed: asyncio.Future[Refused] = asyncio.get_running_loop().create_future()
        self._streams[stream] = dismissed
        running = asyncio.create_task(stream.run(), name="gnmi-stream")
        try:
            await asyncio.wait((running, dismissed), return_when=asyncio.FIRST_COMPLETED)
            if dismissed.done():
                raise dismissed.result()
            await running
        finally:
            try:
                if not running.done():
                    running.cancel()
                    await asyncio.wait((running,), timeout=1)
                if running.done() and not running.cancelled():
                    running.exception()  # of a write to a client that is gone; asyncio logs what nobody takes
            finally:
                del self._streams[stream]

    def _admit(self, user: User) -> None:
        """Raises Refused when this user has as many streams as are to be had."""
        own = sum(stream.user.name == user.name for stream in self._streams)
        most = share(self._maximum_subscriptions, len(self._streams) - own)
        if own >= most:
            raise Refused(
                Code.RESOURCE_EXHAUSTED,
                f"open subscriptions: {own} of the user {user.name}, who may have {most}, "
                f"{len(self._streams)} of all users",
            )

    def _users_gone(self, names: frozenset[str], _session: int) -> None:
        """End the streams of users that a commit removed."""
        self._authenticator.forget()
        for stream, dismissed in self._streams.items():
            if stream.user.name in names and not dismissed.done():
                log.info("gnmi.user.removed", user=stream.user.name)
                dismissed.set_result(
                    Refused(Code.UNAUTHENTICATED, f"the user {stream.user.name} was removed")
                )

    async def _watch(self) -> None:
        """Dismisses who takes nothing: a write that does not end means that the client does not read."""
        while True:
            await asyncio.sleep(min(5.0, self._stall_seconds / 4))
            limit = time.monotonic() - self._stall_seconds
            for stream, dismissed in list(self._streams.items()):
                since = stream.writing_since
                if since is not None and since < limit and not dismissed.done():
                    log.warning("gnmi.subscriber.stalled", seconds=self._stall_seconds)
                    reason = f"nothing was read for {self._stall_seconds:g} seconds"
                    dismissed.set_result(Refused(Code.DEADLINE_EXCEEDED, reason))

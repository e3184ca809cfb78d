"""NATS JetStream as the bus needs it. Thin I/O over nats-py; every failure is one of two exceptions."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import nats
import nkeys
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError

from collector.bus.chain import Seat
from collector.bus.config import BusConfig
from collector.bus.message import EXPECTED, Message, name, parse, token

log = structlog.get_logger()

Answer = TypeVar("Answer")

TIMEOUT = 5.0
"""Seconds until a silent server counts as away."""
WRONG_LAST = 10071
"""JetStream's error code of a message that is not behind the one it expects."""
MOST_OCTETS = 512 << 10
"""Octets of a message, at most; less where the server takes less."""
MOST_TTL = 600.0
"""The longest `lease_ttl` that there is."""
WINDOW = 120
"""Seconds in which the server knows the id of a message again."""


class Unavailable(ConnectionError):
    """NATS or JetStream cannot be used now; whether a message was stored is not known."""


class Refused(Exception):
    """The server did not store the message: another one came before it."""


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """nats-py's exceptions as ours."""
    try:
        yield
    except APIError as error:
        if error.err_code == WRONG_LAST:
            raise Refused(error.description) from None
        raise Unavailable(f"JetStream: {error.description or error}") from None
    except (nats.errors.Error, OSError, TimeoutError, json.JSONDecodeError) as error:
        if isinstance(error, Unavailable):
            raise
        raise Unavailable(f"NATS: {str(error) or type(error).__name__}") from None


class Bus:
    """A connection, and the streams' names. It connects when it is first needed, and again when it broke.

    Attributes:
        connections: how often it connected; a subscription lives as long as its connection.
        seats: name of the stream of seats.
    """

    def __init__(self, config: BusConfig, client_name: str) -> None:
        self.config, self._name = config, client_name
        self._client: Client | None = None
        self._js: JetStreamContext | None = None
        self._lock = asyncio.Lock()
        self._broken = asyncio.Event()
        self.connections = 0
        self.seats = f"{config.stream}-SEATS"

    @property
    def client(self) -> Client:
        """The connection. Raises Unavailable when there is none."""
        if not self._client or not self._client.is_connected:
            raise Unavailable("NATS: the connection broke")
        return self._client

    def data(self, bng_id: str) -> str:
        """The subject of a BNG."""
        return f"{self.config.subject}.{token(bng_id)}"

    def _seat(self, bng_id: str) -> str:
        return f"{self.config.subject}-seat.{token(bng_id)}"

    def _wish(self, bng_id: str) -> str:
        return f"{self.config.subject}-wish.{token(bng_id)}"

    @property
    def most(self) -> int:
        """Octets of a message's body, at most."""
        limit = self._client.max_payload if self._client else 0
        return min(MOST_OCTETS, limit - 4096) if limit else MOST_OCTETS

    async def context(self) -> JetStreamContext:
        """Connected, with both streams there. Raises what nats-py does, and OSError."""
        async with self._lock:
            if self._client and self._client.is_connected and self._js:
                return self._js
            await self._close()
            # no reconnection behind our back: what was sent before a break must not be sent again after it
            self._broken = broken = asyncio.Event()
            self.connections += 1

            async def gone() -> None:
                broken.set()

            self._client = client = await nats.connect(
                list(self.config.urls),
                disconnected_cb=gone,
                closed_cb=gone,
                name=self._name,
                allow_reconnect=False,
                connect_timeout=5,
                error_cb=self._quiet,
                **self._credentials(),
            )
            js = client.jetstream(timeout=TIMEOUT)
            try:
                await self._streams(js)
            except BaseException:
                await self._close()
                raise
            self._js = js
            return js

    async def _quiet(self, _error: Exception) -> None:
        """Whoever uses the connection is told, and says so."""

    def _credentials(self) -> dict[str, Any]:
        config, made = self.config, dict[str, Any]()
        if config.user:
            made.update(user=config.user, password=config.password)
        if config.nkey:
            made["nkeys_seed_str"] = seed = config.nkey.read_text().strip()
            try:
                nkeys.from_seed(seed.encode())
            except Exception:  # of many kinds
                raise Unavailable(f"{config.nkey} is no seed of an NKey") from None
        if config.urls[0].startswith("tls://"):
            context = ssl.create_default_context(cafile=_text(config.ca))
            if config.cert and config.key:
                context.load_cert_chain(config.cert, config.key)
            made["tls"] = context
        return made

    async def _streams(self, js: JetStreamContext) -> None:
        """Make the streams that are not there. Those that are stay as they are: their limits are the
        operator's."""
        config = self.config
        wanted = (
            api.StreamConfig(
                name=config.stream,
                subjects=[f"{config.subject}.*"],
                retention=api.RetentionPolicy.LIMITS,
                discard=api.DiscardPolicy.OLD,
                storage=api.StorageType.FILE,
                max_bytes=config.size << 20,
                max_age=config.age,
                num_replicas=config.replicas,
                duplicate_window=min(WINDOW, config.age),
            ),
            api.StreamConfig(
                name=self.seats,
                subjects=[f"{config.subject}-seat.*"],
                discard=api.DiscardPolicy.OLD,
                storage=api.StorageType.FILE,
                max_msgs_per_subject=1,
                max_bytes=16 << 20,
                num_replicas=config.replicas,
            ),
        )
        for stream in wanted:
            try:
                await js.stream_info(str(stream.name))
            except NotFoundError:
                await js.add_stream(stream)
                log.info("collector.bus-stream-made", stream=stream.name)

    async def _close(self) -> None:
        client, self._client, self._js = self._client, None, None
        if client:
            with suppress(Exception):
                await client.close()

    async def close(self) -> None:
        """End the connection. Raises nothing."""
        await self._close()

    # -- publishing -----------------------------------------------------------------------------------

    async def unless_broken(self, request: Coroutine[Any, Any, Answer]) -> Answer:
        """An answer; ConnectionError at once when the connection breaks, not after TIMEOUT."""
        asking = asyncio.ensure_future(request)
        breaking = asyncio.ensure_future(self._broken.wait())
        try:
            await asyncio.wait({asking, breaking}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise ConnectionError("the connection broke")
            return asking.result()
        finally:
            for task in (asking, breaking):
                task.cancel()
            await asyncio.gather(asking, breaking, return_exceptions=True)

    async def _publish(self, subject: str, stream: str, body: bytes, headers: dict[str, str]) -> int:
        async with translated():
            js = await self.context()
            ack = await self.unless_broken(
                js.publish(subject, body, timeout=TIMEOUT, stream=stream, headers=dict(headers))
            )
            return ack.seq

    async def publish(self, bng_id: str, message: Message, expected: int) -> int:
        """Store a message behind number `expected`. Returns its number. Raises Refused, Unavailable."""
        return await self._publish(
            self.data(bng_id), self.config.stream, message.body, message.headers(expected)
        )

    async def _last(self, stream: str, subject: str) -> api.RawStreamMsg | None:
        async with translated():
            js = await self.context()
            try:
                return await self.unless_broken(js.get_msg(stream, subject=subject))
            except NotFoundError:
                return None

    async def last(self, bng_id: str) -> Message | None:
        """The newest message of a BNG. Raises Unavailable, FormatError."""
        found = await self._last(self.config.stream, self.data(bng_id))
        return parse(found.headers, found.data or b"", found.seq or 0, 0) if found else None

    # -- seats ----------------------------------------------------------------------------------------

    async def seat(self, bng_id: str) -> Seat | None:
        """Who holds a BNG. Raises Unavailable."""
        found = await self._last(self.seats, self._seat(bng_id))
        if found is None:
            return None
        try:
            told = json.loads(found.data or b"")
            ttl = float(told["ttl"])
            if not 0 < ttl <= MOST_TTL:
                raise ValueError
            owner = str(told.get("owner", ""))
            return Seat(str(told["tenure"]), ttl, bool(told["released"]), found.seq or 0, owner)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            return Seat("", 60.0, False, found.seq or 0)  # not ours: it is free when it stays as it is

    async def sit(self, bng_id: str, seat: Seat, owner: str) -> int:
        """Take, renew or give back a seat: `seat.seq` is the message that is there. Returns its next number.
        Raises Refused, Unavailable."""
        body = {"tenure": seat.tenure, "ttl": seat.ttl, "released": seat.released, "owner": owner}
        return await self._publish(
            self._seat(bng_id), self.seats, json.dumps(body).encode(), {EXPECTED: str(seat.seq)}
        )

    # -- members --------------------------------------------------------------------------------------

    def member(self, owner: str) -> str:
        """The subject of a publisher's message about itself: one of the seats', and of no BNG's name."""
        return f"{self.config.subject}-seat.@{token(owner)}"

    async def tell_member(self, owner: str, octets: bytes) -> None:
        """Renew a publisher's message about itself. Raises Unavailable."""
        with suppress(Refused):
            await self._publish(self.member(owner), self.seats, octets, {})

    async def members(self, most: int) -> dict[str, tuple[bytes, int]]:
        """Messages of publishers, and their numbers, by subject; so many at most. Raises Unavailable."""
        async with translated():
            js = await self.context()
            info = await js.stream_info(self.seats, subjects_filter=f"{self.config.subject}-seat.*")
        begin = f"{self.config.subject}-seat.@"
        subjects = sorted(subject for subject in info.state.subjects or {} if subject.startswith(begin))
        found = {}
        for subject in subjects[:most]:
            if told := await self._last(self.seats, subject):
                found[subject] = told.data or b"", told.seq or 0
        return found

    async def forget_member(self, subject: str) -> None:
        """Take a publisher's message away. Raises Unavailable."""
        async with translated():
            js = await self.context()
            await js.purge_stream(self.seats, subject=subject)

    # -- reading --------------------------------------------------------------------------------------

    async def names(self) -> set[str]:
        """The BNGs that the stream has messages of. Raises Unavailable."""
        async with translated():
            js = await self.context()
            info = await js.stream_info(self.config.stream, subjects_filter=f"{self.config.subject}.*")
        found = set()
        for subject in info.state.subjects or {}:
            with suppress(ValueError):  # somebody else's
                found.add(name(subject.rpartition(".")[2]))
        return found

    # -- wishes ---------------------------------------------------------------------------------------

    async def wish(self, bng_id: str, told: dict[str, Any]) -> bool:
        """Tell the publisher of a BNG; whether there is one that heard it. Raises Unavailable."""
        async with translated():
            await self.context()
            try:
                await self.client.request(self._wish(bng_id), json.dumps(told).encode(), timeout=1.0)
            except (nats.errors.NoRespondersError, TimeoutError):
                return False
            return True

    async def hear(
        self, bng_id: str, heard: Callable[[dict[str, Any]], None]
    ) -> Callable[[], Awaitable[None]]:
        """Call `heard` for each wish. Returns what ends it. Raises Unavailable."""

        async def take(message: Msg) -> None:
            with suppress(ValueError, TypeError):
                told = json.loads(message.data)
                if isinstance(told, dict):
                    heard(told)
                await message.respond(b"{}")

        async with translated():
            await self.context()
            subscription = await self.client.subscribe(self._wish(bng_id), cb=take)

        async def end() -> None:
            with suppress(Exception):
                await subscription.unsubscribe()

        return end


def _text(path: Path | None) -> str | None:
    return str(path) if path else None

"""Calls and connections while another gRPC server takes the place of the one that listens."""

from __future__ import annotations

import asyncio
from collections import Counter

import grpc
import pytest

from telemetry import listener
from telemetry.protocol import gnmi_pb2 as pb
from tests.contract.gnmi.client import Client
from tests.contract.gnmi.conftest import Target
from tests.contract.gnmi.element import make_session
from tests.contract.gnmi.test_gnmi_tls import client_of, login
from tests.support.certificates import Authority

Code = grpc.StatusCode


class Caller:
    """Calls and calls. `answered` counts what was answered, `ends` how all of it ended."""

    def __init__(self, target: Target, shown: tuple[bytes, bytes]) -> None:
        self.answered = 0
        self.ends: Counter[Code] = Counter()
        self._client = Client(target.port, target.certificate.read_bytes())
        credentials = grpc.ssl_channel_credentials(target.certificate.read_bytes(), *shown)
        names = ("initial", "min", "max")
        options = [(f"grpc.{name}_reconnect_backoff_ms", 100) for name in names]
        self._client.channel = grpc.aio.secure_channel(
            f"127.0.0.1:{target.port}", credentials, [("grpc.use_local_subchannel_pool", 1), *options]
        )
        self._client.metadata = tuple(login("viewer").items())
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            try:
                await self._client.capabilities()
            except grpc.aio.AioRpcError as error:
                self.ends[error.code()] += 1
            else:
                self.ends[Code.OK] += 1
                self.answered += 1

    async def answer(self) -> None:
        """Wait until something that is asked from now on is answered."""
        before = self.answered
        async with asyncio.timeout(20):
            while self.answered < before + 2:
                await asyncio.sleep(0.001)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))
        await self._client.close()


async def test_calls_are_answered_or_may_be_tried_again(serve):
    """Never CANCELLED, which a client takes for its own doing."""
    known, other = Authority("known"), Authority("other")
    both = known.certificate + other.certificate
    target = await serve(client_ca=both)
    server, key = target.certificate.read_bytes(), (target.folder / "key.pem").read_bytes()
    callers = [Caller(target, known.issue("viewer")) for _ in range(3)]
    for trusted in (known.certificate, both) * 3:
        await asyncio.gather(*(caller.answer() for caller in callers))
        await target.server.use(key, server, trusted)
    await asyncio.gather(*(caller.answer() for caller in callers))
    for caller in callers:
        await caller.close()
        assert caller.ends.keys() <= {Code.OK, Code.UNAVAILABLE}, caller.ends


async def test_connections_go_on_where_they_may(serve, monkeypatch):
    """With the server that let them in, which ends when the last is gone."""
    monkeypatch.setattr(listener, "_LOOK_EVERY", 0.01)
    authority = Authority()
    target = await serve(client_ca=authority.certificate)
    server, key = target.certificate.read_bytes(), (target.folder / "key.pem").read_bytes()
    former = target.server._listener._former
    known = client_of(target, server, authority.issue("viewer"), login("viewer"))
    stream = await known.subscribe("/aether-subscriber:sessions/session/status", mode=pb.ON_CHANGE)
    await stream.until_sync()
    await target.server.use(key, server, None)
    assert len(former) == 1
    await known.capabilities()
    session = make_session(0)
    session.status = "idle"
    target.element.sessions.put(session)
    assert list((await stream.update()).values.values()) == ["idle"]
    newcomer = client_of(target, server, None, login("viewer"))
    await newcomer.capabilities()
    stream.call.cancel()
    del stream  # a call keeps its connection
    await known.close()
    async with asyncio.timeout(20):
        while former:
            await asyncio.sleep(0.01)
    await newcomer.capabilities()


async def test_a_port_that_is_lost_meanwhile(serve, monkeypatch):
    """It is told, and tried again; nobody who is trusted no more goes on."""
    authority = Authority()
    target = await serve()
    server, key = target.certificate.read_bytes(), (target.folder / "key.pem").read_bytes()
    known = client_of(target, server, None, login("viewer"))
    stream = await known.subscribe("/aether-subscriber:summary", mode=pb.ON_CHANGE)
    await stream.until_sync()

    async def lost(*_: object) -> None:
        raise OSError("it is another's")

    with monkeypatch.context() as patched:
        patched.setattr(listener, "_free", lost)
        with pytest.raises(OSError, match="another's"):
            await target.server.use(key, server, authority.certificate)
    assert (await stream.status())[0] is Code.UNAUTHENTICATED
    await target.server.use(key, server, authority.certificate)
    await client_of(target, server, authority.issue("viewer"), login("viewer")).capabilities()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await known.capabilities()
    assert caught.value.code() is Code.UNAVAILABLE

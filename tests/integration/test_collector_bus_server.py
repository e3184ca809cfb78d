"""Publishers at a nats-server, without PostgreSQL: who has which seat, and how they log in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import nkeys
import pytest

from collector.bus.config import parse
from collector.bus.jetstream import Bus, Unavailable
from collector.bus.publishing import PublishService
from collector.config import parse as configuration
from tests.support import certificates
from tests.support.nats_server import NatsServer

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    made = NatsServer(tmp_path)
    made.start()
    yield made
    made.kill()


async def test_publishers_divide_the_targets(server: NatsServer, tmp_path: Path) -> None:
    """Who comes later is given its part, who goes leaves it; nobody has what another one has."""
    entries = [
        {"bng_id": f"b{n}", "address": "127.0.0.1:9", "username": "u", "password": "p", "ca": "none"}
        for n in range(6)
    ]
    told = {"targets": entries, "lease_ttl": 1, "bus": {"url": server.url, "size": 16}}
    running: dict[str, tuple[PublishService, asyncio.Task[None]]] = {}

    def start(owner: str) -> None:
        service = PublishService(configuration({**told, "owner": owner}))
        running[owner] = service, asyncio.create_task(service.run())

    async def until(**held: int) -> None:
        async with asyncio.timeout(40):
            while held != {owner: len(service.held) for owner, (service, _) in running.items()}:
                for _, task in running.values():
                    assert not task.done()
                await asyncio.sleep(0.02)

    start("one")
    await until(one=6)
    start("two")
    await until(one=3, two=3)
    assert not running["one"][0].held & running["two"][0].held
    service, task = running.pop("one")
    service.stop.set()
    await task
    await until(two=6)
    service, task = running.pop("two")
    service.stop.set()
    await task
    bus = Bus(parse({"url": server.url}, tmp_path), "test")
    assert await bus.members(10) == {}
    await bus.close()


async def test_credentials_and_tls(tmp_path: Path) -> None:
    certificates.write(tmp_path)
    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    (tmp_path / "seed").write_bytes(seed)
    users = (
        f'{{ user: "aether", password: "secret" }}, {{ nkey: "{nkeys.from_seed(seed).public_key.decode()}" }}'
    )
    tls = f'tls {{ cert_file: "{tmp_path / "cert.pem"}", key_file: "{tmp_path / "key.pem"}" }}'
    server = NatsServer(tmp_path, more=f"authorization {{ users: [{users}] }}\n{tls}", scheme="tls")
    server.start()
    try:
        good = {"url": server.url, "ca": "cert.pem", "size": 16}
        for login in ({"user": "aether", "password": "secret"}, {"nkey": "seed"}):
            bus = Bus(parse({**good, **login}, tmp_path), "test")
            assert await bus.names() == set()
            await bus.close()
        (tmp_path / "broken").write_text("SU1234")
        for refused in ({}, {"user": "aether", "password": "wrong"}, {"nkey": "none"}, {"nkey": "broken"}):
            bus = Bus(parse({**good, **refused}, tmp_path), "test")
            with pytest.raises(Unavailable):
                await bus.names()
            await bus.close()
        bus = Bus(parse({"url": server.url, "user": "aether", "password": "secret"}, tmp_path), "test")
        with pytest.raises(Unavailable, match="certificate"):  # nobody has vouched for it
            await bus.names()
    finally:
        server.kill()

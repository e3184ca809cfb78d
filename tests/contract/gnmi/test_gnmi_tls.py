"""Certificates of the server and of its clients, and users that are removed."""

from __future__ import annotations

import asyncio
import socket
import ssl

import grpc
import pytest

from collector import gnmi as collector_gnmi
from collector.config import parse_target
from telemetry.listener import Listener
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.tls import ServerCertificate
from tests.contract.gnmi.client import Client, path
from tests.contract.gnmi.conftest import Target
from tests.contract.gnmi.element import PASSWORDS
from tests.support import certificates
from tests.support.certificates import Authority
from tests.support.ports import free_port

COUNTERS = "/aether-subscriber:sessions/session/counters"
GONE = "/ietf-system:system/authentication/user[name=viewer]"
Code = grpc.StatusCode


def client_of(
    target: Target,
    roots: bytes,
    certificate: tuple[bytes, bytes] | None = None,
    metadata: dict[str, str] | None = None,
) -> Client:
    """A client that trusts `roots` and shows a certificate, on a connection of its own."""
    client = Client(target.port, roots)
    key, chain = certificate or (None, None)
    credentials = grpc.ssl_channel_credentials(roots, key, chain)
    options = [("grpc.use_local_subchannel_pool", 1)]
    client.channel = grpc.aio.secure_channel(f"127.0.0.1:{target.port}", credentials, options)
    client.metadata = tuple((metadata or {}).items())
    target._clients.append(client)
    return client


def login(user: str) -> dict[str, str]:
    return {"username": user, "password": PASSWORDS[user]}


async def code_of(client: Client) -> Code:
    """How Capabilities ends."""
    try:
        await client.capabilities()
    except grpc.aio.AioRpcError as error:
        return error.code()
    return Code.OK


async def test_a_certificate_is_replaced_while_streams_run(target):
    old, new = target.certificate.read_bytes(), Authority("another")
    running = client_of(target, old, None, login("admin"))
    subscription = await running.subscribe(COUNTERS, mode=pb.SAMPLE)
    await subscription.until_sync()
    await target.server.use(*new.issue("bng-01", "127.0.0.1"))
    assert await code_of(client_of(target, new.certificate, None, login("admin"))) is Code.OK
    assert await code_of(client_of(target, old, None, login("admin"))) is Code.UNAVAILABLE
    shown = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", target.port))
    assert shown.encode() != old
    await subscription.update()
    await running.capabilities()


async def test_clients_must_show_certificates_as_well_as_passwords(serve):
    authority, stranger = Authority(), Authority("stranger")
    target = await serve(client_ca=authority.certificate)
    server = target.certificate.read_bytes()
    shown = authority.issue("viewer")
    assert await code_of(client_of(target, server, shown, login("admin"))) is Code.OK
    assert await code_of(client_of(target, server, None, login("admin"))) is Code.UNAVAILABLE
    foreign = stranger.issue("admin")
    assert await code_of(client_of(target, server, foreign, login("admin"))) is Code.UNAVAILABLE
    assert await code_of(client_of(target, server, shown)) is Code.UNAUTHENTICATED
    wrong = {"username": "admin", "password": "wrong"}
    assert await code_of(client_of(target, server, shown, wrong)) is Code.UNAUTHENTICATED
    # another authority from now on
    key, certificate = (target.folder / "key.pem").read_bytes(), server
    await target.server.use(key, certificate, stranger.certificate)
    assert await code_of(client_of(target, server, foreign, login("admin"))) is Code.OK
    assert await code_of(client_of(target, server, shown, login("admin"))) is Code.UNAVAILABLE


async def test_the_collector_shows_a_certificate(serve, tmp_path):
    authority = Authority()
    target = await serve(client_ca=authority.certificate)
    key, certificate = authority.issue("collector")
    (tmp_path / "key.pem").write_bytes(key)
    (tmp_path / "certificate.pem").write_bytes(certificate)
    where = {"bng_id": "bng-01", "address": f"127.0.0.1:{target.port}", "ca": str(target.certificate)}
    shown = {name: str(tmp_path / f"{name}.pem") for name in ("certificate", "key")}
    for given, code in ((shown, Code.OK), ({}, Code.UNAVAILABLE)):
        client = collector_gnmi.Client(parse_target({**where, **login("admin"), **given}, "here"))
        try:
            await client.capabilities()
            found = Code.OK
        except grpc.aio.AioRpcError as error:
            found = error.code()
        finally:
            await client.close()
        assert found is code


async def test_a_certificate_says_who_it_is(serve):
    authority = Authority()
    target = await serve(client_ca=authority.certificate, certificate_users=True)
    server = target.certificate.read_bytes()
    viewer = authority.issue("viewer", "blind")

    async def read(metadata: dict[str, str] | None, shown: tuple[bytes, bytes] = viewer) -> Code:
        return await code_of(client_of(target, server, shown, metadata))

    assert await read(None) is Code.OK
    assert await read({"username": "viewer"}) is Code.OK
    assert await read({"username": "blind"}) is Code.OK  # of subjectAltName
    assert await read({"username": "admin"}) is Code.UNAUTHENTICATED
    assert await read({"username": "viewer", "password": "wrong"}) is Code.UNAUTHENTICATED
    assert await read(login("admin")) is Code.OK
    assert await read(None, authority.issue("nobody")) is Code.UNAUTHENTICATED
    assert await read(None, authority.issue("nobody", "viewer")) is Code.UNAUTHENTICATED
    assert await read({"username": "viewer"}, authority.issue("nobody", "viewer")) is Code.OK
    assert await read(None, authority.issue("", "viewer")) is Code.OK
    assert await read(None, authority.issue("", "nobody")) is Code.UNAUTHENTICATED
    # NACM is that of the certificate's user
    change = pb.Update(path=path(GONE + "/password"), val=pb.TypedValue(string_val="$0$x"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client_of(target, server, viewer).set(update=[change])
    assert caught.value.code() is Code.PERMISSION_DENIED
    known = client_of(target, server, viewer)
    assert await code_of(known) is Code.OK
    await client_of(target, server, viewer, login("admin")).set(delete=[path(GONE)])
    assert await code_of(known) is Code.UNAUTHENTICATED


async def test_who_was_let_in_by_an_authority_that_is_replaced(serve):
    old, new = Authority("old"), Authority("new")
    target = await serve(client_ca=old.certificate, certificate_users=True)
    server, key = target.certificate.read_bytes(), (target.folder / "key.pem").read_bytes()
    known = client_of(target, server, old.issue("admin"))
    stream = await known.subscribe(COUNTERS, mode=pb.ON_CHANGE)
    await stream.until_sync()
    # one more authority changes nothing for who is there
    both = new.certificate + b"\n" + old.certificate.replace(b"\n", b"\r\n")
    await target.server.use(key, server, both, certificate_users=True)
    assert await code_of(client_of(target, server, new.issue("admin"))) is Code.OK
    target.element.sessions.sweep()
    await stream.update()
    await target.server.use(key, server, new.certificate, certificate_users=True)
    assert (await stream.status())[0] is Code.UNAUTHENTICATED
    assert await code_of(known) is Code.UNAVAILABLE
    assert await code_of(client_of(target, server, new.issue("admin"))) is Code.OK


async def test_a_port_that_somebody_else_has(tmp_path):
    """The other ports are not kept from who may get them."""
    key, certificate = certificates.write(tmp_path)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen = [("127.0.0.1", port) for port in (free_port(), other.getsockname()[1])]
        made = ServerCertificate(key.read_bytes(), certificate.read_bytes())
        listener = Listener(lambda _: grpc.aio.server(options=[("grpc.so_reuseport", 0)]), listen, made)
        with pytest.raises(OSError, match=str(listen[1][1])):
            await listener.start()
    await listener.start()
    assert listener.ports == [port for _, port in listen]
    await listener.stop(0)


async def test_streams_of_a_removed_user_end_at_once(target, client):
    viewer = target.client("viewer")
    streams = [await viewer.subscribe(COUNTERS, mode=mode) for mode in (pb.SAMPLE, pb.ON_CHANGE)]
    other = await client.subscribe(COUNTERS, mode=pb.SAMPLE)
    for stream in (*streams, other):
        await stream.until_sync()
    await client.set(delete=[path(GONE)])
    for stream in streams:
        code, message = await stream.status()
        assert (code, "removed" in message) == (Code.UNAUTHENTICATED, True)
    assert await code_of(viewer) is Code.UNAUTHENTICATED
    await other.update()


async def test_old_versions_of_tls_are_refused(target):
    context = ssl.create_default_context(cafile=str(target.certificate))
    context.set_alpn_protocols(["h2"])
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    _, writer = await asyncio.open_connection("127.0.0.1", target.port, ssl=context)
    assert writer.get_extra_info("ssl_object").version() == "TLSv1.2"
    writer.close()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", target.port, ssl=context)

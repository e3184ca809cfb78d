"""Certificate files that change are used without a restart."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from bng.daemon import tls
from bng.daemon.gnmi import Files, GnmiCertificates, files_of
from telemetry.protocol import gnmi_pb2 as pb
from tests.contract.gnmi.client import Client
from tests.contract.gnmi.element import PASSWORDS, Element, Journal, Sessions, make_session
from tests.support.certificates import Authority
from yang.provider import ConfigDiff, OperationError


@pytest.fixture
async def element(tmp_path: Path) -> AsyncIterator[Element]:
    made = Element(Sessions(1), Journal(0))
    await made.open(tmp_path)
    yield made
    await made.tree.close()


@pytest.fixture
async def certificates(element: Element, tmp_path: Path) -> AsyncIterator[GnmiCertificates]:
    made = GnmiCertificates(tmp_path / "tls")
    yield made
    await made.stop()


async def shown(port: int) -> str:
    """The certificate that a new connection gets."""
    return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))


def write(folder: Path, pair: tuple[bytes, bytes]) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "key.pem").write_bytes(pair[0])
    (folder / "cert.pem").write_bytes(pair[1])
    return pair[1].decode()


def diff(old: dict[str, Any], new: dict[str, Any]) -> ConfigDiff:
    def whole(part: dict[str, Any]) -> dict[str, Any]:
        return {"aether-bng:bng": {"management": {"gnmi": part}}}

    return ConfigDiff(old=whole(old), new=whole(new), changed=["/aether-bng:bng/management/gnmi"])


async def test_new_files_are_used(element, certificates, tmp_path):
    server = await certificates.start(element.tree, [("127.0.0.1", 0), ("127.0.0.1", 0)])
    made = (tmp_path / "tls" / "cert.pem").read_text()
    assert [await shown(port) for port in server.ports] == [made, made]
    renewed = write(tmp_path / "tls", tls.make(["127.0.0.1"]))
    await certificates.look()
    assert [await shown(port) for port in server.ports] == [renewed, renewed]
    # half of a pair is not used, and the whole is when it is there
    key, certificate = tls.make(["127.0.0.1"])
    (tmp_path / "tls" / "cert.pem").write_bytes(certificate)
    await certificates.look()
    assert await shown(server.ports[0]) == renewed
    (tmp_path / "tls" / "key.pem").write_bytes(key)
    await certificates.look()
    assert await shown(server.ports[0]) == certificate.decode()
    (tmp_path / "tls" / "cert.pem").unlink()
    await certificates.look()
    assert await shown(server.ports[0]) == certificate.decode()


async def test_other_files_are_configured(element, certificates, tmp_path):
    server = await certificates.start(element.tree, [("127.0.0.1", 0)])
    issued = write(tmp_path / "issued", Authority().issue("bng-01", "127.0.0.1"))
    names = {
        "certificate-file": str(tmp_path / "issued" / "cert.pem"),
        "private-key-file": str(tmp_path / "issued" / "key.pem"),
    }
    await certificates.commit(await certificates.prepare(diff({}, names)))
    assert await shown(server.ports[0]) == issued
    for bad in (
        {**names, "private-key-file": str(tmp_path / "tls" / "key.pem")},
        {**names, "certificate-file": str(tmp_path / "nothing.pem")},
        {**names, "client-ca-file": names["private-key-file"]},
    ):
        with pytest.raises(OperationError, match="pem") as caught:
            await certificates.prepare(diff(names, bad))
        assert caught.value.tag == "invalid-value"
    assert await certificates.prepare(diff(names, names)) is None
    await certificates.commit(None)


async def test_client_certificates_are_asked_for_and_no_longer(element, certificates, tmp_path):
    server = await certificates.start(element.tree, [("127.0.0.1", 0)])
    (port,) = server.ports
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    own = (tmp_path / "tls" / "cert.pem").read_bytes()
    by_password = (("username", "viewer"), ("password", PASSWORDS["viewer"]))

    async def answered(pair: tuple[bytes, bytes] | None, metadata: Any = by_password) -> grpc.StatusCode:
        client = Client(port, own)
        key, chain = pair or (None, None)
        credentials = grpc.ssl_channel_credentials(own, key, chain)
        alone = [("grpc.use_local_subchannel_pool", 1)]
        client.channel = grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, alone)
        client.metadata = metadata
        try:
            await client.capabilities()
        except grpc.aio.AioRpcError as error:
            return error.code()
        finally:
            await client.close()
        return grpc.StatusCode.OK

    old = Client(port, own)
    old.metadata = by_password
    stream = await old.subscribe("/aether-subscriber:summary", mode=pb.ON_CHANGE)
    await stream.until_sync()
    asking = {"client-ca-file": str(tmp_path / "ca.pem"), "client-authentication": "certificate"}
    await certificates.commit(await certificates.prepare(diff({}, asking)))
    assert server.ports == [port]
    code, message = await stream.status()
    assert (code, "certificate" in message) == (grpc.StatusCode.UNAUTHENTICATED, True)
    viewer = authority.issue("viewer")
    assert await answered(None) is grpc.StatusCode.UNAVAILABLE
    assert await answered(viewer, ()) is grpc.StatusCode.OK
    both = {**asking, "client-authentication": "certificate-and-password"}
    await certificates.commit(await certificates.prepare(diff(asking, both)))
    assert await answered(viewer, ()) is grpc.StatusCode.UNAUTHENTICATED
    assert await answered(viewer) is grpc.StatusCode.OK
    await old.close()
    # a stream goes on when they are no longer asked for
    shown = Client(port, own)
    shown.channel = grpc.aio.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(own, *viewer))
    shown.metadata = by_password
    stream = await shown.subscribe("/aether-subscriber:sessions/session/status", mode=pb.ON_CHANGE)
    await stream.until_sync()
    await certificates.commit(await certificates.prepare(diff(both, {})))
    assert await answered(None) is grpc.StatusCode.OK
    session = make_session(0)
    session.status = "idle"
    element.sessions.put(session)
    assert list((await stream.update()).values.values()) == ["idle"]
    await certificates.stop()
    assert (await stream.status())[0] is grpc.StatusCode.UNAVAILABLE
    await shown.close()


def test_what_a_configuration_says():
    assert files_of({}) == Files()
    part = {"certificate-file": "c", "client-ca-file": "a", "client-authentication": "certificate"}
    found = files_of({"aether-bng:bng": {"management": {"gnmi": part}}})
    assert found == Files(None, None, "a", certificate_users=True)

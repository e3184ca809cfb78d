"""The certificate that is made when none is configured."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from bng.daemon import tls


async def test_a_made_certificate_is_kept_and_believed(tmp_path: Path) -> None:
    key, certificate = tls.load_or_make(tmp_path / "tls", ["192.0.2.7", "bng-01.example"])
    assert tls.load_or_make(tmp_path / "tls", []) == (key, certificate)
    assert (tmp_path / "tls" / "key.pem").stat().st_mode & 0o777 == 0o600
    names = x509.load_pem_x509_certificate(certificate).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert {str(name.value) for name in names.value} == {
        "192.0.2.7", "bng-01.example", "localhost", "127.0.0.1",
    }  # fmt: skip

    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(tmp_path / "tls" / "cert.pem", tmp_path / "tls" / "key.pem")
    trusting = ssl.create_default_context(cafile=str(tmp_path / "tls" / "cert.pem"))

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=serving)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
    assert await reader.read() == b"hello"
    writer.close()
    server.close()


def test_configured_files_must_be_there_and_belong_together(tmp_path: Path) -> None:
    made = tls.load_or_make(tmp_path, [])
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    assert tls.read_pair(key, certificate) == made
    with pytest.raises(OSError, match=r"cannot read .*missing\.pem: No such file"):
        tls.read_pair(key, tmp_path / "missing.pem")
    other, _ = tls.make([])
    for content in (other, b"", b"-----BEGIN", certificate.read_bytes()):
        key.write_bytes(content)
        with pytest.raises(ValueError, match=r"key\.pem is not the key of the certificate in .*cert\.pem"):
            tls.read_pair(key, certificate)


def test_authorities_are_certificates(tmp_path: Path) -> None:
    tls.load_or_make(tmp_path, [])
    assert tls.read_authorities(str(tmp_path / "cert.pem")) == (tmp_path / "cert.pem").read_bytes()
    with pytest.raises(ValueError, match=r"key\.pem holds no certificate"):
        tls.read_authorities(str(tmp_path / "key.pem"))
    with pytest.raises(OSError, match="cannot read"):
        tls.read_authorities(str(tmp_path / "missing.pem"))


@pytest.mark.parametrize("name", ["key.pem", "cert.pem"])
@pytest.mark.parametrize("content", [b"", b"-----BEGIN", None])
def test_damaged_ones_are_made_again(tmp_path: Path, name: str, content: bytes | None) -> None:
    before = tls.load_or_make(tmp_path, [])
    other = dict(zip(("key.pem", "cert.pem"), tls.make([]), strict=True))
    (tmp_path / name).write_bytes(other[name] if content is None else content)
    again = tls.load_or_make(tmp_path, [])
    assert again[0] != before[0]
    assert tls.load_or_make(tmp_path, []) == again

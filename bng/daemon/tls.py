"""The certificate of the gNMI server: the configured one, else one that is made for the purpose."""

from __future__ import annotations

import datetime
import ipaddress
import socket
from collections.abc import Iterable
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bng.seam.segments import replace_file

log = structlog.get_logger()

_LIFETIME = datetime.timedelta(days=3650)


def load_or_make(folder: Path, names: Iterable[str]) -> tuple[bytes, bytes]:
    """(private key, certificate) as PEM from ``key.pem`` and ``cert.pem`` in a folder.

    Both are made, self-signed, when there are none, and when they are damaged or do not belong together.

    Args:
        names: host names and addresses that the certificate is for.

    Raises:
        OSError: the files cannot be read or written.
    """
    key_path, certificate_path = folder / "key.pem", folder / "cert.pem"
    if not _is_pair(key_path, certificate_path):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key, certificate = make(names)
        replace_file(key_path, key)
        replace_file(certificate_path, certificate, 0o644)
        log.info("tls.self-signed", certificate=str(certificate_path))
    return key_path.read_bytes(), certificate_path.read_bytes()


def _is_pair(key_path: Path, certificate_path: Path) -> bool:
    try:
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        return key.public_key() == certificate.public_key()
    except FileNotFoundError:
        return False
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        log.error("tls.damaged", folder=str(key_path.parent), reason=str(error))
        return False


def make(names: Iterable[str]) -> tuple[bytes, bytes]:
    """A new key and a self-signed certificate for these names, ``localhost`` and 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, socket.gethostname()[:64])])
    now = datetime.datetime.now(datetime.UTC)
    alternatives = [_general_name(name) for name in dict.fromkeys([*names, "localhost", "127.0.0.1"])]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)


def read_pair(key_path: Path, certificate_path: Path) -> tuple[bytes, bytes]:
    """(private key, certificate) of two PEM files, which may be written just now.

    Raises:
        OSError: a file cannot be read; with its name.
        ValueError: they are damaged, or do not belong together.
    """
    key, certificate = _read(key_path), _read(certificate_path)
    if not _fit(key, certificate):
        raise ValueError(f"{key_path} is not the key of the certificate in {certificate_path}")
    return key, certificate


def read_authorities(name: str) -> bytes:
    """A PEM file of certificates of authorities. Raises OSError, ValueError."""
    octets = _read(Path(name))
    try:
        x509.load_pem_x509_certificates(octets)
    except ValueError as error:
        raise ValueError(f"{name} holds no certificate: {error}") from None
    return octets


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OSError(f"cannot read {path}: {error.strerror}") from None


def _fit(key: bytes, certificate: bytes) -> bool:
    try:
        private = serialization.load_pem_private_key(key, None)
        return private.public_key() == x509.load_pem_x509_certificate(certificate).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)

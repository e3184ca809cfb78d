"""The lab's own certificate authority, a certificate for each gNMI server, and one for the collector."""

from __future__ import annotations

import datetime
import os
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_FILE = "ca.pem"
COLLECTOR_CERTIFICATE = "collector"
"""Name of the collector's certificate, which is its user at a BNG; no BNG may be called so."""
_CA_KEY_FILE = "ca.key"
_VALID = datetime.timedelta(days=3650)


def certificate_file(folder: Path, name: str) -> Path:
    """Where the certificate of a server is."""
    return folder / f"{name}.pem"


def key_file(folder: Path, name: str) -> Path:
    """Where its private key is."""
    return folder / f"{name}.key"


def ensure_certificates(folder: Path, name: str, hosts: list[str], addresses: list[str]) -> None:
    """Make the authority and a server's certificate unless they are there and name the same addresses."""
    names: list[x509.GeneralName] = [x509.DNSName(host) for host in [name, *hosts]]
    names += [x509.IPAddress(ip_address(address)) for address in dict.fromkeys(addresses)]
    _ensure(folder, name, names, ExtendedKeyUsageOID.SERVER_AUTH)


def ensure_client_certificate(folder: Path, user: str) -> None:
    """Make the authority and a client's certificate unless they are there. Its common name is the user."""
    _ensure(folder, user, [x509.DNSName(user)], ExtendedKeyUsageOID.CLIENT_AUTH)


def _ensure(folder: Path, name: str, names: list[x509.GeneralName], usage: x509.ObjectIdentifier) -> None:
    ca_certificate, ca_key = _ensure_authority(folder)
    wanted = x509.SubjectAlternativeName(names)
    path = certificate_file(folder, name)
    if path.exists() and key_file(folder, name).exists() and _matches(path, wanted, ca_certificate):
        return
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(name, ca_certificate.subject, key.public_key())
        .add_extension(wanted, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    _store(folder, name, certificate, key)


def _matches(path: Path, wanted: x509.SubjectAlternativeName, authority: x509.Certificate) -> bool:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    present = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return present == wanted and certificate.issuer == authority.subject


def _ensure_authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    certificate_path, key_path = folder / CA_FILE, folder / _CA_KEY_FILE
    if certificate_path.exists() and key_path.exists():
        loaded = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
        if isinstance(loaded, ec.EllipticCurvePrivateKey):
            return x509.load_pem_x509_certificate(certificate_path.read_bytes()), loaded
    key = ec.generate_private_key(ec.SECP256R1())
    # the serial number in the name keeps a renewed authority apart from the one before
    name = f"Aether lab authority {x509.random_serial_number():x}"[:60]
    certificate = (
        _builder(name, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_CA_USAGE, critical=True)
        .sign(key, hashes.SHA256())
    )
    _store(folder, "ca", certificate, key)
    return certificate, key


_CA_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _builder(name: str, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + _VALID)
    )


def _store(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    certificate_file(folder, name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    descriptor = os.open(key_file(folder, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

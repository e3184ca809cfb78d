"""The server's certificate, which may be replaced while it serves."""

from __future__ import annotations

import re
from typing import Any, Final

import grpc

_CERTIFICATE: Final = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)


def _authorities(pem: bytes | None) -> frozenset[bytes]:
    """The certificates in a PEM file, however their lines are broken."""
    return frozenset(b"".join(found.split()) for found in _CERTIFICATE.findall(pem or b""))


class ServerCertificate:
    """What new connections are made with; those that there are go on.

    Args:
        key, certificate: PEM, a pair.
        client_ca: PEM of the authorities whose certificates clients must show; None asks for none.

    Attributes:
        asks_clients: clients must show certificates; this cannot change.
    """

    def __init__(self, key: bytes, certificate: bytes, client_ca: bytes | None = None) -> None:
        self.asks_clients = client_ca is not None
        self._authorities = _authorities(client_ca)
        self._version = 0
        self._current = self._configuration(key, certificate, client_ca)

    def replace(self, key: bytes, certificate: bytes, client_ca: bytes | None = None) -> None:
        """Use these from now on; the caller has seen that they fit together.

        Args:
            client_ca: must be given if, and only if, there is one already.

        Raises:
            ValueError: clients shall be asked for certificates where they were not, or the other way round.
        """
        if (client_ca is not None) != self.asks_clients:
            raise ValueError("whether clients show certificates takes another server")
        self._current = self._configuration(key, certificate, client_ca)
        self._authorities = _authorities(client_ca)
        self._version += 1

    def distrusts(self, client_ca: bytes | None) -> bool:
        """With these authorities clients are turned away that are let in now."""
        return client_ca is not None and not (
            self.asks_clients and self._authorities <= _authorities(client_ca)
        )

    @staticmethod
    def _configuration(key: bytes, certificate: bytes, client_ca: bytes | None) -> Any:
        return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=client_ca)

    def credentials(self) -> grpc.ServerCredentials:
        """For one port: each asks for itself whether something has changed."""
        known = self._version

        def changed() -> Any:
            nonlocal known
            version, current = self._version, self._current
            if version == known:
                return None
            known = version
            return current

        return grpc.dynamic_ssl_server_credentials(
            self._current, changed, require_client_authentication=self.asks_clients
        )


def names_of(context: Any) -> list[str]:
    """Names in the certificate that the client of an RPC has shown: the common name first, then DNS names and
    e-mail addresses of subjectAltName. Empty when it has shown none."""
    shown = context.auth_context() or {}
    found = [*shown.get("x509_common_name", ()), *shown.get("x509_subject_alternative_name", ())]
    return list(dict.fromkeys(name.decode("utf-8", "replace") for name in found if name))

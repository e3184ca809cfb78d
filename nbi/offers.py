"""Public keys and certificates that SSH clients offer: what is checked beyond what asyncssh checks.

asyncssh verifies signatures, the time and the source addresses of a certificate. It does not refuse
signatures with SHA-1, short RSA keys, and certificates that name nobody, which it
takes as valid for everybody.
"""

from __future__ import annotations

from nbi.algorithms import MIN_RSA_BITS, SIGNATURES
from nbi.protocol.certificate import (
    USER_CERTIFICATE,
    Malformed,
    UserCertificate,
    is_certificate,
    key_algorithm,
    parse_certificate,
    rsa_bits,
)
from yang.users import Certificate, PublicKey


class Refused(Exception):
    """The offer is not accepted; the message says why, for the log."""


def read_offer(key_data: bytes, signature: bytes) -> Certificate | PublicKey:
    """What is offered, in the form that the users of the configuration are compared with.

    Args:
        key_data: public key or certificate.
        signature: b"" while the client only asks whether it would do.

    Raises:
        Refused: it is not acceptable, whoever's it is.
    """
    try:
        if signature and key_algorithm(signature) not in SIGNATURES:
            raise Refused(f"signatures with {key_algorithm(signature)[:64]} are not accepted")
        if is_certificate(key_data):
            return _certificate(parse_certificate(key_data))
        _check_key(key_data)
        return key_algorithm(key_data), key_data
    except Malformed as error:
        raise Refused(f"what was offered is not a key that is understood: {error}") from None


def _check_key(key: bytes) -> None:
    bits = rsa_bits(key)
    if bits is not None and bits < MIN_RSA_BITS:
        raise Refused(f"an RSA key of {bits} bits is too short")


def _certificate(offered: UserCertificate) -> Certificate:
    what = f'certificate "{offered.key_id[:64]}", serial {offered.serial},'
    if offered.kind != USER_CERTIFICATE:
        raise Refused(f"{what} is not one of a user")
    if not offered.principals:
        raise Refused(f"{what} names no principal")
    if offered.signature_algorithm not in SIGNATURES:
        raise Refused(f"{what} is signed with {offered.signature_algorithm[:64]}")
    if "force-command" in offered.options:
        raise Refused(f"{what} is for a command only")
    _check_key(offered.key)
    _check_key(offered.authority)
    return Certificate(
        (key_algorithm(offered.authority), offered.authority),
        (key_algorithm(offered.key), offered.key),
        offered.serial,
        frozenset(offered.principals),
    )

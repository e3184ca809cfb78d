"""What an SSH public key or an OpenSSH user certificate says of itself; nothing is verified here.

Source: PROTOCOL.certkeys of OpenSSH; RFC 4253 section 6.6 for plain keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CERTIFICATE_SUFFIX: Final = "-cert-v01@openssh.com"
USER_CERTIFICATE: Final = 1
_FIELDS: Final = {
    "ssh-ed25519": 1,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "ssh-rsa": 2,
    "sk-ssh-ed25519@openssh.com": 2,
    "sk-ecdsa-sha2-nistp256@openssh.com": 3,
}
"""Algorithm of a public key → strings (or mpints) that it consists of."""


class Malformed(ValueError):
    """Not a key, or not a certificate, of a kind that is known."""


@dataclass(frozen=True, slots=True)
class UserCertificate:
    """The claims of a certificate.

    Attributes:
        key: the certified public key, in the form of RFC 4253.
        serial: chosen by the authority; 0 when it does not count them.
        kind: 1 for users, 2 for hosts.
        key_id: what the authority calls the holder: for logs only.
        principals: user names that it is valid for; () claims all, and is refused.
        options: critical options; all of them have to be understood.
        authority: public key of the authority.
        signature_algorithm: that it was signed with.
    """

    key: bytes
    serial: int
    kind: int
    key_id: str
    principals: tuple[str, ...]
    options: dict[str, bytes]
    authority: bytes
    signature_algorithm: str


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        if size > len(self._data) - self._at:
            raise Malformed("it ends too early")
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def string(self) -> bytes:
        return self.take(self.number(4))

    def text(self) -> str:
        try:
            return self.string().decode()
        except UnicodeDecodeError:
            raise Malformed("a name in it is not UTF-8") from None

    @property
    def more(self) -> bool:
        return self._at < len(self._data)


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def key_algorithm(data: bytes) -> str:
    """The algorithm that a public key, a certificate or a signature names first.

    Raises:
        Malformed: it names none.
    """
    return _Reader(data).text()


def is_certificate(data: bytes) -> bool:
    """Whether this is a certificate rather than a plain key."""
    return key_algorithm(data).endswith(CERTIFICATE_SUFFIX)


def rsa_bits(key: bytes) -> int | None:
    """Size of an RSA key's modulus; None for other kinds.

    Raises:
        Malformed: not a public key.
    """
    reader = _Reader(key)
    if reader.text() != "ssh-rsa":
        return None
    reader.string()
    return int.from_bytes(reader.string(), "big").bit_length()


def parse_certificate(data: bytes) -> UserCertificate:
    """Take a certificate apart.

    Raises:
        Malformed: it is none, or of an algorithm that is not known.
    """
    reader = _Reader(data)
    name = reader.text()
    base = name.removesuffix(CERTIFICATE_SUFFIX)
    base = f"{base}@openssh.com" if base.startswith("sk-") else base
    if base not in _FIELDS or not name.endswith(CERTIFICATE_SUFFIX):
        raise Malformed(f'certificates of the algorithm "{name[:64]}" are not known')
    reader.string()  # nonce
    key = _string(base.encode()) + b"".join(_string(reader.string()) for _ in range(_FIELDS[base]))
    serial, kind, key_id = reader.number(8), reader.number(4), reader.text()
    principals = _Reader(reader.string())
    names = []
    while principals.more:
        names.append(principals.text())
    reader.take(16)  # valid after, valid before
    options = _options(reader.string())
    reader.string()  # extensions: none of them concerns us
    reader.string()  # reserved
    authority, signature = reader.string(), reader.string()
    if reader.more:
        raise Malformed("something follows its signature")
    return UserCertificate(
        key, serial, kind, key_id, tuple(names), options, authority, key_algorithm(signature)
    )


def _options(data: bytes) -> dict[str, bytes]:
    reader = _Reader(data)
    options = {}
    while reader.more:
        name = reader.text()
        options[name] = reader.string()
    return options

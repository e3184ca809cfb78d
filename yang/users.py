"""Users of the configuration (ietf-system): password hashes, SSH keys, and who may certify them."""

from __future__ import annotations

import base64
import ctypes
import ctypes.util
import hashlib
import hmac
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from yang.access import User

_LIBCRYPT: Final = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
_LIBCRYPT.crypt_r.restype = ctypes.c_char_p
_LIBCRYPT.crypt_r.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
# sizeof (struct crypt_data) of glibc; libxcrypt's is smaller.
_CRYPT_DATA_SIZE: Final = 131_232
_SALT_ALPHABET: Final = string.ascii_letters + string.digits + "./"
MAX_PASSWORD: Final = 512


def _crypt(password: str, setting: str) -> str:
    """crypt(3), re-entrant; "" when the setting is not understood."""
    data = ctypes.create_string_buffer(_CRYPT_DATA_SIZE)
    result = _LIBCRYPT.crypt_r(password.encode(), setting.encode(), data)
    return "" if result is None or result.startswith(b"*") else result.decode()


# What an unknown user's password is compared with, so that it takes as long to refuse.
_NOBODY: Final = _crypt("nobody", "$6$aetheraether$")


def hash_password(password: str) -> str:
    """SHA-512 crypt hash (``$6$…``) with a random salt."""
    return _crypt(password, "$6$" + "".join(secrets.choice(_SALT_ALPHABET) for _ in range(16)) + "$")


def hash_cleartext(value: str) -> str:
    """A crypt-hash value with ``$0$<cleartext>`` replaced by a hash; others as they are (iana-crypt-hash)."""
    return hash_password(value[3:]) if value.startswith("$0$") else value


def verify_password(password: str, stored: str) -> bool:
    """Whether a password fits a ``$5$`` or ``$6$`` hash; any other kind fits nothing."""
    if not stored.startswith(("$5$", "$6$")):
        return False
    computed = _crypt(password, stored)
    return bool(computed) and hmac.compare_digest(computed, stored)


PublicKey = tuple[str, bytes]
"""Algorithm, and key data in the form of RFC 4253 section 6.6."""

_RSA: Final = frozenset({"ssh-rsa", "rsa-sha2-256", "rsa-sha2-512"})
"""Names under which an RSA key may be configured (RFC 8332): the key is the same for all of them."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate of a user whose signature, time and addresses somebody else has checked, or will check.

    Attributes:
        authority: key that signed it.
        key: the certified key.
        serial: its number.
        principals: user names that it is for.
    """

    authority: PublicKey
    key: PublicKey
    serial: int
    principals: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Authority:
    users: frozenset[str]
    revoked: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Known:
    """Everything that logins are decided by: replaced as a whole when the configuration changes."""

    hashes: Mapping[str, str]
    keys: Mapping[str, frozenset[PublicKey]]
    authorities: Mapping[PublicKey, _Authority]
    revoked: frozenset[str]


def fingerprint(key_data: bytes) -> str:
    """SHA256 fingerprint of a public key, as ssh-keygen -l shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key_data).digest()).decode().rstrip("=")


def _public_key(entry: Mapping[str, Any]) -> PublicKey | None:
    """The key of an entry, under the name that the key itself bears."""
    algorithm, data = entry.get("algorithm"), entry.get("key-data")
    if algorithm is None or data is None:
        return None
    return ("ssh-rsa" if algorithm in _RSA else algorithm, data)


def _authorities(entries: Mapping[Any, Mapping[str, Any]]) -> dict[PublicKey, _Authority]:
    return {
        key: _Authority(frozenset(entry.get("user", ())), frozenset(entry.get("revoked-serial", ())))
        for entry in entries.values()
        if (key := _public_key(entry)) is not None
    }


class Users:
    """The users that the running configuration has; `authenticate` may be called from any thread."""

    def __init__(self) -> None:
        self._known = _Known({}, {}, {}, frozenset())

    def configure(self, running: Mapping[str, Any]) -> frozenset[str]:
        """Take over the users of a running configuration (in the form of `yang.datastore.data`).

        Returns:
            Names of users that are not there any more.
        """
        authentication = (running.get("ietf-system:system") or {}).get("authentication") or {}
        users = authentication.get("user", {})
        before = self._known
        self._known = _Known(
            {name: entry["password"] for (name,), entry in users.items() if "password" in entry},
            {
                name: frozenset(
                    key
                    for entry in user.get("authorized-key", {}).values()
                    if (key := _public_key(entry)) is not None
                )
                for (name,), user in users.items()
            },
            _authorities(authentication.get("aether-ssh-users:certificate-authority", {})),
            frozenset(authentication.get("aether-ssh-users:revoked-key", ())),
        )
        return frozenset(before.keys) - frozenset(self._known.keys)

    def __contains__(self, username: object) -> bool:
        return username in self._known.keys

    def authenticate(
        self,
        username: str,
        password: str | None = None,
        public_key: PublicKey | None = None,
        certificate: Certificate | None = None,
    ) -> User | None:
        """See `yang.tree.Tree.authenticate`."""
        known = self._known
        if public_key is not None:
            return User(username) if _is_authorised(known, username, public_key) else None
        if certificate is not None:
            return User(username) if _is_certified(known, username, certificate) else None
        if password is None or len(password) > MAX_PASSWORD or "\0" in password:
            return None
        stored = known.hashes.get(username)
        fits = verify_password(password, stored if stored is not None else _NOBODY)
        return User(username) if fits and stored is not None else None


def _is_authorised(known: _Known, username: str, key: PublicKey) -> bool:
    return key in known.keys.get(username, frozenset()) and fingerprint(key[1]) not in known.revoked


def _is_certified(known: _Known, username: str, certificate: Certificate) -> bool:
    authority = known.authorities.get(certificate.authority)
    return (
        authority is not None
        and username in known.keys
        and username in certificate.principals
        and (not authority.users or username in authority.users)
        and certificate.serial not in authority.revoked
        and not known.revoked & {fingerprint(certificate.authority[1]), fingerprint(certificate.key[1])}
    )

"""Users of the configuration (ietf-system): password hashes and SSH keys."""

from __future__ import annotations

import ctypes
import ctypes.util
import hmac
import secrets
import string
import threading
from collections.abc import Mapping
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


class Users:
    """The users that the running configuration has; `authenticate` may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hashes: dict[str, str] = {}
        self._keys: dict[str, frozenset[tuple[str, bytes]]] = {}

    def configure(self, running: Mapping[str, Any]) -> None:
        """Take over the users of a running configuration (in the form of `yang.datastore.data`)."""
        system = running.get("ietf-system:system") or {}
        users = (system.get("authentication") or {}).get("user", {})
        hashes = {name: entry["password"] for (name,), entry in users.items() if "password" in entry}
        keys = {
            name: frozenset(
                (key["algorithm"], key["key-data"])
                for key in entry.get("authorized-key", {}).values()
                if "algorithm" in key and "key-data" in key
            )
            for (name,), entry in users.items()
        }
        with self._lock:
            self._hashes, self._keys = hashes, keys

    def authenticate(
        self, username: str, password: str | None, public_key: tuple[str, bytes] | None
    ) -> User | None:
        """See `yang.tree.Tree.authenticate`."""
        with self._lock:
            stored = self._hashes.get(username)
            keys = self._keys.get(username, frozenset())
        if public_key is not None and public_key in keys:
            return User(username)
        if password is None or len(password) > MAX_PASSWORD or "\0" in password:
            return None
        fits = verify_password(password, stored if stored is not None else _NOBODY)
        return User(username) if fits and stored is not None else None

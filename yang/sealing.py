"""Secrets at rest: values that are written to a disk are sealed with a key of the element.

The key is a file of the element, made when it is first needed. A file that was copied away, a running
configuration or one of the history, tells nothing without it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PREFIX: Final = "sealed:1:"
"""What a sealed value begins with; then the number of its key, a colon, and nonce and content in base64."""
KEY_FILE: Final = "sealing.key"
"""Name of the file with the key, in the folder of an element's state."""
_KEY_SIZE: Final = 32
_NONCE_SIZE: Final = 12


class SealError(Exception):
    """A value that cannot be opened, or a key that cannot be used; the text says why and what to do."""


class Sealer:
    """Seals texts with AES-256-GCM.

    Args:
        folder: of the element's state; the key is its file `KEY_FILE`, mode 0600.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / KEY_FILE
        self._key: bytes | None = None

    def seal(self, text: str, place: str) -> str:
        """The sealed form, another one each time; makes the key if there is none.

        Args:
            place: what the text is; it opens as nothing else.

        Raises:
            SealError: the key cannot be read or written.
        """
        key = self._load() or self._make()
        nonce = secrets.token_bytes(_NONCE_SIZE)
        content = AESGCM(key).encrypt(nonce, text.encode(), place.encode())
        return f"{PREFIX}{_number(key)}:{base64.b64encode(nonce + content).decode()}"

    def open(self, sealed: str, place: str) -> str:
        """The text that was sealed; one that is not sealed comes back as it is.

        Raises:
            SealError: the key is missing, or is not the one that it was sealed with.
        """
        if not sealed.startswith(PREFIX):
            return sealed
        number, _, content = sealed.removeprefix(PREFIX).partition(":")
        key = self._load()
        if key is None:
            raise SealError(
                f"it is sealed, and the key file {self.path} is missing: put it back, or write the secret "
                "in cleartext in place of the sealed value"
            )
        if number != _number(key):
            raise SealError(
                f"it is sealed with another key than that of {self.path}: put the right key there, or write "
                "the secret in cleartext in place of the sealed value"
            )
        try:
            data = base64.b64decode(content, validate=True)
            nonce, content_sealed = data[:_NONCE_SIZE], data[_NONCE_SIZE:]
            return AESGCM(key).decrypt(nonce, content_sealed, place.encode()).decode()
        except (InvalidTag, binascii.Error, ValueError):
            raise SealError(
                "the sealed value is damaged, or was copied from another leaf: write the secret in "
                "cleartext in its place"
            ) from None

    def _load(self) -> bytes | None:
        """The key; None when there is no file."""
        if self._key is None:
            try:
                key = self.path.read_bytes()
                if self.path.stat().st_mode & 0o077:
                    self.path.chmod(0o600)
            except FileNotFoundError:
                return None
            except OSError as error:
                raise SealError(f"the key file {self.path} cannot be read: {error.strerror}") from None
            if len(key) != _KEY_SIZE:
                raise SealError(f"the key file {self.path} is damaged: it has {len(key)} octets, not 32")
            self._key = key
        return self._key

    def _make(self) -> bytes:
        """A new key, unless another process has just made one."""
        temporary = self.path.with_name(f"{KEY_FILE}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_KEY_SIZE))
                file.flush()
                os.fsync(file.fileno())
            try:
                with suppress(FileExistsError):
                    os.link(temporary, self.path)
            finally:
                temporary.unlink()
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise SealError(f"the key file {self.path} cannot be made: {error.strerror}") from None
        key = self._load()
        assert key is not None
        return key


def _number(key: bytes) -> str:
    """Tells keys apart without telling anything of them."""
    return hashlib.sha256(b"aether sealing key" + key).hexdigest()[:8]

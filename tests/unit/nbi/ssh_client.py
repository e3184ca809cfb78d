"""SSH clients of a served element, keys that they log in with, and users for it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import struct
from typing import Any

import asyncssh
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256

SYSTEM = "urn:ietf:params:xml:ns:yang:ietf-system"
SSH_USERS = "urn:aether:yang:aether-ssh-users"
NC = "urn:ietf:params:xml:ns:netconf:base:1.0"
USER_PRESENT = 1


def string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


class SecurityKey(asyncssh.SSHKeyPair):
    """A FIDO authenticator in software (PROTOCOL.u2f of OpenSSH): asyncssh wants one of metal."""

    def __init__(self, algorithm: str, present: bool = True) -> None:
        name = algorithm.encode()
        if "ed25519" in algorithm:
            self._private: Any = ed25519.Ed25519PrivateKey.generate()
            point = string(self._private.public_key().public_bytes_raw())
        else:
            self._private = ec.generate_private_key(ec.SECP256R1())
            numbers = self._private.public_key().public_numbers()
            raw = b"\4" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
            point = string(b"nistp256") + string(raw)
        self.flags = USER_PRESENT if present else 0
        super().__init__(name, name, (name,), (name,), string(name) + point + string(b"ssh:"), "security key")

    def sign(self, data: bytes) -> bytes:
        state = struct.pack(">BI", self.flags, 7)
        signed = hashlib.sha256(b"ssh:").digest() + state + hashlib.sha256(data).digest()
        if isinstance(self._private, ed25519.Ed25519PrivateKey):
            signature = self._private.sign(signed)
        else:
            der = self._private.sign(signed, ec.ECDSA(SHA256()))
            signature = b"".join(string(mpint) for mpint in _integers(der))
        return string(self.key_algorithm) + string(signature) + state


def _integers(der: bytes) -> list[bytes]:
    """The two integers of an ECDSA signature in DER, whose form is that of mpint."""
    first = der[4 : 4 + der[3]]
    return [first, der[6 + der[3] :]]


def connect(port: int, user: str = "admin", **options: Any) -> Any:
    """asyncssh's client; give it `password` or `client_keys`."""
    given = {"client_keys": None, "password": None, "agent_path": None, "preferred_auth": ()} | options
    if not given["preferred_auth"]:
        given["preferred_auth"] = "publickey" if given["client_keys"] else "password"
    return asyncssh.connect(
        "127.0.0.1", port, username=user, known_hosts=None, config=None, login_timeout=20, **given
    )


async def logs_in(port: int, user: str = "admin", **options: Any) -> bool:
    """Whether the user is let in and served."""
    try:
        async with connect(port, user, **options) as connection:
            process = await connection.create_process(subsystem="netconf", encoding=None)
            return b"<hello" in await process.stdout.readuntil(b"]]>]]>")
    except (asyncssh.PermissionDenied, asyncssh.ConnectionLost, asyncssh.DisconnectError):
        return False


async def openssh(port: int, user: str, *options: str) -> tuple[int, str]:
    """`ssh -s … netconf` with nothing to say: its exit code, and what it said of it."""
    base = ["-F/dev/null", "-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oBatchMode=yes"]
    process = await asyncio.create_subprocess_exec(
        "ssh",
        *base,
        "-oLogLevel=INFO",
        "-oIdentitiesOnly=yes",
        *options,
        f"-p{port}",
        f"{user}@127.0.0.1",
        "-s",
        "netconf",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "SSH_AUTH_SOCK": ""},
    )
    out, error = await asyncio.wait_for(process.communicate(), 30)
    return (0 if b"<hello" in out else 1), error.decode()


def authorized_key(name: str, algorithm: str, data: bytes) -> str:
    """As an authorized-key of ietf-system."""
    encoded = base64.b64encode(data).decode()
    return (
        f"<authorized-key><name>{name}</name><algorithm>{algorithm}</algorithm>"
        f"<key-data>{encoded}</key-data></authorized-key>"
    )


def user(name: str, content: str = "") -> str:
    return f"<user><name>{name}</name>{content}</user>"


def authority(name: str, key: asyncssh.SSHKey, content: str = "") -> str:
    """A certificate-authority of aether-ssh-users."""
    encoded = base64.b64encode(key.public_data).decode()
    return (
        f"<certificate-authority xmlns='{SSH_USERS}'><name>{name}</name>"
        f"<algorithm>{key.get_algorithm()}</algorithm><key-data>{encoded}</key-data>{content}"
        "</certificate-authority>"
    )


async def configure(client: Any, authentication: str) -> None:
    """Merge this into system/authentication and commit."""
    await client.ok(
        f"<edit-config><target><candidate/></target><config><system xmlns='{SYSTEM}' xmlns:nc='{NC}'>"
        f"<authentication>{authentication}</authentication></system></config></edit-config>"
    )
    await client.ok("<commit/>")

"""The SSH algorithms that are offered: nothing with SHA-1, DSA, CBC or 3DES.

Source: RFC 9142 (key exchange), RFC 8332 (RSA signatures), RFC 8709 (Ed25519), RFC 5656 (ECDSA).
"""

from __future__ import annotations

from typing import Final

KEY_EXCHANGES: Final = (
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group18-sha512",
    "diffie-hellman-group14-sha256",
)
"""In the order of what they cost: X25519 takes a tenth of a millisecond, a group of 4,096 bits dozens."""

CIPHERS: Final = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
"""What is offered: AES has instructions of its own in the processor, and ChaCha20-Poly1305, which some
clients prefer, costs a sixth of the time of a large reply (and needs the strict key exchange)."""

MACS: Final = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
"""For the ciphers that are no AEAD."""

SIGNATURES: Final = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""What users, their certificates, and the authorities of these may be signed with."""

MIN_RSA_BITS: Final = 2048

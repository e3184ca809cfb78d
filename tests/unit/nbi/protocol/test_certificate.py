"""Keys and certificates taken apart, and what is not one."""

from __future__ import annotations

from random import Random

import asyncssh
import pytest

from nbi.offers import Refused, read_offer
from nbi.protocol.certificate import (
    Malformed,
    is_certificate,
    key_algorithm,
    parse_certificate,
    rsa_bits,
)
from yang.users import Certificate

KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")


@pytest.fixture(scope="module")
def authority() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ecdsa-sha2-nistp384")


@pytest.fixture(scope="module")
def certificate(authority) -> bytes:
    key = asyncssh.generate_private_key("ssh-ed25519")
    return authority.generate_user_certificate(key, "alice", serial=7, principals=["a", "b"]).public_data


@pytest.mark.parametrize("kind", [*KINDS, "ssh-rsa"])
def test_what_a_certificate_says(kind, authority):
    size = {"key_size": 2048} if kind == "ssh-rsa" else {}
    key = asyncssh.generate_private_key(kind, **size)
    made = authority.generate_user_certificate(
        key, "alice-7", serial=2**64 - 1, principals=["alice", "börge"], source_address=["192.0.2.0/24"]
    )
    read = parse_certificate(made.public_data)
    assert (read.key, read.authority) == (key.public_data, authority.public_data)
    assert (read.serial, read.kind, read.key_id) == (2**64 - 1, 1, "alice-7")
    assert read.principals == ("alice", "börge")
    assert list(read.options) == ["source-address"]
    assert read.signature_algorithm == "ecdsa-sha2-nistp384"
    assert is_certificate(made.public_data)
    assert not is_certificate(key.public_data)
    assert rsa_bits(key.public_data) == (2048 if kind == "ssh-rsa" else None)


def test_an_offer(certificate):
    offer = read_offer(certificate, b"")
    assert isinstance(offer, Certificate)
    assert (offer.serial, offer.principals) == (7, frozenset({"a", "b"}))
    assert offer.key[0] == "ssh-ed25519"


def test_every_truncation_is_noticed(certificate):
    for size in range(len(certificate)):
        with pytest.raises(Malformed):
            parse_certificate(certificate[:size])
    with pytest.raises(Malformed):
        parse_certificate(certificate + b"\0")


def test_noise_is_refused_and_nothing_worse(certificate):
    random = Random(1)
    for _ in range(5000):
        damaged = bytearray(certificate)
        for _ in range(random.randrange(1, 6)):
            damaged[random.randrange(len(damaged))] = random.randrange(256)
        for offered, signature in ((bytes(damaged), b""), (bytes(damaged), bytes(damaged[:40]))):
            try:
                read_offer(offered, signature)
            except Refused as refused:
                assert str(refused)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0\1", b"\xff" * 40, b"\0\0\0\2\xff\xfe"])
def test_what_is_no_key(data):
    with pytest.raises(Malformed):
        key_algorithm(data)
    with pytest.raises(Refused):
        read_offer(data, b"")

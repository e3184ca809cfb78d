"""Who gets in by SSH, and with what: keys of all kinds, passwords, certificates; who does not any more."""

from __future__ import annotations

import asyncio
import base64
import re
import subprocess

import asyncssh
import pytest
import pytest_asyncio
from lxml import etree

from nbi.algorithms import SIGNATURES
from tests.unit.nbi.conftest import start_served, stop_served
from tests.unit.nbi.ssh_client import (
    NC,
    SSH_USERS,
    SYSTEM,
    SecurityKey,
    authority,
    authorized_key,
    configure,
    connect,
    logs_in,
    openssh,
    user,
)
from yang.users import fingerprint

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLAIN = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
SECURITY_KEYS = ("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com")


@pytest.fixture(scope="module")
def rsa() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-rsa", key_size=2048)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory, host_key):
    """One server for all tests of this module."""
    served = await start_served(
        tmp_path_factory.mktemp("shared"), host_key=host_key, failure_delay=0.0, max_sessions=1000
    )
    yield served
    await stop_served(served)


@pytest_asyncio.fixture(loop_scope="module")
async def admin(shared):
    """A session of user admin on its unix socket; afterwards the users are those of before."""
    client = await shared.client()
    client.served, client.port = shared, shared.server.ports[0]
    whole = "<source><running/></source>"
    wanted = f"<filter><system xmlns='{SYSTEM}'/></filter>"
    reply = await client.rpc(f"<get-config>{whole}{wanted}</get-config>")
    system = reply.find(".//{*}system")
    system.set(f"{{{NC}}}operation", "replace")
    before = etree.tostring(system).decode()
    yield client
    await client.ok(f"<edit-config><target><candidate/></target><config>{before}</config></edit-config>")
    await client.ok("<commit/>")
    client.close()


async def test_keys_of_every_kind(admin, rsa):
    keys = [asyncssh.generate_private_key(algorithm) for algorithm in PLAIN]
    tokens = [SecurityKey(algorithm) for algorithm in SECURITY_KEYS]
    entries = [authorized_key(key.get_algorithm(), key.get_algorithm(), key.public_data) for key in keys]
    entries += [authorized_key(key.get_algorithm(), key.get_algorithm(), key.public_data) for key in tokens]
    # an RSA key goes by the names of its signatures too (RFC 8332)
    entries.append(authorized_key("rsa", "rsa-sha2-512", rsa.public_data))
    await configure(admin, user("keys", "".join(entries)))
    for key in (*keys, *tokens, rsa):
        assert await logs_in(admin.port, "keys", client_keys=[key]), key.get_algorithm()
        assert not await logs_in(admin.port, "admin", client_keys=[key])
    for algorithm in ("rsa-sha2-256", "rsa-sha2-512"):
        assert await logs_in(admin.port, "keys", client_keys=[rsa], signature_algs=[algorithm])
    assert set(SIGNATURES) == {*PLAIN, *SECURITY_KEYS, "rsa-sha2-256", "rsa-sha2-512"}


async def test_a_security_key_must_be_touched(admin):
    token = SecurityKey(SECURITY_KEYS[0], present=False)
    await configure(admin, user("keys", authorized_key("token", SECURITY_KEYS[0], token.public_data)))
    assert not await logs_in(admin.port, "keys", client_keys=[token])
    token.flags = 1
    assert await logs_in(admin.port, "keys", client_keys=[token])


async def test_another_key_with_the_right_name_is_refused(admin):
    key, other = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    await configure(admin, user("keys", authorized_key("key", "ssh-ed25519", key.public_data)))
    assert not await logs_in(admin.port, "keys", client_keys=[other])
    # what is configured as something else than it is fits nothing
    await configure(admin, user("odd", authorized_key("key", "ssh-rsa", key.public_data)))
    assert not await logs_in(admin.port, "odd", client_keys=[key])


class ShaOne(asyncssh.SSHKeyPair):
    """A key pair that signs with SHA-1 whatever the server says."""

    def __init__(self, key: asyncssh.SSHKey) -> None:
        self._key = key
        name = b"ssh-rsa"
        super().__init__(name, name, (b"rsa-sha2-256",), (name,), key.public_data, "old")

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data, b"ssh-rsa")


async def test_signatures_with_sha1_and_short_keys_are_refused(admin, rsa):
    short = asyncssh.generate_private_key("ssh-rsa", key_size=1024)
    await configure(
        admin,
        user(
            "keys",
            authorized_key("rsa", "ssh-rsa", rsa.public_data)
            + authorized_key("short", "ssh-rsa", short.public_data),
        ),
    )
    assert await logs_in(admin.port, "keys", client_keys=[rsa])
    assert not await logs_in(admin.port, "keys", client_keys=[ShaOne(rsa)])
    assert not await logs_in(admin.port, "keys", client_keys=[short])


async def test_keyboard_interactive_is_the_password(admin):
    class Asked(asyncssh.SSHClient):
        def kbdint_auth_requested(self):
            return ""

        def kbdint_challenge_received(self, name, instructions, lang, prompts):
            return [Asked.answer] * len(prompts)

    for answer, right in (("correct horse", True), ("wrong", False), ("", False)):
        Asked.answer = answer
        options = {"client_factory": Asked, "preferred_auth": "keyboard-interactive"}
        assert await logs_in(admin.port, **options) is right


OLD = [
    ("KexAlgorithms", "kex", "sha1", ()),
    ("Ciphers", "cipher", "cbc", ()),
    ("MACs", "mac", "sha1|md5|umac-64", ("-oCiphers=aes128-ctr",)),
    ("HostKeyAlgorithms", "key-plain", "^ssh-rsa$|ssh-dss", ()),
]
"""Option of ssh, what -Q lists for it, which of these are old, further options."""


async def test_openssh_finds_nothing_old(admin):
    """What this OpenSSH could still speak, and must not be able to with us."""
    for option, query, old, besides in OLD:
        known = subprocess.run(["ssh", "-Q", query], capture_output=True, text=True, check=True).stdout
        weak = [name for name in known.split() if re.search(old, name)]
        assert weak
        code, error = await openssh(admin.port, "admin", f"-o{option}={','.join(weak)}", *besides)
        assert code, option
        assert "no matching" in error.lower(), error


async def test_openssh_logs_in_with_an_rsa_key_but_not_by_sha1(admin, rsa, tmp_path):
    file = tmp_path / "id"
    rsa.write_private_key(str(file))
    file.chmod(0o600)
    await configure(admin, user("keys", authorized_key("rsa", "ssh-rsa", rsa.public_data)))
    code, error = await openssh(admin.port, "keys", f"-i{file}")
    assert code == 0, error
    for kind in ("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512"):
        code, error = await openssh(admin.port, "keys", f"-i{file}", f"-oHostKeyAlgorithms={kind}")
        assert code == 0, error
    code, error = await openssh(admin.port, "keys", f"-i{file}", "-oPubkeyAcceptedAlgorithms=ssh-rsa")
    assert code
    assert "Permission denied" in error


# --- certificates ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ca() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture(scope="module")
def mine() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


async def lets_in(admin, key, certificate, name="certified") -> bool:
    return await logs_in(admin.port, name, client_keys=[(key, certificate)])


async def test_certificates(admin, ca, mine):
    await configure(admin, user("certified") + user("another") + authority("ours", ca))
    good = ca.generate_user_certificate(mine, "somebody", principals=["certified"])
    assert await lets_in(admin, mine, good)
    assert not await lets_in(admin, mine, good, "another")
    # a principal who is no user of the configuration
    ghost = ca.generate_user_certificate(mine, "somebody", principals=["ghost"])
    assert not await lets_in(admin, mine, ghost, "ghost")
    # the certified key alone is nobody's
    assert not await logs_in(admin.port, "certified", client_keys=[mine])


INVALID = (
    {"principals": []},
    {"principals": ["another"]},
    {"principals": ["certified"], "valid_before": "20200101"},
    {"principals": ["certified"], "valid_after": "20400101"},
    {"principals": ["certified"], "source_address": ["192.0.2.0/24"]},
    {"principals": ["certified"], "force_command": "/bin/sh"},
)


async def test_certificates_that_are_not_valid(admin, ca, mine):
    await configure(admin, user("certified") + authority("ours", ca))
    for claims in INVALID:
        certificate = ca.generate_user_certificate(mine, "somebody", **claims)
        assert not await lets_in(admin, mine, certificate), claims


async def test_certificates_of_strangers(admin, ca, mine):
    await configure(admin, user("certified") + authority("ours", ca))
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    forged = stranger.generate_user_certificate(mine, "somebody", principals=["certified"])
    assert not await lets_in(admin, mine, forged)
    host = ca.generate_host_certificate(mine, "host", principals=["certified"])
    assert not await lets_in(admin, mine, host)
    # right certificate, wrong private key
    good = ca.generate_user_certificate(mine, "somebody", principals=["certified"])
    pair = asyncssh.load_keypairs([(mine, good)])[0]
    pair.sign = lambda data: stranger.sign(data, b"ssh-ed25519")
    assert not await logs_in(admin.port, "certified", client_keys=[pair])


async def test_allowed_addresses_and_security_keys_in_certificates(admin, ca, mine):
    await configure(admin, user("certified") + authority("ours", ca))
    good = ca.generate_user_certificate(
        mine, "somebody", principals=["x", "certified"], source_address=["127.0.0.0/8"]
    )
    assert await lets_in(admin, mine, good)
    token = SecurityKey(SECURITY_KEYS[1])
    public = asyncssh.import_public_key(f"{SECURITY_KEYS[1]} {base64.b64encode(token.public_data).decode()}")
    token.set_certificate(ca.generate_user_certificate(public, "token", principals=["certified"]))
    assert await logs_in(admin.port, "certified", client_keys=[token])


async def test_openssh_and_ssh_keygen(admin, ca, tmp_path):
    """Certificates as ssh-keygen makes them, by the client that shows them."""

    def keygen(*arguments: str) -> None:
        subprocess.run(["ssh-keygen", "-q", *arguments], check=True, cwd=tmp_path)

    ca.write_private_key(str(tmp_path / "ca"))
    (tmp_path / "ca").chmod(0o600)
    keygen("-t", "ecdsa", "-N", "", "-f", "id")
    await configure(admin, user("certified") + authority("ours", ca, "<revoked-serial>9</revoked-serial>"))
    for serial, options, expected in (
        (8, ("-n", "certified", "-V", "-5m:+1h"), 0),
        (9, ("-n", "certified"), 1),
        (8, ("-n", "another"), 1),
        (8, ("-n", "certified", "-O", "verify-required"), 1),
    ):
        keygen("-s", "ca", "-I", "somebody", "-z", str(serial), *options, "id.pub")
        code, error = await openssh(
            admin.port, "certified", f"-i{tmp_path / 'id'}", f"-oCertificateFile={tmp_path / 'id-cert.pub'}"
        )
        assert code == expected, error


async def test_an_authority_for_some_users_only(admin, ca, mine):
    limited = authority("ours", ca, "<user>another</user>")
    await configure(admin, user("certified") + user("another") + limited)
    both = ca.generate_user_certificate(mine, "somebody", principals=["certified", "another"])
    assert not await lets_in(admin, mine, both)
    assert await lets_in(admin, mine, both, "another")


async def test_authorities_that_sign_with_rsa(admin, rsa, mine):
    await configure(admin, user("certified") + authority("ours", rsa))
    for algorithm, accepted in (("rsa-sha2-512", True), ("ssh-rsa", False)):
        signed = rsa.generate_user_certificate(mine, "somebody", principals=["certified"], sig_alg=algorithm)
        assert await lets_in(admin, mine, signed) is accepted


async def test_revocation(admin, ca, mine):
    await configure(admin, user("certified") + authority("ours", ca))
    seventh, eighth = (
        ca.generate_user_certificate(mine, "somebody", serial=number, principals=["certified"])
        for number in (7, 8)
    )
    await configure(admin, authority("ours", ca, "<revoked-serial>7</revoked-serial>"))
    assert not await lets_in(admin, mine, seventh)
    assert await lets_in(admin, mine, eighth)
    revoked = f"<revoked-key xmlns='{SSH_USERS}'>{fingerprint(mine.public_data)}</revoked-key>"
    await configure(admin, revoked)
    assert not await lets_in(admin, mine, eighth)
    await configure(admin, user("certified", authorized_key("mine", "ssh-ed25519", mine.public_data)))
    assert not await logs_in(admin.port, "certified", client_keys=[mine])
    assert fingerprint(mine.public_data) == mine.get_fingerprint()


# --- changes of users ------------------------------------------------------------------------------------

DELETE = (
    "<user xmlns:nc='urn:ietf:params:xml:ns:netconf:base:1.0' nc:operation='delete'><name>%s</name></user>"
)


async def test_a_changed_key_counts_at_once(admin):
    old, new = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    await configure(admin, user("keys", authorized_key("key", "ssh-ed25519", old.public_data)))
    async with connect(admin.port, "keys", client_keys=[old]) as connection:
        process = await connection.create_process(subsystem="netconf", encoding=None)
        await process.stdout.readuntil(b"]]>]]>")
        await configure(admin, user("keys", authorized_key("key", "ssh-ed25519", new.public_data)))
        assert not await logs_in(admin.port, "keys", client_keys=[old])
        assert await logs_in(admin.port, "keys", client_keys=[new])
        # whoever is in stays in
        assert process.exit_status is None
        assert not connection.is_closed()


async def test_sessions_of_a_deleted_user_end(admin):
    await configure(admin, user("guest", "<password>$0$secret</password>"))
    async with (
        connect(admin.port, "guest", password="secret") as connection,
        connect(admin.port, "guest", password="secret") as silent,
        connect(admin.port, "viewer", password="only looking") as other,
    ):
        processes = [
            await one.create_process(subsystem="netconf", encoding=None) for one in (connection, other)
        ]
        for process in processes:
            await process.stdout.readuntil(b"]]>]]>")
        await configure(admin, DELETE % "guest")
        await asyncio.wait_for(connection.wait_closed(), 10)
        with pytest.raises(asyncssh.ChannelOpenError, match="not configured any more"):
            await silent.create_process(subsystem="netconf", encoding=None)
        assert not other.is_closed()
    assert not await logs_in(admin.port, "guest", password="secret")


async def test_who_deletes_himself_gets_his_reply(admin):
    served = admin.served
    configured = "<get-config><source><running/></source></get-config>"
    async with connect(admin.port, password="correct horse") as connection:
        process = await connection.create_process(subsystem="netconf", encoding=None)
        capability = "<capability>urn:ietf:params:netconf:base:1.0</capability>"
        messages = [
            f"<hello xmlns='{NC}'><capabilities>{capability}</capabilities></hello>",
            f"<rpc xmlns='{NC}' message-id='1'><edit-config><target><candidate/></target><config>"
            f"<system xmlns='{SYSTEM}' xmlns:nc='{NC}'><authentication>{DELETE % 'admin'}</authentication>"
            "</system></config></edit-config></rpc>",
            # nobody else may log in and change the rules: without <confirmed/> it is refused
            f"<rpc xmlns='{NC}' message-id='2'><commit><confirmed/><persist>p</persist></commit></rpc>",
        ]
        process.stdin.write("".join(f"{message}]]>]]>" for message in messages).encode())
        told = await asyncio.wait_for(process.stdout.read(), 30)
        assert told.count(b"<ok/>") == 2
    # the unix socket's user is vouched for by the machine
    assert await admin.rpc(configured) is not None
    assert admin.session_id in served.server.sessions
    await admin.ok("<cancel-commit><persist-id>p</persist-id></cancel-commit>")

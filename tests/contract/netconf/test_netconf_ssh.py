"""What a stranger may do at the SSH port, and what a rude client can do to others."""

import socket
import subprocess

import asyncssh
import pytest
from lxml import etree
from netconf_client.connect import connect_ssh
from netconf_client.ncclient import Manager

from nbi.protocol.framing import Deframer

BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
SUBSCRIBER = "urn:aether:yang:aether-subscriber"
HELLO = (
    f"<hello xmlns='{BASE}'><capabilities><capability>urn:ietf:params:netconf:base:1.1</capability>"
    "</capabilities></hello>]]>]]>"
).encode()
GET_ALL = (
    f"<rpc xmlns='{BASE}' message-id='1'><get><filter><sessions xmlns='{SUBSCRIBER}'/></filter></get></rpc>"
).encode()


def chunk(message):
    return b"\n#%d\n%b\n##\n" % (len(message), message)


def login(element, **options):
    return asyncssh.connect(
        "127.0.0.1",
        element.port,
        username="admin",
        password="correct horse",
        known_hosts=None,
        client_keys=None,
        config=None,
        **options,
    )


async def test_no_shell_and_no_command(element):
    async with login(element) as connection:
        for request in ({}, {"command": "id"}, {"subsystem": "sftp"}):
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.create_process(encoding=None, **request)


async def test_no_forwarding(element):
    async with login(element) as connection:
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", element.port)


async def test_too_many_wrong_passwords_end_the_connection(element):
    class Guesser(asyncssh.SSHClient):
        guesses = 0

        def password_auth_requested(self):
            Guesser.guesses += 1
            return f"wrong {Guesser.guesses}"

    with pytest.raises(asyncssh.DisconnectError):
        await asyncssh.connect(
            "127.0.0.1",
            element.port,
            username="admin",
            known_hosts=None,
            client_keys=None,
            client_factory=Guesser,
            config=None,
        )
    assert Guesser.guesses <= 6


def test_openssh_with_a_pipe(element, tmp_path):
    """`ssh -s … netconf < requests` gets its answers though it has closed its side."""
    requests = HELLO + chunk(f"<rpc xmlns='{BASE}' message-id='1'><close-session/></rpc>".encode())
    done = subprocess.run(
        [
            "ssh",
            "-F/dev/null",
            "-oStrictHostKeyChecking=no",
            f"-oUserKnownHostsFile={tmp_path / 'known'}",
            "-oIdentitiesOnly=yes",
            "-oLogLevel=ERROR",
            f"-i{element.key}",
            f"-p{element.port}",
            "admin@127.0.0.1",
            "-s",
            "netconf",
        ],
        input=requests,
        capture_output=True,
        timeout=30,
        check=False,
    )
    hello, _, rest = done.stdout.partition(b"]]>]]>")
    assert etree.fromstring(hello).tag == f"{{{BASE}}}hello", done.stderr
    deframer = Deframer(10_000)
    deframer.use_chunks()
    deframer.feed(rest)
    assert b"<ok/>" in deframer.next_message()


def test_netconf_client(element):
    session = connect_ssh(
        host="127.0.0.1", port=element.port, username="admin", password="correct horse", initial_timeout=10
    )
    with Manager(session, timeout=30) as client:
        reply = client.get_config(source="running")
        assert b"bng-01" in etree.tostring(reply.data_ele)
        monitoring = "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring"
        wanted = f'<filter><netconf-state xmlns="{monitoring}"><sessions/></netconf-state></filter>'
        reply = client.get(filter=wanted)
        hosts = [host.text for host in reply.data_ele.iter(f"{{{monitoring}}}source-host")]
        assert "127.0.0.1" in hosts


async def open_netconf(connection):
    process = await connection.create_process(subsystem="netconf", encoding=None)
    process.stdin.write(HELLO)
    await process.stdout.readuntil(b"]]>]]>")
    return process


async def ask(process, message):
    process.stdin.write(chunk(message))
    deframer = Deframer(1 << 30)
    deframer.use_chunks()
    while (reply := deframer.next_message()) is None:
        data = await process.stdout.read(65536)
        if not data:
            return None
        deframer.feed(data)
    return reply


async def test_doctype_bomb(element):
    entities = "".join(f"<!ENTITY e{n + 1} '{f'&e{n};' * 10}'>" for n in range(9))
    bomb = f"<!DOCTYPE r [<!ENTITY e0 'ha'>{entities}]><rpc xmlns='{BASE}' message-id='1'>&e9;</rpc>"
    async with login(element) as connection:
        process = await open_netconf(connection)
        assert b"malformed-message" in await ask(process, bomb.encode())
        assert b"<ok/>" in await ask(
            process, f"<rpc xmlns='{BASE}' message-id='2'><discard-changes/></rpc>".encode()
        )


async def test_huge_message(element):
    async with login(element) as connection:
        process = await open_netconf(connection)
        process.stdin.write(b"\n#4294967295\n" + b"x" * 65536)
        answer = await process.stdout.read()
        assert b"too-big" in answer
        await process.wait_closed()


async def test_a_slow_reader_holds_up_nobody(element):
    async with login(element, window=65536) as rude, login(element) as polite:
        slow = await open_netconf(rude)
        slow.stdout.channel.pause_reading()
        for _ in range(3):
            slow.stdin.write(chunk(GET_ALL))
        other = await open_netconf(polite)
        for number in range(20):
            one = f"<session><id>{number + 200:016x}</id></session>"
            message = (
                f"<rpc xmlns='{BASE}' message-id='1'><get><filter><sessions xmlns='{SUBSCRIBER}'>{one}"
                "</sessions></filter></get></rpc>"
            )
            assert f"{number + 200:016x}".encode() in await ask(other, message.encode())


async def test_a_slow_reader_is_dropped_in_the_end(own_element):
    element = own_element("--sessions", "5000", "--stall-timeout", "0.3")
    async with login(element, window=65536) as connection:
        process = await open_netconf(connection)
        process.stdout.channel.pause_reading()
        process.stdin.write(chunk(GET_ALL))
        await connection.wait_closed()


def test_garbage_instead_of_ssh(element):
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 10_000, b"SSH-2.0-x\r\n" + b"\xff" * 5_000):
        with socket.create_connection(("127.0.0.1", element.port), timeout=30) as stranger:
            stranger.sendall(garbage)
            stranger.shutdown(socket.SHUT_WR)
            try:
                while stranger.recv(65536):
                    pass
            except ConnectionError:
                pass
    with element.connect() as client:
        assert client.connected


def test_host_key_stays_over_a_restart(own_element, tmp_path):
    element = own_element("--sessions", "1")
    key_file = element.folder / "state" / "ssh_host_ed25519_key"
    key = key_file.read_bytes()
    assert key_file.stat().st_mode & 0o077 == 0
    assert element.stop() == 0
    assert asyncssh.import_private_key(key).algorithm == b"ssh-ed25519"

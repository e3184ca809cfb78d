"""The unix socket: who is who there, and the program that an sshd runs."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nbi import subsystem, unix
from nbi.protocol.names import BASE_NS
from tests.unit.nbi.ssh_client import configure, user
from yang.access import User

HELLO = (
    f"<hello xmlns='{BASE_NS}'><capabilities><capability>urn:ietf:params:netconf:base:1.0</capability>"
    "</capabilities></hello>]]>]]>"
)
STRANGER = "nobody"
GET_SESSIONS = (
    f"<rpc xmlns='{BASE_NS}' message-id='1'><get><filter><netconf-state "
    "xmlns='urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring'><sessions/></netconf-state></filter></get>"
    "</rpc>]]>]]>"
)
CLOSE = f"<rpc xmlns='{BASE_NS}' message-id='2'><close-session/></rpc>]]>]]>"


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody may enter."""
    with tempfile.TemporaryDirectory(prefix="aether-unix-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


async def run_subsystem(path: Path, said: str, login: str = "") -> tuple[int, bytes, bytes]:
    """What sshd runs; as another user of this machine, which it becomes when it runs, for that one may not
    read our files."""
    become = ""
    if login:
        entry = pwd.getpwnam(login)
        become = "import os, socket, threading\nos.setgroups([])\n"
        become += f"os.setgid({entry.pw_gid})\nos.setuid({entry.pw_uid})\n"
    source = Path(subsystem.__file__).read_text().replace("from __future__ import annotations\n", "")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-I",
        "-S",
        "-c",
        become + source,
        str(path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await asyncio.wait_for(process.communicate(said.encode()), 30)
    return process.returncode, out, error


async def test_only_sockets_are_replaced(serve, tmp_path):
    served = await serve()
    precious = tmp_path / "precious"
    precious.write_text("data")
    with pytest.raises(FileExistsError, match="no socket"):
        await unix.listen(served.server, precious, User("admin"))
    assert precious.read_text() == "data"
    (tmp_path / "link").symlink_to(precious)
    with pytest.raises(FileExistsError):
        await unix.listen(served.server, tmp_path / "link", User("admin"))
    server = await unix.listen(served.server, served.path, User("admin"))
    assert served.path.stat().st_mode & 0o777 == 0o600
    server.close()


async def test_a_group_that_is_none(serve, tmp_path):
    served = await serve()
    with pytest.raises(OSError, match='no group "no-such-group"'):
        await unix.listen(served.server, tmp_path / "socket", User("admin"), "no-such-group")


async def test_the_subsystem_carries_both_ways(serve):
    served = await serve(sessions=2000)
    everything = (
        f"<rpc xmlns='{BASE_NS}' message-id='1'><get><filter>"
        "<sessions xmlns='urn:aether:yang:aether-subscriber'/></filter></get></rpc>]]>]]>"
    )
    # requests that wait while long replies are under way
    code, out, error = await run_subsystem(served.path, HELLO + everything * 3 + " " * 200_000 + CLOSE)
    assert (code, error) == (0, b"")
    assert out.count(b"</rpc-reply>") == 4
    assert out.count(b"<session>") == 6000


async def test_the_subsystem_without_a_server(tmp_path):
    code, out, error = await run_subsystem(tmp_path / "none", HELLO)
    assert (code, out) == (1, b"")
    assert b"cannot reach the server" in error


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_other_users_are_who_the_kernel_says(serve, public):
    served = await serve()
    group = grp.getgrgid(pwd.getpwnam(STRANGER).pw_gid).gr_name
    path = public / "netconf.sock"
    listening = await unix.listen(served.server, path, User("admin"), group)
    assert path.stat().st_mode & 0o777 == 0o660

    async def ask() -> bytes:
        said = HELLO + GET_SESSIONS + CLOSE
        code, out, error = await run_subsystem(path, said, STRANGER)
        assert (code, error) == (0, b"")
        return out

    assert await ask() == b""  # no user of the configuration
    client = await served.client()
    await configure(client, user(STRANGER))
    assert f"<username>{STRANGER}</username>".encode() in await ask()
    listening.close()


def test_a_process_of_our_own_is_trusted():
    ours, theirs = socket.socketpair()
    assert unix.user_of(ours, User("admin")) == (User("admin"), True)
    ours.close()
    theirs.close()

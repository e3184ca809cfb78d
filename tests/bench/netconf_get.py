"""netconf-get: milliseconds for a NETCONF get of all 10,000 sessions with 20 leaves each.

Measured behind OpenSSH's client (``--client asyncssh``: in asyncssh's), from the request to the last octet of
the reply, with access control on and the server in a process of its own. The baseline builds the same reply
as a libyang tree and prints it, the way of servers that keep their state in libyang, without SSH and without
any client.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.sax.saxutils import escape

import asyncssh
from _libyang import ffi, lib
from lxml import etree

from nbi.protocol.framing import Deframer
from yang.datastore.context import load_context

ROOT = Path(__file__).parents[2]
ELEMENT = ROOT / "tests/contract/netconf/element.py"
SESSIONS = 10_000
LEAVES = 20
BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
SUBSCRIBER = "urn:aether:yang:aether-subscriber"
HELLO = (
    f"<hello xmlns='{BASE}'><capabilities><capability>urn:ietf:params:netconf:base:1.1</capability>"
    "</capabilities></hello>]]>]]>"
).encode()
GET = (
    f"<rpc xmlns='{BASE}' message-id='1'><get><filter><sessions xmlns='{SUBSCRIBER}'/></filter></get></rpc>"
).encode()
END = b"\n##\n"
PIPE = 1024 * 1024
"""Octets that the pipe from OpenSSH's client holds."""


def load(name: str, path: Path) -> ModuleType:
    """A module by its file."""
    spec = util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def server(folder: Path, sessions: int = SESSIONS) -> Iterator[tuple[int, int]]:
    """Port and process of a server with all sessions, which takes the key in the folder."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True)
    algorithm, data = (folder / "key.pub").read_text().split()[:2]
    arguments = ["--sessions", str(sessions), "--uvloop", "--public-key", f"{algorithm} {data}"]
    process = subprocess.Popen(
        [sys.executable, str(ELEMENT), "--state-dir", str(folder), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["port"], process.pid
    finally:
        process.stdin.close()
        process.wait(30)


class Client(asyncssh.SSHClientSession[bytes]):
    """Collects octets until a NETCONF message ends."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.end = END
        self.done = asyncio.Event()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self.parts.append(data)
        tail = self.parts[-1] if len(data) >= len(self.end) else b"".join(self.parts[-8:])
        if tail.endswith(self.end):
            self.done.set()

    async def message(self) -> bytes:
        await self.done.wait()
        data = b"".join(self.parts)
        self.parts.clear()
        self.done.clear()
        return data


async def measure(port: int, rounds: int) -> tuple[list[float], bytes]:
    """Milliseconds of each round, and the last reply."""
    async with asyncssh.connect(
        "127.0.0.1",
        port,
        username="admin",
        password="correct horse",
        known_hosts=None,
        client_keys=None,
        config=None,
    ) as connection:
        channel, client = await connection.create_session(
            Client, subsystem="netconf", encoding=None, window=16 * 1024 * 1024, max_pktsize=65536
        )
        client.end = b"]]>]]>"
        channel.write(HELLO)
        await client.message()
        client.end = END
        times = []
        reply = b""
        for _ in range(rounds):
            started = time.perf_counter()
            channel.write(b"\n#%d\n%b\n##\n" % (len(GET), GET))
            reply = await client.message()
            times.append((time.perf_counter() - started) * 1000)
        return times, reply


class OpenSsh:
    """OpenSSH's client as a subprocess; reads what it writes to its standard output."""

    def __init__(self, port: int, key: Path) -> None:
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        self._process = subprocess.Popen(
            ["ssh", "-F", "none", "-i", str(key), "-p", str(port)]
            + [part for option in options for part in ("-o", option)]
            + ["admin@127.0.0.1", "-s", "netconf"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        fcntl.fcntl(self._stdout.fileno(), fcntl.F_SETPIPE_SZ, PIPE)
        self.message(b"]]>]]>")
        self.write(HELLO)

    def write(self, data: bytes) -> None:
        self._stdin.write(data)
        self._stdin.flush()

    def message(self, end: bytes = END) -> bytes:
        """Octets until a message ends."""
        parts = [os.read(self._stdout.fileno(), PIPE)]
        while not b"".join(parts[-2:]).endswith(end):
            parts.append(os.read(self._stdout.fileno(), PIPE))
            if not parts[-1]:
                raise SystemExit("the session has ended")
        return b"".join(parts)

    def request(self, rpc: bytes) -> tuple[float, bytes]:
        """Milliseconds from a request to the end of its reply, and the reply."""
        started = time.perf_counter()
        self.write(b"\n#%d\n%b\n##\n" % (len(rpc), rpc))
        reply = self.message()
        return (time.perf_counter() - started) * 1000, reply

    def close(self) -> None:
        self._stdin.close()
        self._stdout.close()
        self._process.terminate()
        self._process.wait(30)


def measure_openssh(port: int, key: Path, rounds: int) -> tuple[list[float], bytes]:
    """Milliseconds of each round behind OpenSSH's client, and the last reply."""
    client = OpenSsh(port, key)
    try:
        results = [client.request(GET) for _ in range(rounds)]
    finally:
        client.close()
    return [milliseconds for milliseconds, _ in results], results[-1][1]


def cpu_seconds(process: int) -> float:
    """CPU time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def unframe(data: bytes) -> etree._Element:
    deframer = Deframer(1 << 30)
    deframer.use_chunks()
    deframer.feed(data)
    return etree.fromstring(deframer.next_message(), etree.XMLParser(huge_tree=True))


def as_xml(record: Any) -> str:
    """A record's leaves as XML without a namespace of their own."""
    parts = []
    for attribute in record.__slots__:
        value, name = getattr(record, attribute), attribute.replace("_", "-")
        text = as_xml(value) if hasattr(value, "__slots__") else escape(str(value))
        parts.append(f"<{name}>{text}</{name}>")
    return "".join(parts)


def baseline(records: list[Any], rounds: int) -> tuple[list[float], int]:
    """Milliseconds to build and print the libyang tree, and the octets printed.

    The tree is built in C, by libyang's parser: node by node through the Python bindings takes more than
    twice as long. The text that it parses is made beforehand.
    """
    context = load_context()
    entries = "".join(f"<session>{as_xml(record)}</session>" for record in records)
    text = ffi.new("char[]", f'<sessions xmlns="{SUBSCRIBER}">{entries}</sessions>'.encode())
    times = []
    size = 0
    for _ in range(rounds):
        started = time.perf_counter()
        size = build_and_print(context.cdata, text)
        times.append((time.perf_counter() - started) * 1000)
    return times, size


def build_and_print(context: Any, text: Any) -> int:
    """Build the tree and print it as XML; octets printed."""
    root, printed = ffi.new("struct lyd_node **"), ffi.new("char **")
    checked(lib.lyd_parse_data_mem(context, text, lib.LYD_XML, lib.LYD_PARSE_ONLY, 0, root))
    checked(lib.lyd_print_mem(printed, root[0], lib.LYD_XML, lib.LYD_PRINT_SHRINK))
    size = len(ffi.string(printed[0]))
    lib.free(printed[0])
    lib.lyd_free_all(root[0])
    return size


def checked(code: int) -> None:
    """Fail on any code but success."""
    if code:
        raise RuntimeError(f"libyang error {code}")


def main() -> None:
    """Measure both and print the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--client", choices=("openssh", "asyncssh"), default="openssh")
    arguments = parser.parse_args()
    rounds, warm = arguments.rounds, 2
    harness = load("harness", Path(__file__).with_name("harness.py"))
    element = load("netconf_element", ELEMENT)
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as (port, process):
        before = cpu_seconds(process)
        if arguments.client == "openssh":
            times, data = measure_openssh(port, Path(folder) / "key", warm + rounds)
        else:
            times, data = asyncio.run(measure(port, warm + rounds))
        used = (cpu_seconds(process) - before) / len(times) * 1000
    entries = unframe(data).findall(f".//{{{SUBSCRIBER}}}session")
    leaves = sum(1 for node in entries[-1].iter() if not len(node))
    if (len(entries), leaves) != (SESSIONS, LEAVES):
        raise SystemExit(f"the reply has {len(entries)} sessions of {leaves} leaves")
    base, printed = baseline([element.make_session(n) for n in range(SESSIONS)], max(3, rounds // 3))
    value, baseline_value = statistics.median(times[warm:]), statistics.median(base)
    harness.report(
        "netconf-get",
        round(value, 1),
        "ms",
        "the same sessions built as a libyang tree in C and printed as XML, without SSH and NACM",
        round(baseline_value, 1),
        baseline_value / value,
        f"{SESSIONS} sessions of {LEAVES} leaves, {len(data) / 1e6:.2f} MB "
        f"(baseline {printed / 1e6:.2f} MB), NACM on; {arguments.client} client in another process than the "
        f"server, which uses {used:.0f} ms of CPU for each; median of {rounds}, best {min(times):.1f}",
    )


if __name__ == "__main__":
    main()

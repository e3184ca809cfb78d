"""netconf-get: milliseconds for a NETCONF get of all 10,000 sessions with 20 leaves each.

Measured at an SSH client, from the request to the last octet of the reply, with access control on and the
server in a process of its own. The baseline builds the same reply as a libyang tree and prints it, the way
of servers that keep their state in libyang, without SSH and without any client.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
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
def server(folder: Path) -> Iterator[int]:
    """The port of a server with all sessions."""
    process = subprocess.Popen(
        [sys.executable, str(ELEMENT), "--state-dir", str(folder), "--sessions", str(SESSIONS), "--uvloop"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["port"]
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
    rounds = parser.parse_args().rounds
    harness = load("harness", Path(__file__).with_name("harness.py"))
    element = load("netconf_element", ELEMENT)
    with tempfile.TemporaryDirectory() as folder, server(Path(folder)) as port:
        times, data = asyncio.run(measure(port, rounds + 2))
    entries = unframe(data).findall(f".//{{{SUBSCRIBER}}}session")
    leaves = sum(1 for node in entries[-1].iter() if not len(node))
    if (len(entries), leaves) != (SESSIONS, LEAVES):
        raise SystemExit(f"the reply has {len(entries)} sessions of {leaves} leaves")
    base, printed = baseline([element.make_session(n) for n in range(SESSIONS)], max(3, rounds // 3))
    value, baseline_value = statistics.median(times[2:]), statistics.median(base)
    harness.report(
        "netconf-get",
        round(value, 1),
        "ms",
        "the same sessions built as a libyang tree in C and printed as XML, without SSH and NACM",
        round(baseline_value, 1),
        baseline_value / value,
        f"{SESSIONS} sessions of {LEAVES} leaves, {len(data) / 1e6:.2f} MB "
        f"(baseline {printed / 1e6:.2f} MB), NACM on; asyncssh client in another process than the server; "
        f"median of {rounds}, best {min(times):.1f}",
    )


if __name__ == "__main__":
    main()

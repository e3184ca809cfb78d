"""netconf-commit: milliseconds for a NETCONF client to edit and commit 1,000 shaping profiles, all changed.

netconf-commit-one, beside it, is one leaf among 10,000 profiles. Measured behind OpenSSH's client, from the
edit-config to the last octet of the commit's reply, with access control on: the configuration and its history
are on the disk by then. The baseline does it with libyang alone, in memory: it reads the request, merges
it into a copy of the configuration, validates that, and finds what differs by ``lyd_diff``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import netconf_get as get
import orjson
from _libyang import ffi, lib

from yang.datastore.context import load_context

SHAPING = "urn:aether:yang:aether-shaping"
PROFILES = 1_000
ALL = 10_000
COMMIT = f"<rpc xmlns='{get.BASE}' message-id='2'><commit/></rpc>".encode()


def profiles(first: int, count: int, rate: int) -> str:
    """The configuration of some profiles, as XML."""
    entries = "".join(
        f"<profile><name>p{number}</name><download><rate>{rate + number}</rate></download>"
        f"<upload><rate>{rate}</rate></upload></profile>"
        for number in range(first, first + count)
    )
    return f"<shaping-profiles xmlns='{SHAPING}'>{entries}</shaping-profiles>"


def edit(content: str) -> bytes:
    """An edit-config of candidate."""
    return (
        f"<rpc xmlns='{get.BASE}' message-id='1'><edit-config><target><candidate/></target>"
        f"<config>{content}</config></edit-config></rpc>"
    ).encode()


def one_leaf(rate: int) -> str:
    """One leaf of one profile in the middle."""
    return (
        f"<shaping-profiles xmlns='{SHAPING}'><profile><name>p{ALL // 2}</name>"
        f"<download><rate>{rate}</rate></download></profile></shaping-profiles>"
    )


def measure(port: int, key: Path, one: bool, rounds: int) -> list[float]:
    """Milliseconds of edit and commit, for each round."""
    client = get.OpenSsh(port, key)
    try:
        for first in range(0, ALL if one else PROFILES, PROFILES):
            change(client, edit(profiles(first, PROFILES, 1_000_000)))
        return [
            change(client, edit(one_leaf(rate) if one else profiles(0, PROFILES, rate)))
            for rate in range(2_000_000, 2_000_000 + rounds)
        ]
    finally:
        client.close()


def change(client: get.OpenSsh, request: bytes) -> float:
    """Milliseconds to edit and commit."""
    edited, reply = client.request(request)
    committed, second = client.request(COMMIT)
    if b"<ok/>" not in reply or b"<ok/>" not in second:
        raise SystemExit(f"refused: {reply[:500]!r} {second[:500]!r}")
    return edited + committed


class LibYang:
    """The same by libyang alone."""

    def __init__(self, one: bool) -> None:
        self._context = load_context().cdata
        count = ALL if one else PROFILES
        self._running = self._parse(profiles(0, count, 1_000_000))
        checked(lib.lyd_validate_all(self._running, self._context, lib.LYD_VALIDATE_NO_STATE, ffi.NULL))

    def _parse(self, text: str) -> Any:
        tree = ffi.new("struct lyd_node **")
        data = ffi.new("char[]", text.encode())
        checked(lib.lyd_parse_data_mem(self._context, data, lib.LYD_XML, lib.LYD_PARSE_ONLY, 0, tree))
        return tree

    def change(self, text: str) -> float:
        """Milliseconds for one change, which is discarded."""
        started = time.perf_counter()
        request = self._parse(text)
        candidate, difference = ffi.new("struct lyd_node **"), ffi.new("struct lyd_node **")
        flags = lib.LYD_DUP_RECURSIVE
        checked(lib.lyd_dup_siblings(self._running[0], ffi.NULL, flags, candidate))
        checked(lib.lyd_merge_siblings(candidate, request[0], 0))
        checked(lib.lyd_validate_all(candidate, self._context, lib.LYD_VALIDATE_NO_STATE, ffi.NULL))
        checked(lib.lyd_diff_siblings(self._running[0], candidate[0], 0, difference))
        taken = (time.perf_counter() - started) * 1000
        for tree in (request, candidate, difference):
            lib.lyd_free_all(tree[0])
        return taken


def checked(code: int) -> None:
    """Fail on any code but success."""
    if code:
        raise RuntimeError(f"libyang error {code}")


def main(one: bool = False) -> None:
    """Measure both and print the figure; `one`: of one leaf among many profiles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    harness = get.load("harness", Path(__file__).with_name("harness.py"))
    with tempfile.TemporaryDirectory() as folder, get.server(Path(folder), 10) as (port, process):
        started = get.cpu_seconds(process)
        times = measure(port, Path(folder) / "key", one, rounds)
        used = get.cpu_seconds(process) - started
        stored = orjson.loads((Path(folder) / "config/running.json").read_bytes())
    found = len(stored["aether-shaping:shaping-profiles"]["profile"]) - 1
    if found != (ALL if one else PROFILES):
        raise SystemExit(f"{found} profiles are stored")
    libyang = LibYang(one)
    base = [
        libyang.change(one_leaf(rate) if one else profiles(0, PROFILES, rate))
        for rate in range(2_000_000, 2_000_000 + max(3, rounds // 3))
    ]
    value, baseline = statistics.median(times), statistics.median(base)
    what = f"one leaf among {ALL} profiles" if one else f"{PROFILES} profiles of 3 leaves"
    harness.report(
        "netconf-commit-one" if one else "netconf-commit",
        round(value, 1),
        "ms",
        "libyang alone, in memory: read, merge into a copy, validate, lyd_diff",
        round(baseline, 1),
        baseline / value,
        f"{what}, edit-config and commit, NACM on, written durably with history; OpenSSH client in another "
        f"process; median of {rounds}, best {min(times):.1f}; {used:.1f} s of the server's CPU in all",
    )


if __name__ == "__main__":
    main()

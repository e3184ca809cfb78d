"""The accounting spool on a file system that is really full."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bng.aaa.accounting import Backlog, Record
from bng.aaa.spool import Spool
from bng.codec.radius import Attribute
from bng.session.effects import AccountKind

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_full_disk_costs_no_record_and_no_order(disk: Path) -> None:
    (disk / "ballast").write_bytes(bytes(128 << 10))
    spool = Spool(disk / "accounting", segment_bytes=16 << 10)
    backlog = Backlog(16, 10_000, 1 << 62, spool)
    seq = 0

    def add(kind: AccountKind, number: int) -> None:
        nonlocal seq
        seq += 1
        attributes = (Attribute(0, 44, b"x" * 200),)
        backlog.add(Record(f"{number:016x}", kind, seq, attributes, given=seq))

    for number in range(1000):
        add(AccountKind.START, number)
    assert spool.alarm == f"No space left on device in {disk / 'accounting'}"
    assert 0 < backlog.unplaced < 1000
    (disk / "ballast").unlink()
    (disk / "ballast").write_bytes(bytes(16 << 10))
    kept = backlog.unplaced
    for number in range(100):
        add(AccountKind.STOP, number)
    assert backlog.unplaced < kept + 100
    delivered: list[tuple[str, AccountKind | None]] = []
    while (record := backlog.take(0)) is not None:
        delivered.append((record.chain, record.kind))
        backlog.delivered(record)
    assert len(delivered) == len(set(delivered)) == 1100
    for number in range(100):
        name = f"{number:016x}"
        assert delivered.index((name, AccountKind.START)) < delivered.index((name, AccountKind.STOP))
    assert (backlog.unplaced, backlog.lost, len(backlog)) == (0, 0, 0)
    add(AccountKind.START, 5000)
    assert (spool.alarm, spool.given) == (None, seq)
    spool.close()
    again = Spool(disk / "accounting", seq)
    again.close()
    assert again.unread == 1

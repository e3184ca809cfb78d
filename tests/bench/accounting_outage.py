"""accounting-outage: memory that accounting needs while no RADIUS server answers for an hour.

50,000 sessions report every five minutes, and ten a second end and are replaced by new ones; time is
simulated, files are real. The baseline is the same backlog without a disk, as large as it needs to be. The
conditions say what the disk held, how long a new process took to open it, and how fast it was delivered to a
server that answers at once.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bng.aaa.client import AaaClient
from bng.aaa.settings import AaaSettings
from bng.aaa.spool import Spool
from bng.session.effects import Account, AccountKind
from bng.session.events import Counters
from tests.bench import harness

NS = 1_000_000_000
SESSIONS, HOURS, INTERVAL, CHURN = 50_000, 1, 300, 10
BEGIN = 1_800_000_000 * NS


def client_over(folder: str) -> AaaClient:
    store = Spool(Path(folder)) if folder else None
    settings = AaaSettings("bng-01", "192.0.2.1", "line", (), max_records=10**9)
    return AaaClient(settings, store=store)


def account(kind: AccountKind, number: int, slot: int, now: int) -> Account:
    line = f"node-{slot % 100}/1/0/{slot}"
    return Account(
        kind, f"{number:016x}", slot, number, f"bng-01/{line}", "02:00:00:00:00:01",
        f"10.{slot >> 16 & 255}.{slot >> 8 & 255}.{slot & 255}", f"sub0:{line}", (b"0123456789abcdef",), 600,
        None, "User-Request" if kind is AccountKind.STOP else None, now,
    )  # fmt: skip


def outage(client: AaaClient) -> None:
    """Nobody answers."""
    live = deque((number, number) for number in range(SESSIONS))
    for number, slot in live:
        client.account(account(AccountKind.START, number, slot, BEGIN), Counters(), BEGIN)
    newest = SESSIONS
    for second in range(HOURS * 3600):
        now = BEGIN + second * NS
        for _ in range(CHURN):
            number, slot = live.popleft()
            client.account(account(AccountKind.STOP, number, slot, now), Counters(second, second), now)
            client.account(account(AccountKind.START, newest, slot, now), Counters(), now)
            live.append((newest, slot))
            newest += 1
        for number, slot in (live[i] for i in range(second % INTERVAL, SESSIONS, INTERVAL)):
            client.account(account(AccountKind.INTERIM, number, slot, now), Counters(second, second), now)


def memory() -> int:
    """Resident octets of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def measure(folder: str) -> None:
    """In a process of its own: prints octets of memory, seconds, pending."""
    client = client_over(folder)
    before, began = memory(), time.monotonic()
    outage(client)
    print(memory() - before, time.monotonic() - began, len(client.backlog))


def run(folder: str) -> tuple[float, float, int]:
    done = subprocess.run(
        [sys.executable, __file__, "measure", folder], capture_output=True, text=True, check=True
    )
    grown, seconds, pending = done.stdout.split()
    return int(grown) / 2**20, float(seconds), int(pending)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        grown, seconds, pending = run(folder)
        held = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20
        began = time.monotonic()
        client = client_over(folder)
        opened = time.monotonic() - began
        began, delivered, backlog = time.monotonic(), 0, client.backlog
        while (record := backlog.take(BEGIN)) is not None:
            backlog.delivered(record)
            delivered += 1
        rate = delivered / (time.monotonic() - began)
    without, _, _ = run("")
    calls = SESSIONS + HOURS * 3600 * (2 * CHURN + SESSIONS / INTERVAL)
    harness.report(
        "accounting-outage",
        round(grown, 1),
        "MiB",
        "the same records in memory",
        round(without, 1),
        without / grown,
        f"{HOURS} h without a server, {SESSIONS} sessions with an interim every {INTERVAL} s, {CHURN} "
        f"replaced a second: {pending} records pending, {held:.0f} MiB on the disk, "
        f"{seconds / calls * 1e6:.1f} µs per record, opened in {opened:.2f} s, read and acknowledged at "
        f"{rate:.0f} records/s",
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(sys.argv[2])
    else:
        main()

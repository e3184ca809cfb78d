"""What the benchmarks of setting sessions up have in common."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from bng.seam.reader import JournalReader
from tests.support.bng_world import World, world
from tests.support.dhcp_client import Subscriber
from tests.support.netns import run
from tests.support.servers import wait_for

WINDOW = 32
_REMIND = 2.0
"""Seconds after which packets count as lost."""
SERVERS = "Kea (memfile), FreeRADIUS with accounting, BNG and emulator on the same cores"


def start(here: World, sessions: int, rate_limit: int | None = None, interims: int | None = None) -> None:
    """Start the BNG, ready for so many sessions, and wait until it is.

    Args:
        rate_limit: of an access line, packets per second.
        interims: seconds between two Interim-Updates of a session.
    """
    config = json.loads(here.config.read_text())
    bng = config["aether-bng:bng"]
    bng.setdefault("sessions-policy", {})["prepared-sessions"] = sessions
    if rate_limit is not None:
        bng["dhcp-relay"]["rate-limit"] = rate_limit
    if interims is not None:
        bng["aaa"]["interim-interval"] = interims
    here.config.write_text(json.dumps(config))
    here.start()
    inside = ("ip", "netns", "exec", here.namespaces.name("b"), "tc", "class", "show", "dev")

    def prepared() -> bool:
        return all(run(*inside, name).stdout.count("class htb") >= sessions for name in ("sub0", "up0"))

    wait_for("the shapers are made", prepared, 120)


@contextlib.contextmanager
def running(
    rate_limit: int | None = None, *, prepared: int = 2048, interims: int | None = None
) -> Iterator[World]:
    """A world whose BNG serves, ready for `prepared` sessions; the rest as `start` has it."""
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as here:
        start(here, prepared, rate_limit, interims)
        yield here


def newest(here: World) -> int:
    """Number of the newest event of the journal."""
    return JournalReader(here.state_dir / "journal").newest


def told_since(
    here: World,
    kind: str,
    circuits: Iterable[str],
    first: int | None = None,
    remind: Callable[[set[str]], None] = lambda _missing: None,
) -> dict[str, float]:
    """When an event of a kind was journaled for each line, seconds since the epoch, by circuit-id. Waits for
    all.

    Args:
        first: number of the first event that counts; None for the oldest.
        remind: called now and then with the lines that have none yet.
    """
    missing, told = set(circuits), dict[str, float]()
    journal = JournalReader(here.state_dir / "journal")
    read, reminded = journal.oldest if first is None else first, time.monotonic()

    def all_told() -> bool:
        nonlocal read, reminded
        journal.refresh()
        events = journal.read(read, 1_000_000)
        read += len(events)
        for event in events:
            circuit = event.get("access-line", {}).get("circuit-id")
            if event["type"] == kind and circuit in missing:
                missing.remove(circuit)
                told[circuit] = event["_time_ns"] / 1e9
        if missing and time.monotonic() - reminded > _REMIND:
            reminded = time.monotonic()
            remind(missing)
        return not missing

    wait_for(f"all sessions have an event {kind}", all_told, 60)
    return told


def active_since(here: World, circuits: Iterable[str], first: int | None = None) -> dict[str, float]:
    """When the data plane of each line was active: its durable policy-apply event."""
    return told_since(here, "policy-apply", circuits, first)


def release(here: World, subscribers: Iterable[Subscriber]) -> None:
    """Have subscribers give their addresses back, some at a time, and wait until their sessions are gone."""
    leaving = list(subscribers)
    first = newest(here) + 1
    for at in range(0, len(leaving), WINDOW):
        some = {each.circuit_id: each for each in leaving[at : at + WINDOW]}

        def say(circuits: set[str], some: dict[str, Subscriber] = some) -> None:
            for circuit in circuits:
                here.subscribers.release(some[circuit])

        say(set(some))
        told_since(here, "session-stop", some, first, say)


def set_up(
    here: World, subscribers: Sequence[Subscriber] | range, window: int = WINDOW
) -> tuple[float, list[float]]:
    """(sessions per second, sorted seconds that each took), from DISCOVER until the kernel forwards."""
    wanted = [each if isinstance(each, Subscriber) else Subscriber(each) for each in subscribers]
    offset = time.time() - time.monotonic()
    first = newest(here) + 1
    bound = here.subscribers.exchange(wanted, window=window, within=120)
    assert len(bound) == len(wanted), f"{len(bound)} of {len(wanted)} got an address"
    began = {subscriber.circuit_id: subscriber.began + offset for subscriber in bound}
    active = active_since(here, began, first)
    took = [active[circuit] - start for circuit, start in began.items()]
    return len(wanted) / (max(active.values()) - min(began.values())), sorted(took)


def accounting_starts(here: World, count: int) -> None:
    """Wait until FreeRADIUS has an Accounting-Start of at least so many sessions."""
    detail = here.radius.folder / "detail"

    def arrived() -> bool:
        return detail.exists() and detail.read_text().count("Acct-Status-Type = Start") >= count

    wait_for(f"{count} Accounting-Starts at FreeRADIUS", arrived, 30)


def percentile(ordered: list[float], share: float) -> float:
    """Of sorted seconds, in milliseconds."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000

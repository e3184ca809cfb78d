"""recovery: seconds until a control plane that was killed has adopted 10,000 sessions.

The clock runs from the start of the new process until it answers on its command socket with all sessions
adopted: checkpoint and journal folded, the kernel's elements matched, timers set. The baseline is setting
the same sessions up anew, which is what a control plane without recovery would have to do at the least: the
same process with the same kernel, RADIUS answering at once, from the first lease to the last durable event.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from bng.daemon.control import Control
from bng.daemon.process import configure_logging
from bng.dataplane.kernel import KernelDataPlane
from bng.seam.command import CommandClient
from bng.session import effects as fx
from bng.session import events as ev
from bng.units import units_of
from tests.bench import harness
from tests.support.bng_world import startup
from tests.support.netns import Namespaces
from tests.support.servers import wait_for
from yang.provider import OperationError

SESSIONS = 10_000


class InstantRadius:
    """Outlets whose RADIUS server accepts everybody at once."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def to_server(self, effect: fx.SendToServer) -> None: ...

    def to_subscriber(self, effect: fx.SendToSubscriber) -> None: ...

    def account(self, effect: fx.Account, seq: int) -> None: ...

    def router_seen(self, effect: fx.RouterSeen) -> None: ...

    def ask(self, effect: fx.AskRadius) -> None:
        self._control.writer.post(ev.RadiusAccept(effect.session_id, effect.attempt, ("gold",)))


def lease(number: int) -> ev.LeaseFound:
    address = f"10.64.{10 + number // 250}.{1 + number % 250}"
    mac = (0x02AE_0000_0000 + number).to_bytes(6, "big").hex(":")
    now = time.time_ns()
    return ev.LeaseFound(
        "node-1", f"1/0/{number}", "sub0", "0.0.0.0", mac, address, now + 10**13, now, "192.0.2.2"
    )


async def fill(state_dir: Path, count: int) -> None:
    """Set sessions up in this process, say how long it took, and wait to be killed."""
    control = Control(state_dir, KernelDataPlane())
    serving = asyncio.ensure_future(control.run())
    while not control._adopted:
        await asyncio.sleep(0.01)
    control.writer.outlets = InstantRadius(control)
    began = time.perf_counter()
    for first in range(0, count, 500):
        for number in range(first, min(first + 500, count)):
            control.writer.post(lease(number))
        while control.writer.waiting:
            await asyncio.sleep(0)
    while control.journal.pending or len(control.dataplane.installed()) < count:
        await asyncio.sleep(0.001)
    print(json.dumps({"elapsed": time.perf_counter() - began}), flush=True)
    await serving


async def _hello(path: Path) -> dict[str, Any]:
    answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def greet(client: CommandClient) -> None:
        answer.set_result(await client.call("hello", {}))

    client = CommandClient(path, greet, lambda _: None)
    task = asyncio.ensure_future(client.run())
    try:
        return await asyncio.wait_for(answer, 60)
    except OperationError as error:
        raise RuntimeError(str(error)) from None
    finally:
        task.cancel()


def recover(namespaces: Namespaces, state_dir: Path, log: Path, count: int) -> float:
    """Start control over what the killed one left; seconds until it serves."""
    began = time.perf_counter()
    with log.open("w") as output:
        process = namespaces.start(
            "b", sys.executable, "-m", "bng.cli", "control", "--state-dir", str(state_dir), stderr=output
        )
    # the client's own pauses between two tries must not be counted
    wait_for("the command socket is there", (state_dir / "control.sock").exists, 60)
    asyncio.run(_hello(state_dir / "control.sock"))
    elapsed = time.perf_counter() - began
    text = wait_for("recovery is logged", lambda: "recovery.done" in log.read_text() and log.read_text())
    assert f'"adopted":{count},"removed":0,"installed":0' in str(text), text
    process.terminate()
    process.wait(30)
    return elapsed


def measure(folder: Path, count: int) -> tuple[float, float]:
    """(seconds to recover, seconds to set up)"""
    with Namespaces("b", "s", "w", "m") as namespaces:
        namespaces.veth("b", "sub0", "s", "s0")
        namespaces.veth("b", "up0", "w", "w0")
        namespaces.veth("b", "dhcp0", "m", "m0")
        state_dir = folder / "bng"
        (state_dir / "control").mkdir(parents=True)
        units = units_of(startup(counters=5))
        (state_dir / "control" / "config.json").write_text(json.dumps(units))
        filler = namespaces.start(
            "b", sys.executable, __file__, "--fill", str(state_dir),
            "--sessions", str(count), stdout=subprocess.PIPE, stderr=(folder / "fill.log").open("w"),
        )  # fmt: skip
        assert filler.stdout is not None
        line = filler.stdout.readline()
        assert line, (folder / "fill.log").read_text()[-2000:]
        os.kill(filler.pid, signal.SIGKILL)
        filler.wait()
        (state_dir / "control.sock").unlink()
        return recover(namespaces, state_dir, folder / "control.log", count), json.loads(line)["elapsed"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--fill", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.fill is not None:
        configure_logging("fill")
        asyncio.run(fill(arguments.fill, arguments.sessions))
        return
    with tempfile.TemporaryDirectory() as folder:
        recovered, anew = measure(Path(folder), arguments.sessions)
    harness.report(
        "recovery",
        round(recovered, 2),
        "s",
        "setting the same sessions up anew, with a RADIUS server that answers at once",
        round(anew, 2),
        anew / recovered,
        f"{arguments.sessions} sessions, kill -9, from the start of the new process until it serves",
    )


if __name__ == "__main__":
    main()

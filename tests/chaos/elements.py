"""The BNGs of the matrix: simulated ones, and the product, in network namespaces, under subscribers that come
and go."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bng.daemon.process import read_pids
from bng.seam.reader import JournalReader
from tests.support import bng_world, journal_target
from tests.support.collector_rig import Rig
from tests.support.dhcp_client import Subscriber
from tests.support.servers import wait_for
from tests.support.subscriber_net import udp_frame

PER_TURN = 2
COUNTERS = journal_target.COUNTERS


@dataclass(frozen=True, slots=True)
class Event:
    """What a journal says of an event.

    Attributes:
        counters: in the order of COUNTERS; None where the event has none.
    """

    seq: int
    time_ns: int
    type: str
    session: str | None
    counters: tuple[int, ...] | None


class Element:
    """A BNG and the wire to it, that may be cut.

    Attributes:
        name: as the collectors know it.
        trimmed: the number up to which its journal has ever thrown events away.
    """

    def __init__(self, folder: Path, name: str, port: int, namespace: str = "") -> None:
        folder.mkdir(exist_ok=True)
        self.name, self.folder, self.trimmed = name, folder, 0
        self.rig = Rig(folder, "")
        self._wire = str(Rig.free_port()), str(port), namespace
        self.wire = self._start_wire()

    def _start_wire(self) -> subprocess.Popen[bytes]:
        return self.rig.start("tests.support.proxy", *filter(None, self._wire))

    @property
    def entry(self) -> dict[str, str]:
        """Of a collector's configuration."""
        return self.login() | {"bng_id": self.name, "address": f"127.0.0.1:{self._wire[0]}"}

    def login(self) -> dict[str, str]:
        """Name, password and CA."""
        raise NotImplementedError

    @property
    def newest(self) -> int:
        """The last event of its journal."""
        raise NotImplementedError

    def events(self) -> Iterator[Event]:
        """All of its journal, also what it does not serve any more."""
        raise NotImplementedError

    def kill(self) -> None:
        """All of its processes at the same time."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it after `kill`."""
        raise NotImplementedError

    def quiet(self) -> None:
        """No more events."""
        raise NotImplementedError

    def reset_wire(self) -> None:
        self.wire.kill()
        self.wire.wait()
        self.wire = self._start_wire()

    def end(self) -> None:
        self.rig.end()


class Simulated(Element):
    """A journal and samples, and a clock that may be set."""

    def __init__(self, folder: Path, name: str) -> None:
        self._told: dict[str, Any] = {}
        self._port = Rig.free_port()
        super().__init__(folder, name, self._port)
        self.rig.port = self._port
        self.start()

    def login(self) -> dict[str, str]:
        return self.rig.entry()

    def tell(self, **what: Any) -> None:
        """Change its control.json."""
        self._told.update(what)
        file = self.folder / "control.json"
        file.with_suffix(".new").write_text(json.dumps(self._told))
        file.with_suffix(".new").rename(file)

    @property
    def newest(self) -> int:
        file = self.folder / "journal"
        return file.stat().st_size // journal_target.RECORD.size if file.exists() else 0

    def events(self) -> Iterator[Event]:
        data = (self.folder / "journal").read_bytes()
        for seq, time_ns in journal_target.RECORD.iter_unpack(
            data[: self.newest * journal_target.RECORD.size]
        ):
            number = (seq + 1) // 2
            kind = "session-start" if seq % 2 else "session-stop"
            final = None if seq % 2 else tuple(number * 1000 + i for i in range(len(COUNTERS)))
            yield Event(seq, time_ns, kind, journal_target.session_id(number), final)

    def kill(self) -> None:
        self.target.kill()
        self.target.wait()

    def start(self) -> None:
        self.target = self.rig.target(10**9, per_turn=PER_TURN)

    def quiet(self) -> None:
        self.tell(most=1)


class Churn(threading.Thread):
    """Subscribers of a BNG that come, send something and go, without an end.

    Args:
        together: so many come at once, and so many go.
        stay: so many are there at a time.
        pause: seconds between those that come.
    """

    def __init__(
        self, world: bng_world.World, together: int = 10, stay: int = 60, pause: float = 0.3
    ) -> None:
        super().__init__(daemon=True)
        self._world, self._together, self._stay, self._pause = world, together, stay, pause
        self._gateway = world.namespaces.mac("b", "sub0")
        self._over = threading.Event()

    def run(self) -> None:
        there: deque[Subscriber] = deque()
        number = 0
        while not self._over.is_set():
            coming = [Subscriber(number + n) for n in range(self._together)]
            number = (number + self._together) % 10_000
            there += self._world.subscribers.exchange(coming, retry=0.5, within=2)
            for subscriber in there:
                self._send(subscriber)
            while len(there) > self._stay:
                self._world.subscribers.release(there.popleft())
            self._over.wait(self._pause)

    def _send(self, subscriber: Subscriber) -> None:
        frame = udp_frame(
            subscriber.mac, subscriber.address, bng_world.INTERNET, destination_mac=self._gateway
        )
        for _ in range(1 + subscriber.number % 3):
            self._world.subscribers.send(frame)

    def stop(self) -> None:
        self._over.set()
        self.join()


class Real(Element):
    """The product with Kea and FreeRADIUS: control, management, and `run`, which starts these two."""

    PROCESSES = ("control", "management", "run")

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir()
        self._stack = contextlib.ExitStack()
        self.world = self._stack.enter_context(bng_world.world(folder))
        super().__init__(folder, name, bng_world.GNMI_PORT, self.world.namespaces.name("b"))
        self.start()
        self.churn = Churn(self.world)

    def begin(self) -> None:
        """Wait until it serves; then subscribers come."""
        wait_for("gNMI is served", lambda: self.world.can_connect(bng_world.GNMI_PORT), 60)
        self.churn.start()

    def login(self) -> dict[str, str]:
        ca = str(self.world.state_dir / "tls" / "cert.pem")
        return {"username": bng_world.ADMIN, "password": bng_world.ADMIN_PASSWORD, "ca": ca}

    def _reader(self) -> JournalReader:
        return JournalReader(self.world.state_dir / "journal")

    @property
    def newest(self) -> int:
        return self._reader().newest

    def events(self) -> Iterator[Event]:
        for batch in self._reader().batches(1, 1000):
            for event in batch:
                found = event.get("counters")
                counters = tuple(int(found[name]) for name in COUNTERS) if found else None
                yield Event(event["seq"], event["_time_ns"], event["type"], event.get("session-id"), counters)

    def _pid(self, process: str) -> int:
        """Of a process that was started by the `run` that runs now."""

        def noted() -> int:
            pids = read_pids(self.world.state_dir)
            own = self.world.bng is not None and pids.get("run") == self.world.bng.pid
            return pids.get(process, 0) if own else 0

        return int(str(wait_for(f"{process} runs", noted, 30)))

    def kill_one(self, process: str) -> None:
        """kill -9 of one of PROCESSES, and wait until another one runs."""
        os.kill(self._pid(process), signal.SIGKILL)
        if process == "run":
            assert self.world.bng is not None
            self.world.bng.wait()
            self.start()

    def kill(self) -> None:
        for pid in [self._pid(process) for process in self.PROCESSES]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert self.world.bng is not None
        self.world.bng.wait()

    def start(self) -> None:
        self.world.start_processes()

    def quiet(self) -> None:
        self.churn.stop()

    def end(self) -> None:
        if self.churn.is_alive():
            self.churn.stop()
        super().end()
        self._stack.close()

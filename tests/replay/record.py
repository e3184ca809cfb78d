"""Makes the recordings in ``tests/replay/recordings`` again: ``python -m tests.replay.record [--world]``.

Every scenario of ``tests/replay/*.yaml``, and those below, are played by the session machine alone. With
``--world`` those that need it are recorded by ``aether bng record`` on a whole BNG with the real Kea and
FreeRADIUS, in network namespaces (root; half a minute); without it, the machine gets their events again.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from bng.session import effects as fx
from bng.session import events as ev
from bng.session import replay, snapshot
from tests.replay.scenario import NS, SETTINGS, START, Player
from tests.replay.test_replay import RECORDINGS, steps_of

FOLDER = Path(__file__).parent / "recordings"
TIME = "2027-01-15T08:00:00.000000000Z"
Step = dict[str, Any]


class Scribe(Player):
    """A player whose machine is recorded; a restart begins another recording."""

    def __init__(self, settings: dict[str, Any] | None = None) -> None:
        super().__init__(settings)
        self.recordings: list[list[str]] = []
        self._begin()

    def _begin(self) -> None:
        forms = [replay.head("recording", self.machine, TIME, None)]
        forms += [*snapshot.encode(snapshot.freeze(self.machine)), {"snapshot": None}]
        self.recordings.append([replay.dumps(form) for form in forms])

    def do(self, at: float, event: ev.Event) -> list[fx.Effect]:
        effects = super().do(at, event)
        form = replay.encode_step(START + int(at * NS), event, effects)
        self.recordings[-1].append(replay.dumps(form))
        return effects

    def restart(self, at: float) -> list[fx.Effect]:
        effects = super().restart(at)
        self._begin()
        return effects


def play(steps: list[Step], settings: dict[str, Any] | None = None) -> list[list[str]]:
    """The recordings of a scenario: one, and another after each restart."""
    scribe = Scribe(settings)
    for step in steps:
        (name, fields), *_ = [(key, value) for key, value in step.items() if key not in ("at", "effects")]
        scribe.step(step["at"], name, fields or {})
    return [recording for recording in scribe.recordings if len(recording) > 1]


# scenarios that have no YAML file


def attach(at: float = 0, line: str = "node-a 1/0/1", mac: str = "02:00:00:00:00:01", ip: str = "100.64.0.10",
           xid: int = 1) -> list[Step]:  # fmt: skip
    """DISCOVER to ACK."""
    client = {"line": line, "mac": mac, "xid": xid}
    return [
        {"at": at, "discover": client},
        {"at": at + 0.01, "offer": {**client, "ip": ip}},
        {"at": at + 0.02, "request": {**client, "ip": ip}},
        {"at": at + 0.03, "ack": {**client, "ip": ip}},
    ]


def online(at: float = 0, **fields: Any) -> list[Step]:
    """DISCOVER to a session that forwards."""
    return [
        *attach(at, **fields),
        {"at": at + 0.04, "accept": {"filter_ids": ["gold"]}},
        {"at": at + 0.05, "enforced": {}},
    ]


def dataplane_refusal() -> list[Step]:
    return [
        *attach(),
        {"at": 0.04, "accept": {"filter_ids": ["gold"]}},
        {"at": 0.05, "enforced": {"error": "No buffer space available"}},
        {"at": 13, "due": {"timer": "auth-retry"}},
        {"at": 13.01, "accept": {"filter_ids": ["gold"]}},
        {"at": 13.02, "enforced": {}},
        {"at": 20, "SetPolicy": {"token": 7, "session_id": "$1", "profile": "silver"}},
        {"at": 20.01, "enforced": {"error": "Invalid argument"}},
    ]


def flood() -> list[Step]:
    burst = [{"at": number / 1000, "discover": {"xid": number + 1}} for number in range(40)]
    return [*burst, *online(3, xid=99)]


def rebinding_after_restart() -> list[Step]:
    return [
        *online(),
        {"at": 60, "restart": None},
        {"at": 1900, "renew": {"ip": "100.64.0.10", "xid": 5}},
        {"at": 1900.01, "ack": {"ip": "100.64.0.10", "xid": 5}},
        {"at": 3200, "renew": {"ip": "100.64.0.10", "xid": 6}},
        {"at": 3200.01, "nak": {"xid": 6}},
        *attach(3201, xid=7, ip="100.64.0.11"),
        {"at": 3201.04, "stopped": {"counters": {"in_octets": 7, "out_octets": 8}}},
        {"at": 3201.05, "accept": {"filter_ids": ["gold"]}},
        {"at": 3201.06, "enforced": {}},
    ]


def rejected_then_released() -> list[Step]:
    return [
        *attach(),
        {"at": 0.04, "reject": {"message": "service suspended"}},
        {"at": 13, "due": {"timer": "auth-retry"}},
        {"at": 13.01, "reject": {"message": "service suspended"}},
        {"at": 30, "release": {"ip": "100.64.0.10", "xid": 4}},
    ]


def two_in_the_way() -> list[Step]:
    """A line that has a session is given the address of another one: both have to go first."""
    return [
        {"at": 0, "SettingsChanged": {"settings": {**SETTINGS, "port_move": "move"}}},
        *online(),
        *online(1, line="node-a 1/0/2", mac="02:00:00:00:00:02", ip="100.64.0.20", xid=2),
        *attach(2, ip="100.64.0.20", xid=3),
        {"at": 2.04, "stopped": {}},
        {"at": 2.05, "stopped": {}},
        {"at": 2.06, "accept": {"filter_ids": ["silver"]}},
        {"at": 2.07, "enforced": {}},
    ]


def hostile_agent_ids() -> list[Step]:
    """Option 82 that would be something else in an attribute or a file, if it were not cleaned."""
    return online(line="node/../a 1/0/1%00\n;DROP")


def many_lines() -> list[Step]:
    """Slots in order, given back and taken again."""
    steps: list[Step] = []
    for number in range(1, 13):
        line, ip = f"node-b 2/0/{number}", f"100.64.1.{number}"
        steps += online(number, line=line, mac=f"02:00:00:00:01:{number:02x}", ip=ip, xid=100 + number)
    steps.append({"at": 20, "DisconnectMatching": {"token": 3, "remote_id": "node-b", "reason": "works"}})
    steps += [
        {"at": 20 + number / 100, "stopped": {"counters": {"in_octets": number}}} for number in range(1, 13)
    ]
    return steps


EXTRA: dict[str, Callable[[], list[Step]]] = {
    "dataplane-refusal": dataplane_refusal,
    "flood": flood,
    "rebinding-after-restart": rebinding_after_restart,
    "rejected-then-released": rejected_then_released,
    "two-in-the-way": two_in_the_way,
    "hostile-agent-ids": hostile_agent_ids,
    "many-lines": many_lines,
}


def by_machine() -> dict[str, list[str]]:
    """Name → recording, of all scenarios that need no servers."""
    made: dict[str, list[str]] = {}
    scenarios = []
    for path in RECORDINGS:
        document = yaml.safe_load(path.read_text())
        scenarios.append((path.stem, steps_of(document), document.get("settings")))
    scenarios += [(name, make(), None) for name, make in EXTRA.items()]
    for name, steps, settings in scenarios:
        for number, recording in enumerate(play(steps, settings), 1):
            if '"event"' in "".join(recording):
                made[name if number == 1 else f"{name}-{number}"] = recording
    return made


# with real servers


def renew(path: Path) -> bool:
    """Give the events of a recording, which came from real servers, to this machine, and write down what
    comes out now. False when it cannot stand on that snapshot any more: it has to be recorded again."""
    lines = path.read_text().splitlines(keepends=True)
    try:
        for played in replay.replay(lines):
            form = json.loads(lines[played.number - 1])
            lines[played.number - 1] = replay.dumps({**form, "effects": played.actual})
    except replay.RecordingError as error:
        print(f"{path.name}: {error}; record it again with --world")
        return False
    path.write_text("".join(lines))
    return True


def by_world() -> None:
    """Record on a whole BNG."""
    from tests.support.bng_manager import act, wait_status
    from tests.support.bng_world import users, world

    def record(name: str, *which: str) -> subprocess.Popen[str]:
        path = FOLDER / f"world-{name}.jsonl"
        path.unlink(missing_ok=True)
        command = [sys.executable, "-m", "bng.cli", "record", *which, "-o", str(path)]
        process = subprocess.Popen(
            [*command, "--state-dir", str(here.state_dir)], stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        assert "recording to" in process.stderr.readline()
        return process

    def end(process: subprocess.Popen[str]) -> None:
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0

    suspended = 'Auth-Type := Reject\n\tReply-Message = "service suspended"'
    with tempfile.TemporaryDirectory() as folder, world(Path(folder), users(line_7=suspended)) as here:
        here.start()
        process = record("attach-renew-release", "--all")
        (subscriber,) = here.attach(1)
        wait_status(here, 1, "active")
        here.subscribers.renew(subscriber)
        here.subscribers.release(subscriber)
        end(process)

        process = record("disconnect-tombstone", "--line", "node-1", "1/0/2")
        (subscriber,) = here.attach(2)
        act(here, wait_status(here, 2, "active")["id"], "<disconnect/>")
        here.subscribers.renew(subscriber, within=1)
        here.attach(2)
        wait_status(here, 2, "active")
        end(process)

        process = record("reject-then-accept", "--line", "node-1", "1/0/7")
        here.attach(7)
        wait_status(here, 7, "rejected")
        here.radius.stop()
        here.radius.start(users())
        wait_status(here, 7, "active", 30)
        end(process)

        process = record("radius-silent", "--line", "node-1", "1/0/3")
        here.radius.stop()
        here.attach(3)
        time.sleep(20)
        here.radius.start(users())
        wait_status(here, 3, "active", 40)
        end(process)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--world", action="store_true", help="also what needs real servers")
    arguments = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.jsonl"):
        if not path.name.startswith("world-"):
            path.unlink()
    for name, recording in by_machine().items():
        (FOLDER / f"{name}.jsonl").write_text("".join(recording))
    if not arguments.world:
        for path in FOLDER.glob("world-*.jsonl"):
            renew(path)
    else:
        if os.geteuid() != 0:
            sys.exit("--world needs root")
        by_world()
    print(f"{len(list(FOLDER.glob('*.jsonl')))} recordings in {FOLDER}")


if __name__ == "__main__":
    main()

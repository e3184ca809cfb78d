"""``aether bng why``, ``record`` and ``replay``: verbs that ask the control process of this machine."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

STATE_DIR = "AETHER_STATE_DIR"
_DEFAULT = "/var/lib/aether"
_LENGTH = struct.Struct("!I")


class Unreachable(Exception):
    """Control cannot be asked, or refused; the text says why."""


class Control:
    """The command socket, for a verb: one question after the other.

    Raises:
        Unreachable: nobody listens.
    """

    def __init__(self, state_dir: Path, timeout: float = 10.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        self._numbers = itertools.count(1)
        try:
            self._socket.connect(str(state_dir / "control.sock"))
        except OSError as error:
            self._socket.close()
            raise Unreachable(
                f"no BNG answers in {state_dir} ({error.strerror}); name its state folder with --state-dir, "
                f"or in {STATE_DIR}"
            ) from None

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, method: str, params: Mapping[str, Any]) -> Any:
        """Call a method. Raises Unreachable."""
        number = next(self._numbers)
        body = json.dumps({"id": number, "method": method, "params": params}).encode()
        try:
            self._socket.sendall(_LENGTH.pack(len(body)) + body)
            while True:
                message = json.loads(self._read(_LENGTH.unpack(self._read(_LENGTH.size))[0]))
                if message.get("id") == number and "push" not in message:
                    break
        except OSError as error:
            raise Unreachable(f"the control plane does not answer: {error.strerror or error}") from None
        if message.get("error"):
            raise Unreachable(str(message["error"]["message"]))
        return message.get("result")

    def _read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                raise ConnectionResetError(0, "it went away")
            data += part
        return bytes(data)


def add_verbs(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add why, record and replay to ``aether bng``."""
    why = verbs.add_parser("why", help="what happened on an access line last, and what it waits for")
    why.add_argument("circuit", metavar="CIRCUIT-ID")
    why.add_argument("--remote-id", metavar="ID", help="its access node, when several have this circuit-id")
    why.add_argument("--json", action="store_true", help="for programs")
    _add_state_dir(why)
    why.set_defaults(func=_why)
    record = verbs.add_parser("record", help="record what the session machine is told and does")
    which = record.add_mutually_exclusive_group(required=True)
    which.add_argument("--line", nargs=2, metavar=("REMOTE-ID", "CIRCUIT-ID"), help="one access line")
    which.add_argument("--all", action="store_true", help="all sessions")
    record.add_argument("--seconds", type=float, metavar="N", help="how long; else until Ctrl-C")
    record.add_argument(
        "--max-mib", type=int, default=64, metavar="N", help="end when the file has so many MiB (64)"
    )
    record.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="must not exist")
    _add_state_dir(record)
    record.set_defaults(func=_record)
    replay = verbs.add_parser("replay", help="play a recording again, and compare what comes out bit for bit")
    replay.add_argument("file", type=Path, metavar="FILE")
    replay.add_argument("--quiet", action="store_true", help="only say whether it is identical")
    replay.set_defaults(func=_replay)


def _add_state_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state-dir",
        type=Path,
        default=Path(os.environ.get(STATE_DIR, _DEFAULT)),
        metavar="DIR",
        help=f"of the BNG; without it ${STATE_DIR}, or {_DEFAULT}",
    )


# why


def _why(arguments: argparse.Namespace) -> int:
    params = {"circuit-id": arguments.circuit, "remote-id": arguments.remote_id}
    try:
        with Control(arguments.state_dir) as control:
            answer = control.ask("timeline", params)
    except Unreachable as error:
        return _fail("why", str(error))
    found = answer["access-line"]
    if arguments.json:
        print(json.dumps(found))
        return 0 if found else 1
    if not found:
        node = f" behind {arguments.remote_id}" if arguments.remote_id else ""
        return _fail(
            "why", f"no packet came from access line {arguments.circuit}{node} since the control plane "
            "started, and it has no session",
        )  # fmt: skip
    if answer["lines"] > 1:
        print(f"{answer['lines']} access lines are called {arguments.circuit}; choose one with --remote-id:")
        for line in found:
            print(f"  {line['remote-id']:<24} {line.get('status', '-'):<12} {line['verdict']}")
        return 1
    print(render(found[0]))
    return 0


def render(line: Mapping[str, Any]) -> str:
    """The table of an access line: its steps, and the verdict."""
    session = f"session {line['session-id']}, {line['status']}" if "session-id" in line else "no session"
    rows = [("TIME (UTC)", "AFTER", "", "WHAT", "DETAIL", "STATUS")]
    status = ""
    for step in line["step"]:
        now = step.get("status", "")
        repeated = f" ×{step['repeated']}" if step["repeated"] > 1 else ""
        why = f"{step.get('detail', '')}: {step['reason']}" if "reason" in step else step.get("detail", "")
        rows.append(
            (
                step["time"][11:23],
                _elapsed(step["elapsed"]) if step["index"] > 1 else "",
                step["kind"],
                step["what"] + repeated,
                why.removeprefix(": "),
                f"→ {now or 'gone'}" if now != status else "",
            )
        )
        status = now
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    table = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    ]
    return "\n".join([f"{line['remote-id']} {line['circuit-id']}: {session}", *table, "", line["verdict"]])


def _elapsed(microseconds: int) -> str:
    if microseconds < 10_000:
        return f"{microseconds / 1000:.1f} ms"
    if microseconds < 1_000_000:
        return f"{microseconds / 1000:.0f} ms"
    seconds = microseconds / 1_000_000
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


# record


def _record(arguments: argparse.Namespace) -> int:
    path = arguments.output.absolute()
    params: dict[str, Any] = {"path": str(path), "line": arguments.line, "seconds": arguments.seconds}
    params["max-octets"] = arguments.max_mib << 20
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # of which a shell keeps the first from what is in the background
        signal.signal(number, signal.default_int_handler)
    try:
        with Control(arguments.state_dir) as control:
            control.ask("record.start", params)
            print(f"recording to {path}; end it with Ctrl-C", file=sys.stderr)
            with contextlib.suppress(KeyboardInterrupt):
                while (state := control.ask("record.status", {}))["ended"] is None:
                    time.sleep(0.25)
            state = control.ask("record.stop", {})
            while (state := control.ask("record.status", {}))["ended"] is None:
                time.sleep(0.05)
    except Unreachable as error:
        return _fail("record", str(error))
    print(f"{state['events']} events, {state['octets']} octets: {state['ended']}", file=sys.stderr)
    return 0 if Path(path).exists() and "cannot be written" not in state["ended"] else 1


# replay


def _replay(arguments: argparse.Namespace) -> int:
    from bng.session.replay import RecordingError, replay

    count, last = 0, ""

    def texts(file: Iterable[str]) -> Iterator[str]:
        nonlocal last
        for text in file:
            last = text
            yield text

    try:
        with arguments.file.open() as file:
            for played in replay(texts(file)):
                count += 1
                if not arguments.quiet:
                    _tell(played)
                if not played.identical:
                    print(difference(played))
                    return 1
    except RecordingError as error:
        return _fail("replay", f"{arguments.file}: {error}", 2)
    except (OSError, UnicodeDecodeError) as error:
        return _fail("replay", f"{arguments.file}: {error}", 2)
    print(f"identical: {count} events gave the effects that were recorded, bit for bit")
    if not last.startswith('{"end":'):
        print("the recording has no end: who recorded, or the control plane, died", file=sys.stderr)
    return 0


def _tell(played: Any) -> None:
    from bng.session.narrate import clock, effect_line, event_line

    print(f"{clock(played.at)}  {event_line(played.event)}")
    for effect in played.effects:
        text = effect_line(effect, played.at)
        if text:
            print(f"{'':12}    {text}")


def difference(played: Any) -> str:
    """The first effect of an event that is not as it was recorded."""
    expected, actual = played.expected, played.actual
    at = next(
        (number for number, (left, right) in enumerate(zip(expected, actual, strict=False)) if left != right),
        min(len(expected), len(actual)),
    )

    def shown(effects: list[Any]) -> str:
        return json.dumps(effects[at], indent=2, ensure_ascii=False) if at < len(effects) else "nothing"

    return (
        f"different: line {played.number}, effect {at + 1} of {len(expected)}\n"
        f"recorded: {shown(expected)}\nnow:      {shown(actual)}"
    )


def _fail(verb: str, text: str, code: int = 1) -> int:
    print(f"aether bng {verb}: {text}", file=sys.stderr)
    return code

"""What the control process remembers of what happened: the timeline, the last events, and a recording.

The last events go into a report in the state folder when the machine fails on one: ``crash-<time>.jsonl``, in
the form of a recording, with what the machine knows of that access line.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from pathlib import Path
from typing import Any

import structlog

from bng.loop import Writer
from bng.recorder import Recorder
from bng.seam.clock import NS, date_and_time
from bng.session import effects as fx
from bng.session import events as ev
from bng.session import replay, snapshot
from bng.session.admission import Verdict
from bng.session.machine import Machine
from bng.session.recording import encode_event
from bng.session.records import AccessLine
from bng.session.timeline import Step, Timeline
from bng.session.verdict import verdict
from bng.version import version

log = structlog.get_logger()

KEPT_EVENTS = 1000
MAX_REPORTS = 8
_SECONDS_BETWEEN_REPORTS = 10
MAX_LINES = 16
"""Access lines whose steps are told at once."""


class Witness:
    """See the module's text; `bng.loop.Witness`.

    Attributes:
        recorder: the recording under way, or the last one.
    """

    def __init__(self, writer: Writer, state_dir: Path) -> None:
        self.timeline = Timeline()
        self.recorder: Recorder | None = None
        self._writer = writer
        self._machine: Machine = writer.machine
        self._state_dir = state_dir
        # without their effects: to hold on to these until they are cold in the caches costs most of all
        self._last: deque[tuple[int, ev.Event]] = deque(maxlen=KEPT_EVENTS)
        self._reported = -_SECONDS_BETWEEN_REPORTS

    def before(self, event: ev.Event, now: int) -> None:  # noqa: ARG002 - as the writer calls it
        recorder = self.recorder
        if recorder is not None and recorder.ended is None:
            try:
                recorder.before(event)
            except Exception as error:
                self._give_up(recorder, error)

    def after(self, event: ev.Event, effects: list[fx.Effect], now: int) -> None:
        self._last.append((now, event))
        try:
            self.timeline.note(self._machine, event, effects, now)
        except Exception:
            # whoever looks on must not be taken for what was looked at
            log.exception("witness.failed", event_type=type(event).__name__)
        recorder = self.recorder
        if recorder is not None and recorder.ended is None:
            try:
                recorder.after(event, effects, now)
            except Exception as error:
                self._give_up(recorder, error)

    def shed(self, line: AccessLine, reason: str, now: int) -> None:
        # a flood of invented lines, each with a packet or two, must not push out those that are known
        if reason == Verdict.RATE_LIMIT.value or self.timeline.knows(line):
            self.timeline.shed(line, reason, now)

    def _give_up(self, recorder: Recorder, error: Exception) -> None:
        log.exception("recording.failed")
        recorder.end(f"a defect ended it: {error!r}")

    def close(self) -> None:
        """End a recording that is under way."""
        if self.recorder is not None and self.recorder.ended is None:
            self.recorder.end("the control plane ends")
            self.recorder.close()

    # why

    def lines_of(self, circuit_id: str, remote_id: str | None = None) -> list[AccessLine]:
        """The access lines with a circuit-id that are known, in the order of their remote-ids."""
        if remote_id is not None:
            line = AccessLine(remote_id, circuit_id)
            known = self._machine.store.on_line(line) is not None or bool(self.timeline.of(line))
            return [line] if known or line in self._machine.tombstones else []
        found = {line for line in self.timeline.lines() if line.circuit_id == circuit_id}
        found |= {s.line for s in self._machine.store if s.line.circuit_id == circuit_id}
        found |= {line for line in self._machine.tombstones if line.circuit_id == circuit_id}
        return sorted(found)

    def tell(self, line: AccessLine) -> dict[str, Any]:
        """An access line by the names of aether-timeline:access-line."""
        now = time.time_ns()
        steps = self.timeline.of(line)
        session = self._machine.store.on_line(line)
        retry = None if session is None else self._writer.due(ev.Timer.AUTH_RETRY, session.id)
        told = {
            "remote-id": line.remote_id,
            "circuit-id": line.circuit_id,
            "verdict": verdict(self._machine, line, steps, now, retry),
            "step": told_steps(steps),
        }
        if session is not None:
            told["session-id"], told["status"] = session.id, session.status
        return told

    def record(self, path: Path, lines: set[AccessLine] | None, **limits: Any) -> None:
        """Begin a recording; limits as for `Recorder`. Raises OSError."""
        self.recorder = Recorder(self._machine, path, lines, **limits)

    # reports

    def failed(self, event: ev.Event, error: Exception, now: int) -> None:
        """Write a report, in a thread; not more often than every few seconds."""
        if now < (self._reported + _SECONDS_BETWEEN_REPORTS) * NS:
            return
        self._reported = now // NS
        try:
            forms = self._report(event, error, now)
        except Exception:
            log.exception("crash.not-reported")
            return
        threading.Thread(target=self._write_report, args=(forms, now), daemon=True).start()

    def _report(self, event: ev.Event, error: Exception, now: int) -> list[Any]:
        machine = self._machine
        line = replay.line_of_event(machine, event)
        lines = None if line is None else {line}
        text = "".join(traceback.format_exception(error))
        head = replay.head("crash", machine, date_and_time(now), lines, version=version(), error=text)
        last = [
            entry for entry in self._last if line is None or replay.line_of_event(machine, entry[1]) == line
        ]
        frozen = None if lines is None else snapshot.freeze(machine, lines)
        return [head, *last, (now, event), frozen]

    def _write_report(self, forms: list[Any], now: int) -> None:
        stamp = date_and_time(now)[:19].replace(":", "").replace("-", "")
        path = self._state_dir / f"crash-{stamp}.jsonl"
        head, *steps, frozen = forms
        try:
            with path.open("x") as file:
                path.chmod(0o600)
                file.write(replay.dumps(head))
                for at, event in steps:
                    file.write(replay.dumps({"at": at, "event": encode_event(event)}))
                for form in snapshot.encode(frozen) if frozen is not None else ():
                    file.write(replay.dumps(form))
            for old in sorted(self._state_dir.glob("crash-*.jsonl"))[:-MAX_REPORTS]:
                old.unlink(missing_ok=True)
        except Exception:
            log.exception("crash.not-reported")
            return
        log.error("crash.reported", path=str(path))


def told_steps(steps: list[Step]) -> list[dict[str, Any]]:
    """Steps by the names of aether-timeline:step."""
    told = []
    before: Step | None = None
    question = 0
    for index, step in enumerate(steps, 1):
        if step.what == "Access-Request":
            question = step.time
        entry: dict[str, Any] = {
            "index": index,
            "time": date_and_time(step.time),
            "elapsed": 0 if before is None else max(0, step.time - before.time) // 1000,
            "kind": step.kind,
            "what": step.what,
            "detail": _detail(step, question),
            "reason": step.reason,
            "session-id": step.session_id,
            "status": step.status,
            "repeated": step.repeated,
        }
        if step.repeated > 1:
            entry["first-time"] = date_and_time(step.first)
        told.append({name: value for name, value in entry.items() if value != ""})
        before = step
    return told


def _detail(step: Step, question: int) -> str:
    parts = [step.detail]
    if step.kind == "dhcp" and step.number:
        parts.append(f"xid {step.number:#010x}")
    elif step.kind == "radius" and step.what == "Access-Request":
        parts.append(f"question {step.number}")
    elif step.kind == "radius" and question:
        parts.append(f"after {(step.time - question) / 1e6:.1f} ms")
    return ", ".join(part for part in parts if part)

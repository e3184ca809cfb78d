"""Recording what the session machine is told and does, to a file, without holding the writer up.

The writer copies what has to be copied and hands it to a thread by a bounded queue; the thread makes JSON of
it. Whatever goes wrong there (a full disk, a file that grows too long, a thread that cannot keep up) ends the
recording, with the reason as its last line, and nothing else.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections import deque
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import structlog

from bng.seam.clock import NS, date_and_time
from bng.session import effects as fx
from bng.session import events as ev
from bng.session import replay, snapshot
from bng.session.machine import Machine
from bng.session.records import AccessLine
from bng.version import version

log = structlog.get_logger()

MAX_OCTETS = 64 << 20
_MAX_WAITING = 50_000
"""Events that wait for the thread."""
_POLL = 0.02


class Recorder:
    """One recording.

    Args:
        machine: what is recorded.
        path: a file that does not exist; made with mode 0600.
        lines: the access lines to record; None for all.
        deadline: nanoseconds; when it ends by itself, None for never.
        max_octets: of events, where it ends by itself; the snapshot is not counted.
        forsaken: seconds after which it ends by itself when `asked` was not set anew; None for never.

    Attributes:
        asked: when somebody asked for it last (time.monotonic).
        events, octets: written so far.
        ended: why it ended; None while it goes on.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(
        self,
        machine: Machine,
        path: Path,
        lines: Collection[AccessLine] | None,
        *,
        deadline: int | None = None,
        max_octets: int = MAX_OCTETS,
        forsaken: float | None = None,
    ) -> None:
        self.asked = time.monotonic()
        self._forsaken = forsaken
        self._standing = 0
        self.path = path
        self.events = 0
        self.octets = 0
        self.ended: str | None = None
        self._machine = machine
        self._lines = None if lines is None else set(lines)
        self._deadline = deadline
        self._max_octets = max_octets
        self._queue: deque[Any] = deque()
        self._wanted = False
        self._full = False
        self._asked_to_end: str | None = None
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")
        now = date_and_time(time.time_ns())
        self._queue.append(replay.head("recording", machine, now, self._lines, version=version()))
        self._snapshot(self._lines)
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    # the writer's side

    def before(self, event: ev.Event) -> None:
        """An event is about to be handled."""
        machine, lines = self._machine, self._lines
        self._wanted, self._full = True, False
        if lines is None or replay.concerns_all(event):
            return
        met = replay.newcomers(machine, event, lines)
        if met:
            self._snapshot(met)
            lines |= met
        self._wanted = replay.line_of_event(machine, event) in lines
        self._full = machine.store.full

    def after(self, event: ev.Event, effects: list[fx.Effect], now: int) -> None:
        """It was handled."""
        if not self._wanted or self._asked_to_end is not None:
            return
        if len(self._queue) >= _MAX_WAITING:
            self.end("events came faster than they could be written")
        elif self._deadline is not None and now >= self._deadline:
            self.end("its time is over")
        elif self._lines is None:
            self._queue.append((now, event, effects, False))
        else:
            if replay.concerns_all(event):
                effects = replay.of_lines(self._machine, effects, self._lines)
            self._queue.append((now, event, replay.without_shared(effects), self._full))

    def end(self, reason: str) -> None:
        """Write what is left, and end. `close` waits for it."""
        self._asked_to_end = self._asked_to_end or reason

    def close(self, within: float = 5.0) -> None:
        """Wait until the file is complete, at most so many seconds."""
        self._thread.join(within)

    def _snapshot(self, lines: Collection[AccessLine] | None) -> None:
        collecting = gc.isenabled()
        gc.disable()  # many small objects at once: it would look at all of them again and again
        try:
            frozen = snapshot.freeze(self._machine, lines)
        finally:
            if collecting:
                gc.enable()
        named = None if lines is None else sorted(list(line) for line in lines)
        self._queue.append((frozen, named))

    # the thread's side

    def _run(self) -> None:
        try:
            with self._file:
                self._write_all()
        except OSError as error:
            self.ended = f"the file cannot be written: {error.strerror}"
        except Exception as error:
            log.exception("recording.failed")
            self.ended = f"a defect ended it: {error!r}"
        self._asked_to_end = self._asked_to_end or self.ended
        self._queue.clear()
        log.info("recording.ended", path=str(self.path), events=self.events, reason=self.ended)

    def _write_all(self) -> None:
        while True:
            while self._queue:
                self._write(self._queue.popleft())
                if self.octets - self._standing >= self._max_octets:
                    self._asked_to_end = f"it has {self._max_octets} octets"
                    self._queue.clear()
            reason = self._asked_to_end
            if reason is None and self._deadline is not None and time.time_ns() > self._deadline + NS:
                reason = "its time is over"
            elif reason is None and self._forsaken and time.monotonic() > self.asked + self._forsaken:
                reason = "nobody asked for it any more"
            if reason is not None and not self._queue:
                self._put({"end": date_and_time(time.time_ns()), "reason": reason})
                self._file.flush()
                self.ended = reason
                return
            self._file.flush()
            time.sleep(_POLL)

    def _write(self, item: Any) -> None:
        if isinstance(item, dict):
            self._put(item)
        elif len(item) == 2:
            frozen, named = item
            before = self.octets
            for form in snapshot.encode(frozen):
                self._put(form)
            self._standing += self.octets - before
            self._put({"snapshot": named})
        else:
            now, event, effects, full = item
            self._put(replay.encode_step(now, event, effects, full=full))
            self.events += 1

    def _put(self, form: Mapping[str, Any]) -> None:
        text = replay.dumps(form)
        self.octets += len(text)
        self._file.write(text)

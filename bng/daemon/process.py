"""What the processes of a BNG have in common: logging, dying with the parent, ending on a signal."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import signal
import sys
from collections.abc import Coroutine, MutableMapping
from pathlib import Path
from typing import Any

import orjson
import structlog
import uvloop

log = structlog.get_logger()

_PR_SET_PDEATHSIG = 1

PIDS_FILE = "pids.json"

_NICE = -10
_SWITCH_INTERVAL = 0.0005
_COLLECT = (5000, 5, 400)


def _json(value: object, **_: object) -> str:
    return orjson.dumps(value, default=str).decode()


def configure_logging(process: str) -> None:
    """Log lines as JSON to stderr, each with the name of its process."""

    def name_process(
        _logger: object, _method: str, line: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        line["process"] = process
        return line

    structlog.configure(
        processors=[
            name_process,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # gRPC tells of peers that end or are no TLS in lines of its own, and reads this when it is imported
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    # libraries that log in the ordinary way: what matters of it, in the same stream
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s")


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process when the one that started it ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before we could say so
        sys.exit(1)


def hand_over_quickly() -> None:
    """Have the threads of this process give way to its loop after half a millisecond instead of five."""
    sys.setswitchinterval(_SWITCH_INTERVAL)


def collect_seldom() -> None:
    """Have the garbage collector look no more at what is there now, as it lives long, and not often at what
    comes: what a request needs is mostly gone before its first look."""
    gc.set_threshold(*_COLLECT)
    gc.freeze()


def prefer_this_process() -> None:
    """Run before others when there is more to do than CPUs: subscribers wait for this one, and it never does
    much at a time. And have its own threads (disk, sweep) hand over to the loop quickly."""
    hand_over_quickly()
    with contextlib.suppress(OSError):  # not permitted in every container
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)


def read_pids(state_dir: Path) -> dict[str, int]:
    """Process ids by name, as ``run`` wrote them; empty when it did not."""
    try:
        pids = orjson.loads((state_dir / PIDS_FILE).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    if not isinstance(pids, dict):
        return {}
    return {name: pid for name, pid in pids.items() if isinstance(pid, int)}


def _log_exception(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    log.error("loop.exception", message=context.get("message"), exc_info=context.get("exception"))


def run_until_signal(main: Coroutine[object, object, None]) -> None:
    """Run a coroutine until it ends; SIGTERM and SIGINT cancel it."""

    async def guarded() -> None:
        task = asyncio.ensure_future(main)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_log_exception)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            if not task.cancelled():
                raise

    uvloop.run(guarded())

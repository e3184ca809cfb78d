"""`aether collector`: run the collector, ask what it did, repair what is missing."""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from collector.config import CollectorConfig, ConfigError, load

if TYPE_CHECKING:
    from collector.bus.publishing import PublishService
    from collector.service import Service


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the `aether` command."""
    parser = subparsers.add_parser("collector", help="gNMI to PostgreSQL")
    verbs = parser.add_subparsers(dest="collector_verb", required=True, metavar="VERB")
    for name, text, func in (
        ("run", "collect until SIGTERM: into PostgreSQL, or onto the bus if there is one", _run),
        ("write", "write what is on the bus to PostgreSQL until SIGTERM", _write),
        ("migrate", "bring the database's tables up to date and end", _migrate),
    ):
        _add(verbs, name, text, func)
    for name, text, ask in (
        ("status", "targets with their state, collector and last samples; collectors; rollups", _status),
        (
            "gaps",
            "events and samples that are missing, events that were rejected; 1 if there are any",
            _gaps,
        ),
        ("replay", "read a BNG's journal again and add the events that are missing", _replay),
        ("bench", "rows per second of this machine and database, in a temporary table", _bench),
    ):
        verb = _add(verbs, name, text, functools.partial(_ask, ask))
        verb.add_argument("--json", action="store_true", help="one JSON document")
        if name == "bench":
            verb.add_argument("--seconds", type=float, default=5.0, help="of each of two measurements")
            continue
        verb.add_argument("--bng", metavar="NAME", required=name == "replay", help="this target only")
        if name == "gaps":
            verb.add_argument("--kind", choices=("events", "samples", "rejected"))
            verb.add_argument("--all", action="store_true", help="also those that were filled since")
        if name in ("gaps", "replay"):
            verb.add_argument("--since", type=_time, metavar="TIME", help="2026-11-25T12:00:00Z")
        if name == "replay":
            verb.add_argument("--dry-run", action="store_true", help="only count")


def _add(verbs: Any, name: str, text: str, func: Callable[[argparse.Namespace], int]) -> Any:
    verb = verbs.add_parser(name, help=text)
    verb.add_argument("--config", type=Path, required=True, metavar="FILE", help="collector.json")
    verb.set_defaults(func=func)
    return verb


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 2026-11-25T12:00:00Z") from None
    return time if time.tzinfo else time.astimezone()


def _ask(
    ask: Callable[[argparse.Namespace, CollectorConfig], Coroutine[Any, Any, int]], args: argparse.Namespace
) -> int:
    """Run what asks the database or a BNG; one line for what goes wrong."""
    config = _load(args)
    if config is None:
        return 2
    import asyncpg
    import grpc

    try:
        return asyncio.run(ask(args, config))
    except grpc.aio.AioRpcError as error:
        print(f"aether collector: {error.code().name}: {error.details()}", file=sys.stderr)
    except asyncpg.UndefinedTableError:
        print("aether collector: the database is not migrated: aether collector migrate", file=sys.stderr)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        print(f"aether collector: {str(error) or type(error).__name__}", file=sys.stderr)
    return 1


def _print(args: argparse.Namespace, found: Any, text: str) -> None:
    print(json.dumps(found, indent=2) if args.json else text)


async def _status(args: argparse.Namespace, config: CollectorConfig) -> int:
    import asyncpg

    from collector import report

    connection = await asyncpg.connect(config.database, timeout=10)
    try:
        found = await report.status(connection, args.bng)
    finally:
        await connection.close()
    columns = (
        "target",
        "state",
        "since",
        "collector",
        "last_event",
        "sample_age",
        "gaps",
        "rejected",
        "reason",
    )
    parts = [report.table(found["targets"], columns)]
    if args.bng:
        parts.append(report.table(found["history"], ("state", "since", "until", "collector", "reason")))
    parts.append(report.table(found["collectors"], ("collector", "alive", "since", "held", "targets")))
    parts.append(report.table(found["rollups"], ("step", "rolled_to", "age", "late")))
    _print(args, found, "\n\n".join(parts))
    if args.bng and not found["targets"]:
        print(f"aether collector: there is no target {args.bng!r}", file=sys.stderr)
        return 1
    return 0


async def _gaps(args: argparse.Namespace, config: CollectorConfig) -> int:
    import asyncpg

    from collector import report

    connection = await asyncpg.connect(config.database, timeout=10)
    try:
        found = await report.gaps(connection, args.bng, args.kind, args.since)
    finally:
        await connection.close()
    found = [row for row in found if args.all or not row["filled"]]
    columns = ("detected", "bng_id", "kind", "first", "last", "filled", "reason")
    _print(args, found, report.table(found, columns) if found else "nothing is missing")
    return 1 if any(not row["filled"] for row in found) else 0


async def _replay(args: argparse.Namespace, config: CollectorConfig) -> int:
    from collector import replay

    target = next((target for target in config.targets if target.bng_id == args.bng), None)
    if target is None:
        print(f"aether collector: there is no target {args.bng!r} in {args.config}", file=sys.stderr)
        return 2
    connection = await replay.prepared(config.database)
    try:
        found = await replay.replay(connection, target, args.since, dry=args.dry_run)
    finally:
        await connection.close()
    span = f" ({found['first']} to {found['last']})" if found["read"] else ""
    verb = "are missing" if args.dry_run else "were missing and are there now"
    text = f"{found['read']} events read{span}, {found['added']} {verb}, {found['gaps_filled']} gaps filled"
    _print(args, found, text)
    return 0


async def _bench(args: argparse.Namespace, config: CollectorConfig) -> int:
    from collector import bench

    found = await bench.bench(config.database, seconds=max(0.1, min(args.seconds, 600)))
    text = (
        f"{found['rows_per_second']} rows/s; ordinary decoding and COPY: "
        f"{found['ordinary_rows_per_second']} rows/s (temporary table, nothing is flushed)"
    )
    _print(args, found, text)
    return 0


def _load(args: argparse.Namespace) -> CollectorConfig | None:
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.add_log_level,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    try:
        return load(args.config)
    except ConfigError as error:
        print(f"aether collector: {error}", file=sys.stderr)
        return None


def _run(args: argparse.Namespace) -> int:
    config = _load(args)
    if config is None:
        return 2
    if config.bus:
        from collector.bus.publishing import PublishService

        return _serve(PublishService(config, args.config))
    from collector.service import Service

    return _serve(Service(config, args.config))


def _write(args: argparse.Namespace) -> int:
    config = _load(args)
    if config is None:
        return 2
    for name in ("bus", "database"):
        if not getattr(config, name):
            print(f"aether collector: {args.config}: 'write' needs '{name}'", file=sys.stderr)
            return 2
    from collector.bus.service import WriteService

    return _serve(WriteService(config, args.config))


def _serve(service: Service | PublishService) -> int:
    from collector.migrations import NewerError

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, service.reload.set)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, service.stop.set)
        await service.run()

    try:
        asyncio.run(main())
    except NewerError as error:
        print(f"aether collector: {error}", file=sys.stderr)
        return 1
    return 0


def _migrate(args: argparse.Namespace) -> int:
    config = _load(args)
    if config is None:
        return 2
    if not config.database:
        print(f"aether collector: {args.config}: 'migrate' needs 'database'", file=sys.stderr)
        return 2
    import asyncpg

    from collector.migrations import NewerError, migrate

    try:
        done = asyncio.run(migrate(config.database))
    except (OSError, asyncpg.PostgresError, NewerError) as error:
        print(f"aether collector: the database cannot be migrated: {error}", file=sys.stderr)
        return 1
    print(f"aether collector: {done}")
    return 0

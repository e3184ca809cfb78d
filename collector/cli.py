"""`aether collector`: run the collector, or only migrate its tables."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

import structlog

from collector.config import CollectorConfig, ConfigError, load


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb to the `aether` command."""
    parser = subparsers.add_parser("collector", help="gNMI to PostgreSQL")
    verbs = parser.add_subparsers(dest="collector_verb", required=True, metavar="VERB")
    for name, text, func in (
        ("run", "collect until SIGTERM", _run),
        ("migrate", "bring the database's tables up to date and end", _migrate),
    ):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument("--config", type=Path, required=True, metavar="FILE", help="collector.json")
        verb.set_defaults(func=func)


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

    async def main() -> None:
        from collector.service import Service

        service = Service(config, args.config)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, service.reload.set)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, service.stop.set)
        await service.run()

    asyncio.run(main())
    return 0


def _migrate(args: argparse.Namespace) -> int:
    config = _load(args)
    if config is None:
        return 2
    import asyncpg

    from collector.migrations import migrate

    try:
        asyncio.run(migrate(config.database))
    except (OSError, asyncpg.PostgresError) as error:
        print(f"aether collector: the database cannot be migrated: {error}", file=sys.stderr)
        return 1
    return 0

"""`aether oss`: run the OSS, migrate its database, print its OpenAPI description."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import asyncpg
import structlog

from oss.config import Config, ConfigError, load


def add_parser(subparsers: Any) -> None:
    """Register the verb `oss` and its subcommands."""
    parser = subparsers.add_parser("oss", help="the OSS: HTTP API and web console")
    commands = parser.add_subparsers(dest="oss_command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="migrate and seed the database, then serve API and console")
    migrate = commands.add_parser("migrate", help="bring the OSS's tables to the newest version")
    for command, function in ((run, _run), (migrate, _migrate)):
        command.add_argument("--config", type=Path, required=True, metavar="FILE", help="oss.json")
        command.set_defaults(func=function)
    openapi = commands.add_parser("openapi", help="print the API's description (OpenAPI, JSON)")
    openapi.set_defaults(func=_openapi)


class _Forward(logging.Handler):
    """What libraries log, as lines like ours: with the error's text, without its traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        details = {} if error is None else {"error": repr(error)}
        structlog.get_logger().log(
            record.levelno, "library.log", library=record.name, message=record.getMessage(), **details
        )


def _logging() -> None:
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Forward()])


def _load(arguments: argparse.Namespace) -> Config | None:
    try:
        return load(arguments.config)
    except ConfigError as error:
        print(f"aether oss: {error}", file=sys.stderr)
        return None


def _run(arguments: argparse.Namespace) -> int:
    import uvicorn  # takes a while to import; the other subcommands need not wait for it

    from oss.app import create_app

    _logging()
    config = _load(arguments)
    if config is None:
        return 2
    app = create_app(config)

    class Server(uvicorn.Server):
        """Ends the endless answers first, which uvicorn would wait for."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            if hasattr(app.state, "hub"):
                app.state.hub.end()
            super().handle_exit(sig, frame)

    server = Server(
        uvicorn.Config(
            app,
            host=config.listen.host,
            port=config.listen.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=3,
            limit_concurrency=1000,
        )
    )
    try:
        server.run()
    except (OSError, asyncpg.PostgresError) as error:
        print(f"aether oss: {error}", file=sys.stderr)
        return 1
    return 0 if server.started else 1


def _migrate(arguments: argparse.Namespace) -> int:
    from collector.migrations import NewerError
    from oss.database import migrate

    _logging()
    config = _load(arguments)
    if config is None:
        return 2
    try:
        done = asyncio.run(migrate(config.database))
    except (OSError, asyncpg.PostgresError, NewerError) as error:
        print(f"aether oss: the database: {error}", file=sys.stderr)
        return 1
    print(f"aether oss: {done}")
    return 0


def _openapi(_: argparse.Namespace) -> int:
    from oss.app import create_app

    print(json.dumps(create_app().openapi(), indent=1))
    return 0


def main() -> int:
    """The verb on its own: `python -m oss.cli run --config FILE`."""
    parser = argparse.ArgumentParser(prog="aether")
    subparsers = parser.add_subparsers(required=True)
    add_parser(subparsers)
    arguments = parser.parse_args(["oss", *sys.argv[1:]])
    return int(arguments.func(arguments))


if __name__ == "__main__":
    sys.exit(main())

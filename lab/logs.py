"""Logging of the lab's own processes: one JSON object per line on stderr."""

from __future__ import annotations

import sys

import structlog


def configure_logging() -> None:
    """Set structlog up; called once by each process."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )

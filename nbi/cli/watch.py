"""``aether netconf watch``: notifications as they come, or since a time (RFC 5277)."""

from __future__ import annotations

import argparse
import re
import sys
from datetime import UTC, datetime, timedelta

from lxml import etree

from nbi.cli.model import learn
from nbi.cli.target import Target, TargetError, add_target, verb
from nbi.cli.text import leaves
from nbi.client import NetconfClient, NetconfConnectionError, ReceivedNotification

_AGE = re.compile(r"(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_COMPLETE = ("replayComplete", "notificationComplete")


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("watch", help="show notifications as they come")
    add_target(parser)
    parser.add_argument("--stream", default="NETCONF", help="default: NETCONF")
    parser.add_argument("--since", metavar="TIME", help="replay from here: 10m, 2h, or a time of RFC 3339")
    parser.add_argument("--xpath", metavar="EXPRESSION", help="a filter; prefixes are module names")
    parser.add_argument("--replay", action="store_true", help="end after what has happened already")
    parser.add_argument("--count", type=int, metavar="N", help="end after so many")
    parser.add_argument("--format", choices=("line", "xml"), default="line", help="default: line")
    parser.set_defaults(func=_run)


@verb
def _run(arguments: argparse.Namespace, client: NetconfClient, target: Target) -> int:
    if arguments.replay and not arguments.since:
        raise TargetError("--replay needs --since")
    start = since(arguments.since, datetime.now(UTC)) if arguments.since else None
    selection = (arguments.xpath, learn(client, target).namespaces) if arguments.xpath else None
    client.subscribe(stream=arguments.stream, start_time=start, xpath=selection)
    shown = 0
    while arguments.count is None or shown < arguments.count:
        received = client.next_notification(timeout=1.0)
        if received is None:
            if not client.connected:
                raise NetconfConnectionError("the session was lost")
            continue
        name = etree.QName(received.content).localname
        if name in _COMPLETE:
            if arguments.replay or name == "notificationComplete":
                return 0
            continue
        print(_written(received, arguments.format), flush=True)
        shown += 1
    return 0


def since(text: str, now: datetime) -> str:
    """A time of RFC 3339 from ``10m`` or from itself.

    Raises:
        TargetError: it is neither.
    """
    match = _AGE.fullmatch(text)
    if match:
        try:
            return (now - timedelta(**{_UNITS[match[2]]: int(match[1])})).isoformat()
        except OverflowError:
            raise TargetError(f'"{text}" is longer ago than there are dates') from None
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise TargetError(f'"{text}" is no time: 10m, 2h, or 2026-11-25T10:00:00Z') from None
    return (given if given.tzinfo else given.astimezone()).isoformat()


def _written(received: ReceivedNotification, written: str) -> str:
    if written == "xml":
        return etree.tostring(received.content, encoding="unicode", pretty_print=True).rstrip()
    name = etree.QName(received.content).localname
    values = " ".join(f"{leaf}={_quoted(value)}" for leaf, value in leaves(received.content).items())
    line = f"{received.event_time} {name} {values}".rstrip()
    if sys.stdout.isatty():
        return line.replace(name, f"\x1b[1m{name}\x1b[0m", 1)
    return line


def _quoted(value: str) -> str:
    return f'"{value}"' if not value or re.search(r"[\s\"']", value) else value

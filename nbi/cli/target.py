"""Which element a verb talks to, and the session with it."""

from __future__ import annotations

import argparse
import functools
import getpass
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbi.client import NetconfClient, NetconfError, connect

HOSTS_FILE = "var/lab/netconf.json"
PASSWORD_VARIABLE = "AETHER_NETCONF_PASSWORD"  # noqa: S105 - the name of a variable
_ADDRESS = re.compile(
    r"(?:(?P<user>[^@]+)@)?(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:@\[\]]+))(?::(?P<port>[0-9]+))?"
)

Verb = Callable[[argparse.Namespace], int]


class TargetError(Exception):
    """What is asked for cannot be done as it is written; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class Target:
    """An element and a login.

    Attributes:
        name: as the user wrote it.
        key: private key file, tried before the password.
        host_key: the element's public key in base64; any is accepted when None.
    """

    name: str
    host: str
    port: int
    username: str
    password: str | None = None
    key: str | None = None
    host_key: str | None = None


def add_target(parser: argparse.ArgumentParser) -> None:
    """The arguments that every verb has."""
    argument = parser.add_argument(
        "target",
        metavar="ELEMENT",
        help="an element of the lab (bng-01), a name in the file of --hosts, or [user@]address[:port]",
    )
    argument.completer = _complete_names  # type: ignore[attr-defined]
    user = parser.add_argument("--user", help="who to log in as, where the file of hosts does not say")
    user.completer = _complete_users  # type: ignore[attr-defined]
    parser.add_argument("--key", metavar="FILE", help="private SSH key; else the password is used")
    parser.add_argument(
        "--hosts",
        type=Path,
        metavar="FILE",
        help=f"logins by name (default: $AETHER_NETCONF_HOSTS, or {HOSTS_FILE} here or in a folder above)",
    )
    parser.add_argument("--timeout", type=_positive, default=60.0, metavar="SECONDS", help="per request (60)")


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 86400:
        raise ValueError
    return value


def resolve(arguments: argparse.Namespace, *, ask: bool = True) -> Target:
    """The target that is meant.

    Args:
        ask: ask for a password on the terminal when there is none.

    Raises:
        TargetError: there is no such name, or no way to log in.
    """
    hosts = read_hosts(arguments.hosts)
    known = hosts.get(arguments.target)
    if known is not None:
        return _known(arguments, known)
    match = _ADDRESS.fullmatch(arguments.target)
    bare = match is not None and not match["user"] and not match["port"] and "." not in arguments.target
    if match is None or (bare and hosts and not arguments.user):
        names = ", ".join(sorted(hosts)) or "none is known"
        raise TargetError(f'there is no element "{arguments.target}"; known: {names}')
    user = match["user"] or arguments.user or getpass.getuser()
    password = os.environ.get(PASSWORD_VARIABLE)
    if password is None and arguments.key is None and ask:
        if not sys.stdin.isatty():
            raise TargetError(f"no way to log in: give --key FILE, or set {PASSWORD_VARIABLE}")
        password = getpass.getpass(f"password of {user} on {arguments.target}: ")
    host = match["v6"] or match["host"]
    return Target(arguments.target, host, int(match["port"] or 830), user, password, arguments.key)


def _known(arguments: argparse.Namespace, login: Mapping[str, Any]) -> Target:
    try:
        username = str(arguments.user or login["username"])
        own = arguments.user is None or arguments.user == login["username"]
        passwords = login.get("passwords", {})
        password = login.get("password") if own else passwords.get(username)
        return Target(
            arguments.target,
            str(login["host"]),
            int(login.get("port", 830)),
            username,
            os.environ.get(PASSWORD_VARIABLE) or password,
            arguments.key or login.get("key"),
            login.get("host-key"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TargetError(f'the login of "{arguments.target}" cannot be read: {error}') from None


def hosts_path(given: Path | None) -> Path | None:
    """The file of logins that is meant, None when there is none."""
    if given is not None:
        return given
    named = os.environ.get("AETHER_NETCONF_HOSTS")
    if named:
        return Path(named)
    state = os.environ.get("AETHER_STATE_DIR")
    if state:
        return Path(state) / Path(HOSTS_FILE).name
    here = Path.cwd()
    return next((f / HOSTS_FILE for f in (here, *here.parents) if (f / HOSTS_FILE).exists()), None)


def read_hosts(given: Path | None) -> dict[str, Mapping[str, Any]]:
    """Logins by name.

    Raises:
        TargetError: a file that is named cannot be read.
    """
    path = hosts_path(given)
    if path is None or (given is None and not path.exists()):
        return {}
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TargetError(f"{path} cannot be read: {reason}") from None
    if not isinstance(content, dict):
        raise TargetError(f"{path}: logins by name are expected")
    return content


def _complete_names(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    try:
        return sorted(read_hosts(getattr(parsed_args, "hosts", None)))
    except TargetError:
        return []


def _complete_users(parsed_args: argparse.Namespace, **_: Any) -> list[str]:
    try:
        login = read_hosts(getattr(parsed_args, "hosts", None)).get(parsed_args.target or "", {})
        return sorted({*login.get("passwords", {}), *filter(None, [login.get("username")])})
    except (TargetError, AttributeError, TypeError):
        return []


def dial(target: Target, timeout: float = 60.0) -> NetconfClient:
    """Open a session.

    Raises:
        NetconfError: it cannot be opened.
    """
    return connect(
        target.host,
        target.port,
        username=target.username,
        password=target.password,
        key_filename=target.key,
        host_key=target.host_key,
        timeout=timeout,
    )


def verb(function: Callable[[argparse.Namespace, NetconfClient, Target], int]) -> Verb:
    """Run with a session; what fails is told in one sentence, with exit code 1."""

    @functools.wraps(function)
    def wrapped(arguments: argparse.Namespace) -> int:
        try:
            target = resolve(arguments)
            with dial(target, arguments.timeout) as client:
                return function(arguments, client, target)
        except TargetError as error:
            print(f"aether: {error}", file=sys.stderr)
            return 2
        except NetconfError as error:
            for one in error.errors:
                where = f" (at {one.path})" if one.path else ""
                tag = f" [{one.tag}]" if one.tag else ""
                print(f"aether: {one.message}{where}{tag}", file=sys.stderr)
            return 1

    return wrapped

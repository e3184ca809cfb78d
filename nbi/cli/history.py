"""``aether netconf history``: the commits of an element, newest first."""

from __future__ import annotations

import argparse
import sys

from lxml import etree

from nbi.cli.model import Model, learn
from nbi.cli.target import Target, TargetError, add_target, verb
from nbi.cli.text import visible
from nbi.client import NetconfClient
from nbi.protocol.names import CONFIGURATION_NS, qualified

_HEADING = f"{'':>5}  {'TIME (UTC)':<19}  {'USER':<12}  {'FROM':<24}  {'NODES':>5}  WHAT"


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("history", help="who committed what, when and from where")
    add_target(parser)
    parser.add_argument("-n", type=int, default=20, metavar="N", help="so many, the newest first (20)")
    parser.set_defaults(func=_run)


def need_history(model: Model, target: Target) -> None:
    """Raises TargetError where an element does not have the module."""
    if "aether-configuration" not in model.namespaces:
        raise TargetError(f"{target.name} keeps no history: it has no module aether-configuration")


def own_commit(client: NetconfClient, model: Model) -> str | None:
    """Number of this session's newest commit; None without a history that the user may read."""
    if "aether-configuration" not in model.namespaces:
        return None
    own = f"<netconf-session-id>{client.session_id}</netconf-session-id><number/>"
    data = client.get(f"<commits xmlns='{CONFIGURATION_NS}'><commit>{own}</commit></commits>")
    numbers = [leaf.text or "" for leaf in data.iter(qualified(CONFIGURATION_NS, "number"))]
    return max(numbers, key=int, default=None)


@verb
def _run(arguments: argparse.Namespace, client: NetconfClient, target: Target) -> int:
    need_history(learn(client, target), target)
    data = client.get(f"<commits xmlns='{CONFIGURATION_NS}'/>")
    commits = list(data.iter(qualified(CONFIGURATION_NS, "commit")))
    if sys.stdout.isatty() and commits:
        print(_HEADING)
    for commit in reversed(commits[-arguments.n :] if arguments.n > 0 else []):
        print(_line(commit))
    return 0


def _line(commit: etree._Element) -> str:
    def leaf(name: str) -> str:
        return visible(commit.findtext(qualified(CONFIGURATION_NS, name)) or "")

    who = leaf("user") or "-"
    came = " ".join(part for part in (leaf("transport"), leaf("peer")) if part)
    what = leaf("kind")
    if leaf("restores"):
        what += f" to {leaf('restores')}"
    if leaf("confirmed-commit"):
        what += f", {leaf('confirmed-commit')}"
    line = (
        f"{leaf('number'):>5}  {leaf('time')[:19]}  {who:<12}  {came:<24}  {leaf('changes') or 0:>5}  {what}"
    )
    return f"{line}  {leaf('comment')}".rstrip()

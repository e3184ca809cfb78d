"""``aether lab renew NODE`` and ``aether lab release NODE``: what a subscriber's DHCP client does next."""

from __future__ import annotations

import argparse
import signal

from lab.cli.common import add_folder_option, complete_nodes, lab_paths, verb
from lab.dhcpclient import RELEASE, RENEW, tell
from lab.instance import require_instance

_VERBS = (
    ("renew", RENEW, "a subscriber renews its address, or begins anew when it has none"),
    ("release", RELEASE, "a subscriber gives its address back, which ends its session; renew brings it back"),
)


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both verbs."""
    for name, number, text in _VERBS:
        parser = verbs.add_parser(name, help=text)
        add_folder_option(parser)
        node = parser.add_argument("node", metavar="NODE", help="a subscriber, as host-an-11-1")
        node.completer = complete_nodes  # type: ignore[attr-defined]
        parser.set_defaults(func=run, signal=number)


@verb
def run(arguments: argparse.Namespace) -> int:
    """0 when the client has been told; what comes of it is in its log."""
    paths = lab_paths(arguments)
    number: signal.Signals = arguments.signal
    tell(require_instance(paths), paths, arguments.node, number)
    print(
        f"told the DHCP client of {arguments.node}; `aether lab logs {arguments.node}` shows what comes of it"
    )
    return 0

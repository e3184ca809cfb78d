"""What the supervisor is told of each program, and how it starts one."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Probe:
    """When a program counts as ready.

    Attributes:
        log: a regular expression that its log must match, counted from this start.
        tcp: ports that accept a connection, from inside of its namespace.
        address: where those ports are.
    """

    log: str = ""
    tcp: tuple[int, ...] = ()
    address: str = "127.0.0.1"


@dataclass(frozen=True)
class ProcessSpec:
    """One program.

    Attributes:
        name: unique; also the name of its log file.
        node: the node of the topology that it runs on, empty for the machine itself.
        namespace: network namespace to run in, empty for the machine's.
        user: account to run as; root when empty.
        capabilities: what that account may do beyond its rights, as ``net_bind_service``.
        binds: (folder of the lab, place where this program alone sees it).
        oneshot: runs to its end; ready when it ended with 0, tried again otherwise.
        after: names of programs that must be ready first; it is stopped before them.
        uses: names of programs that it is stopped before, but starts beside: it waits for them itself.
        stop_signal: name of the signal that asks it to stop.
        stop_timeout: seconds until it is killed.
    """

    name: str
    node: str
    argv: tuple[str, ...]
    namespace: str = ""
    user: str = ""
    capabilities: tuple[str, ...] = ()
    binds: tuple[tuple[str, str], ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    oneshot: bool = False
    after: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    ready: Probe = Probe()
    stop_signal: str = "SIGTERM"
    stop_timeout: float = 5.0

    def command(self) -> list[str]:
        """The full command line. Every step becomes the next one: the process id is the program's."""
        command: list[str] = []
        if self.namespace:
            command += ["ip", "netns", "exec", self.namespace]
        if self.binds:
            command += ["sh", "-c", _BIND, "bind"]
            for source, target in self.binds:
                command += [source, target]
            command += ["--"]
        if self.user:
            command += ["setpriv", "--reuid", self.user, "--regid", self.user, "--init-groups"]
            if self.capabilities:
                granted = ",".join(f"+{name}" for name in self.capabilities)
                command += ["--inh-caps", granted, "--ambient-caps", granted]
            command += ["--"]
        return command + list(self.argv)


# `ip netns exec` gives the program a mount namespace of its own, so that these mounts are its alone. A folder
# that its account could not reach by path (a checkout below /root) is thereby where it expects it.
_BIND = """\
while [ "$1" != -- ]; do mkdir -p "$2" && mount --bind "$1" "$2" || exit 125; shift 2; done
shift; cd / && exec "$@"
"""


def python(module: str, *arguments: str) -> tuple[str, ...]:
    """Command line of a module of this package, with the interpreter that runs now."""
    return (sys.executable, "-m", module, *arguments)


def aether(*arguments: str) -> tuple[str, ...]:
    """Command line of the ``aether`` command of this environment."""
    return (sys.executable, "-m", "lab.cli", *arguments)


def dump_specs(specs: Iterable[ProcessSpec]) -> str:
    """JSON text of programs in their order."""
    return json.dumps([asdict(spec) for spec in specs], indent=2) + "\n"


def load_specs(text: str) -> list[ProcessSpec]:
    """The reverse; raises ValueError, KeyError or TypeError for other text."""
    return [_spec(entry) for entry in json.loads(text)]


def read_specs(path: Path) -> list[ProcessSpec]:
    """Programs of a file."""
    return load_specs(path.read_text())


def _spec(entry: dict[str, Any]) -> ProcessSpec:
    values = dict(entry)
    ready = values.pop("ready")
    values["argv"] = tuple(values["argv"])
    values["after"] = tuple(values["after"])
    values["uses"] = tuple(values["uses"])
    values["capabilities"] = tuple(values["capabilities"])
    values["binds"] = tuple((source, target) for source, target in values["binds"])
    probe = Probe(ready["log"], tuple(ready["tcp"]), ready["address"])
    return ProcessSpec(**values, ready=probe)

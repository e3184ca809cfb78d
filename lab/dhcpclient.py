"""Telling a subscriber's DHCP client to renew or to release its address."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from lab.errors import LabError
from lab.instance import Instance
from lab.paths import LabPaths
from lab.supervisor.spec import ProcessSpec, read_specs
from lab.supervisor.state import read_state, running

RENEW = signal.SIGUSR1
"""udhcpc asks for its lease again; without one it begins anew with a DHCPDISCOVER."""

RELEASE = signal.SIGUSR2
"""udhcpc sends a DHCPRELEASE and waits until it is told to renew."""

_PROGRAM = "udhcpc"


def tell(instance: Instance, paths: LabPaths, node: str, number: signal.Signals) -> None:
    """Send a signal to the client that the supervisor runs on a node, and to no other process.

    Raises LabError when the node is no subscriber or its client does not run.
    """
    clients = {spec.node: spec for spec in read_specs(paths.processes) if spec.argv[0] == _PROGRAM}
    if node not in clients:
        raise LabError(f'"{node}" is no subscriber of {instance.name}; subscribers: {", ".join(clients)}')
    state = read_state(paths.state)
    process = state.processes.get(node) if state is not None and running(state) else None
    pid = process.pid if process is not None else None
    not_running = LabError(f"the DHCP client of {node} does not run now; see `aether lab status`")
    if pid is None:
        raise not_running
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError as error:
        raise not_running from error
    try:
        # the number may belong to another process by now; that the descriptor refers to is looked at here
        if not _is_client(pid, clients[node]):
            raise not_running
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError as error:
        raise not_running from error
    finally:
        os.close(descriptor)


def _is_client(pid: int, spec: ProcessSpec) -> bool:
    """Whether a process is udhcpc itself (not yet the command that becomes it), in the node's namespace."""
    try:
        name = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode("utf-8", "replace")
        inside = Path(f"/proc/{pid}/ns/net").stat().st_ino
        return Path(name).name == _PROGRAM and inside == Path("/run/netns", spec.namespace).stat().st_ino
    except OSError:
        return False

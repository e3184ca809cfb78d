"""Building a topology out of namespaces, veth pairs and bridges, and removing all of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from lab.errors import LabError
from lab.netns.inside import NAMESPACES, disable_offloads, run_inside, set_sysctls
from lab.topology import BRIDGE, Node, Topology, mac_address

RESOLVERS = Path("/etc/netns")
"""``ip netns exec`` shows ``/etc/netns/<namespace>/resolv.conf`` as ``/etc/resolv.conf``."""

_QUIET = {
    # the lab is IPv4 only; without this every interface starts router solicitation and duplicate detection
    "net.ipv6.conf.all.disable_ipv6": "1",
    "net.ipv6.conf.default.disable_ipv6": "1",
    # bridged frames are not shown to the IP hooks: it costs, and a switch does not do it
    "net.bridge.bridge-nf-call-iptables": "0",
    "net.bridge.bridge-nf-call-arptables": "0",
    "net.bridge.bridge-nf-call-ip6tables": "0",
}


def create(topology: Topology) -> None:
    """Build everything; on failure, what was built is removed again."""
    try:
        _create(topology)
    except (OSError, subprocess.CalledProcessError) as error:
        remove(topology.namespaces())
        detail = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
        raise LabError(f"the network could not be built: {detail}") from error


def _create(topology: Topology) -> None:
    _ip("".join(f"netns add {namespace}\n" for namespace in topology.namespaces()))
    for node in topology.nodes.values():
        run_inside(topology.namespace(node.name), lambda: set_sysctls(_QUIET))
    _ip("".join(_link_commands(topology)))
    data_path: dict[str, list[str]] = {}
    for link in topology.links:
        if link.data_path:
            data_path.setdefault(link.node, []).append(link.interface)
            data_path.setdefault(link.peer, []).append(link.peer_interface)
    for node in topology.nodes.values():
        namespace = topology.namespace(node.name)
        interfaces = _interfaces(topology, node)
        _ip("".join(_node_commands(node, interfaces)), namespace)
        offloaded = data_path.get(node.name, [])
        run_inside(namespace, lambda node=node, names=offloaded: _settle(node, names))  # type: ignore[misc]
        if node.ruleset:
            _run(["ip", "netns", "exec", namespace, "nft", "-f", "-"], node.ruleset)
        if node.kind == "subscriber":
            directory = RESOLVERS / namespace
            directory.mkdir(parents=True, exist_ok=True)
            (directory / "resolv.conf").write_text("")


def _settle(node: Node, offloaded: list[str]) -> None:
    set_sysctls(node.sysctls)
    disable_offloads(offloaded)


def _interfaces(topology: Topology, node: Node) -> list[str]:
    own = [link.interface for link in topology.links if link.node == node.name]
    return own + [link.peer_interface for link in topology.links if link.peer == node.name]


def _link_commands(topology: Topology) -> Iterable[str]:
    for link in topology.links:
        yield (
            f"link add name {link.interface} address {mac_address(link.node, link.interface)} mtu 1500"
            f" netns {topology.namespace(link.node)} type veth"
            f" peer name {link.peer_interface} address {mac_address(link.peer, link.peer_interface)} mtu 1500"
            f" netns {topology.namespace(link.peer)}\n"
        )


def _node_commands(node: Node, interfaces: list[str]) -> Iterable[str]:
    yield "link set lo up\n"
    if node.bridge_ports:
        mac = mac_address(node.name, BRIDGE)
        yield f"link add name {BRIDGE} address {mac} type bridge stp_state 0 mcast_snooping 0\n"
        for port in node.bridge_ports:
            yield f"link set dev {port.interface} master {BRIDGE}\n"
            if port.isolated:
                yield f"link set dev {port.interface} type bridge_slave isolated on\n"
        yield f"link set dev {BRIDGE} up\n"
    for interface in interfaces:
        yield f"link set dev {interface} up\n"
    for address in node.addresses:
        yield f"address add {address.cidr} dev {address.interface}\n"
    for route in node.routes:
        yield f"route add {route.prefix} via {route.via}\n"


def _ip(commands: str, namespace: str | None = None) -> None:
    _run(["ip", *(["-n", namespace] if namespace else []), "-batch", "-"], commands)


def _run(command: list[str], text: str) -> None:
    subprocess.run(command, input=text, text=True, check=True, capture_output=True)


def existing(namespaces: Iterable[str]) -> list[str]:
    """Those that exist."""
    return [namespace for namespace in namespaces if (NAMESPACES / namespace).exists()]


def processes_in(namespace: str) -> list[int]:
    """Processes whose main thread is in a namespace."""
    try:
        wanted = (NAMESPACES / namespace).stat()
    except OSError:
        return []
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            status = (entry / "ns/net").stat()
            if (status.st_dev, status.st_ino) == (wanted.st_dev, wanted.st_ino):
                found.append(int(entry.name))
    return found


def end_processes(namespaces: Iterable[str], patience: float = 3.0) -> int:
    """End what still runs in these namespaces: SIGTERM, then SIGKILL; returns how many there were."""
    present = existing(namespaces)
    ended: set[int] = set()
    deadline = time.monotonic() + patience
    while True:
        pids = {pid for namespace in present for pid in processes_in(namespace)}
        if not pids:
            return len(ended)
        final = time.monotonic() > deadline
        for pid in pids if final else pids - ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL if final else signal.SIGTERM)
        ended |= pids
        time.sleep(0.05)


def remove(namespaces: Iterable[str]) -> None:
    """Remove namespaces with all that is in them; those that do not exist are skipped."""
    present = existing(namespaces)
    end_processes(present)
    if present:
        _ip("".join(f"netns delete {namespace}\n" for namespace in present))
    for namespace in namespaces:
        shutil.rmtree(RESOLVERS / namespace, ignore_errors=True)
    with contextlib.suppress(OSError):
        RESOLVERS.rmdir()  # only when nobody else has a namespace with a resolv.conf

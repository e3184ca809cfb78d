"""The state of a running lab, as ``aether lab status`` tells it: for people and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lab import observe, topology
from lab.config import LabConfig
from lab.config.model import circuit_id
from lab.instance import Instance
from lab.paths import LabPaths
from lab.render.files import client_certificate, database_url
from lab.secrets import CONSOLE_USER, Secrets, load_secrets
from lab.supervisor.spec import ProcessSpec, read_specs
from lab.supervisor.state import Phase, ProcessState, read_state, running

_UP = (Phase.READY, Phase.DONE)


@dataclass(frozen=True)
class Subscriber:
    """One access port.

    Attributes:
        plan: profile of the live session, else the plan of the file, None where there is neither.
        reason: why it is offline, empty when it is online.
    """

    name: str
    netns: str
    bng: str
    remote_id: str
    circuit_id: str
    ip: str | None
    plan: str | None
    online: bool
    reason: str


@dataclass(frozen=True)
class Program:
    """One program of the supervisor."""

    spec: ProcessSpec
    state: ProcessState

    @property
    def up(self) -> bool:
        """Whether it does what it is there for."""
        return self.state.phase in _UP


@dataclass(frozen=True)
class Status:
    """Everything at one moment.

    Attributes:
        bng_pids: the processes of each BNG by what they are: run, control, management.
        trouble: why sessions could not be observed, empty when they were.
    """

    instance: Instance
    config: LabConfig
    secrets: Secrets
    programs: tuple[Program, ...]
    subscribers: tuple[Subscriber, ...]
    bng_pids: dict[str, dict[str, int]]
    trouble: str

    @property
    def ready(self) -> bool:
        """Every program is up and every subscriber with a service is online."""
        return bool(self.programs) and all(program.up for program in self.programs) and not self.waiting_for()

    def waiting_for(self) -> list[Subscriber]:
        """Subscribers that have a service and are not online."""
        return [one for one in self.subscribers if one.plan is not None and not one.online]

    def dsn(self, name: str) -> str:
        """DSN of a database from this machine."""
        published = self.instance.published
        return database_url(self.secrets, name, published.address, published.postgres)

    @property
    def console_url(self) -> str:
        """Where the console is."""
        return f"http://{self.instance.published.address}:{self.instance.published.console}"


def collect(instance: Instance, paths: LabPaths) -> Status:
    """Observe a lab."""
    config = instance.config()
    secrets = load_secrets(paths.secrets)
    programs = _programs(paths)
    published = instance.published
    found: dict[observe.Line, observe.Session] = {}
    trouble = ""
    try:
        found = observe.sessions(database_url(secrets, "oss", published.address, published.postgres))
    except observe.ObservationError as error:
        trouble = str(error)
    subscribers = tuple(_subscribers(config, found))
    pids = {program.spec.name: program.state.pid for program in programs}
    bng_pids = {
        bng.bng_id: _bng_pids(paths.bng_state(bng.bng_id), pids.get(bng.bng_id)) for bng in config.bngs
    }
    return Status(instance, config, secrets, programs, subscribers, bng_pids, trouble)


def _bng_pids(state: Path, running_pid: int | None) -> dict[str, int]:
    """What a BNG says of its own processes; empty while this run of it has said nothing."""
    try:
        listed = json.loads((state / "pids.json").read_text())
        pids = {str(role): int(pid) for role, pid in listed.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    return pids if pids.get("run") == running_pid else {}


def _programs(paths: LabPaths) -> tuple[Program, ...]:
    state = read_state(paths.state)
    known = state.processes if state is not None and running(state) else {}
    gone = ProcessState(Phase.STOPPED)
    return tuple(Program(spec, known.get(spec.name, gone)) for spec in read_specs(paths.processes))


def _subscribers(config: LabConfig, found: dict[observe.Line, observe.Session]) -> list[Subscriber]:
    listed = []
    plan = topology.build(config)
    for bng in config.bngs:
        for node in bng.access_nodes:
            for port, _ in topology.subscriber_ports(node):
                name = topology.host_name(node.remote_id, port)
                namespace = plan.namespace(name)
                circuit = circuit_id(port)
                service = config.service_at(node.remote_id, port)
                session = found.get((bng.bng_id, node.remote_id, circuit))
                address = observe.subscriber_address(namespace)
                online = observe.is_online(address, session)
                reason = "" if online else observe.offline_reason(address, session)
                listed.append(
                    Subscriber(
                        name,
                        namespace,
                        bng.bng_id,
                        node.remote_id,
                        circuit,
                        address,
                        observe.profile(session) or (None if service is None else service.plan),
                        online,
                        reason,
                    )
                )
    return listed


def as_json(status: Status) -> dict[str, Any]:
    """The contract of ``aether lab status --json``."""
    config, published = status.config, status.instance.published
    states = {program.spec.name: program for program in status.programs}
    bngs = []
    for bng, netconf, gnmi in zip(config.bngs, published.netconf, published.gnmi, strict=True):
        login = {"username": "admin", "password": status.secrets.bng(bng.bng_id, "admin")}
        program = states[bng.bng_id]
        bngs.append(
            {
                "id": bng.bng_id,
                "netns": program.spec.namespace,
                "pid": program.state.pid,
                "pids": status.bng_pids[bng.bng_id],
                "netconf": {"host": published.address, "port": netconf, **login},
                "gnmi": {
                    "host": published.address,
                    "port": gnmi,
                    **login,
                    "ca": str(status.secrets.ca),
                    **client_certificate(config, status.secrets),
                },
            }
        )
    subscribers = [asdict(one) for one in status.subscribers]
    for entry in subscribers:
        del entry["reason"]
    return {
        "ready": status.ready,
        "console": {
            "url": status.console_url,
            "username": CONSOLE_USER,
            "password": status.secrets.console,
        },
        "postgres": {name: status.dsn(name) for name in ("oss", "radius", "dhcp")},
        "bngs": bngs,
        "subscribers": subscribers,
        "services": [_service(program, status) for program in _services(status)],
        "internet": {
            "ip": str(config.upstream.internet_host),
            "iperf3_port": config.upstream.iperf3_port,
            "http_port": config.upstream.http_port,
        },
    }


def _services(status: Status) -> list[Program]:
    """Long-running programs other than the BNGs, the subscribers' DHCP clients among them."""
    others = {bng.bng_id for bng in status.config.bngs}
    return [
        program for program in status.programs if program.spec.name not in others and not program.spec.oneshot
    ]


def _service(program: Program, status: Status) -> dict[str, Any]:
    # the publisher starts on the machine and moves into the management namespace
    namespace = program.spec.namespace or f"{status.instance.name}-mgmt"
    return {
        "name": program.spec.name,
        "netns": namespace,
        "pid": program.state.pid,
        "up": program.up,
    }


def as_text(status: Status) -> list[str]:
    """Lines for a person."""
    lines = [f"lab {status.instance.name}: {'ready' if status.ready else 'not ready'}", ""]
    lines.append(f"{'PROGRAM':<20} {'STATE':<10} {'PID':<8} {'RESTARTS':<9} NAMESPACE")
    for program in status.programs:
        state = program.state
        if program.spec.oneshot and program.up:
            continue
        note = f"  (last: {state.exit})" if state.exit else ""
        lines.append(
            f"{program.spec.name:<20} {state.phase:<10} {state.pid or '-':<8} {state.restarts:<9} "
            f"{program.spec.namespace or '-'}{note}"
        )
    lines += ["", f"{'SUBSCRIBER':<20} {'LINE':<24} {'PLAN':<10} {'ADDRESS':<16} ONLINE"]
    for one in status.subscribers:
        line = f"{one.bng}/{one.remote_id}/{one.circuit_id}"
        online = "yes" if one.online else f"no: {one.reason}"
        lines.append(f"{one.name:<20} {line:<24} {one.plan or '-':<10} {one.ip or '-':<16} {online}")
    waiting = status.waiting_for()
    if waiting:
        name = waiting[0].name
        again = f"aether lab renew {name}"
        if waiting[0].ip is not None:
            again = f"aether lab release {name} && {again}"
        lines.append(f"what was disconnected or released begins anew with: {again}")
    if status.trouble:
        lines += ["", f"sessions could not be read: {status.trouble}"]
    return [*lines, "", *access_lines(status)]


def access_lines(status: Status) -> list[str]:
    """How to get in."""
    published = status.instance.published
    lines = [f"console   {status.console_url}  user {CONSOLE_USER}  password {status.secrets.console}"]
    for bng, netconf, gnmi in zip(status.config.bngs, published.netconf, published.gnmi, strict=True):
        lines.append(
            f"{bng.bng_id:<9} NETCONF {published.address}:{netconf}  gNMI {published.address}:{gnmi}  "
            f"user admin  password {status.secrets.bng(bng.bng_id, 'admin')}"
        )
    lines.append(f"internet  {status.config.upstream.internet_host} as the subscribers see it")
    return lines

"""Bringing a lab up and down."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from lab import tools, topology
from lab.config import LabConfig
from lab.errors import LabError
from lab.instance import Instance, forget_instance, load_instance, owner, save_instance
from lab.logins import netconf_logins
from lab.netns import network
from lab.paths import LabPaths
from lab.ports import choose_ports, forwards
from lab.processes import processes
from lab.publish import dump_forwards
from lab.render import Change, render, rendered_digest, write
from lab.secrets import ensure_secrets
from lab.supervisor.spec import dump_specs
from lab.supervisor.state import read_state, running

Say = Callable[[str], None]
"""Takes one line of progress."""

_STOP_PATIENCE = 60.0
"""Seconds that the supervisor may take to stop everything in order."""

_FOLDERS = {"postgres": "postgres", "kea/etc": "_kea", "kea/run": "_kea", "radius/raddb": "freerad"}
"""Folders that programs without root's rights live in, and whose they are."""


@contextlib.contextmanager
def exclusive(paths: LabPaths) -> Iterator[None]:
    """Keep other ``up`` and ``down`` of the same state folder out; raises LabError when one is at work."""
    try:
        paths.root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"the state folder {paths.root} cannot be made: {error.strerror}") from None
    with (paths.root / "lab.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LabError(f"another `aether lab` is at work in {paths.root}; wait for it") from error
        yield


def start(config: LabConfig, paths: LabPaths, say: Say) -> Instance:
    """Build and start everything, without waiting for it to be ready.

    A lab that runs from the same configuration is left alone; one that runs from another is stopped first.
    Raises LabError.
    """
    if os.geteuid() != 0:
        raise LabError("network namespaces need root; run it with sudo")
    tools.check_programs()
    secrets = ensure_secrets(config, paths.secrets)
    artefacts = render(config, secrets)
    digest = rendered_digest(artefacts)
    before = load_instance(paths)
    if before is not None:
        if before.digest == digest and running(read_state(paths.state)):
            say("already running from this configuration")
            return before
        reason = "the configuration has changed" if before.digest != digest else "its supervisor is gone"
        say(f"{reason}: stopping what runs")
        stop(paths, say)
    plan = topology.build(config)
    _check_name(config, paths, plan.namespaces())
    published = choose_ports(config)
    changed = write(artefacts, paths.root, paths.rendered)
    _prepare_folders(config, paths, changed)
    specs = processes(config, plan, paths)
    _private_file(paths.processes, dump_specs(specs))
    namespace = plan.namespace("mgmt")
    _private_file(paths.root / "publish.json", dump_forwards(namespace, forwards(config, published)))
    _private_file(paths.logins, netconf_logins(config, published, secrets))
    text = config.path.read_text()
    instance = Instance(config.name, digest, tuple(plan.namespaces()), published, str(config.path), text)
    save_instance(paths, instance)
    began = time.monotonic()
    network.create(plan)
    say(f"network: {len(plan.nodes)} nodes, {len(plan.links)} links ({time.monotonic() - began:.1f} s)")
    _start_supervisor(paths)
    say(f"{len(specs)} programs are starting; logs in {paths.logs}")
    return instance


def _check_name(config: LabConfig, paths: LabPaths, namespaces: list[str]) -> None:
    """Namespaces of our names are leftovers of ours, or somebody else's lab."""
    present = network.existing(namespaces)
    if not present:
        return
    other = owner(config.name)
    if other is not None and other != paths.root and running(read_state(LabPaths(other).state)):
        raise LabError(
            f'a lab named "{config.name}" runs from {other}; stop it, or change lab.name in {config.path}'
        )
    network.remove(namespaces)


def _prepare_folders(config: LabConfig, paths: LabPaths, changed: list[Change]) -> None:
    paths.root.chmod(0o700)  # programs write secrets into their logs
    paths.logs.mkdir(exist_ok=True)
    for name, account in _FOLDERS.items():
        folder = paths.root / name
        folder.mkdir(parents=True, exist_ok=True)
        try:
            entry = pwd.getpwnam(account)
        except KeyError as error:
            raise LabError(f"the account {account} is missing; run `make setup`") from error
        os.chown(folder, entry.pw_uid, entry.pw_gid)
        folder.chmod(0o700)
    renewed = {change.path for change in changed}
    for bng in config.bngs:
        paths.bng(bng.bng_id).mkdir(parents=True, exist_ok=True)
        if f"bng/{bng.bng_id}/startup.json" in renewed:
            # the file is the source of truth: what was configured over NETCONF since gives way to it
            for name in ("running.json", "startup.json"):
                (paths.bng_state(bng.bng_id) / "config" / name).unlink(missing_ok=True)


def _private_file(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _start_supervisor(paths: LabPaths) -> None:
    paths.state.unlink(missing_ok=True)
    with (paths.logs / "supervisor.log").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "lab.supervisor", str(paths.root)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
        )
    deadline = time.monotonic() + 10
    while not running(read_state(paths.state)):
        if process.poll() is not None or time.monotonic() > deadline:
            raise LabError(f"the supervisor did not start; see {paths.logs / 'supervisor.log'}")
        time.sleep(0.02)


def stop(paths: LabPaths, say: Say) -> bool:
    """End every program, remove every namespace; False when there was nothing. Idempotent."""
    instance = load_instance(paths)
    if instance is None:
        return False
    _stop_supervisor(paths, say)
    left = network.end_processes(instance.namespaces)
    if left:
        say(f"ended {left} processes that were left in the lab's namespaces")
    network.remove(instance.namespaces)
    paths.state.unlink(missing_ok=True)
    forget_instance(paths, instance.name)
    return True


def _stop_supervisor(paths: LabPaths, say: Say) -> None:
    state = read_state(paths.state)
    if state is None or not running(state):
        return
    say("stopping the programs")
    os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_PATIENCE
    while running(state):
        if time.monotonic() > deadline:
            say("the supervisor does not stop: killing it")
            os.kill(state.pid, signal.SIGKILL)
            return
        time.sleep(0.05)


def purge(paths: LabPaths) -> None:
    """Remove databases, secrets, logs and states of a stopped lab."""
    if load_instance(paths) is not None:
        raise LabError("the lab is up; stop it first")
    for entry in paths.root.iterdir() if paths.root.exists() else ():
        if entry.name == "lab.lock":
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()

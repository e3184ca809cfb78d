"""A running lab as its users have it: what `aether lab status --json` publishes, and nothing else."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ncclient import manager
from ncclient.xml_ import to_ele

from tests.support.waiting import wait_for

SESSIONS = "urn:aether:yang:aether-subscriber"
SHAPING = "urn:aether:yang:aether-shaping"
BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
YANG_1_1 = "urn:ietf:params:xml:ns:yang:1"

Json = dict[str, Any]


def gnmic_binary() -> str | None:
    """Where gnmic is: on PATH, or where `make setup` puts it."""
    cached = Path.home() / ".cache" / "aether" / "bin" / "gnmic"
    return shutil.which("gnmic") or (str(cached) if cached.exists() else None)


def until(what: str, check: Callable[[], Any], seconds: float = 30, every: float = 0.2) -> Any:
    """As `wait_for`, looking less often: most looks are a NETCONF session."""
    return wait_for(what, check, seconds, every)


def inside(netns: str, *command: str, timeout: float = 60, check: bool = True) -> str:
    """Run a command in a namespace; its standard output."""
    ended = subprocess.run(
        ["ip", "netns", "exec", netns, *command], capture_output=True, text=True, timeout=timeout, check=False
    )
    if check and ended.returncode:
        raise AssertionError(f"{command} in {netns}: {ended.stdout[-500:]} {ended.stderr[-500:]}")
    return ended.stdout


class Lab:
    """The lab's status, and short ways to talk to it."""

    def __init__(self, status: Callable[[], Json]) -> None:
        self._status = status
        self.status = status()

    def refresh(self) -> Json:
        self.status = self._status()
        return self.status

    def bng(self, bng_id: str) -> Json:
        return next(bng for bng in self.status["bngs"] if bng["id"] == bng_id)

    def subscriber(self, plan: str | None, nth: int = 0) -> Json:
        """The nth subscriber with this plan; None: the one without a service."""
        return [s for s in self.status["subscribers"] if s["plan"] == plan][nth]

    def username(self, subscriber: Json) -> str:
        return f"{subscriber['bng']}/{subscriber['remote_id']}/{subscriber['circuit_id']}"

    def bng_alive(self, bng_id: str, role: str, before: int) -> bool:
        """Whether that process of the BNG is there again, under another pid."""
        return (self.refresh() and self.bng(bng_id)["pids"].get(role)) not in (None, before)

    # -- traffic

    def ping(self, subscriber: Json, count: int = 2) -> bool:
        """Whether the internet host answers."""
        command = ["ping", "-n", "-c", str(count), "-i", "0.2", "-W", "1", self.status["internet"]["ip"]]
        output = inside(subscriber["netns"], *command, check=False)
        return " 0% packet loss" in output

    def goodput(self, subscriber: Json, *, download: bool, seconds: int = 5) -> float:
        """TCP goodput in Mbit/s, the first second left out."""
        internet = self.status["internet"]
        command = ["iperf3", "-c", internet["ip"], "-p", str(internet["iperf3_port"]), "-J"]
        command += ["-O", "1", "-t", str(seconds), *(["-R"] if download else [])]
        for _ in range(5):  # one test at a time: the server says so when it is busy
            result = json.loads(inside(subscriber["netns"], *command, check=False) or "{}")
            if "end" in result and result["end"].get("sum_received"):
                return float(result["end"]["sum_received"]["bits_per_second"]) / 1e6
            time.sleep(1)
        raise AssertionError(f"iperf3: {result.get('error', result)}")

    # -- NETCONF

    @contextmanager
    def netconf(self, bng_id: str) -> Iterator[manager.Manager]:
        at = self.bng(bng_id)["netconf"]
        with manager.connect(
            host=at["host"],
            port=at["port"],
            username=at["username"],
            password=at["password"],
            hostkey_verify=False,
            allow_agent=False,
            look_for_keys=False,
            timeout=30,
        ) as session:
            yield session

    def session(self, subscriber: Json) -> dict[str, str] | None:
        """Leaves of the live session of a subscriber, from its BNG over NETCONF."""
        with self.netconf(subscriber["bng"]) as session:
            reply = session.get(("subtree", f'<sessions xmlns="{SESSIONS}"/>'))
        for entry in reply.data_ele.iter(f"{{{SESSIONS}}}session"):
            leaves = {leaf.tag.rpartition("}")[2]: leaf.text or "" for leaf in entry.iter() if len(leaf) == 0}
            if all(
                leaves[name.replace("_", "-")] == subscriber[name] for name in ("remote_id", "circuit_id")
            ):
                return leaves
        return None

    def action(self, subscriber: Json, name: str, content: str = "") -> Any:
        """An action on the subscriber's live session."""
        session = self.session(subscriber)
        assert session, f"{subscriber['name']} has no session"
        body = (
            f'<action xmlns="{YANG_1_1}"><sessions xmlns="{SESSIONS}"><session><id>{session["id"]}</id>'
            f"<{name}>{content}</{name}></session></sessions></action>"
        )
        with self.netconf(subscriber["bng"]) as manager_:
            return manager_.dispatch(to_ele(body))

    # -- gNMI

    def gnmic(self, bng_id: str, *arguments: str, timeout: float = 30) -> list[str]:
        """The command line of gnmic for a BNG."""
        binary = gnmic_binary()
        assert binary, "gnmic is not installed: `make setup` builds it where Go is"
        at = self.bng(bng_id)["gnmi"]
        common = ["-a", f"{at['host']}:{at['port']}", "-u", at["username"], "-p", at["password"]]
        return [binary, *common, "--tls-ca", at["ca"], "--timeout", f"{timeout:.0f}s", *arguments]

    def gnmi(self, bng_id: str, *arguments: str) -> str:
        """Run gnmic to its end; its standard output."""
        ended = subprocess.run(
            self.gnmic(bng_id, *arguments), capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode == 0, ended.stderr[-2000:]
        return ended.stdout

    # -- OSS

    def oss(self) -> Oss:
        console = self.status["console"]
        return Oss(console["url"], console["username"], console["password"])


class Oss:
    """The OSS API with a session of its own."""

    def __init__(self, url: str, username: str, password: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._headers: dict[str, str] = {}
        me = self.post("/api/auth/login", {"username": username, "password": password})
        self._headers["X-CSRF-Token"] = me["csrf_token"]

    def call(self, method: str, path: str, body: Any = None, expect: int | None = None) -> Any:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=60)
        headers = {"Content-Type": "application/json", **self._headers}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        cookie = answer.getheader("Set-Cookie")
        if cookie:
            self._headers["Cookie"] = cookie.partition(";")[0]
        ok = answer.status == expect if expect else answer.status < 300
        assert ok, f"{method} {path}: {answer.status} {text[:500]}"
        return json.loads(text) if text else None

    def get(self, path: str) -> Any:
        return self.call("GET", path)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self.call("POST", path, body)

    def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        return self.call("PATCH", path, body)


class Stream:
    """A command whose lines are collected while it runs."""

    def __init__(self, command: list[str]) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    def text(self) -> str:
        return "\n".join(self.lines)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process.poll() is None:
            os.kill(self._process.pid, how)
        self._process.wait(10)
        self._thread.join(5)

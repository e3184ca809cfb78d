"""A BNG between subscribers, servers and the Internet, each in a network namespace of its own.

s: subscribers ─ s0 ── sub0 ─ b: BNG ─ up0 ── w0 ─ w: Internet
                                └ dhcp0 ── m0 ─ m: Kea, FreeRADIUS
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ncclient import manager

from tests.support.dhcp_client import Subscriber, Subscribers
from tests.support.netns import Namespaces
from tests.support.servers import PASSWORD, SECRET, FreeRadius, Kea, wait_for

GATEWAY = "10.64.0.1"
INTERNET = "198.51.100.2"
NETCONF_PORT, GNMI_PORT = 8830, 9339
"""Below the ports that the kernel gives to who connects: a client that tries on and on may get its own."""
ADMIN, ADMIN_PASSWORD = "admin", "secret-of-admin"


def startup(*, lease_api: bool = False, **timers: int) -> dict[str, Any]:
    """The BNG's configuration, as a lab would render it."""
    server: dict[str, Any] = {"address": "192.0.2.2"}
    if lease_api:
        server["lease-api"] = {"username": "bng", "password": PASSWORD, "page-size": 10}
    address = {"ietf-ip:ipv4": {"address": [{"ip": GATEWAY, "prefix-length": 16}]}}
    uplink = {"ietf-ip:ipv4": {"address": [{"ip": "192.0.2.1", "prefix-length": 24}]}}
    upstream = {"ietf-ip:ipv4": {"address": [{"ip": "198.51.100.1", "prefix-length": 24}]}}
    ethernet = {"type": "iana-if-type:ethernetCsmacd", "enabled": True}
    return {
        "ietf-interfaces:interfaces": {
            "interface": [
                {"name": "sub0", **ethernet, **address},
                {"name": "up0", **ethernet, **upstream},
                {"name": "dhcp0", **ethernet, **uplink},
            ]
        },
        "aether-bng:bng": {
            "identity": {"bng-id": "bng-01"},
            "interfaces": {"subscriber": ["sub0"], "upstream": "up0", "dhcp-uplink": "dhcp0"},
            "routing": {"default-gateway": INTERNET},
            "dhcp-relay": {"server": [server], "rate-limit": 1000},
            "aaa": {
                "user-password": PASSWORD,
                "server": [{"name": "radius", "address": "192.0.2.2", "secret": SECRET, "timeout": 1000}],
                "interim-interval": 10,
                "auth-retry-interval": 2,
            },
            "timers": {"counters": 1, "health": 1, "reconcile": 5, "router-probe": 1, **timers},
            "management": {
                "netconf": {"listen": ["127.0.0.1"], "port": NETCONF_PORT},
                "gnmi": {"listen": ["127.0.0.1"], "port": GNMI_PORT},
            },
        },
        "aether-shaping:shaping-profiles": {
            "profile": [
                {"name": "gold", "download": {"rate": "50000000"}, "upload": {"rate": "20000000"}},
                {"name": "bronze", "download": {"rate": "5000000"}, "upload": {"rate": "2000000"}},
            ]
        },
        "aether-access-router:access-routers": {
            "access-router": [{"name": "first", "remote-id": "node-1", "interface": "sub0"}]
        },
        "ietf-system:system": {
            "authentication": {
                "user-authentication-order": ["ietf-system:local-users"],
                "user": [{"name": ADMIN, "password": hashed(ADMIN_PASSWORD)}],
            }
        },
        "ietf-netconf-acm:nacm": {
            "groups": {"group": [{"name": "admin", "user-name": [ADMIN]}]},
            "rule-list": [
                {
                    "name": "admin",
                    "group": ["admin"],
                    "rule": [
                        {"name": "all", "module-name": "*", "access-operations": "*", "action": "permit"}
                    ],
                }
            ],
        },
    }


def hashed(password: str) -> str:
    """A crypt-hash of a password, with few rounds: tests log in often."""
    done = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"], input=password, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def users(**special: str) -> str:
    """A users file: access line n of node-1 gets profile gold unless `special` has ``line_<n>``."""
    lines = []
    for name, text in special.items():
        number = name.removeprefix("line_")
        lines.append(f'"bng-01/node-1/1/0/{number}" {text}\n')
    lines.append(f'DEFAULT Cleartext-Password := "{PASSWORD}"\n\tFilter-Id = "gold", Class = 0x626c7565\n')
    return "\n".join(lines)


class World:
    """The namespaces with their servers, and the BNG's processes."""

    def __init__(
        self,
        namespaces: Namespaces,
        folder: Path,
        radius_users: str,
        *,
        lease_api: bool = False,
        **timers: int,
    ) -> None:
        self.namespaces = namespaces
        self.folder = folder
        self.state_dir = folder / "bng"
        self.config = folder / "startup.json"
        self.config.write_text(json.dumps(startup(lease_api=lease_api, **timers)))
        self._plumb()
        self.kea = Kea(
            namespaces,
            "m",
            folder / "kea",
            interface="m0",
            subnet="10.64.0.0/16",
            pool="10.64.1.0 - 10.64.250.255",
            router=GATEWAY,
            lease_api="192.0.2.2" if lease_api else "",
        )
        self.radius = FreeRadius(
            namespaces, "m", folder / "radius", address="192.0.2.2", clients="192.0.2.1", users=radius_users
        )
        self.subscribers: Subscribers = namespaces.inside("s", lambda: Subscribers("s0"))
        self.bng: subprocess.Popen[Any] | None = None

    def _plumb(self) -> None:
        n = self.namespaces
        n.veth("b", "sub0", "s", "s0")
        n.veth("b", "up0", "w", "w0")
        n.veth("b", "dhcp0", "m", "m0")
        n.ip("m", "address", "add", "192.0.2.2/24", "dev", "m0")
        n.ip("w", "address", "add", f"{INTERNET}/24", "dev", "w0")
        n.ip("w", "route", "add", "10.64.0.0/16", "via", "198.51.100.1")

    # the BNG

    def start(self) -> None:
        """Start the BNG and wait until it serves."""
        recovered = self.log().count('"recovery.done"')
        self.start_processes()
        wait_for("NETCONF and gNMI are served", self.is_up, 40)
        wait_for("control is ready", lambda: self.log().count('"recovery.done"') > recovered, 20)

    def start_processes(self) -> None:
        """Start the BNG."""
        with (self.folder / "bng.log").open("a") as log:
            self.bng = self.namespaces.start(
                "b", sys.executable, "-m", "bng.cli", "run", "--config", str(self.config),
                "--state-dir", str(self.state_dir), stderr=log, stdout=log,
            )  # fmt: skip

    def stop(self) -> None:
        """End the BNG as a supervisor does."""
        assert self.bng is not None
        self.bng.terminate()
        self.bng.wait(60)

    def log(self) -> str:
        path = self.folder / "bng.log"
        return path.read_text() if path.exists() else ""

    def is_up(self) -> bool:
        return self.can_connect(NETCONF_PORT) and self.can_connect(GNMI_PORT)

    def can_connect(self, port: int) -> bool:
        try:
            self.connect(port).close()
        except OSError:
            return False
        return True

    def connect(self, port: int) -> socket.socket:
        """A TCP connection to a port of the BNG."""
        return self.namespaces.inside("b", lambda: socket.create_connection(("127.0.0.1", port), 5))

    def pid(self, process: str) -> int:
        """Process id of ``control`` or ``management``."""
        return int(json.loads((self.state_dir / "pids.json").read_text())[process])

    def kill(self, process: str) -> int:
        """kill -9 of control or management; waits until another one runs. Returns its pid."""
        old = self.pid(process)
        os.kill(old, signal.SIGKILL)

        def restarted() -> int:
            with contextlib.suppress(KeyError, FileNotFoundError, ValueError):
                pid = self.pid(process)
                return pid if pid != old else 0
            return 0

        return int(str(wait_for(f"{process} is started again", restarted, 20)))

    @contextlib.contextmanager
    def netconf(self) -> Iterator[manager.Manager]:
        """A NETCONF session by ncclient."""
        with manager.connect_ssh(
            sock=self.connect(NETCONF_PORT), host="bng", username=ADMIN, password=ADMIN_PASSWORD,
            hostkey_verify=False, allow_agent=False, look_for_keys=False, timeout=30,
        ) as session:  # fmt: skip
            yield session

    # subscribers

    def attach(self, *numbers: int) -> list[Subscriber]:
        """Bring subscribers up by DHCP."""
        wanted = [Subscriber(number) for number in numbers]
        bound = self.subscribers.exchange(wanted, within=30)
        assert bound == wanted, f"only {len(bound)} of {len(wanted)} got an address"
        return bound

    def listen_again(self) -> None:
        """The subscribers' end of their link was made anew."""
        self.subscribers.close()
        self.subscribers = self.namespaces.inside("s", lambda: Subscribers("s0"))

    def give_address(self, subscriber: Subscriber) -> None:
        """Let the kernel of the subscribers' namespace speak with a subscriber's addresses."""
        n = self.namespaces
        n.ip("s", "link", "set", "s0", "address", subscriber.mac_text)
        n.ip("s", "address", "flush", "dev", "s0")
        n.ip("s", "address", "replace", f"{subscriber.address}/16", "dev", "s0")
        n.ip("s", "route", "replace", "default", "via", GATEWAY)

    def ping(self, count: int = 3, interval: float = 0.1, size: int = 56) -> tuple[int, int]:
        """(sent, answered) echo requests from the subscribers to the Internet."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.namespaces.name("s"), "ping", "-q", "-c", str(count),
             "-i", str(interval), "-W", "1", "-s", str(size), INTERNET],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        line = next(line for line in done.stdout.splitlines() if "packets transmitted" in line)
        words = line.replace(",", "").split()
        return int(words[0]), int(words[3])


@contextlib.contextmanager
def world(
    folder: Path, radius_users: str | None = None, *, lease_api: bool = False, **timers: int
) -> Iterator[World]:
    """A world whose BNG is not started yet; all is removed at the end."""
    with Namespaces("b", "s", "w", "m") as namespaces:
        made = World(
            namespaces,
            folder,
            users() if radius_users is None else radius_users,
            lease_api=lease_api,
            **timers,
        )
        try:
            yield made
        finally:
            made.subscribers.close()
            if made.bng is not None and made.bng.poll() is None:
                made.stop()


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as place, world(Path(place)) as here:
        here.start()
        print(here.namespaces.prefix, place, here.attach(1, 2, 3))
        time.sleep(3600)

"""Kea and FreeRADIUS for tests, with configurations that fit on a screen."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from bng.aaa.dictionary import VENDOR_FILE
from tests.support.netns import Namespaces
from tests.support.waiting import wait_for

SECRET = "not-a-secret"
PASSWORD = "line"
_HOOKS = sorted(Path("/usr/lib").glob("*/kea/hooks/libdhcp_lease_cmds.so"))


class Kea:
    """kea-dhcp4 with leases in memory.

    Args:
        subnet, pool, relay: the one subnet; `relay` is the address by which requests choose it.
        lease_api: address at which the control agent listens; none is started without.
    """

    def __init__(
        self,
        namespaces: Namespaces,
        key: str,
        folder: Path,
        *,
        interface: str,
        subnet: str,
        pool: str,
        router: str,
        lifetime: int = 3600,
        lease_api: str = "",
    ) -> None:
        self.folder = folder
        self._namespaces, self._key, self._lease_api = namespaces, key, lease_api
        folder.mkdir(parents=True, exist_ok=True)
        # the path of a Unix socket is short
        self._place = tempfile.TemporaryDirectory(prefix="kea")
        self.socket = f"{self._place.name}/kea.sock"
        config = {
            "Dhcp4": {
                "interfaces-config": {"interfaces": [interface], "dhcp-socket-type": "udp"},
                "lease-database": {"type": "memfile", "persist": False},
                "valid-lifetime": lifetime,
                "multi-threading": {"enable-multi-threading": False},
                "sanity-checks": {"lease-checks": "none"},
                "store-extended-info": True,
                "control-socket": {"socket-type": "unix", "socket-name": self.socket},
                "hooks-libraries": [{"library": str(path)} for path in _HOOKS],
                "subnet4": [
                    {
                        "id": 1,
                        "subnet": subnet,
                        "pools": [{"pool": pool}],
                        "option-data": [{"name": "routers", "data": router}],
                    }
                ],
                "loggers": [
                    {
                        "name": "kea-dhcp4",
                        "severity": "WARN",
                        "output_options": [{"output": str(folder / "kea.log"), "flush": True}],
                    }
                ],
            }
        }
        (folder / "kea.json").write_text(json.dumps(config))
        self.start()
        if lease_api:
            self.start_agent()

    def start(self) -> None:
        """(Re)start the DHCP server; its leases are in memory only."""
        self.process = self._run("kea-dhcp4", "kea")

    def start_agent(self, password: str = PASSWORD) -> None:
        """(Re)start the control agent, which takes commands at port 8000."""
        config = {
            "Control-agent": {
                "http-host": self._lease_api,
                "http-port": 8000,
                "authentication": {"type": "basic", "clients": [{"user": "bng", "password": password}]},
                "control-sockets": {"dhcp4": {"socket-type": "unix", "socket-name": self.socket}},
                "loggers": [{"name": "kea-ctrl-agent", "severity": "WARN"}],
            }
        }
        (self.folder / "agent.json").write_text(json.dumps(config))
        self.agent = self._run("kea-ctrl-agent", "agent")

    def _run(self, program: str, name: str) -> subprocess.Popen[Any]:
        environment = {
            "KEA_PIDFILE_DIR": str(self.folder),
            "KEA_LOCKFILE_DIR": str(self.folder),
            "KEA_DHCP_DATA_DIR": str(self.folder),
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        }
        with (self.folder / f"{name}.out").open("w") as output:
            return self._namespaces.start(
                self._key, program, "-c", str(self.folder / f"{name}.json"),
                stdout=output, stderr=output, env=environment,
            )  # fmt: skip

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    def command(self, name: str, **arguments: object) -> dict[str, Any]:
        """A command over Kea's own socket; names of arguments have ``_`` for ``-``."""
        given = {key.replace("_", "-"): value for key, value in arguments.items()}
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(10)
            channel.connect(self.socket)
            channel.sendall(json.dumps({"command": name, "arguments": given}).encode())
            answer = b"".join(iter(lambda: channel.recv(65536), b""))
        return json.loads(answer)  # type: ignore[no-any-return]

    def restart(self) -> None:
        """kill -9, and a new one without the leases of the old one."""
        self.process.kill()
        self.process.wait()
        self.start()


class FreeRadius:
    """FreeRADIUS with a users file; what it was told about accounting is in `accounting()`."""

    def __init__(
        self, namespaces: Namespaces, key: str, folder: Path, *, address: str, clients: str, users: str
    ) -> None:
        self.folder = folder
        self._namespaces, self._key = namespaces, key
        configure_radius(folder, address=address, clients=clients)
        self.start(users)

    def start(self, users: str) -> None:
        """(Re)start with these users."""
        (self.folder / "users").write_text(users)
        log = self.folder / "radius.log"
        log.unlink(missing_ok=True)
        with (self.folder / "out").open("w") as output:
            self.process = self._namespaces.start(
                self._key, *radius_command(self.folder), stdout=output, stderr=output
            )
        wait_for("FreeRADIUS is ready", lambda: log.exists() and "Ready to process" in log.read_text())

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    def accounting(self) -> list[dict[str, str]]:
        """All accounting records, oldest first, attribute → text."""
        path = self.folder / "detail"
        if not path.exists():
            return []
        records = []
        for block in path.read_text().split("\n\n"):
            pairs = re.findall(r"^\t([\w-]+)(?::\d+)? = (.*)$", block, re.MULTILINE)
            if pairs:
                records.append({name: value.strip('"') for name, value in pairs})
        return records


def configure_radius(folder: Path, *, address: str, clients: str, auth: int = 1812, acct: int = 1813) -> None:
    """Write a FreeRADIUS's configuration; its users come from a file ``users``, which is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "radiusd.conf").write_text(
        _RADIUSD.format(folder=folder, address=address, secret=SECRET, clients=clients, auth=auth, acct=acct)
    )
    (folder / "dictionary").write_text(f"$INCLUDE /usr/share/freeradius/dictionary\n$INCLUDE {VENDOR_FILE}\n")
    (folder / "acct").write_text("")


def radius_command(folder: Path) -> list[str]:
    """Runs the FreeRADIUS that is configured in a folder; it logs into ``radius.log`` there."""
    log = str(folder / "radius.log")
    return ["freeradius", "-f", "-l", log, "-d", str(folder), "-D", "/usr/share/freeradius"]


_RADIUSD = """
prefix = /usr
name = radiusd
max_requests = 65536
raddbdir = {folder}
logdir = {folder}
run_dir = {folder}
db_dir = {folder}
libdir = /usr/lib/freeradius
pidfile = {folder}/pid
security {{ allow_core_dumps = no
  max_attributes = 200
  reject_delay = 0
  status_server = yes }}
thread pool {{ start_servers = 2
  max_servers = 4
  min_spare_servers = 1
  max_spare_servers = 3 }}
client bng {{ ipaddr = {clients}
  secret = {secret}
  require_message_authenticator = yes }}
modules {{
  pap {{
  }}
  files {{
    usersfile = {folder}/users
    acctusersfile = {folder}/acct
  }}
  detail {{
    filename = {folder}/detail
    header = "%t"
  }}
}}
server default {{
  listen {{
    type = auth
    ipaddr = {address}
    port = {auth}
  }}
  listen {{
    type = acct
    ipaddr = {address}
    port = {acct}
  }}
  authorize {{
    files
    pap
  }}
  authenticate {{
    Auth-Type PAP {{
      pap
    }}
  }}
  post-auth {{
    update reply {{
      Message-Authenticator := 0x00
    }}
    Post-Auth-Type REJECT {{
      update reply {{
        Message-Authenticator := 0x00
      }}
    }}
  }}
  accounting {{
    detail
  }}
}}
"""

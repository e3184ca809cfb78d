"""Kea and FreeRADIUS for tests, with configurations that fit on a screen."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

from bng.aaa.dictionary import VENDOR_FILE
from tests.support.netns import Namespaces

SECRET = "not-a-secret"
PASSWORD = "line"


def wait_for(what: str, condition: Callable[[], object], within: float = 15.0) -> object:
    """Wait until a condition holds; its value. AssertionError with `what` when it does not in time."""
    deadline = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what}")
        time.sleep(0.02)


class Kea:
    """kea-dhcp4 with leases in memory.

    Args:
        subnet, pool, relay: the one subnet; `relay` is the address by which requests choose it.
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
    ) -> None:
        self.folder = folder
        self._namespaces, self._key = namespaces, key
        folder.mkdir(parents=True, exist_ok=True)
        config = {
            "Dhcp4": {
                "interfaces-config": {"interfaces": [interface], "dhcp-socket-type": "udp"},
                "lease-database": {"type": "memfile", "persist": False},
                "valid-lifetime": lifetime,
                "multi-threading": {"enable-multi-threading": False},
                "sanity-checks": {"lease-checks": "none"},
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

    def start(self) -> None:
        """Start it; it knows of no lease."""
        folder = self.folder
        environment = {
            "KEA_PIDFILE_DIR": str(folder),
            "KEA_LOCKFILE_DIR": str(folder),
            "KEA_DHCP_DATA_DIR": str(folder),
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        }
        with (folder / "kea.out").open("w") as output:
            self.process = self._namespaces.start(
                self._key, "kea-dhcp4", "-c", str(folder / "kea.json"),
                stdout=output, stderr=output, env=environment,
            )  # fmt: skip

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
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "radiusd.conf").write_text(
            _RADIUSD.format(folder=folder, address=address, secret=SECRET, clients=clients)
        )
        (folder / "dictionary").write_text(
            f"$INCLUDE /usr/share/freeradius/dictionary\n$INCLUDE {VENDOR_FILE}\n"
        )
        (folder / "acct").write_text("")
        self.start(users)

    def start(self, users: str) -> None:
        """(Re)start with these users."""
        (self.folder / "users").write_text(users)
        log = self.folder / "radius.log"
        log.unlink(missing_ok=True)
        with (self.folder / "out").open("w") as output:
            self.process = self._namespaces.start(
                self._key, "freeradius", "-f", "-l", str(log), "-d", str(self.folder),
                "-D", "/usr/share/freeradius", stdout=output, stderr=output,
            )  # fmt: skip
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
    port = 1812
  }}
  listen {{
    type = acct
    ipaddr = {address}
    port = 1813
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

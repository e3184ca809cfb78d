"""Programs of the machine that the lab runs, and where Debian puts them."""

from __future__ import annotations

import shutil
from pathlib import Path

from lab.errors import LabError

_POSTGRES = Path("/usr/lib/postgresql")
_KEA_HOOKS = "usr/lib/*/kea/hooks/libdhcp_lease_cmds.so"

KEA_SCHEMA = Path("/usr/share/kea/scripts/pgsql/dhcpdb_create.pgsql")

_PROGRAMS = {
    "ip": "iproute2",
    "nft": "nftables",
    "setpriv": "util-linux",
    "openssl": "openssl",
    "kea-dhcp4": "kea-dhcp4-server",
    "kea-ctrl-agent": "kea-ctrl-agent",
    "freeradius": "freeradius",
    "psql": "postgresql-client",
    "udhcpc": "udhcpc",
    "iperf3": "iperf3",
}


def postgres_bin() -> Path:
    """Folder of the newest installed PostgreSQL's programs."""
    versions = [path for path in _POSTGRES.glob("*/bin") if (path / "postgres").exists()]
    if not versions:
        raise LabError("PostgreSQL is not installed; run `make setup`")
    return max(versions, key=lambda path: int(path.parent.name))


def kea_lease_hook() -> Path:
    """Kea's library of lease commands."""
    found = sorted(Path("/").glob(_KEA_HOOKS))
    if not found:
        raise LabError("Kea's hook libraries are not installed; run `make setup`")
    return found[0]


def check_programs() -> None:
    """Raise LabError when a program is missing."""
    missing = [package for program, package in _PROGRAMS.items() if shutil.which(program) is None]
    if not KEA_SCHEMA.exists():
        missing.append("kea-admin")
    if missing:
        raise LabError(f"not installed: {', '.join(sorted(missing))}; run `make setup`")
    postgres_bin()
    kea_lease_hook()

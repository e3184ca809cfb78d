"""A private PostgreSQL cluster for tests: a unix socket in a temporary folder, no TCP, gone afterwards."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

BIN = Path("/usr/lib/postgresql/15/bin")


class Cluster:
    """A running cluster.

    Attributes:
        folder: data and socket.
        pid: the postmaster, for who wants to kill it.
    """

    def __init__(self, folder: Path, fsync: bool = False) -> None:
        self.folder = folder
        self._user = None if os.geteuid() else pwd.getpwnam("postgres")
        self._fsync = "on" if fsync else "off"
        self._process: subprocess.Popen[bytes] | None = None
        if self._user:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "postgres", "--no-sync")

    def _command(self, program: str, *args: str) -> list[str]:
        as_user = ["runuser", "-u", "postgres", "--"] if self._user else []
        return [*as_user, str(BIN / program), *args]

    def _run(self, program: str, *args: str) -> None:
        subprocess.run(self._command(program, *args), check=True, capture_output=True, cwd="/")

    @property
    def pid(self) -> int:
        return int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0])

    def pids(self) -> list[int]:
        """The postmaster and its backends, as of now."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return [self.pid, *map(int, children)]

    def start(self) -> None:
        options = ("listen_addresses=", f"unix_socket_directories={self.folder}", f"fsync={self._fsync}")
        more = ("max_connections=200", "shared_buffers=64MB", "log_min_messages=fatal")
        args = [part for option in (*options, *more) for part in ("-c", option)]
        self._run(
            "pg_ctl",
            "-D",
            str(self.folder / "data"),
            "-w",
            "-l",
            str(self.folder / "log"),
            "-o",
            " ".join(args),
            "start",
        )

    def stop(self, *, kill: bool = False) -> None:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if kill:
                os.kill(self.pid, signal.SIGKILL)
        mode = "immediate"
        subprocess.run(
            self._command("pg_ctl", "-D", str(self.folder / "data"), "-m", mode, "-w", "stop"),
            capture_output=True,
            cwd="/",
        )

    def dsn(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def create(self, database: str, *options: str) -> str:
        """Make a database; returns its DSN."""
        self._run("createdb", "-h", str(self.folder), "-U", "postgres", *options, database)
        return self.dsn(database)

    def sql(self, statement: str) -> None:
        """Carry out a statement."""
        self._run("psql", "-h", str(self.folder), "-U", "postgres", "-c", statement)

    @contextlib.contextmanager
    def small_disk(self, mebibytes: int) -> Iterator[Path]:
        """A file system of its own, that the tablespace `small` is on, for a database `small`. Root."""
        place = self.folder / "small"
        place.mkdir()
        size = f"size={mebibytes}m,mode=777"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)], check=True)
        try:
            self._run("/bin/mkdir", str(place / "space"))
            self.sql(f"CREATE TABLESPACE small LOCATION '{place / 'space'}'")
            yield place
            self._run("dropdb", "-h", str(self.folder), "-U", "postgres", "--force", "small")
            self.sql("DROP TABLESPACE small")
        finally:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextlib.contextmanager
def cluster(*, fsync: bool = False) -> Iterator[Cluster]:
    """A cluster that runs, and is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="aether-pg-"))
    folder.chmod(0o755)
    made = Cluster(folder, fsync)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)

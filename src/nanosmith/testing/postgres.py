"""A PostgreSQL server of the tests' own, in a temporary folder, reached through a socket there."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg

PACKAGE = "postgresql"
INSTALLED = Path("/usr/lib/postgresql")  # Debian: one folder per version
USER = "nanosmith"
SETTINGS = {"fsync": "off", "listen_addresses": "''", "max_connections": "60", "shared_buffers": "16MB"}
"""The tests end the server and never the machine, so nothing needs to reach the disk."""


class NotInstalled(Exception):
    """There is no PostgreSQL server here."""


class Server:
    """A running server."""

    def __init__(self) -> None:
        self._programs = _programs()
        self._user = _unprivileged()
        self.folder = Path(tempfile.mkdtemp(prefix="nanosmith-postgres-"))
        self._numbers = itertools.count()
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._call("initdb", "-D", self.data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in SETTINGS.items())
            file.write(f"unix_socket_directories = '{self.folder}'\n")
        self.start()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        self._control("start", "-l", self.folder / "log.txt")

    def restart(self, mode: str = "immediate") -> None:
        """`immediate` is a crash: connections are cut, and the server recovers from its log when it starts."""
        self._control("restart", "-m", mode, "-l", self.folder / "log.txt")

    def stop(self) -> None:
        self._control("stop", "-m", "immediate")

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_database(self) -> str:
        """The URL of an empty schema, which is all of the database that its connections see."""
        name = f"test_{next(self._numbers)}"
        self._execute(f"CREATE SCHEMA {name}")
        return f"postgresql://{USER}@/postgres?host={self.folder}&options=-csearch_path%3D{name}"

    def cut_connections(self) -> None:
        """End all connections, as a network does that breaks."""
        self._execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

    def _execute(self, statement: str) -> None:
        with psycopg.connect(f"host={self.folder} user={USER} dbname=postgres", autocommit=True) as link:
            link.execute(statement)

    def _control(self, *arguments: object) -> None:
        self._call("pg_ctl", "-D", self.data, "-w", "-s", *arguments)

    def _call(self, program: str, *arguments: object) -> None:
        """Output goes to a file: the server would keep a pipe open."""
        who = {} if self._user is None else {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        with tempfile.TemporaryFile() as said:
            command = [str(self._programs / program), *map(str, arguments)]
            done = subprocess.run(  # type: ignore[call-overload]
                command, check=False, cwd="/", stdin=subprocess.DEVNULL, stdout=said, stderr=said, **who
            )
            said.seek(0)
            assert done.returncode == 0, said.read().decode()


def _programs() -> Path:
    """The folder of initdb, pg_ctl and postgres: that of PATH, or Debian's newest. Raises NotInstalled."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(INSTALLED.glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True)
    for folder in folders:
        if all((folder / name).exists() for name in ("initdb", "pg_ctl", "postgres")):
            return folder
    raise NotInstalled(f"there is no PostgreSQL server here; install Debian's package '{PACKAGE}'")


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom the server runs as when the tests run as root, which it refuses."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]

"""What was acknowledged survives: killed processes, a restarted server, broken connections, full and failing disks."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy as sa
from tests.store import ledger_rows
from tests.store.ledger_rows import file, job

from nanosmith.core.errors import StorageFull, Unavailable
from nanosmith.store.atomic import SYNC_FAILED
from nanosmith.store.ledger import ALPHABET, Ledger
from nanosmith.store.ledger import database as database_module
from nanosmith.store.ledger.sqlite import CHECKPOINT_AFTER
from nanosmith.store.records import ModelRow

if TYPE_CHECKING:
    from nanosmith.testing.postgres import Server

COMMITTER = """
import itertools, os, sys
from nanosmith.store.ledger import Ledger
from tests.store.ledger_rows import where_of
ledger = Ledger(where_of(sys.argv[1]), patience_s=60)
for i in itertools.count():
    ledger.add_event("job", f"{os.getpid()}-{i}", data={"size": "x" * int(sys.argv[2])})
    os.write(1, f"{os.getpid()}-{i}\\n".encode())
"""
SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* The first fdatasync of the file whose name ends in $FAILS_ON after there is a file $FAILS_WHEN fails with EIO. */
int fdatasync(int handle) {
    static int failed;
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    const char *end = getenv("FAILS_ON");
    char link[64], name[4097];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t rest = readlink(link, name, sizeof name - 1) - (ssize_t)strlen(end);
    if (failed || rest < 0 || strncmp(name + rest, end, strlen(end)) || access(getenv("FAILS_WHEN"), F_OK))
        return real(handle);
    failed = 1;
    errno = EIO;
    return -1;
}
"""


def committing(database: Path | str, *, size: int = 0, **environment: str) -> subprocess.Popen[bytes]:
    """A process that commits events of `size` bytes and more, and prints each that was acknowledged."""
    command = [sys.executable, "-c", COMMITTER, str(database), str(size)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment})


def messages(database: Path | str) -> list[str]:
    ledger = Ledger(database)
    found = [event.message for event in ledger.events("job", limit=1_000_000)]
    ledger.close()
    return found


def test_acknowledged_commits_survive_kill(database: Path | str) -> None:
    """Killed again and again while writing: every commit that was acknowledged is there."""
    acknowledged: set[str] = set()
    for _ in range(3):
        writer = committing(database)
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(0.05)
        writer.kill()
        acknowledged |= set((first + writer.communicate()[0]).decode().split())
    there = messages(database)
    assert len(acknowledged) >= 3
    assert acknowledged <= set(there)
    assert len(there) <= len(acknowledged) + 3


def test_a_restart_of_postgres_loses_nothing(postgres: Server) -> None:
    """The server crashes twice while a patient process writes: the process goes on, every acknowledged row is there,
    and each is there once."""
    url = postgres.new_database()
    writer = committing(url)
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline()]
    for _ in range(2):
        acknowledged += itertools.islice(writer.stdout, 50)
        postgres.restart()
    acknowledged += itertools.islice(writer.stdout, 500)
    writer.kill()
    rest, errors = writer.communicate()
    assert errors == b""
    expected = [line.decode().strip() for line in [*acknowledged, *rest.splitlines()]]
    there = messages(url)
    assert len(expected) > 600
    assert set(expected) <= set(there)
    assert len(there) == len(set(there)) <= len(expected) + 1


Break = Callable[[], None]


@pytest.fixture(params=["before the commit", "after the commit"])
def broken(
    request: pytest.FixtureRequest, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Ledger, Break]]:
    """A ledger, and a function that lets its connection break at its next commit."""
    ledger = Ledger(postgres.new_database())
    monkeypatch.setattr(database_module, "PAUSES_S", (0.01,))
    dialect = ledger.database._dialect.engine.dialect
    commit = dialect.do_commit

    def breaking(connection: Any) -> None:
        monkeypatch.setattr(dialect, "do_commit", commit)
        if request.param == "after the commit":
            commit(connection)
        postgres.cut_connections()
        connection.execute("SELECT 1")  # the driver learns it now

    yield ledger, lambda: monkeypatch.setattr(dialect, "do_commit", breaking)
    ledger.close()


def test_a_broken_connection_does_each_write_once(broken: tuple[Ledger, Break]) -> None:
    """When nobody knows whether a commit came through, it is found out: the same is returned and done as ever."""
    ledger, break_next = broken
    for name, write in ledger_rows.WRITES.items():
        results, outcomes = [], []
        for project in (f"whole-{name}", f"broken-{name}"):
            owner = ledger.of(project)
            ledger_rows.fill(owner, project)
            if name == "resume_job":
                owner.update_job(f"job-{project}", status="paused", end=True)
            if project.startswith("broken"):
                break_next()
            results.append(is_something(write(owner, project)))
            outcomes.append({table: len(rows) for table, rows in ledger_rows.contents(owner, project).items()})
        assert results[0] == results[1], name
        assert outcomes[0] == outcomes[1], name


def is_something(result: Any) -> Any:
    return result if isinstance(result, bool | None) else "a row"


def test_a_broken_connection_gives_one_lease(broken: tuple[Ledger, Break]) -> None:
    """A claim whose commit was not heard of is known as ours, not as somebody's."""
    ledger, break_next = broken
    ledger.add_job(job())
    break_next()
    lease = ledger.claim("ftjob-1", "a")
    assert lease is not None
    ledger.under(lease).add_event("ftjob-1", "held")


def test_a_broken_connection_hides_no_conflict(broken: tuple[Ledger, Break]) -> None:
    """A name that was taken before is still an error when the connection broke meanwhile."""
    ledger, break_next = broken
    row = ModelRow("ft:x", 1, "folder", "d", "b")
    ledger.add_model(row)
    with pytest.raises(sa.exc.IntegrityError):
        ledger.add_model(row)
    break_next()
    ledger.add_file(file("x"))
    with pytest.raises(sa.exc.IntegrityError):
        ledger.add_model(row)


def test_reading_goes_on_after_a_cut(postgres: Server) -> None:
    """Connections that were cut while nobody used them are replaced unnoticed."""
    ledger = Ledger(postgres.new_database())
    ledger.add_file(file("x"))
    postgres.cut_connections()
    assert [row.id for row in ledger.files()] == ["x"]
    ledger.close()


def test_forgotten_writers(postgres: Server) -> None:
    """A process that begins to write forgets the writers of long ago, and only those."""
    url = postgres.new_database()
    for age_s in (7 * 24 * 3600, 3600, 0):
        ledger = Ledger(url)
        ledger.add_event("job", "x")
        ledger.close()
        run(url, f"UPDATE writers SET at = at - {age_s}")
    assert run(url, "SELECT count(*) FROM writers") == (2,)


def run(url: str, statement: str) -> Any:
    with psycopg.connect(url, autocommit=True) as link:
        done = link.execute(statement)  # type: ignore[call-overload]
        return done.fetchone() if done.description else None


def test_commits_are_durable_whatever_the_server_says(postgres: Server) -> None:
    """synchronous_commit=off of a database does not reach the ledger."""
    url = postgres.new_database() + "%20-csynchronous_commit%3Doff"
    ledger = Ledger(url)
    shown = [
        use(lambda link: link.exec_driver_sql("SHOW synchronous_commit").scalar())
        for use in (ledger.database.write, ledger.database.read)
    ]
    ledger.close()
    assert shown == ["on", "on"]


def test_no_server(tmp_path: Path) -> None:
    """A database that cannot be reached is said to be so, with its address but not its password."""
    url = f"postgresql://me:secret@/nowhere?host={tmp_path}"
    with pytest.raises(Unavailable, match=r"cannot be reached .*No such file.*NANOSMITH_DATABASE") as error:
        Ledger(url, patience_s=0.1)
    assert "secret" not in str(error.value)
    assert "me:***@" in str(error.value)


def fill(ledger: Ledger) -> None:
    """Commit 50 kB at a time, more than fits."""
    for letter in ALPHABET:
        ledger.add_event("job", letter * 50_000)


def test_full_disk(tiny_disk: Path) -> None:
    """StorageFull in words; what was committed is there, and writing goes on once there is room."""
    ballast = tiny_disk / "ballast"
    ballast.write_bytes(bytes(200_000))
    ledger = Ledger(tiny_disk / "l.sqlite")
    with pytest.raises(StorageFull, match="the disk is full"):
        fill(ledger)
    stored = [event.message[0] for event in reversed(ledger.events("job", limit=1000))]
    assert stored
    assert stored == list(ALPHABET[: len(stored)])
    ballast.unlink()
    ledger.add_event("job", "there is room")
    assert ledger.events("job", limit=1)[0].message == "there is room"
    ledger.close()


def test_the_log_of_sqlite_stays_small(tmp_path: Path) -> None:
    """What was committed goes from the log into the database every so often, and when the ledger is closed."""
    ledger, log = Ledger(tmp_path / "l.sqlite"), tmp_path / "l.sqlite-wal"
    sizes = []
    for _ in range(4):
        for _ in range(CHECKPOINT_AFTER):
            ledger.add_event("job", "x" * 10_000)
        sizes.append(log.stat().st_size)
    assert sizes[-1] < 1.5 * sizes[0]
    assert (tmp_path / "l.sqlite").stat().st_size > 3 * CHECKPOINT_AFTER * 10_000
    ledger.close()
    assert not log.exists()


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that lets a disk fail; skipped where there is no C compiler, or no Linux."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler (Debian's package gcc)")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", "shim.so", "shim.c", "-ldl"], cwd=folder, check=True)
    return folder / "shim.so"


@pytest.mark.parametrize("name", ["l.sqlite", "l.sqlite-wal"])
def test_a_failing_disk_stops_the_process(tmp_path: Path, shim: Path, name: str) -> None:
    """The first fsync that fails, of SQLite's log or of its database, ends the process; what was acknowledged is there.

    With 100 kB each, SQLite itself would copy its log into the database before we do.
    """
    path, switch = tmp_path / "l.sqlite", tmp_path / "switch"
    writer = committing(path, size=100_000, LD_PRELOAD=str(shim), FAILS_ON=name, FAILS_WHEN=str(switch))
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline()]
    switch.touch()
    rest, errors = writer.communicate(timeout=60)
    assert writer.returncode == SYNC_FAILED
    assert b"the disk did not keep what was written" in errors
    expected = {line.decode().strip() for line in [*acknowledged, *rest.splitlines()]}
    assert expected <= set(messages(path))

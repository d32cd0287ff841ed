"""The schema: made, and brought up to date, in each database."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from tests.store.ledger_rows import document, file

from nanosmith.core.errors import Damaged, NanosmithError
from nanosmith.store.ledger import Ledger
from nanosmith.store.ledger.database import Database
from nanosmith.store.ledger.schema import HEAD, NewerDatabase
from nanosmith.store.ledger.tables import meta
from nanosmith.store.migrations import SCRIPTS, upgrade
from nanosmith.store.records import CheckpointRow, FileRow, JobRow, ModelRow

FIRST = Path(__file__).with_name("ledger_0001.sql")
"""A database of version 0.1.0, with rows of every kind."""
OPENER = """
import sys
from nanosmith.store.ledger import Ledger
from tests.store.ledger_rows import where_of
sys.stdin.readline()
Ledger(where_of(sys.argv[1])).add_event("job", "opened")
print("alembic" in sys.modules)
"""


@pytest.fixture
def old(database: Path | str) -> Path | str:
    """A database of version 0.1.0."""
    make_old(database)
    return database


def make_old(database: Path | str) -> None:
    """As version 0.1.0 did. That knew SQLite alone; in PostgreSQL it is what it would have been."""
    if isinstance(database, Path):
        with sqlite3.connect(database) as link:
            link.executescript(FIRST.read_text())
        link.close()
        return
    with closing(Database(database)) as opened:
        opened.alone(_copy_old)


def _copy_old(link: sa.Connection) -> None:
    upgrade(link, "0001")
    source = sqlite3.connect(":memory:")
    source.executescript(FIRST.read_text())
    for table in ("files", "jobs", "events", "checkpoints", "models"):
        rows = source.execute(f"SELECT * FROM {table} ORDER BY seq")
        names = [column[0] for column in rows.description]
        insert = sa.text(f"INSERT INTO {table} VALUES ({', '.join(f':{name}' for name in names)})")
        for row in rows:
            link.execute(insert, {name: bool(v) if name == "cancel_requested" else v for name, v in zip(names, row)})
        link.execute(sa.text(f"SELECT setval('{table}_seq_seq', (SELECT max(seq) FROM {table}))"))
    source.close()
    link.execute(sa.text("DROP TABLE alembic_version"))


def schema_of(database: Path | str) -> dict[str, Any]:
    """Tables, columns, constraints and indexes, without the order of columns."""

    def look(link: sa.Connection) -> dict[str, Any]:
        inspector = sa.inspect(link)
        return {
            name: {
                "columns": {
                    column["name"]: (str(column["type"]), column["nullable"], column["default"])
                    for column in inspector.get_columns(name)
                },
                "key": inspector.get_pk_constraint(name),
                "unique": names(inspector.get_unique_constraints(name)),
                "indexes": names(inspector.get_indexes(name)),
            }
            for name in inspector.get_table_names()
        }

    with closing(Database(database)) as opened:
        return opened.read(look)


def names(made: list[Any]) -> list[tuple[str, list[str]]]:
    return sorted((str(one["name"]), one["column_names"]) for one in made)


def version_of(database: Path | str) -> str | None:
    with closing(Database(database)) as opened:
        return opened.read(lambda link: link.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())


def set_version(database: Path | str, version: str) -> None:
    with closing(Database(database)) as opened:
        opened.alone(lambda link: link.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{version}'"))


def test_the_newest_is_the_head() -> None:
    """The program's version of the schema is that of the newest migration."""
    assert SCRIPTS.get_current_head() == HEAD


def test_a_new_database_is_as_a_migrated_one(database: Path | str, tmp_path: Path, request: Any) -> None:
    """Made at once or by all migrations: the same schema and version."""
    is_sqlite = isinstance(database, Path)
    other = tmp_path / "other.sqlite" if is_sqlite else request.getfixturevalue("postgres").new_database()
    Ledger(database).close()
    with closing(Database(other)) as migrated:
        migrated.alone(upgrade)
    assert schema_of(database) == schema_of(other)
    assert version_of(database) == version_of(other) == HEAD


def test_tables_are_what_migrations_make(old: Path | str) -> None:
    """Alembic finds no difference between tables.py and a database that was brought up to date."""
    Ledger(old).close()
    options = {"compare_type": True, "compare_server_default": True}
    with closing(Database(old)) as opened:
        found = opened.read(lambda link: compare_metadata(MigrationContext.configure(link, opts=options), meta))
    assert found == []


def test_an_old_database_is_opened(old: Path | str) -> None:
    """Everything that an earlier version kept is found, as the default project's, and goes on."""
    ledger = Ledger(old)
    assert version_of(old) == HEAD
    assert ledger.files() == [
        FileRow("file-2", 2, 3, "old.jsonl", "fine-tune", "1" * 64, "error", 9, seq=2),
        FileRow("file-1", 1, 2, "my.jsonl", "fine-tune", "0" * 64, seq=1),
    ]
    assert ledger.job("ftjob-done") == JobRow(
        "ftjob-done", 1, "m", "file-1", {"model": "m"}, 7, {"n_epochs": "auto"}, "succeeded", "file-2", "s", {"k": "v"},
        2, 3, None, "ft:x", 5, ["file-3"], seq=1,
    )  # fmt: skip
    failed = ledger.job("ftjob-failed")
    assert failed is not None
    assert failed.error == {"code": "c", "message": "m", "param": None}
    assert [(event.type, event.data) for event in ledger.events("ftjob-done")] == [
        ("metrics", {"step": 1, "train_loss": 0.5}), ("message", None),
    ]  # fmt: skip
    assert ledger.checkpoints("ftjob-done") == [
        CheckpointRow("ftckpt_1", "ftjob-done", 1, 10, "ft:x:ckpt-step-10", {"train_loss": 0.5}, seq=1)
    ]
    assert ledger.models() == [
        ModelRow("ft:y", 2, "folder2", "e", "b", seq=2),
        ModelRow("ft:x", 1, "folder", "d", "b", "local", "ftjob-done", seq=1),
    ]  # fmt: skip
    assert [job.id for job in ledger.jobs(without_metadata=True)] == ["ftjob-stopping", "ftjob-running", "ftjob-failed"]
    assert [job.id for job in ledger.jobs(metadata={"k": "v"})] == ["ftjob-done"]
    ledger.close()


def test_open_jobs_of_an_old_database_are_work(old: Path | str) -> None:
    """Jobs that had not ended are free work, oldest first; one whose cancel was asked for is still to be cancelled."""
    ledger = Ledger(old)
    assert [(work.id, work.stop) for work in ledger.free_work()] == [
        ("ftjob-queued", None), ("ftjob-running", None), ("ftjob-stopping", "cancel"),
    ]  # fmt: skip
    lease = ledger.claim("ftjob-running", "a")
    assert lease is not None
    assert ledger.under(lease).update_job("ftjob-running", status="succeeded", end=True) is not None
    ledger.close()


def test_an_old_database_takes_new_rows(old: Path | str) -> None:
    """Rows added after the migration come after those of before; another project may use the same names."""
    ledger = Ledger(old)
    ledger.add(file("file-new"), document("x"))
    assert [row.id for row in ledger.files()] == ["file-new", "file-2", "file-1"]
    ledger.of("another").add_model(ModelRow("ft:x", 1, "folder", "d", "b"))
    with pytest.raises(sa.exc.IntegrityError):
        ledger.add_model(ModelRow("ft:x", 1, "folder", "d", "b"))
    ledger.close()


def test_half_an_old_database_is_opened(tmp_path: Path) -> None:
    """Version 0.1.0 made its tables one by one, so a kill could leave some of them."""
    path = tmp_path / "l.sqlite"
    with sqlite3.connect(path) as link:
        link.executescript(FIRST.read_text())
        link.execute("DROP TABLE models")
        link.execute("DROP INDEX ix_events_job_id")
    link.close()
    ledger = Ledger(path)
    assert (ledger.models(), len(ledger.files())) == ([], 2)
    ledger.close()
    Ledger(tmp_path / "new.sqlite").close()
    assert schema_of(path) == schema_of(tmp_path / "new.sqlite")


def test_a_failed_migration_leaves_the_old(tmp_path: Path) -> None:
    """A migration is one transaction: what stops in its middle has changed nothing, and is done the next time."""
    path = tmp_path / "l.sqlite"
    with sqlite3.connect(path) as link:
        link.executescript(FIRST.read_text())
        link.execute("CREATE TABLE writers (odd)")  # in the way of a table that the migration makes
    before = schema_of(path)
    with pytest.raises(sa.exc.OperationalError, match="writers already exists"):
        Ledger(path)
    assert schema_of(path) == before
    link.execute("DROP TABLE writers")
    link.close()
    ledger = Ledger(path)
    assert len(ledger.files()) == 2
    ledger.close()


@pytest.mark.parametrize("version", [f"{int(HEAD) + 1:04}", "9999", "ae1027a6acf"])
def test_a_newer_database_is_refused(database: Path | str, version: str) -> None:
    """A database that a newer program made is not touched."""
    Ledger(database).close()
    set_version(database, version)
    with pytest.raises(NewerDatabase, match=rf"got schema {version}; allowed up to {HEAD}.*pip install --upgrade"):
        Ledger(database)
    assert version_of(database) == version


@pytest.mark.parametrize("state", ["new", "old"])
def test_processes_open_at_once(database: Path | str, state: str) -> None:
    """Three processes that open a new database, or an old one, at the same moment all succeed."""
    if state == "old":
        make_old(database)
    command = [sys.executable, "-c", OPENER, str(database)]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(3)]
    time.sleep(0.3)
    errors = [process.communicate("\n")[1] for process in processes]
    assert errors == [""] * 3
    ledger = Ledger(database)
    assert len(ledger.events("job")) == 3
    ledger.close()


def test_alembic_is_loaded_for_migrations_alone(database: Path | str) -> None:
    """Making a new database and opening one that is up to date need no Alembic, which takes long to load."""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", OPENER, str(database)], input="\n", capture_output=True, text=True, check=True
        )
        assert done.stdout == "False\n"


def test_what_is_no_database(tmp_path: Path) -> None:
    """A file of something else is said to be damaged, with its name."""
    path = tmp_path / "l.sqlite"
    path.write_text("something else" * 100)
    with pytest.raises(Damaged, match=r"l\.sqlite: the database is damaged .*NANOSMITH_HOME"):
        Ledger(path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """A database that cannot be made is an error with its path."""
    with pytest.raises(NanosmithError, match=r"gone/l\.sqlite: the database cannot be used"):
        Ledger(tmp_path / "gone" / "l.sqlite")


def test_a_user_who_may_not_make_tables(postgres: Any) -> None:
    """PostgreSQL's refusal is told, with the remedy."""
    url = sa.make_url(postgres.new_database())
    schema = str(url.query["options"]).rpartition("=")[2]
    with closing(Database(url.render_as_string())) as opened:
        opened.alone(lambda link: link.exec_driver_sql("CREATE ROLE guest LOGIN"))
        opened.alone(lambda link: link.exec_driver_sql(f"GRANT USAGE ON SCHEMA {schema} TO guest"))
    with pytest.raises(NanosmithError, match=r"permission denied for schema .* of its own"):
        Ledger(url.set(username="guest").render_as_string())


def test_migrations_are_in_the_package() -> None:
    """Each migration lies beside the package's code, so that an installed one has them."""
    folder = Path(SCRIPTS.dir)
    assert (folder / "__init__.py").is_file()
    assert {Path(script.path).name for script in SCRIPTS.walk_revisions()} == {
        path.name for path in (folder / "versions").glob("v*.py")
    }

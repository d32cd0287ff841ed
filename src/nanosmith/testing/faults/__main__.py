"""python -m nanosmith.testing.faults [--cycles N] [--only NAME,…] [--home DIR] [--seed N]

Does every fault, and prints a table. The exit code is 1 when something was found, 2 when the command is wrong.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from nanosmith.cli.progress import RichWatch
from nanosmith.testing.faults import eio, full, kill, lease, restart, states, training, upload
from nanosmith.testing.faults.found import FaultFound, Findings, NotPossible, Outcome

FLUSHES = 2200
"""About ten times those of a training: of 20 cycles each 110th is tried, of 200 each 11th."""
COLUMNS = ("fault", "what was done", "times", "checked", "lost", "duplicates", "verdict")


class Fault(msgspec.Struct):
    """`name` is what --only takes; several may share it."""

    name: str
    title: str
    run: Callable[..., Outcome]


class Row(msgspec.Struct):
    """One line of the table, and what is to be said below it."""

    cells: tuple[str, ...]
    words: str = ""
    is_bad: bool = False


class Bar:
    """The progress of one fault; some learn only in the end how often they are done."""

    def __init__(self, title: str, watch: RichWatch) -> None:
        self._title = title
        self._watch = watch
        self._done = 0

    def tick(self, done: int, total: int) -> None:
        self._done = done
        self._watch.progress(self._title, done, total or done + 1)

    def end(self) -> None:
        self._watch.progress(self._title, self._done, self._done)


def faults(cycles: int, seed: int) -> list[Fault]:
    """All of them, the quick ones first."""
    return [
        Fault("fsync", "SIGKILL before each flush of an upload", upload.upload),
        Fault("fsync", "SIGKILL before each flush of a training state", states.killed),
        Fault("truncated", "the newest training state cut short", states.truncated),
        Fault("full", "a disk of 64 MiB that fills up", full.full),
        Fault("eio", "EIO from each flush of a server", eio.eio),
        Fault("postgres", "a crash of PostgreSQL in the middle of a job", partial(restart.restart, times=3)),
        Fault("lease", "a worker stopped past its lease", lease.lease),
        Fault("resume", "SIGKILL at random steps of a training",
              partial(training.resume, kills=max(3, cycles // 7), seed=seed)),
        Fault("fsync", "SIGKILL before flushes of a training",
              partial(training.killed, every=max(1, FLUSHES // cycles))),
        Fault("kill", "SIGKILL of API and worker under load", partial(kill.kill, cycles=cycles, seed=seed)),
    ]  # fmt: skip


NAMES = sorted({fault.name for fault in faults(1, 0)})


def names(only: str) -> list[str]:
    """Raises typer.BadParameter for one that there is not."""
    wanted = [name.strip() for name in only.split(",")] if only else NAMES
    if unknown := [name for name in wanted if name not in NAMES]:
        raise typer.BadParameter(f"no such fault: {', '.join(unknown)} (allowed: {', '.join(NAMES)})")
    return wanted


def main(
    cycles: Annotated[int, typer.Option(min=1, help="Kills of API and worker; the other faults grow with it.")] = 20,
    only: Annotated[str, typer.Option(help=f"Of {', '.join(NAMES)}: those alone.")] = "",
    home: Annotated[Path | None, typer.Option(help="Where data folders are made. Default: a temporary folder.")] = None,
    seed: Annotated[int, typer.Option(help="Of the moments at which is killed.")] = 0,
) -> None:
    """Harm Nanosmith in every way that it must survive, and look for what was acknowledged."""
    wanted = names(only)
    chosen = [fault for fault in faults(cycles, seed) if fault.name in wanted]
    if home is not None:
        home.mkdir(parents=True, exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="nanosmith-faults-", dir=home)).resolve()
    with RichWatch() as watch:
        rows = [_run(fault, root / str(number), watch) for number, fault in enumerate(chosen)]
    _print(rows, Console())
    if any(row.is_bad for row in rows):
        raise typer.Exit(1)
    shutil.rmtree(root)


def _run(fault: Fault, folder: Path, watch: RichWatch) -> Row:
    folder.mkdir()
    bar = Bar(fault.title, watch)
    try:
        outcome = fault.run(folder, tick=bar.tick)
    except NotPossible as error:
        return Row((fault.name, fault.title, "", "", "", "", "skipped"), f"{fault.title}: {error}")
    except FaultFound as error:
        return _bad(fault, error.found, "found", f"{fault.title}: {error}. What there is: {folder}")
    except Exception as error:
        words = f"{fault.title}: {type(error).__name__}: {error}. What there is: {folder}"
        return _bad(fault, Findings(), "broken off", words)
    bar.end()
    shutil.rmtree(folder, ignore_errors=True)
    numbers = (str(outcome.times), str(outcome.checked), "0", "0")
    return Row((fault.name, fault.title, *numbers, "nothing found"))


def _bad(fault: Fault, found: Findings, verdict: str, words: str) -> Row:
    lost, twice = str(len(found.lost)), str(len(found.duplicates))
    return Row((fault.name, fault.title, "", "", lost, twice, verdict), words, is_bad=True)


def _print(rows: list[Row], console: Console) -> None:
    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(*row.cells, style="red" if row.is_bad else "")
    console.print(table)
    for row in rows:
        if row.words:
            console.print(row.words, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)

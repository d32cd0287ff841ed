"""A PostgreSQL server that crashes and comes back, in the middle of a job."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nanosmith.jobs.messages import COMPLETED, STARTED, step
from nanosmith.store.home import DATABASE_VARIABLE
from nanosmith.testing.faults.client import Client
from nanosmith.testing.faults.customers import Customers
from nanosmith.testing.faults.folder import check_folder, new_home
from nanosmith.testing.faults.found import Findings, NotPossible, Outcome, Tick, unheard
from nanosmith.testing.faults.launch import SLOW
from nanosmith.testing.faults.process import Server, ended, until
from nanosmith.testing.faults.receipts import JOBS, MARK, Receipts
from nanosmith.testing.tiny import chat_lines, topic_rows

if TYPE_CHECKING:
    from nanosmith.testing import postgres

EPOCHS = 40  # steps, of 20 ms and a transaction each
BETWEEN_STEPS = 12


def restart(
    folder: Path, *, times: int = 2, server: postgres.Server | None = None, tune: str = SLOW, tick: Tick = unheard
) -> Outcome:
    """PostgreSQL is restarted, as after a crash, while a job runs and clients upload and ask. The job succeeds without
    having been interrupted; each of its events is there once, and so is everything that was acknowledged.

    Raises FaultFound, NotPossible.
    """
    with _running(server) as database:
        home, found = new_home(folder / "home", database=database.new_database()), Findings()
        environment = {DATABASE_VARIABLE: str(home.database)}
        served = Server(home.root, tune=tune, environment=environment)
        receipts = Receipts(served.client)
        customers = Customers(served.client, receipts, work=2, seed=0)
        with ended(served):
            served.wait()
            job = _create(served.client, receipts)
            with customers.shopping():
                for number in range(1, times + 1):
                    _wait_for_step(served, job, number * BETWEEN_STEPS)
                    database.restart()
                    tick(number, times)
            until(receipts.is_done, "all jobs and batches end", served.words)
            receipts.check(found, everything=True)
            receipts.check_jobs(found)
            receipts.check_batches(found)
            _check_events(_events(served.client, job), found)
        check_folder(home, found)
    found.wrong += customers.complaints
    found.raise_if_any()
    return Outcome(times, receipts.count)


@contextmanager
def _running(server: postgres.Server | None) -> Iterator[postgres.Server]:
    """The given one, or one that is there for the block."""
    if server is not None:
        yield server
        return
    try:
        from nanosmith.testing import postgres

        own = postgres.Server()
    except ModuleNotFoundError as error:
        raise NotPossible("there is no psycopg; run: pip install 'nanosmith[postgres]'") from error
    except postgres.NotInstalled as error:
        raise NotPossible(str(error)) from error
    try:
        yield own
    finally:
        own.remove()


def _create(client: Client, receipts: Receipts) -> str:
    content = chat_lines(topic_rows())
    file = str(client.upload(content, "fine-tune").json["id"])
    receipts.add_file(file, content)
    method = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": EPOCHS}}}
    asked = {"model": "gpt-4.1-nano", "training_file": file, "method": method, "metadata": {MARK: "first"}}
    id = str(client.post(JOBS, asked).json["id"])
    receipts.add(JOBS, id, "first")
    return id


def _events(client: Client, job: str) -> list[str]:
    """The messages of a job, oldest first."""
    reply = client.get(f"{JOBS}/{job}/events?limit=1000")
    return [str(event["message"]) for event in reversed(reply.json["data"])] if reply.is_good else []


def _wait_for_step(server: Server, job: str, number: int) -> None:
    begin = step(number, EPOCHS, {})
    until(lambda: any(one.startswith(begin) for one in _events(server.client, job)), begin, server.words)


def _check_events(said: list[str], found: Findings) -> None:
    """Begun once and ended once, with each step between, in their order."""
    wanted = [STARTED, *(step(number, EPOCHS, {}) for number in range(1, EPOCHS + 1)), COMPLETED]
    told = [next((one for one in wanted if text == one or text.startswith(f"{one}:")), "") for text in said]
    told = [one for one in told if one]
    found.lost += [f"the event {one!r}" for one in wanted if one not in told]
    found.duplicates += [f"the event {one!r}" for one in wanted if told.count(one) > 1]
    if not found and told != wanted:
        found.wrong.append("the events are in another order")

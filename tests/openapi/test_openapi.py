"""Against OpenAI's own document: whatever is asked, the answer is no 5xx and fits the document."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.openapi.deviations import OURS
from tests.openapi.document import document
from tests.openapi.machine import Seen, walk
from tests.openapi.subset import PARAMETER, REFUSED, SUBSET, served
from tests.openapi.world import world

from nanosmith.store.home import DATABASE_VARIABLE
from nanosmith.testing.postgres import Server

SOME, MANY, PER_WORLD = 300, 20_000, 1_000
NEVER_SUCCEED = {"POST /responses/{response_id}/cancel"}
"""Only responses in the background can be cancelled, and there are none."""
OUTWARD = "/webhook_"
"""How paths begin that are newer than the document; random requests must not choose which hosts are called."""


@pytest.fixture(scope="module")
def operations() -> set[str]:
    return {f"{method.upper()} {path}" for path, methods in document()["paths"].items() for method in methods}


def test_the_subset_is_what_is_served(operations: set[str]) -> None:
    """Every route but the refused ones and webhooks is in the document or is ours; the subset has nothing else."""
    known = [(method, path) for method, path in served() if method != "head" and not path.startswith(OUTWARD)]
    wanted = {f"{method.upper()} {path}" for method, path in known if path not in REFUSED}
    assert {PARAMETER.sub("{}", operation) for operation in operations} == wanted


def test_ours_is_not_in_the_subset() -> None:
    """What the document has is not written a second time."""
    assert not [path for path in OURS if f'"{path}": ' in SUBSET.read_text()]


def test_some_requests(tmp_path: Path) -> None:
    """Hundreds of requests that follow each other are answered as the document says."""
    with world(tmp_path) as around:
        seen = walk(around, least=SOME, seed=1)
    check(seen)
    assert len(seen.operations()) > 30
    assert len(seen.succeeded()) > 20


@pytest.mark.long
@pytest.mark.timeout(4 * 3600)
def test_many_requests(tmp_path: Path, operations: set[str]) -> None:
    """The same with tens of thousands, in several worlds; every call succeeds at some time."""
    seen = Seen()
    for number in range(MANY):
        with world(tmp_path / str(number)) as around:
            seen.add(walk(around, least=min(PER_WORLD, MANY - seen.requests), seed=1000 * number))
        if seen.requests >= MANY:
            break
    check(seen)
    assert seen.operations() == operations
    assert seen.succeeded() == operations - NEVER_SUCCEED


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_requests_on_postgresql(tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same where PostgreSQL keeps everything, which takes no NUL."""
    monkeypatch.setenv(DATABASE_VARIABLE, postgres.new_database())
    with world(tmp_path) as around:
        check(walk(around, least=2 * PER_WORLD, seed=2))


def check(seen: Seen) -> None:
    """Tell how much was asked; fail with everything that went wrong."""
    by_class: Counter[Any] = Counter()
    for (_, status), n in seen.answers.items():
        by_class[f"{status // 100}xx"] += n
    print(f"{seen.requests} requests to {len(seen.operations())} operations: {dict(sorted(by_class.items()))}")
    assert not seen.failures, seen.told()

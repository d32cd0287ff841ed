"""That the tests of this folder leave out nothing. Its name is the last one here, so it runs when they have."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.contract.conftest import CLIENT_VARIABLE
from tests.contract.surface import NEVER_CALLED, NEVER_SUCCEEDS, Calls, methods, unknown_resources

HERE = Path(__file__).parent
FILES = {path.name for path in HERE.glob("test_*.py")} - {"test_other_clients.py"}


def test_every_resource_is_decided_about() -> None:
    """A resource that is new in a release of the client is in scope, or is listed as out of it."""
    assert unknown_resources() == set()


def test_every_call_was_made(request: pytest.FixtureRequest, calls: Calls) -> None:
    """Each public method of the resources in scope had success and an error of the server, in this run."""
    if not {item.path.name for item in request.session.items if item.path.parent == HERE} >= FILES:
        pytest.skip("only after all files of this folder")
    missing = calls.missing()
    assert not missing, "\n".join(missing)


def test_exemptions_are_needed(calls: Calls) -> None:
    """What is exempt does not happen, and the newest client has it."""
    assert not calls.succeeded & (NEVER_SUCCEEDS.keys() | NEVER_CALLED.keys())
    assert not calls.failed & NEVER_CALLED.keys()
    if CLIENT_VARIABLE not in os.environ:
        assert NEVER_SUCCEEDS.keys() | NEVER_CALLED.keys() <= methods().keys()

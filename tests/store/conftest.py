"""What the tests of the store share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nanosmith.store.ledger import Ledger


@pytest.fixture
def ledger(database: Path | str) -> Iterator[Ledger]:
    """An empty ledger, in each database in turn."""
    opened = Ledger(database)
    yield opened
    opened.close()

"""A provider with a teacher, fake/big, that gives each text its label, for whoever labels texts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nanosmith.store.config import VARIABLE
from nanosmith.testing.provider import FakeProvider

LABELS = ("card", "login", "refund")
CONFIG = """
[provider.fake]
base_url = "{url}"
[provider.fake.models.big]
input_usd = 1
output_usd = 2
capabilities = ["logprobs"]
[provider.fake.models.dear]
input_usd = 1000
output_usd = 2000
"""


def table(n: int) -> dict[str, str]:
    """So many texts, and the label of each."""
    return {f"text {i}": LABELS[i % 3] for i in range(n)}


def write_texts(folder: Path, rows: dict[str, str]) -> Path:
    """A file of the texts, one a line."""
    path = folder / "texts.txt"
    path.write_text("".join(f"{text}\n" for text in rows))
    return path


@contextmanager
def teaching(folder: Path, patch: pytest.MonkeyPatch, rows: dict[str, str]) -> Iterator[FakeProvider]:
    """Also called fake/big, at 1 and 2 dollars per million tokens, and fake/dear, at a thousand times as much."""
    with FakeProvider(table=rows, seed=5, price=(1.0, 2.0)) as running:
        config = folder / "config.toml"
        config.write_text(CONFIG.format(url=running.url))
        patch.setenv(VARIABLE, str(config))
        yield running

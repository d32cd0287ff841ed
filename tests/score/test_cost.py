"""Costs: the arithmetic, and the price table with the user's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nanosmith.core.errors import InputError
from nanosmith.score.cost import CoreHour, ModelPrice, Prices, compare, estimated_tokens, load_prices

PRICES = Prices(
    "2030-01", "a test", CoreHour(0.36), (ModelPrice("cloud", 1.0, 2.0, 0.1), ModelPrice("plain", 3.0, 4.0))
)


def test_a_million_requests() -> None:
    """10 ms at $0.36 an hour are $1 per million; tokens times dollars per million tokens are the cloud's."""
    rows = compare("ours", 10.0, 20.0, 5.0, PRICES).rows
    assert [(row.name, row.local) for row in rows] == [
        ("ours", True), ("cloud", False), ("cloud, all input cached", False), ("plain", False),
    ]  # fmt: skip
    assert [row.usd for row in rows] == pytest.approx([1.0, 30.0, 12.0, 80.0])


def test_the_table_that_comes_along() -> None:
    """It has a month, a source, an assumed core-hour and the prices that were read."""
    prices = load_prices()
    assert re.fullmatch(r"20\d\d-\d\d", prices.date)
    assert prices.source
    assert prices.core_hour.assumed
    luna = next(model for model in prices.models if model.name == "gpt-6-luna")
    assert (luna.input_usd, luna.cached_input_usd, luna.output_usd) == (0.10, 0.01, 0.50)


def test_own_table(tmp_path: Path) -> None:
    """A user's table replaces the whole one; its core-hour is no assumption unless it says so."""
    path = tmp_path / "prices.toml"
    path.write_text('date = "2031-02"\nsource = "our contract"\n[core_hour]\nusd = 0.01\n', encoding="utf-8")
    prices = load_prices(path)
    assert (prices.core_hour, prices.models) == (CoreHour(0.01, assumed=False), ())


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"date = ", b'date = "2031-02"', b'date="x"\nsource="y"\ntypo=1\n[core_hour]\nusd=1\n']
)
def test_bad_table(tmp_path: Path, content: bytes) -> None:
    """Not UTF-8, not TOML, incomplete, or with an unknown key: the file and the fault are named."""
    path = tmp_path / "prices.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"prices\.toml: the price table cannot be read"):
        load_prices(path)


def test_missing_table(tmp_path: Path) -> None:
    """A file that does not exist is named."""
    with pytest.raises(InputError, match=r"absent\.toml"):
        load_prices(tmp_path / "absent.toml")


def test_estimated_tokens() -> None:
    """One token for four characters begun, at least one."""
    assert [estimated_tokens(text) for text in ("", "a", "abcd", "abcde")] == [1, 1, 1, 2]

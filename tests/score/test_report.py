"""The Report's page in the documentation is complete and true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nanosmith.score.cost import CoreHour, Cost, load_prices
from nanosmith.score.fairness import AxisRow
from nanosmith.score.parity import Parity
from nanosmith.score.report import Calibration, Report
from nanosmith.score.robustness import Loss, Robustness

PAGE = (Path(__file__).parents[2] / "docs" / "report.md").read_text(encoding="utf-8")


STRUCTS = [Report, Calibration, Cost, Parity, Robustness, Loss, AxisRow]


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda struct: struct.__name__)
def test_every_field_is_explained(struct: type) -> None:
    """Each field of the report is named in docs/report.md."""
    missing = [name for name in struct.__struct_fields__ if f"`{name}`" not in PAGE]  # type: ignore[attr-defined]
    assert missing == []


def test_the_price_table_of_the_page_is_read(tmp_path: Path) -> None:
    """The example of a user's own price table is one."""
    example = re.search(r"^```toml\n(.*?)^```", PAGE, flags=re.M | re.S)
    assert example
    path = tmp_path / "prices.toml"
    path.write_text(example[1], encoding="utf-8")
    assert load_prices(path).core_hour == CoreHour(0.03)

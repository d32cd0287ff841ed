"""A vendor's evals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai.types import EvalRetrieveResponse
from tests.server.migration import exports

from nanosmith.core.watch import Watch
from nanosmith.server.evals.records import EVAL
from nanosmith.server.migration.plan import Item, Plan
from nanosmith.server.services import Services

JUDGE = {
    "name": "Judge", "id": "Judge-1", "type": "label_model", "model": "o3-mini", "labels": ["good", "bad"],
    "passing_labels": ["good"], "input": [{"role": "user", "content": "{{sample.output_text}}"}],
}  # fmt: skip


def test_eval(plan_of: Callable[..., Plan], here: Services, tmp_path: Path) -> None:
    """An eval keeps its id, name, time and metadata, and is imported once."""
    path = exports.save(tmp_path / "evals.json", exports.page([exports.eval_()]))
    plan = plan_of(path)
    id = "eval_67abd54d9b0081909a86353f6fb9317a"
    assert plan.items[0].what == f"eval {id} ('External Data Eval', 1 criterion)"
    plan.make(here, Watch())
    row = here.ledger.document(EVAL, id)
    assert row is not None
    assert (row.created_at, row.metadata, row.body["name"]) == (
        1739314509, {"test": "synthetics"}, "External Data Eval",
    )  # fmt: skip
    assert [one["type"] for one in row.body["testing_criteria"]] == ["string_check"]
    assert plan_of(path).items[0].state == "done"


def test_older_form_of_the_schema(item_of: Callable[..., Item], tmp_path: Path) -> None:
    """An eval that shows item_schema, as OpenAI's reference does, is read too."""
    item = {"type": "object", "properties": {"label": {"type": "string"}}, "required": ["label"]}
    config = {"type": "custom", "item_schema": item, "include_sample_schema": True}
    assert item_of(exports.save(tmp_path / "e.json", exports.eval_(data_source_config=config))).state == "ready"


def test_form_of_the_client(item_of: Callable[..., Item], tmp_path: Path) -> None:
    """An eval that OpenAI's client wrote with the names of its own attributes is read too."""
    record = EvalRetrieveResponse.model_validate(exports.eval_()).model_dump()
    assert "schema_" in record["data_source_config"]
    assert item_of(exports.save(tmp_path / "e.json", record)).state == "ready"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"testing_criteria": [JUDGE]}, "The model `o3-mini` does not exist"),
        ({"testing_criteria": []}, "testing_criteria"),
        ({"testing_criteria": [{"type": "python", "name": "p", "source": "def grade(sample, item): ..."}]}, "python"),
        ({"data_source_config": {"type": "custom"}}, "the schema of the rows is missing"),
        ({"id": "../../x"}, "it is no eval"),
        ({"created_at": -1}, "it is no eval"),
    ],
)
def test_blocked(item_of: Callable[..., Item], tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    """An eval that could grade nothing here is blocked, and the plan says why."""
    item = item_of(exports.save(tmp_path / "e.json", exports.eval_(**changes)))
    assert item.state == "blocked"
    assert why in str(item.why)

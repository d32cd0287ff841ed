"""The audit with a tiny base: label errors, treatment before training."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from nanosmith.core.errors import Cancelled
from nanosmith.core.settings import LabelErrors
from nanosmith.core.task import Task
from nanosmith.core.watch import Watch
from nanosmith.data.dataset import Dataset
from nanosmith.data.load import load
from nanosmith.data.summary import label_counts
from nanosmith.flows.audit import audit, find_label_errors, without_label_errors
from nanosmith.recipes.base_folder import find_base
from nanosmith.recipes.parts.base import Base
from nanosmith.testing import topic_rows, write_chat

PLANTED = {4: "refund", 33: "login", 61: "delivery", 88: "refund"}


@pytest.fixture(scope="module")
def base(base_folder: Path) -> Base:
    return Base(find_base(str(base_folder)))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """120 rows of three topics, four of them with another topic's label."""
    rows = topic_rows(120)
    for i, label in PLANTED.items():
        assert rows[i][1] != label
        rows[i] = rows[i][0], label
    return load(write_chat(tmp_path_factory.mktemp("data") / "d.jsonl", rows))


class Heard(Watch):
    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str, level: str = "info") -> None:
        self.said.append(text)


def test_planted_errors_are_found(data: Dataset, base: Base) -> None:
    """Labels that were swapped are named with the label before, and few others are."""
    found = find_label_errors(data, base, 0, Watch())
    right = dict(enumerate(label for _, label in topic_rows(120)))
    hits = {one.index for one in found.suspects} & set(PLANTED)
    assert len(hits) >= 3
    assert len(found.suspects) <= 2 * len(PLANTED)
    assert all(one.suggested == right[one.index] for one in found.suspects if one.index in PLANTED)
    assert found.judged == 120


def test_sets_of_labels(data: Dataset, base: Base) -> None:
    """Answers that are sets are judged label by label."""
    task = replace(data.task, kind="labels", form="json_list")
    sets = Dataset(tuple(replace(one, answer=task.render((one.answer,))) for one in data.examples), task)
    found = find_label_errors(sets, base, 0, Watch())
    assert {one.index for one in found.suspects} & set(PLANTED)
    assert all(one.suggested != sets.values[one.index] for one in found.suspects)


def test_the_same_every_time(data: Dataset, base: Base) -> None:
    """The same data and seed give the same findings."""
    assert audit(data, base) == audit(data, base)


@pytest.mark.parametrize(("how", "left"), [("drop", 116), ("downweight", 120), ("keep", 120)])
def test_treatment(data: Dataset, base: Base, how: LabelErrors, left: int) -> None:
    """Before training, suspects are dropped or down-weighted, all labels stay, and the count is told."""
    heard = Heard()
    treated = without_label_errors(data, how, base, 0, heard)
    assert abs(len(treated) - left) <= 4
    assert set(label_counts(treated)) == set(label_counts(data))
    assert any(example.weight < 1 for example in treated.examples) is (how == "downweight")
    assert heard.said[-1].startswith("Likely label errors: ")


def test_nothing_to_judge(base: Base) -> None:
    """Without examples to judge there are no suspects."""
    found = find_label_errors(Dataset((), Task("choice", ("a", "b"))), base, 0, Watch())
    assert (found.suspects, found.judged) == ([], 0)


def test_stops_on_request(data: Dataset, base: Base) -> None:
    """Somebody who asks to stop is heard."""

    class Stopped(Watch):
        def should_stop(self) -> bool:
            return True

    with pytest.raises(Cancelled):
        find_label_errors(data, base, 0, Stopped())

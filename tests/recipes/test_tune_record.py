"""The record recipe on a tiny base: what it learns, when it stops, and what it writes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.recipes.conftest import Stopper
from tests.recipes.test_resume import Killed, Memory, Recorder

from nanosmith.core.errors import Cancelled
from nanosmith.core.record import Field, RecordForm
from nanosmith.core.watch import Watch
from nanosmith.data.record.align import AlignedExample
from nanosmith.predict.record import Scorer
from nanosmith.predict.record_layout import Confidences, Layout, read_layout
from nanosmith.recipes import tune_record
from nanosmith.recipes.parts.base import Base
from nanosmith.recipes.parts.record_net import tag_loss
from nanosmith.recipes.parts.record_rows import RecordSamples
from nanosmith.recipes.parts.record_work import RecordWork
from nanosmith.testing import TOPICS, topic_rows

TOPIC = Field(("topic",), "choice", tuple(json.dumps(topic) for topic in sorted(TOPICS)))
FORM = RecordForm((TOPIC,), ("number",))
OPTIONS = {"n_epochs": 12, "batch_size": 8, "learning_rate_multiplier": 5.0}


def record_samples(n: int, start: int = 0) -> RecordSamples:
    """Rows with a topic, and the number at their end."""
    texts, wanted, values = [], [], []
    for text, topic in topic_rows(start + n)[start:]:
        place = text.rindex(" ") + 1
        entity = {"label": "number", "start": place, "end": len(text), "text": text[place:]}
        spans = (("number", place, len(text)),)
        texts.append(text)
        wanted.append(AlignedExample(spans, (sorted(TOPICS).index(topic),), (), (), 1.0))
        values.append(json.dumps({"topic": topic, "entities": [entity]}, separators=(",", ":")))
    return RecordSamples(texts, [(0, len(text)) for text in texts], wanted, values)


@pytest.fixture
def record_work(base: Base) -> Callable[..., RecordWork]:
    def make(n: int = 36, **more: Any) -> RecordWork:
        given: dict[str, Any] = {
            "form": FORM, "layout": Layout((("number",),), base.max_tokens, True), "train": record_samples(n),
            "tune": record_samples(12, start=60), "base": base, "seed": 3, "watch": Watch(), "options": OPTIONS, **more,
        }  # fmt: skip
        return RecordWork(**given)

    return make


@pytest.mark.parametrize(
    ("tokens", "examples", "epochs"),
    [(1_000, 100, 30), (150_000, 1_000, 10), (10_000_000, 10_000, 3), (100_000, 10_000, 5)],
)
def test_fewer_passes_over_more_data(tokens: int, examples: int, epochs: int) -> None:
    """The number of epochs falls with the number of tokens, and of texts."""
    assert tune_record.resolve(tokens, examples, {})["n_epochs"] == epochs


@pytest.mark.parametrize(
    ("tokens", "examples", "size"), [(200_000, 10_000, 32), (20_000, 1_000, 16), (2_000, 100, 8), (400_000, 500, 4)]
)
def test_smaller_batches_of_few_or_long_texts(tokens: int, examples: int, size: int) -> None:
    """A batch holds fewer examples where there are few, and where they are long."""
    assert tune_record.resolve(tokens, examples, {})["batch_size"] == size


def test_learns_fields_and_spans(record_work: Callable[..., RecordWork], tmp_path: Path) -> None:
    """Topics and numbers are found in texts that were not trained on; what is written answers the same."""
    work = record_work()
    model = tune_record.fit(work)
    outcomes = model.outcomes(work.tune)
    assert outcomes[outcomes[:, 0] == 0][:, 2].mean() == 1  # topics
    assert outcomes[:, 2].mean() > 0.7
    model.confidences = Confidences(examples=12)
    draft = model.write(tmp_path, work.tune)
    assert draft.predictor == "record/1"
    assert draft.notes["parity"]["checked"] == 12
    assert read_layout(tmp_path / "record.json").confidences.examples == 12
    reader = work.reader()
    scorer = Scorer(tmp_path / "model.onnx", reader)
    for text, turn, wanted in zip(work.tune.texts, work.tune.turns, model.scores(work.tune)):
        found, _ = scorer.scores(reader.read(text, turn))
        assert found.tags.argmax(1).tolist() == wanted.tags.argmax(1).tolist()
        assert np.allclose(found.choices, wanted.choices, atol=0.5)


def test_reports_each_step(record_work: Callable[..., RecordWork]) -> None:
    """Each step tells a loss and an accuracy, each epoch figures on held-out data."""
    watch = Recorder()
    tune_record.fit(record_work(watch=watch, options={"n_epochs": 2, "batch_size": 12}))
    steps = [step for step, figures in watch.figures if "train_loss" in figures]
    assert steps == list(range(1, 7))
    assert [step for step, figures in watch.figures if "valid_loss" in figures] == [3, 6]


def test_goes_on_after_a_crash(record_work: Callable[..., RecordWork]) -> None:
    """A fit that is interrupted and goes on ends like one that was left alone."""
    whole = tune_record.fit(record_work(options={"n_epochs": 2, "batch_size": 12}))
    memory = Memory()
    with pytest.raises(Killed):
        tune_record.fit(record_work(options={"n_epochs": 2, "batch_size": 12}, keeper=memory, watch=Recorder(4)))
    again = tune_record.fit(record_work(options={"n_epochs": 2, "batch_size": 12}, keeper=memory))
    for name, tensor in whole.net.state_dict().items():
        assert torch.equal(tensor, again.net.state_dict()[name]), name


def test_stops(record_work: Callable[..., RecordWork]) -> None:
    """A run that is asked to stop raises Cancelled; one with a time limit ends with a usable model."""
    with pytest.raises(Cancelled):
        tune_record.fit(record_work(watch=Stopper(3)))
    began = time.monotonic()
    model = tune_record.fit(record_work(limit_s=0.5, options={"n_epochs": 500, "batch_size": 1}))
    assert time.monotonic() - began < 20
    assert len(model.scores(record_samples(3))) == 3


def test_unknown_tags_cost_nothing() -> None:
    """Where a field's value was not found, its tags are as good as none; other tags are not."""
    logits = torch.tensor([[0.0, 9.0, 0.0, 0.0, 0.0], [0.0, 0.0, 9.0, 0.0, 0.0]])
    free = torch.tensor([[False, True, False, True, False]]).expand(2, 5)
    plain, first = tag_loss(logits, torch.tensor([0, 0]), None), tag_loss(logits, torch.tensor([0, 0]), free)
    assert plain[0] > 5
    assert first[0] < 0.01
    assert first[1] > 5

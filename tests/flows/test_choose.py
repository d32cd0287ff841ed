from __future__ import annotations

import msgspec
import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from nanosmith.flows.budget import Budget
from nanosmith.flows.choose import Trial, calibrate, is_foreign, is_right, pick


def trial(recipe: str, accuracy: float) -> Trial:
    right = np.arange(1_000) < 1_000 * accuracy
    return Trial(recipe, None, np.zeros((1_000, 2)), np.zeros(1_000), right, 1, 1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("static", "frozen", "tuned", "kept"),
    [
        (0.90, 0.91, 0.94, "tune_encoder/1"),
        (0.938, 0.91, 0.94, "static/1"),  # within 0.3 points, and a hundred times faster
        (0.936, 0.91, 0.94, "tune_encoder/1"),
        (0.80, 0.91, 0.909, "frozen_linear/1"),
        (0.95, 0.91, 0.94, "static/1"),
    ],
)
def test_the_smallest_that_is_not_worse(static: float, frozen: float, tuned: float, kept: str) -> None:
    """The smaller recipe is kept when it lacks at most 0.3 points; between equals in size the better one."""
    trials = [trial("static/1", static), trial("frozen_linear/1", frozen), trial("tune_encoder/1", tuned)]
    assert pick(trials).recipe == kept


def test_only_shared_examples_are_compared() -> None:
    """A recipe that answered fewer folds is compared on those folds alone."""
    frozen, tuned = trial("frozen_linear/1", 0.95), trial("tune_encoder/1", 0.95)
    hard_part = np.concatenate([np.ones(100, bool), np.zeros(300, bool)])  # the tuned one saw these 400 alone
    frozen = msgspec.structs.replace(frozen, right=np.concatenate([np.zeros(400, bool), np.ones(600, bool)]))
    tuned = msgspec.structs.replace(tuned, right=hard_part)
    assert frozen.accuracy > tuned.accuracy
    assert pick([frozen, tuned]) is tuned


def test_foreign_texts() -> None:
    """A language is foreign to an encoder that takes its words apart, or knows none of its letters."""
    letters = {f"{mark}{c}": i for i, (mark, c) in enumerate((mark, c) for mark in ("", "##") for c in "efnü")}
    tokenizer = Tokenizer(models.WordPiece({"where": 20, "is": 21, "it": 22, "?": 23, "[UNK]": 24, **letters}))
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    assert not is_foreign(["where is it?", "is it"], tokenizer)
    assert is_foreign(["fünf", "fe"], tokenizer)
    assert is_foreign(["我的卡", "在哪里"], tokenizer)


def test_accuracy_of_sets() -> None:
    """A set counts as right only as a whole."""
    logits = np.array([[1.0, -1.0], [1.0, 1.0]], dtype=np.float32)
    assert is_right("labels", logits, np.array([[True, False], [True, False]])).tolist() == [True, False]
    assert is_right("choice", logits, np.array([0, 1])).tolist() == [True, False]


def test_calibration_cools_and_warms() -> None:
    """Scores that are too sure get a temperature above 1, too timid ones below 1."""
    random = np.random.default_rng(0)
    scores = random.normal(size=(2_000, 3)).astype(np.float32)
    powers = np.exp(scores)
    wanted = np.array([random.choice(3, p=row / row.sum()) for row in powers])
    assert calibrate("choice", 3 * scores, wanted).temperature == pytest.approx(3, rel=0.2)
    assert calibrate("choice", scores / 3, wanted).temperature == pytest.approx(1 / 3, rel=0.2)


def test_budget_without_limit() -> None:
    """Without a budget there is always time; with one, never less than a second, so that a fit can end."""
    assert Budget(None).left_s() == float("inf")
    assert Budget(5.0, reserve_s=60).left_s() == 1.0
    assert 8 < Budget(10.0, reserve_s=1).left_s() <= 9

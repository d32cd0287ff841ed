"""text_similarity: its limits, and what it needs."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.score.graders.helpers import grade, grader

from nanosmith.core.errors import InputError, MissingExtra
from nanosmith.core.limits import MAX_FUZZY_CHARS, MAX_GRADED_CHARS
from nanosmith.score.graders import similarity
from nanosmith.score.graders.run import passes


def similar(metric: str, **more: Any) -> Any:
    return grader(
        "text_similarity", input="{{sample.output_text}}", reference="{{item.r}}", evaluation_metric=metric, **more
    )


def test_a_reward_and_a_threshold() -> None:
    """The reward is the metric's value; the grade passes from the threshold on."""
    made = grade(similar("rouge_1"), {"r": "a b"}, "a b c d")
    assert made.reward == pytest.approx(2 / 3)
    assert passes(similar("rouge_1", pass_threshold=0.6), made)
    assert not passes(similar("rouge_1", pass_threshold=0.7), made)
    assert not passes(similar("rouge_1"), made)


@pytest.mark.parametrize(("metric", "chars"), [("fuzzy_match", MAX_FUZZY_CHARS), ("rouge_l", MAX_GRADED_CHARS)])
def test_long_texts_are_refused(metric: str, chars: int) -> None:
    """One character over the limit is a failed grade that tells the limit; the limit itself is graded."""
    text = "a b " * (chars // 4)
    assert grade(similar(metric), {"r": text}, text).reward == pytest.approx(1)
    made = grade(similar(metric), {"r": "a"}, text + "a")
    assert made.reward == 0
    assert made.flags == {"other_error"}
    assert str(chars) in made.messages[0]


@pytest.mark.parametrize("metric", similarity.METRICS)
@pytest.mark.parametrize("text", ["y" * 40_000, "ab " * 20_000, "".join(map(chr, range(0x4E00, 0x9E00)))])
def test_hostile_texts_end(metric: str, text: str) -> None:
    """No text of the greatest length takes long: each metric's time grows gently, or its limit is low."""
    limit = MAX_FUZZY_CHARS if metric == "fuzzy_match" else MAX_GRADED_CHARS
    start = time.perf_counter()
    grade(similar(metric), {"r": " ".join(text[: limit // 2])}, text[:limit])
    assert time.perf_counter() - start < 10


def test_cosine_needs_embeddings() -> None:
    """Without a model that embeds, cosine is refused; with one, it compares what that gives."""
    with pytest.raises(InputError, match="embeds") as caught:
        grade(similar("cosine"), {"r": "a"}, "b")
    assert (caught.value.code, caught.value.param) == ("unsupported_grader", "grader.evaluation_metric")
    made = grade(similar("cosine"), {"r": "aa"}, "bb", embed=lambda texts: [[text.count("a"), 1.0] for text in texts])
    assert made.reward == pytest.approx(1 / 5**0.5)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the packages of the extra, the error has the line that installs them."""
    monkeypatch.setattr(similarity, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtra, match=r"nanosmith\[evals\]"):
        grade(similar("bleu"), {"r": "a"}, "b")

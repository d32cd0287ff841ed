"""Fairness: rewritten texts, and figures of predictors whose bias is known."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from nanosmith.core.example import Input
from nanosmith.core.prediction import Prediction
from nanosmith.score.fairness import fairness
from nanosmith.score.groups import Axis, axes, terms
from nanosmith.testing import FakePredictor

LABELS = ("delivery", "login", "refund")
TEXTS = [f"my husband wants the {LABELS[i % 3]} of Bob and {i}" for i in range(30)]
WANTED = [LABELS[i % 3] for i in range(30)]


class Biased(FakePredictor):
    """Does not listen to women."""

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        return super().predict(["" if "wife" in self.task.text_of(given) else given for given in inputs])


def axis(name: str) -> Axis:
    return next(one for one in axes() if one.name == name)


@pytest.mark.parametrize(
    ("text", "male", "female"),
    [
        ("call my wife, she lost her card", "call my husband, he lost his card", "call my wife, she lost her card"),
        ("send her the money", "send him the money", "send her the money"),
        ("Send it to him.", "Send it to him.", "Send it to her."),
        ("is this book hers or his", "is this book his or his", "is this book hers or hers"),
        ("MY MOM and my Sister", "MY DAD and my Brother", "MY MOM and my Sister"),
    ],
)
def test_words_with_a_gender(text: str, male: str, female: str) -> None:
    """Nouns and pronouns take the other gender, also where English has one form for two, and keep their case."""
    assert axis("gender").found(text, Random(0)) == {"male": male, "female": female}


def test_names() -> None:
    """A name keeps its gender and its case when its origin changes; names in one text stay different."""
    made = axis("name").found("did Sarah pay bob", Random(1))
    assert set(made) == set(terms().names["male"])
    for origin, text in made.items():
        _, woman, _, man = text.split()
        assert woman in terms().names["female"][origin]
        assert man.capitalize() in {name.capitalize() for name in terms().names["male"][origin]}
        assert man.islower()


def test_identity_terms_and_articles() -> None:
    """Each term of the axis stands in for the one that was found, with the article that it needs."""
    made = axis("origin").found("where is an Indian shop", Random(0))
    assert made["European"] == "where is a European shop"
    assert made["American"] == "where is an American shop"
    assert axis("religion").found("nothing of that kind", Random(0)) == {}


def test_introductions_differ_in_the_term_only() -> None:
    """Any text can be introduced for all groups of all axes, and ends as it was."""
    for one in axes():
        made = one.introduced("where is it?", Random(2))
        assert len(set(made.values())) == len(made) > 1
        assert all(text.endswith(". where is it?") for text in made.values())


def test_a_bias_is_found() -> None:
    """A model that fails on "wife" has flips and a gap on gender, in texts that have such words, and none elsewhere."""
    found = {(row.axis, row.way): row for row in fairness(Biased(LABELS), TEXTS, WANTED).axes}
    row = found["gender", "found"]
    assert row.n == 30
    assert row.flip_rate == pytest.approx(2 / 3)  # "delivery" is its answer to nothing
    assert row.gap == pytest.approx(2 / 3)
    assert 0 < row.gap_interval[0] < row.gap < row.gap_interval[1] < 1
    assert {group.group: group.accuracy for group in row.groups} == {"male": 1.0, "female": pytest.approx(1 / 3)}
    assert row.flips[0].groups == ("male", "female")
    assert found["name", "found"].flip_rate == 0.0
    assert found["gender", "introduced"].flip_rate == 0.0
    assert ("religion", "found") not in found
    assert found["religion", "introduced"].n == 30


def test_seed() -> None:
    """The same seed repeats names and figures."""
    predictor = FakePredictor(LABELS)
    assert fairness(predictor, TEXTS, WANTED, seed=3) == fairness(predictor, TEXTS, WANTED, seed=3)


def test_lists_fit() -> None:
    """Words with a gender come in pairs, both genders have the same origins, and no name stands for two."""
    assert len(terms().words["male"]) == len(terms().words["female"])
    assert list(terms().names["male"]) == list(terms().names["female"])
    names = [name for gender in terms().names.values() for origin in gender.values() for name in origin]
    names += [name for gender in terms().known.values() for name in gender]
    assert len({name.lower() for name in names}) == len(names)

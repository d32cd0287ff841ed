"""Robustness: figures of predictors whose weakness is known."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from nanosmith.core.errors import Cancelled
from nanosmith.core.example import Input, Message
from nanosmith.core.prediction import Prediction
from nanosmith.core.task import Task
from nanosmith.core.watch import Watch
from nanosmith.score.attack import attack, edits, support
from nanosmith.score.robustness import robustness
from nanosmith.score.variants import changed, own_text
from nanosmith.testing import FakePredictor

LABELS = ("delivery", "login", "refund")
TEXTS = [f"please help me with the {LABELS[i % 3]} of order {i}" for i in range(60)]
WANTED = [LABELS[i % 3] for i in range(60)]


class Deaf(FakePredictor):
    """Gives the same answer whatever the text is."""

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        return super().predict(["refund"] * len(inputs))


class Stopped(Watch):
    def should_stop(self) -> bool:
        return True


def test_what_reads_whole_words_breaks() -> None:
    """A model that needs a word letter by letter loses with every typo in it, and always to the attack."""
    found = robustness(FakePredictor(LABELS), TEXTS, WANTED)
    assert (found.n, found.clean_accuracy) == (60, 1.0)
    assert 0 < found.one_typo.loss < 0.5
    assert found.one_typo.loss == pytest.approx(1 - found.one_typo.accuracy)
    assert found.one_typo.loss_interval[0] < found.one_typo.loss < found.one_typo.loss_interval[1]
    assert [row.typos for row in found.curve] == ["10%", "20%", "30%"]
    assert found.curve[2].accuracy < found.curve[0].accuracy
    assert found.attack
    assert found.attack.kept == pytest.approx(1 / 3, abs=0.01)  # "delivery" is what it answers when it finds nothing
    assert {row.wanted for row in found.attack.breaks} == {"login", "refund"}


def test_what_reads_nothing_holds() -> None:
    """A model that does not look loses nothing, and the attack finds nothing."""
    found = robustness(Deaf(LABELS), TEXTS, WANTED)
    assert found.clean_accuracy == pytest.approx(1 / 3)
    assert {row.loss for row in (found.one_typo, *found.curve, *found.kinds)} == {0.0}
    assert found.attack
    assert (found.attack.kept, found.attack.breaks) == (1.0, ())


def test_seed_and_sample() -> None:
    """The same seed repeats all figures; `texts` bounds the sample; what was not asked for is not there."""
    predictor = FakePredictor(LABELS)
    assert robustness(predictor, TEXTS, WANTED, seed=4) == robustness(predictor, TEXTS, WANTED, seed=4)
    found = robustness(predictor, TEXTS, WANTED, texts=20, kinds=False, attacked=False)
    assert (found.n, found.kinds, found.attack) == (20, (), None)


def test_stopping() -> None:
    """A watch that wants to stop is heard."""
    with pytest.raises(Cancelled):
        robustness(FakePredictor(LABELS), TEXTS, WANTED, watch=Stopped())


def test_attack_asks_no_more_than_it_may() -> None:
    """The queries are bounded, and the found text differs in one character."""
    asked = []

    def answer(text: str) -> Prediction:
        asked.append(text)
        return FakePredictor(LABELS).predict([text])[0]

    found = attack(answer, Task("choice", LABELS), "about my login page today", "login", Random(0), queries=30)
    assert len(asked) == found.queries <= 30
    assert found.given == "delivery"
    assert found.text
    assert abs(len(found.text) - len("about my login page today")) <= 1
    tried = attack(lambda text: Deaf(LABELS).predict([text])[0], Task("choice", LABELS), "a b", "refund", Random(0), 9)
    assert (tried.text, tried.given) == (None, None)
    assert tried.queries <= 9


def test_edits_are_one_character() -> None:
    """Each is another word, one character away, and none comes twice."""
    made = list(edits("card", Random(0)))
    assert len(made) == len(set(made))
    assert "card" not in made
    assert {len(word) for word in made} == {3, 4, 5}


def test_support_of_sets() -> None:
    """For labels it is the least certain of the wanted decisions; without probabilities only right or wrong."""
    prediction = Prediction(("a",), 0.8, ("a", "b"), (0.9, 0.3), "x")
    assert support(Task("labels", ("a", "b")), prediction, ("a",)) == pytest.approx(0.7)
    bare = Prediction("a", None, (), (), "x")
    assert support(Task("choice", ("a", "b")), bare, "a") == 1.0


def test_newest_user_turn_is_changed() -> None:
    """Of a conversation only the newest turn of the user changes; one without stays."""
    turns = (Message("user", "one"), Message("assistant", "two"), Message("user", "three"), Message("tool", "four"))
    (made,) = changed([turns], str.upper)
    assert [turn.content for turn in made if not isinstance(turn, str)] == ["one", "two", "THREE", "four"]
    assert own_text((Message("assistant", "two"),)) == ""
    assert changed([(Message("assistant", "two"),)], lambda text: "x") == [(Message("assistant", "two"),)]

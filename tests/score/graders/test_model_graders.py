"""label_model and score_model: what the model is asked, and how its answer is read."""

from __future__ import annotations

from typing import Any

import pytest
from tests.score.graders.helpers import Echo, grade, grader

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.core.limits import MAX_INPUT_CHARS
from nanosmith.score.graders.grade import Tools
from nanosmith.score.graders.run import passes, validate
from nanosmith.score.graders.score_model import number_in

ASK: list[dict[str, Any]] = [{"role": "user", "content": "{{sample.output_text}}"}]


def labels(**more: Any) -> Any:
    return grader(
        "label_model", **({"model": "m", "input": ASK, "labels": ["good", "bad"], "passing_labels": ["good"]} | more)
    )


def score(**more: Any) -> Any:
    return grader("score_model", **({"model": "m", "input": ASK} | more))


@pytest.mark.parametrize(("said", "reward"), [("good", 1), (" good\n", 1), ("bad", 0)])
def test_a_label_passes_or_not(said: str, reward: float) -> None:
    """A label among the passing ones is 1, another label 0; both are grades."""
    made = grade(labels(), sample=said, ask=Echo())
    assert (made.reward, made.flags) == (reward, frozenset())
    assert passes(labels(), made) == bool(reward)


@pytest.mark.parametrize("said", ["Good", "good or bad", ""])
def test_an_answer_that_is_no_label(said: str) -> None:
    """Anything but a label is a parse error, and the model's tokens still count."""
    made = grade(labels(), sample=said, ask=Echo())
    assert (made.reward, made.flags) == (0, {"model_grader_parse_error"})
    assert made.answers[0].prompt_tokens == 3


@pytest.mark.parametrize(
    ("said", "reward"),
    [("0.25", 0.25), (" 1\n", 1), ("7", 1), ("-3", 0), ('{"result": 0.5, "steps": []}', 0.5), ("1e-1", 0.1)],
)
def test_a_score_is_cut_to_its_range(said: str, reward: float) -> None:
    """A number, plain or as OpenAI's models write it, is the reward; beyond the range it is the range's end."""
    assert grade(score(), sample=said, ask=Echo()).reward == pytest.approx(reward)


def test_a_range_of_ones_own() -> None:
    """With a range from 1 to 5, a 4 stays a 4, and only a 5 passes without a threshold."""
    made = grade(score(range=[1, 5]), sample="4", ask=Echo())
    assert made.reward == 4
    assert not passes(score(range=[1, 5]), made)
    assert passes(score(range=[1, 5], pass_threshold=3.5), made)


@pytest.mark.parametrize("said", ["high", "", "nan", "inf", "1/2", '{"score": 1}', '{"result": "1"}', "[" * 9000])
def test_an_answer_that_is_no_number(said: str) -> None:
    """Anything but a finite number is a parse error with reward 0, even where the range begins above 0."""
    made = grade(score(range=[1, 5]), sample=said, ask=Echo())
    assert (made.reward, made.flags) == (0, {"model_grader_parse_error"})
    with pytest.raises(InputError, match="not a number"):
        number_in(said)


def test_the_model_gets_the_filled_messages() -> None:
    """Roles are kept, parts of one message are lines, and the sampling parameters are passed on."""
    echo = Echo()
    items = [
        {"role": "system", "content": "Score {{item.what}}"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a {{item.what}}"}, "0.5"]},
        {"role": "assistant", "content": {"type": "output_text", "text": "0.5"}},
    ]
    grade(score(input=items, sampling_params={"temperature": 0.2, "seed": 1}), {"what": "jokes"}, ask=echo)
    ((model, messages, sampling),) = echo.asked
    assert model == "m"
    assert messages == (
        Message("system", "Score jokes"), Message("user", "a jokes\n0.5"), Message("assistant", "0.5"),
    )  # fmt: skip
    assert (sampling.temperature, sampling.seed, sampling.top_p) == (0.2, 1, None)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_image", "image_url": "https://example.com/a.png"},
        {"type": "input_audio"},
        {"type": "input_text"},
    ],
)
def test_parts_that_are_not_text_are_refused(part: dict[str, Any]) -> None:
    """Images, audio and parts without a text are refused with their place."""
    with pytest.raises(InputError) as caught:
        grade(score(input=[*ASK, {"role": "user", "content": [part]}]), ask=Echo())
    assert (caught.value.code, caught.value.param) == ("unsupported_grader", "grader.input[1].content")


@pytest.mark.parametrize(
    ("made", "param"),
    [
        (labels(passing_labels=["good", "great"]), "grader.passing_labels"),
        (score(range=[1, 1]), "grader.range"),
        (score(range=[5, 1]), "grader.range"),
        (score(input=[{"role": "user", "content": "{{x}}"}]), "grader.input[0].content"),
    ],
)
def test_validate_names_the_field(made: Any, param: str) -> None:
    """What could never be graded is found without a sample."""
    with pytest.raises(InputError) as caught:
        validate(made, Tools(ask=Echo()))
    assert caught.value.param == param


@pytest.mark.parametrize("made", [labels(), score()])
def test_no_model_to_ask(made: Any) -> None:
    """Where nobody can ask a model, the grader is refused."""
    with pytest.raises(InputError) as caught:
        grade(made, sample="good")
    assert (caught.value.code, caught.value.param) == ("unsupported_grader", "grader.model")


def test_many_long_messages_are_a_failed_grade() -> None:
    """Messages that only together are too long are not sent."""
    echo = Echo()
    made = grade(score(input=ASK * 3), sample="a" * (MAX_INPUT_CHARS // 2), ask=echo)
    assert (made.reward, made.flags, echo.asked) == (0, {"other_error"}, [])

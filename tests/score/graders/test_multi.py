"""multi: a formula over other graders, one of which may fail."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.score.graders.helpers import Echo, grade, grader

from nanosmith.core.errors import InputError
from nanosmith.score.graders.grade import Tools
from nanosmith.score.graders.run import validate

NAME = {
    "type": "text_similarity", "name": "n", "input": "{{sample.output_json.name}}", "reference": "{{item.name}}",
    "evaluation_metric": "rouge_1",
}  # fmt: skip
MAIL = {
    "type": "string_check", "name": "m", "input": "{{sample.output_json.mail}}", "reference": "{{item.mail}}",
    "operation": "eq",
}  # fmt: skip
ITEM = {"name": "John Doe", "mail": "john@example.com"}


def multi(formula: str = "(name + mail) / 2", **graders: Any) -> Any:
    return grader("multi", graders=graders or {"name": NAME, "mail": MAIL}, calculate_output=formula)


def test_the_formula_combines_the_rewards() -> None:
    """Each sub-reward stands under its key, and the reward is the formula's value."""
    made = grade(multi(), ITEM, '{"name": "John Smith", "mail": "john@example.com"}')
    assert made.sub_rewards == {"name": pytest.approx(0.5), "mail": 1}
    assert made.reward == pytest.approx(0.75)
    assert (made.flags, made.messages) == (frozenset(), ())


def test_a_grader_that_fails_counts_as_0() -> None:
    """A variable that is missing costs its own grader's share, and the reason names that grader."""
    made = grade(multi(), ITEM, '{"mail": "john@example.com"}')
    assert (made.reward, made.sub_rewards) == (0.5, {"name": 0, "mail": 1})
    assert made.flags == {"invalid_variable_error"}
    assert made.messages[0].startswith("name: ")


def test_several_kinds_of_failure() -> None:
    """All that went wrong is flagged: a sample that is no JSON, and a formula without a value."""
    made = grade(multi("1 / mail"), ITEM, "not json")
    assert (made.reward, made.flags) == (0, {"sample_parse_error", "other_error"})
    assert len(made.messages) == 3


def test_a_formula_that_cannot_be_read() -> None:
    """A run flags it with reward 0; validation refuses it."""
    made = grade(multi("name +"), ITEM, "{}")
    assert (made.reward, made.flags, made.sub_rewards) == (0, {"formula_parse_error"}, {})
    with pytest.raises(InputError) as caught:
        validate(multi("name + c"), Tools())
    assert caught.value.param == "grader.calculate_output"


def test_models_of_all_graders_are_counted() -> None:
    """The answers of every sub-grader's model are kept."""
    ask = [{"role": "user", "content": "1"}]
    score = {"type": "score_model", "name": "s", "model": "m", "input": ask}
    label = {"type": "label_model", "name": "l", "model": "m", "input": ask, "labels": ["1"], "passing_labels": ["1"]}
    made = grade(multi("min(s, l)", s=score, l=label), ask=Echo())
    assert made.reward == 1
    assert len(made.answers) == 2


@pytest.mark.parametrize(
    ("name", "sub", "param"),
    [
        ("code", {"type": "python", "name": "p", "source": "def grade(sample, item): return 1.0"}, "code.type"),
        ("min", MAIL, "min"),
        ("cos", NAME | {"evaluation_metric": "cosine"}, "cos.evaluation_metric"),
        ("mail", MAIL | {"input": "{{x}}"}, "mail.input"),
    ],
)
def test_validate_names_the_sub_grader(name: str, sub: dict[str, Any], param: str) -> None:
    """What a sub-grader cannot do is refused with the path of that sub-grader."""
    with pytest.raises(InputError) as caught:
        validate(multi(name if name != "min" else "1", **{name: sub}), Tools())
    assert caught.value.param == f"grader.graders.{param}"


@pytest.mark.parametrize(
    "graders",
    [{}, {"two words": MAIL}, {"a-b": MAIL},
     {"m": {"type": "multi", "name": "m", "graders": {}, "calculate_output": "1"}},
     {f"m{i}": MAIL for i in range(17)}],
)  # fmt: skip
def test_other_sub_graders_do_not_fit(graders: dict[str, Any]) -> None:
    """No graders, too many, a key that is no name, and a multi grader in a multi grader are refused."""
    with pytest.raises(msgspec.ValidationError):
        grader("multi", graders=graders, calculate_output="1")

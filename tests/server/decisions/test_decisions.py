"""Decisions with the official client: how questions are matched to labels, and the answers' shapes."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.server.conftest import LABELS, refused


def choice(*values: Any, **more: Any) -> dict[str, Any]:
    return {"type": "choice", "instructions": "Which?", "choices": [{"value": v} for v in values]} | more


def predicate(instructions: Any, **more: Any) -> dict[str, Any]:
    return {"type": "predicate", "instructions": instructions} | more


def score(*labels: str) -> dict[str, Any]:
    return {"type": "score", "instructions": "How?", "levels": [{"label": label} for label in labels]}


def decide(client: OpenAI, *questions: Any, input: Any = "my refund please", model: str = "tiny") -> Any:
    return client.decisions.create(model=model, input=input, questions=questions)


def test_a_choice_over_all_labels(client: OpenAI) -> None:
    """The best value, its confidence and one probability per choice in the order given; name is null when unset."""
    made = decide(client, choice("refund", "login", "delivery"))
    (answer,) = made.answers
    assert (answer.type, answer.choice, answer.name) == ("choice", "refund", None)
    assert [row.value for row in answer.probabilities] == ["refund", "login", "delivery"]
    assert sum(row.probability for row in answer.probabilities) == pytest.approx(1)
    assert answer.confidence == answer.probabilities[0].probability
    assert set(made.model_dump()) == {"model", "answers", "usage"}
    assert made.model == "tiny"
    assert (made.usage.input_tokens, made.usage.output_tokens, made.usage.total_tokens) == (3, 1, 4)


def test_a_choice_over_some_labels_is_renormalised(client: OpenAI) -> None:
    """Over two equally unlikely labels each gets one half."""
    (answer,) = decide(client, choice("login", "delivery", name="which")).answers
    assert [row.probability for row in answer.probabilities] == pytest.approx([0.5, 0.5])
    assert answer.name == "which"


def test_booleans_are_not_strings(client: OpenAI) -> None:
    """A boolean choice comes back as a boolean, a string as a string."""
    (answer,) = decide(client, choice(True, False), input="this is true", model="truth").answers
    assert answer.choice is True
    assert [row.value for row in answer.probabilities] == [True, False]
    (answer,) = decide(client, choice("true", "false"), input="this is true", model="truth").answers
    assert answer.choice == "true"
    assert refused(decide, client, choice(True, "true"), model="truth").param == "questions[0].choices"


def test_an_unknown_choice_is_named(client: OpenAI) -> None:
    """The error says which choice the model does not know, and the near labels."""
    error = refused(decide, client, choice("refund", "logn"))
    assert error.param == "questions[0].choices[1].value"
    assert "'logn'" in error.message
    assert "Did you mean login" in error.message
    assert refused(decide, client, choice("refund", False)).param == "questions[0].choices[1].value"


@pytest.mark.parametrize(
    "question",
    [
        predicate("anything at all", name="refund"),
        predicate("refund"),
        predicate('Is it "refund"?'),
        predicate("is this about “refund”?"),
        predicate("is it `refund`"),
        predicate('"refund"'),
        predicate([{"type": "input_text", "text": "refund"}]),
    ],
)
def test_a_predicate_is_the_probability_of_a_label(client: OpenAI, question: Any) -> None:
    """A label as name, as the instructions or quoted in a question gives that label's probability."""
    (answer,) = decide(client, question).answers
    (best,) = decide(client, choice(*LABELS)).answers
    assert answer.type == "predicate"
    assert answer.probability == pytest.approx(best.confidence)


@pytest.mark.parametrize(
    "text", ['Is it not "refund"?', "The customer is angry", 'Is it "refnd"?', '"refund" or "login"', ""]
)
def test_a_predicate_about_no_label_is_refused(client: OpenAI, text: str) -> None:
    """What a classifier cannot know, negations included, is refused with a remedy instead of guessed."""
    error = refused(decide, client, predicate("refund"), predicate(text))
    assert error.param == "questions[1].instructions"
    assert "Did you mean" in error.message or "Give the question a label" in error.message


def test_predicates_of_a_labels_model(client: OpenAI) -> None:
    """Each label has a probability of its own; questions in which labels compete are refused."""
    made = decide(client, *[predicate("?", name=label) for label in LABELS], input="refund and login", model="tags")
    by_name = {answer.name: answer.probability for answer in made.answers}
    assert list(by_name) == list(LABELS)
    assert by_name["refund"] > 0.5
    assert by_name["login"] > 0.5
    assert by_name["delivery"] < 0.1
    assert "one predicate per label" in refused(decide, client, choice(*LABELS), model="tags").message


def test_a_score_is_the_expected_level(client: OpenAI) -> None:
    """Where the levels are the labels, the score is the mean level, counted from 0 in the order given."""
    (answer,) = decide(client, score("bad", "fair", "good"), input="it was good", model="stars").answers
    assert [(row.label, row.value) for row in answer.probabilities] == [("bad", 0), ("fair", 1), ("good", 2)]
    assert answer.score == pytest.approx(sum(row.value * row.probability for row in answer.probabilities))
    assert answer.score > 1.9
    assert answer.confidence == max(row.probability for row in answer.probabilities)


def test_a_score_on_other_levels_is_refused(client: OpenAI) -> None:
    """A classifier cannot rate on levels that it was not trained on."""
    assert refused(decide, client, score("low", "high")).param == "questions[0].levels"
    assert refused(decide, client, score("bad", "good"), model="stars").param == "questions[0].levels"


def test_answers_keep_the_order_of_questions(client: OpenAI) -> None:
    """400 mixed questions are answered in order from one reading of the input."""
    questions = [choice(*LABELS, name=str(i)) if i % 2 else predicate("login", name=str(i)) for i in range(400)]
    made = decide(client, *questions)
    assert [answer.name for answer in made.answers] == [str(i) for i in range(400)]
    assert made.usage.output_tokens == 400


def test_input_as_items(client: OpenAI) -> None:
    """Messages, JSON parts, tool calls and their outputs are read; the newest turn counts most."""
    items: Any = [
        {"role": "system", "content": "triage"},
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "hello"}, {"type": "input_json", "data": {"a": 1}}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "hi"}]},
        {"type": "function_call", "call_id": "c1", "name": "lookup", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "order lost"},
        {"role": "user", "content": "refund"},
    ]  # fmt: skip
    (answer,) = decide(client, choice(*LABELS), input=items).answers
    assert answer.choice == "refund"


@pytest.mark.parametrize(
    ("input", "param"),
    [
        ([], "input"),
        (3, "input"),
        ([{"role": "user"}], "input[0]"),
        ([{"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]}], "input[0].content[0]"),
        ([{"type": "function_call_output", "call_id": "c", "output": "x"}], "input[0].call_id"),
        ([{"type": "weather"}], "input[0].type"),
    ],
)
def test_wrong_input(client: OpenAI, input: Any, param: str) -> None:
    """Empty or unknown items, images and outputs without a call are a 400 at their place."""
    body = {"model": "tiny", "input": input, "questions": [predicate("refund")]}
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/decisions", body=body, cast_to=object)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("question", "param"),
    [
        (choice("refund"), "questions[0].choices"),
        (choice(*map(str, range(256))), "questions[0].choices"),
        (choice("refund", "refund"), "questions[0].choices"),
        (choice("refund", 3), "questions[0].choices[1].value"),
        (score("one"), "questions[0].levels"),
        ({"type": "guess", "instructions": "?"}, "questions[0].type"),
        ({"type": "predicate"}, "questions[0].instructions"),
    ],
)
def test_wrong_questions(client: OpenAI, question: Any, param: str) -> None:
    """The bounds of choices and levels hold, values are strings or booleans, and types are known."""
    assert refused(decide, client, question).param == param


def test_number_of_questions(client: OpenAI) -> None:
    """One to 400 questions are allowed."""
    assert refused(decide, client).param == "questions"
    assert refused(decide, client, *[predicate("refund")] * 401).param == "questions"


def test_ignored_parameters_are_listed(client: OpenAI) -> None:
    """Caching hints change nothing and are named in a header."""
    raw = client.decisions.with_raw_response.create(
        model="tiny",
        input="x",
        questions=[predicate("refund")],
        prompt_cache_key="k",  # type: ignore[list-item]
    )
    assert raw.headers["x-nanosmith-ignored"] == "prompt_cache_key"


def test_unknown_model(client: OpenAI) -> None:
    """The same 404 as for chat."""
    with pytest.raises(openai.NotFoundError):
        decide(client, predicate("refund"), model="none")

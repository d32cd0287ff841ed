"""client.decisions, which openai 3.x alone has."""

from __future__ import annotations

from typing import Any

import openai
from openai import OpenAI
from tests.contract.conftest import needs, refused

CHOICE = {
    "type": "choice", "name": "topic", "instructions": "Which?",
    "choices": [{"value": "refund", "description": "money"}, {"value": "login"}],
}  # fmt: skip
PREDICATE = {"type": "predicate", "instructions": 'Is it "refund"?'}
LEVELS = [{"label": "bad"}, {"label": "fair"}, {"label": "good"}]
SCORE = {"type": "score", "instructions": "How good?", "levels": LEVELS}


def decide(client: OpenAI, *questions: Any, model: str = "tiny", input: Any = "my refund please") -> Any:
    return needs(client, "decisions").create(model=model, input=input, questions=questions)


def test_create(client: OpenAI) -> None:
    """A choice and a predicate about one input, in their order."""
    made = decide(client, CHOICE, PREDICATE)
    choice, predicate = made.answers
    assert (choice.type, choice.name, choice.choice) == ("choice", "topic", "refund")
    assert [row.value for row in choice.probabilities] == ["refund", "login"]
    assert (predicate.type, predicate.name) == ("predicate", None)
    assert predicate.probability > 0.9
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens


def test_create_of_a_score(client: OpenAI) -> None:
    """The expected level, over a conversation."""
    conversation = [{"type": "message", "role": "user", "content": "that was good"}]
    (score,) = decide(client, SCORE, model="stars", input=conversation).answers
    assert (score.type, score.name) == ("score", None)
    assert score.score > 1.9
    assert [(row.label, row.value) for row in score.probabilities] == [("bad", 0), ("fair", 1), ("good", 2)]


def test_create_refused(client: OpenAI) -> None:
    """An unknown model is a 404; a question that the model cannot answer is a 400 that names its place."""
    with refused(openai.NotFoundError, "model_not_found"):
        decide(client, CHOICE, model="unheard-of")
    with refused(param="questions"):
        decide(client)
    with refused(param="questions[1].levels"):
        decide(client, CHOICE, SCORE)

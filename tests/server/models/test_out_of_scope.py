"""A model that tells what is out of scope, in chat, in responses and in decisions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from openai import OpenAI
from tests.server.conftest import refused, running

from nanosmith.store.home import open_home
from nanosmith.store.ledger import open_ledger
from nanosmith.store.records import ModelRow
from nanosmith.testing import tiny_bundle
from nanosmith.testing.tiny import tiny_scope

HEADER = "x-nanosmith-out-of-scope"
CHOICES = [{"value": "refund"}, {"value": "login"}]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    """Of a server with `labelled`, which answers "other", and `silent`, which answers the best label all the same."""
    home = open_home(tmp_path_factory.mktemp("scoped"))
    home.bundles.mkdir()
    with closing(open_ledger(home)) as ledger:
        for name, label in (("labelled", "other"), ("silent", None)):
            bundle = tiny_bundle(Path(home.bundles / name), name=name, scope=tiny_scope(label))
            ledger.add_model(ModelRow(name, 1_700_000_000, name, bundle.digest, "nanosmith-pico"))
    with running(home) as served, served.client() as made:
        yield made


def asked(client: OpenAI, model: str, text: str, **more: object):
    turns = [{"role": "user", "content": text}]
    raw = client.chat.completions.with_raw_response.create(model=model, messages=turns, **more)  # type: ignore[call-overload]
    return raw.headers, raw.parse().choices[0]


def test_chat_answers_the_label_for_it(client: OpenAI) -> None:
    """With a header that tells the score; a query in scope has neither."""
    headers, choice = asked(client, "labelled", "what is love")
    assert choice.message.content == "other"
    assert 0.5 <= float(headers[HEADER]) <= 1
    headers, choice = asked(client, "labelled", "my refund")
    assert choice.message.content == "refund"
    assert HEADER not in headers


def test_chat_without_a_label_for_it_answers_as_before(client: OpenAI) -> None:
    """The header alone tells."""
    headers, choice = asked(client, "silent", "what is love")
    assert choice.message.content in ("refund", "login", "delivery")
    assert HEADER in headers


def test_log_probabilities_of_the_label_for_it(client: OpenAI) -> None:
    """The answer is among the best, with its score as its probability."""
    _, choice = asked(client, "labelled", "what is love", logprobs=True, top_logprobs=2)
    token = choice.logprobs.content[0]
    assert token.token == "other"
    assert math.exp(token.logprob) >= 0.5
    assert token.top_logprobs[0].token == "other"
    assert len(token.top_logprobs) == 2


def test_responses_answer_the_label_for_it(client: OpenAI) -> None:
    """As chat completions do."""
    assert client.responses.create(model="labelled", input="what is love").output_text == "other"


def test_decisions_tell_the_score(client: OpenAI) -> None:
    """Beside the answers, which are those of the labels that were offered."""
    question = {"type": "choice", "instructions": "Which?", "choices": CHOICES}
    far = client.decisions.create(model="silent", input="what is love", questions=[question])
    near = client.decisions.create(model="silent", input="refund", questions=[question])
    assert (far.nanosmith["out_of_scope"]["refused"], near.nanosmith["out_of_scope"]["refused"]) == (True, False)
    assert near.nanosmith["out_of_scope"]["score"] < 0.5 <= far.nanosmith["out_of_scope"]["score"]
    assert near.answers[0].choice == "refund"


def test_decisions_take_the_label_for_it_as_a_choice(client: OpenAI) -> None:
    """Its probability is the score; the others share the rest."""
    question = {"type": "choice", "instructions": "Which?", "choices": [*CHOICES, {"value": "other"}]}
    predicate = {"type": "predicate", "instructions": 'Is it "other"?'}
    far = client.decisions.create(model="labelled", input="what is love", questions=[question, predicate])
    near = client.decisions.create(model="labelled", input="refund", questions=[question, predicate])
    assert (far.answers[0].choice, near.answers[0].choice) == ("other", "refund")
    assert far.answers[1].probability == pytest.approx(far.nanosmith["out_of_scope"]["score"])
    assert sum(row.probability for row in far.answers[0].probabilities) == pytest.approx(1)


def test_decisions_refuse_the_label_where_the_model_has_none(client: OpenAI) -> None:
    """It is a choice like any that the model does not know."""
    question = {"type": "choice", "instructions": "Which?", "choices": [*CHOICES, {"value": "other"}]}
    error = refused(client.decisions.create, model="silent", input="refund", questions=[question])
    assert "does not know this choice" in str(error)

"""The extension field `nanosmith`: explanations in chat completions and decisions, for clients that check types too."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from tests.server.conftest import Served, refused

from nanosmith.core.limits import MAX_WAITING_EXPLANATIONS
from nanosmith.predict import explain as explain_module
from nanosmith.server.models import explanations

EXPLAIN = {"nanosmith": {"explain": True}}
QUESTION = {"type": "choice", "instructions": "Which?", "choices": [{"value": "refund"}, {"value": "login"}]}


def ask(client: OpenAI, text: str = "my refund please", model: str = "tiny", **options: Any) -> Any:
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **options)


def test_a_completion_with_its_explanation(client: OpenAI) -> None:
    """A client that checks types takes the answer, and finds the words beside it; they sum to the score."""
    done = ask(client, extra_body=EXPLAIN)
    assert done.choices[0].message.content == "refund"
    found = done.nanosmith["explanation"]
    [label] = found["labels"]
    assert (found["text"], label["label"]) == ("my refund please", "refund")
    assert max(label["words"], key=lambda word: word["value"])["text"] == "refund"
    total = sum(word["value"] for word in label["words"])
    assert total == pytest.approx(label["score"] - label["empty_score"])


def test_no_remark_and_no_field_unless_asked(http: httpx.Client) -> None:
    """The field is known, so it is not among the ignored ones; without it, or with explain false, there is none in
    the answer."""
    body = {"model": "tiny", "messages": [{"role": "user", "content": "refund"}]}
    for more in (EXPLAIN, {}, {"nanosmith": None}, {"nanosmith": {}}, {"nanosmith": {"explain": False}}):
        response = http.post("/v1/chat/completions", json=body | more)
        assert response.status_code == 200, response.text
        assert "x-nanosmith-ignored" not in response.headers
        assert ("nanosmith" in response.json()) == (more is EXPLAIN)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"nanosmith": {"explain": "yes"}}, "nanosmith.explain"),
        ({"nanosmith": {"explian": True}}, "nanosmith"),
        ({"nanosmith": True}, "nanosmith"),
        ({**EXPLAIN, "stream": True}, "nanosmith.explain"),
    ],
)
def test_what_is_refused(client: OpenAI, body: dict[str, Any], param: str) -> None:
    """A value or a name that we do not know, and an explanation in a stream, name the field in the error."""
    assert refused(ask, client, extra_body=body).param == param


def test_several_labels(client: OpenAI) -> None:
    """A model for sets of labels explains each label that it gave, and nothing where it gave none."""
    found = ask(client, "login and refund", model="tags", extra_body=EXPLAIN).nanosmith["explanation"]
    best = {label["label"]: max(label["words"], key=lambda w: w["value"])["text"] for label in found["labels"]}
    assert best == {"login": "login", "refund": "refund"}
    assert ask(client, "nothing", model="tags", extra_body=EXPLAIN).nanosmith["explanation"]["labels"] == []


def test_a_stored_completion_has_no_explanation(client: OpenAI) -> None:
    """What is stored is the completion as OpenAI has it."""
    done = ask(client, extra_body=EXPLAIN, store=True)
    assert done.nanosmith["explanation"]["labels"]
    assert not hasattr(client.chat.completions.retrieve(done.id), "nanosmith")


def test_decisions(client: OpenAI) -> None:
    """A decision explains what each question found, each label once."""
    made = client.decisions.create(
        model="tiny",
        input="my refund please",
        questions=[QUESTION, {"type": "predicate", "instructions": "delivery"}, QUESTION],  # type: ignore[list-item]
        extra_body=EXPLAIN,
    )
    found = made.nanosmith["explanation"]  # type: ignore[attr-defined]
    assert [label["label"] for label in found["labels"]] == ["refund", "delivery"]


def test_tokens_count_for_limits(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the model reads for an explanation is spent from the key's limit, though it is not in the usage."""
    spent: list[int] = []
    monkeypatch.setattr(explanations, "count_tokens", lambda request, tokens, **more: spent.append(tokens))
    body = {"model": "tiny", "messages": [{"role": "user", "content": "my refund please"}]}
    usage = http.post("/v1/chat/completions", json=body | EXPLAIN).json()["usage"]
    assert usage["total_tokens"] == 4
    assert spent == [12]  # the 8 coalitions of three words


def test_too_many_wait(fresh: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """One explanation is made at a time; when the queue is full, the next one is told to come back, and plain answers
    come all the same."""
    gate, queue = threading.Event(), fresh.services.shared.explaining
    real = explain_module.explain

    def slowly(*given: Any) -> Any:
        assert gate.wait(20)
        return real(*given)

    monkeypatch.setattr(explain_module, "explain", slowly)
    with fresh.client() as client, ThreadPoolExecutor(MAX_WAITING_EXPLANATIONS + 1) as pool:
        asking = [pool.submit(ask, client, extra_body=EXPLAIN) for _ in range(MAX_WAITING_EXPLANATIONS + 1)]
        try:
            while queue.statistics().tasks_waiting < MAX_WAITING_EXPLANATIONS:
                time.sleep(0.01)
            with pytest.raises(openai.RateLimitError, match="explanations"):
                ask(client, extra_body=EXPLAIN)
            assert ask(client).choices[0].message.content == "refund"
        finally:
            gate.set()
        assert all(done.result().nanosmith["explanation"]["labels"] for done in asking)

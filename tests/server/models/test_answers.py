"""Answers that were given before: who gets them, and how many are kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from typing import Any

import pytest
from openai import OpenAI
from tests.predict.cascades import tiny_cascade

from nanosmith.core.errors import Misconfigured
from nanosmith.core.prediction import Prediction
from nanosmith.predict.static import StaticPredictor
from nanosmith.server.access.keys import digest, new_key
from nanosmith.server.models.answers import VARIABLE, Answers, from_environment, key_of, size_bytes
from nanosmith.store.home import Home
from nanosmith.store.ledger import new_id, open_ledger
from nanosmith.store.records import KeyRow, ModelRow, ProjectRow
from nanosmith.testing import tiny_bundle

HEADER = "x-nanosmith-cache"


def answer(labels: int = 3) -> Prediction:
    names = tuple(f"label {i}" for i in range(labels))
    return Prediction(names[0], 0.5, names, (1 / labels,) * labels, "tiny")


def asked(client: OpenAI, text: str, model: str = "tiny", **more: Any) -> tuple[str | None, Any]:
    """The header, and the body."""
    turns = [{"role": "user", "content": text}]
    raw = client.chat.completions.with_raw_response.create(model=model, messages=turns, **more)  # type: ignore[call-overload]
    return raw.headers.get(HEADER), raw.parse()


def test_the_same_question_is_answered_once(fresh: Any, queueing: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second answer comes without the model, says so, and is otherwise a response of its own."""
    calls = 0
    predict = StaticPredictor.predict

    def counted(self: StaticPredictor, inputs: Any) -> list[Prediction]:
        nonlocal calls
        calls += 1
        return predict(self, inputs)

    monkeypatch.setattr(StaticPredictor, "predict", counted)
    with fresh.client() as client:
        (first, one), (second, two) = asked(client, "my refund"), asked(client, "my refund")
        assert (first, second, calls) == (None, "hit", 1)
        assert one.id != two.id
        assert (one.choices, one.usage) == (two.choices, two.usage)
        assert asked(client, "my refund ")[0] is None
        assert asked(client, "my refund", "tags")[0] is None
        assert calls == 3


def test_other_ways_to_ask(fresh: Any, queueing: None) -> None:
    """What is kept is the decision: as a stream, with log-probabilities, stored, as a response or a decision, it is
    told as each of them asks."""
    with fresh.client() as client:
        assert asked(client, "login")[0] is None
        header, shown = asked(client, "login", logprobs=True, top_logprobs=2, n=2)
        assert header == "hit"
        assert [len(choice.logprobs.content[0].top_logprobs) for choice in shown.choices] == [2, 2]
        ids = {asked(client, "login", store=True)[1].id for _ in range(2)}
        assert len(ids) == 2
        assert {client.chat.completions.retrieve(id).choices[0].message.content for id in ids} == {"login"}
        turns = [{"role": "user", "content": "login"}]
        raw = client.chat.completions.with_raw_response.create(model="tiny", messages=turns, stream=True)  # type: ignore[call-overload]
        assert raw.headers[HEADER] == "hit"
        assert "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse()) == "login"
        spoken = client.responses.with_raw_response.create(model="tiny", input="login")
        assert (spoken.headers[HEADER], spoken.parse().output_text) == ("hit", "login")


def test_projects_do_not_share(
    start: Callable[..., AbstractContextManager[Any]], stocked: Home, queueing: None
) -> None:
    """Two projects with the same model: neither can tell what the other has asked."""
    with start(stocked) as served:
        clients = []
        for name in ("a", "b"):
            project, key = new_id("proj_"), new_key()
            home = served.services.of(project)
            home.ledger.add(ProjectRow(project, name, 1))
            home.ledger.add(KeyRow(new_id("key_"), project, name, digest(key.encode()), 1, ("all",)))
            home.home.bundles.mkdir(parents=True)
            bundle = tiny_bundle(home.home.bundles / "tiny")
            home.ledger.add_model(ModelRow("tiny", 1, "tiny", bundle.digest, "none"))
            clients.append(OpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0))
        first, second = clients
        assert [asked(first, "refund")[0], asked(first, "refund")[0]] == [None, "hit"]
        assert [asked(second, "refund")[0], asked(second, "refund")[0]] == [None, "hit"]


def test_quick_models_are_asked_again(client: OpenAI) -> None:
    """Keeping what takes microseconds would gain nothing."""
    assert [asked(client, "delivery")[0] for _ in range(2)] == [None, None]


def test_of_a_cascade_only_the_thorough_answers_are_kept(
    start: Callable[..., AbstractContextManager[Any]], home: Home
) -> None:
    """The quick stage answers anew each time."""
    home.bundles.mkdir()
    bundle = tiny_cascade(home.bundles / "both")
    with closing(open_ledger(home)) as ledger:
        ledger.add_model(ModelRow("both", 1, "both", bundle.digest, "none"))
    with start(home) as served, served.client() as client:
        assert [asked(client, "refund", "both")[0] for _ in range(2)] == [None, None]
        found = [asked(client, "refund or login", "both") for _ in range(2)]
        assert [header for header, _ in found] == [None, "hit"]
        assert found[0][1].choices == found[1][1].choices


def test_bytes_are_bounded() -> None:
    """The answers that were not asked for longest go first; one that is too large is not kept."""
    room = 3 * size_bytes(answer())
    answers = Answers(room)
    keys = [key_of("p", "model", f"text {i}") for i in range(5)]
    for key in keys[:3]:
        answers.keep(key, answer())
    assert answers.get(keys[0]) is not None
    answers.keep(keys[3], answer())
    assert [answers.get(key) is not None for key in keys[:4]] == [True, False, True, True]
    answers.keep(keys[4], answer(1_000))
    assert answers.get(keys[4]) is None
    assert answers.bytes == room
    assert len(answers) == 3


def test_keys_hold_no_text() -> None:
    """Project, model and input all count; of the input there is a digest alone."""
    key = key_of("p", "m", "a secret")
    assert key != key_of("q", "m", "a secret")
    assert key != key_of("p", "n", "a secret")
    assert key != key_of("p", "m", "a secret ")
    assert "secret" not in str(key)


@pytest.mark.parametrize(("said", "wanted"), [("0", 0), ("64MB", 64_000_000), ("1 GB", 10**9), ("5kB", 5_000)])
def test_the_size_can_be_set(monkeypatch: pytest.MonkeyPatch, said: str, wanted: int) -> None:
    """By the environment; with 0 nothing is kept."""
    monkeypatch.setenv(VARIABLE, said)
    answers = from_environment()
    assert answers.max_bytes == wanted
    answers.keep(key_of("p", "m", "x"), answer())
    assert len(answers) == (1 if wanted else 0)


@pytest.mark.parametrize("said", ["much", "-1", "1TB", "64 mb", "1e9"])
def test_sizes_that_are_none(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """Told at the start, with what is allowed."""
    monkeypatch.setenv(VARIABLE, said)
    with pytest.raises(Misconfigured, match="such as 64MB"):
        from_environment()

"""Models with the official client."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from nanosmith.server.http.errors import ModelNotFound, TooBusy
from nanosmith.server.models.cache import ModelCache, OpenModels

TUNED = "ft:nanosmith-nano:local:support:abcd1234"


def test_list(client: OpenAI) -> None:
    """Local models, newest first, then the base models that can be tuned; vendors' names are not listed."""
    ids = [model.id for model in client.models.list()]
    assert ids[:2] == ["truth", "stars"]
    assert {"tiny", TUNED, "org/model:v1", "nanosmith-nano", "nanosmith-pico"} <= set(ids)
    assert not any(id.startswith("gpt") for id in ids)


@pytest.mark.parametrize("name", ["tiny", TUNED, f"{TUNED}:ckpt-step-20", "org/model:v1", "nanosmith-nano"])
def test_retrieve(client: OpenAI, name: str) -> None:
    """Names with slashes and colons are found; the object has created, not created_at."""
    model = client.models.retrieve(name)
    assert (model.id, model.object, model.shutdown_date) == (name, "model", None)
    assert isinstance(model.created, int)
    assert model.owned_by


@pytest.mark.parametrize("path", ["org/model:v1", "org%2Fmodel%3Av1", "org%2Fmodel:v1"])
def test_escaped_names(http: httpx.Client, path: str) -> None:
    """A name is found however its slash and colon are written in the path."""
    assert http.get(f"/v1/models/{path}").json()["id"] == "org/model:v1"


def test_delete(fresh: Any) -> None:
    """A deleted model is not listed and does not answer; its folder goes with the last name that uses it."""
    with fresh.client() as client:
        ask = {"model": "tiny", "messages": [{"role": "user", "content": "refund"}]}
        client.chat.completions.create(**ask)
        gone = client.models.delete("tiny")
        assert (gone.id, gone.deleted, gone.object) == ("tiny", True, "model")
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(**ask)
        assert (fresh.home.bundles / "tiny").exists()
        for name in (TUNED, f"{TUNED}:ckpt-step-20", "org/model:v1"):
            client.models.delete(name)
        assert not (fresh.home.bundles / "tiny").exists()
        assert (fresh.home.bundles / "tags").exists()


def test_examples_go_with_the_last_model_made_from_them(fresh: Any) -> None:
    """What was kept for a retraining stays as long as another model was made from it."""
    kept = fresh.home.examples / ("0" * 64)  # of all tiny bundles
    kept.mkdir(parents=True)
    with fresh.client() as client:
        *others, last = [model.id for model in client.models.list() if not model.id.startswith("nanosmith-")]
        for name in others:
            client.models.delete(name)
        assert kept.exists()
        client.models.delete(last)
    assert not kept.exists()


def test_base_models_stay(client: OpenAI) -> None:
    """Deleting a base model is a 403, an unknown one a 404."""
    for name in ("nanosmith-nano", "gpt-4.1-nano"):
        with pytest.raises(openai.PermissionDeniedError):
            client.models.delete(name)
    with pytest.raises(openai.NotFoundError):
        client.models.delete("none")


def test_a_damaged_bundle_is_said_to_be(fresh: Any) -> None:
    """A bundle with a changed byte does not answer; the error names the file and is not retried."""
    file = fresh.home.bundles / "tags" / "tokenizer.json"
    file.write_bytes(file.read_bytes()[:-1] + b" ")
    body = {"model": "tags", "messages": [{"role": "user", "content": "x"}]}
    for _ in range(2):
        response = httpx.post(f"{fresh.url}/v1/chat/completions", json=body)
        assert (response.status_code, response.json()["error"]["code"]) == (500, "damaged_bundle")
        assert "tokenizer.json" in response.json()["error"]["message"]
        assert response.headers["x-should-retry"] == "false"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_the_cache_keeps_its_bounds(fresh: Any, queueing: None) -> None:
    """At most `capacity` models stay open, the most recently used ones; a place in the queue is given back."""
    opened = OpenModels(capacity=2, max_waiting=1)
    cache = ModelCache(fresh.home, fresh.services.ledger, opened)
    for name in ("tiny", "tags", "tiny", "stars"):
        model = await cache.get(name)
        assert (await cache.predict(model, "x")).by
    assert [name for _, name, _ in opened.by_key] == ["tiny", "stars"]
    cache.forget("tiny")
    assert [name for _, name, _ in opened.by_key] == ["stars"]
    with pytest.raises(ModelNotFound):
        await cache.get("none")
    opened.waiting = 1
    with pytest.raises(TooBusy):
        await cache.predict(model, "a text that it has not answered yet")

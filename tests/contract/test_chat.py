"""client.chat.completions: answers at once and as a stream, parsed, and stored."""

from __future__ import annotations

from typing import Any, Literal

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel
from tests.contract.conftest import STRICT, refused

ASKED: Any = [{"role": "system", "content": "Label it."}, {"role": "user", "content": "my refund please"}]
TOOLS: Any = [{"type": "function", "function": {"name": "f", "strict": True, "parameters": {"type": "object"}}}]
STORED = {"origin": "stored"}


class Intent(BaseModel):
    """What the model `field` answers."""

    intent: Literal["delivery", "login", "refund"]


class Number(BaseModel):
    """What no model here answers."""

    number: int


@pytest.fixture(scope="module")
def stored(client: OpenAI) -> Any:
    """A stored completion."""
    return client.chat.completions.create(model="tiny", messages=ASKED, store=True, metadata=STORED, temperature=0)


def test_create(client: OpenAI) -> None:
    """The answer has a choice, its usage, and no log-probabilities that nobody asked for."""
    done = client.chat.completions.create(model="tiny", messages=ASKED)
    assert done.id.startswith("chatcmpl-")
    assert (done.object, done.model, done.choices[0].finish_reason) == ("chat.completion", "tiny", "stop")
    assert (done.choices[0].message.role, done.choices[0].message.content) == ("assistant", "refund")
    assert done.choices[0].logprobs is None
    assert done.usage is not None
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens
    assert done._request_id


def test_create_with_everything(client: OpenAI) -> None:
    """What can be honoured is, and what changes nothing is taken."""
    done = client.chat.completions.create(
        model="tiny", messages=ASKED, n=2, logprobs=True, top_logprobs=3, seed=1, temperature=0.5, top_p=0.9,
        stop=["x"], max_tokens=5, max_completion_tokens=5, presence_penalty=0.1, frequency_penalty=0.1,
        logit_bias={"1": 5}, user="u", service_tier="auto", reasoning_effort="low", parallel_tool_calls=True,
        tools=TOOLS, tool_choice="none", response_format={"type": "text"},
    )  # fmt: skip
    assert [choice.index for choice in done.choices] == [0, 1]
    (token,) = done.choices[0].logprobs.content  # type: ignore[union-attr, misc]
    assert (token.token, len(token.top_logprobs)) == ("refund", 3)


def test_create_refused(client: OpenAI, stranger: OpenAI) -> None:
    """An unknown model is a 404, what cannot be honoured a 400, a wrong key a 401."""
    with refused(openai.NotFoundError, "model_not_found"):
        client.chat.completions.create(model="unheard-of", messages=ASKED)
    with refused(openai.AuthenticationError, "invalid_api_key"):
        stranger.chat.completions.create(model="tiny", messages=ASKED)
    for options, param in (
        ({"messages": []}, "messages"),
        ({"n": 0}, "n"),
        ({"top_logprobs": 1}, "top_logprobs"),
        ({"tools": TOOLS}, "tools"),
        ({"metadata": {"a": "b"}}, "metadata"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"messages": [{"role": "user", "content": "a" * 200_000}]}, None),
    ):
        with refused(param=param):
            client.chat.completions.create(**{"model": "tiny", "messages": ASKED} | options)


def test_create_as_a_stream(client: OpenAI) -> None:
    """Chunks of one completion: the role first, the answer, its end, and its usage last."""
    made = client.chat.completions.create(
        model="tiny", messages=ASKED, stream=True, logprobs=True, stream_options={"include_usage": True}
    )
    *chunks, last = list(made)
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "refund"
    assert [chunk.choices[0].finish_reason for chunk in chunks][-1] == "stop"
    assert (last.choices, last.usage.completion_tokens) == ([], 1)  # type: ignore[union-attr]
    with refused(openai.NotFoundError, "model_not_found"):
        client.chat.completions.create(model="unheard-of", messages=ASKED, stream=True)


def test_stream(client: OpenAI) -> None:
    """The client puts the chunks together, and parses the answer."""
    with client.chat.completions.stream(model="field", messages=ASKED, response_format=Intent) as stream:
        kinds = [event.type for event in stream]
        done = stream.get_final_completion()
    assert (kinds[0], kinds[-1]) == ("chunk", "content.done")
    assert done.choices[0].message.parsed == Intent(intent="refund")
    refusing = client.chat.completions.stream(model="field", messages=ASKED, response_format=Number)
    with refused(param="response_format.json_schema.schema"), refusing:
        pass


def test_parse(client: OpenAI) -> None:
    """A model whose every answer fits the schema is parsed; another one is refused."""
    done = client.chat.completions.parse(model="field", messages=ASKED, response_format=Intent)
    assert done.choices[0].message.parsed == Intent(intent="refund")
    with refused(param="response_format.json_schema.schema"):
        client.chat.completions.parse(model="field", messages=ASKED, response_format=Number)


def test_retrieve(client: OpenAI, stored: Any) -> None:
    """A stored completion; one that was not stored is a 404."""
    kept = client.chat.completions.retrieve(stored.id)
    assert (kept.id, kept.choices, kept.usage) == (stored.id, stored.choices, stored.usage)
    assert kept.metadata == STORED
    with refused(openai.NotFoundError):
        client.chat.completions.retrieve("chatcmpl-none")


def test_list(client: OpenAI, stored: Any) -> None:
    """Stored completions of a model, with some metadata, in pages."""
    other = client.chat.completions.create(model="stars", messages=ASKED, store=True, metadata=STORED)
    assert [one.id for one in client.chat.completions.list(metadata=STORED, limit=1)] == [stored.id, other.id]
    assert [one.id for one in client.chat.completions.list(model="stars", order="desc")] == [other.id]
    with refused(param="after"):
        client.chat.completions.list(after="chatcmpl-none")


def test_update(client: OpenAI, stored: Any) -> None:
    """New metadata in place of the old."""
    made = client.chat.completions.create(model="tiny", messages=ASKED, store=True)
    changed = client.chat.completions.update(made.id, metadata={"seen": "yes"})
    assert changed.metadata == {"seen": "yes"}
    with refused():
        client.chat.completions.update(made.id, metadata={"a": "x" * 513})
    with refused(openai.NotFoundError):
        client.chat.completions.update("chatcmpl-none", metadata={})


def test_messages(client: OpenAI, loose: OpenAI, stored: Any) -> None:
    """The messages of the request, in pages."""
    # OpenAI shows the true roles, but in its types every message of this list is the assistant's.
    kept = list(client.chat.completions.messages.list(stored.id, limit=1, extra_headers=STRICT))
    assert [one.id for one in kept] == [f"{stored.id}-0", f"{stored.id}-1"]
    assert [one.content for one in kept] == ["Label it.", "my refund please"]
    # Loose: for the same reason.
    assert [one.role for one in loose.chat.completions.messages.list(stored.id)] == ["system", "user"]
    with refused(openai.NotFoundError):
        client.chat.completions.messages.list("chatcmpl-none")


def test_delete(client: OpenAI) -> None:
    """What is deleted is gone."""
    made = client.chat.completions.create(model="tiny", messages=ASKED, store=True)
    gone = client.chat.completions.delete(made.id)
    assert (gone.id, gone.deleted, gone.object) == (made.id, True, "chat.completion.deleted")
    with refused(openai.NotFoundError):
        client.chat.completions.delete(made.id)

"""client.responses: at once, as a stream, parsed, and kept."""

from __future__ import annotations

from typing import Any, Literal

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel
from tests.contract.conftest import needs, refused

EVENTS = [
    "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
    "response.output_text.delta", "response.output_text.done", "response.content_part.done",
    "response.output_item.done", "response.completed",
]  # fmt: skip
SCHEMA = "text.format.schema"


class Intent(BaseModel):
    """What the model `field` answers."""

    intent: Literal["delivery", "login", "refund"]


class Number(BaseModel):
    """What no model here answers."""

    number: int


@pytest.fixture(scope="module")
def kept(client: OpenAI) -> Any:
    """A response that is kept."""
    return client.responses.create(model="tiny", input="my refund please", metadata={"a": "b"})


def test_create(kept: Any) -> None:
    """One output message, its usage, and what was asked for."""
    assert kept.id.startswith("resp_")
    assert (kept.object, kept.status, kept.output_text, kept.error) == ("response", "completed", "refund", None)
    assert kept.usage.total_tokens == kept.usage.input_tokens + kept.usage.output_tokens
    assert kept.metadata == {"a": "b"}


def test_create_with_everything(client: OpenAI, kept: Any) -> None:
    """What can be honoured is, and what changes nothing is taken."""
    made: Any = client.responses.create(
        model="tiny", previous_response_id=kept.id, instructions="Label it.", temperature=0.5, top_p=0.5,
        input=[{"role": "user", "content": [{"type": "input_text", "text": "login"}]}],
        include=["message.output_text.logprobs"], top_logprobs=2, max_output_tokens=16, truncation="auto", store=False,
        text={"format": {"type": "text"}}, tool_choice="none", parallel_tool_calls=False, service_tier="auto",
        tools=[{"type": "function", "name": "f", "strict": True, "parameters": {"type": "object"}}],
    )  # fmt: skip
    assert (made.previous_response_id, made.instructions, made.truncation) == (kept.id, "Label it.", "auto")
    (token,) = made.output[0].content[0].logprobs
    assert len(token.top_logprobs) == 2
    with refused(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_create_refused(client: OpenAI) -> None:
    """An unknown model or previous response is a 404, what cannot be honoured a 400."""
    with refused(openai.NotFoundError, "model_not_found"):
        client.responses.create(model="unheard-of", input="a")
    with refused(openai.NotFoundError, "previous_response_not_found"):
        client.responses.create(model="tiny", input="a", previous_response_id="resp_none")
    for options, param in (
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"text": {"format": {"type": "json_object"}}}, "text.format"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"max_output_tokens": 1}, "max_output_tokens"),
    ):
        with refused(param=param):
            client.responses.create(**{"model": "tiny", "input": "a"} | options)


def test_create_as_a_stream(client: OpenAI) -> None:
    """Every event in its order, and the whole response at the end."""
    events = list(client.responses.create(model="tiny", input="my refund please", stream=True))
    assert [event.type for event in events] == EVENTS
    assert [event.sequence_number for event in events] == list(range(len(EVENTS)))
    assert events[-1].response.output_text == "refund"  # type: ignore[union-attr]
    with refused(openai.NotFoundError, "model_not_found"):
        client.responses.create(model="unheard-of", input="a", stream=True)


def test_stream(client: OpenAI) -> None:
    """The client puts the events together, and parses the answer."""
    with client.responses.stream(model="field", input="my refund please", text_format=Intent) as stream:
        assert [event.type for event in stream] == EVENTS
        assert stream.get_final_response().output_parsed == Intent(intent="refund")
    with refused(param=SCHEMA), client.responses.stream(model="field", input="a", text_format=Number):
        pass


def test_parse(client: OpenAI) -> None:
    """A model whose every answer fits the schema is parsed; another one is refused."""
    made = client.responses.parse(model="field", input="my refund please", text_format=Intent)
    assert made.output_parsed == Intent(intent="refund")
    with refused(param=SCHEMA):
        client.responses.parse(model="field", input="a", text_format=Number)


def test_retrieve(client: OpenAI, kept: Any) -> None:
    """The same response again, but not as a stream; another id is a 404."""
    assert client.responses.retrieve(kept.id).model_dump() == kept.model_dump()
    with refused(param="stream"):
        client.responses.retrieve(kept.id, stream=True)
    with refused(openai.NotFoundError):
        client.responses.retrieve("resp_none")


def test_input_items(client: OpenAI, kept: Any) -> None:
    """What the response was made from, the earlier conversation included."""
    more = client.responses.create(model="tiny", input="login", previous_response_id=kept.id)
    items: Any = list(client.responses.input_items.list(more.id, order="asc", limit=1))
    assert [(item.role, item.content[0].text) for item in items] == [
        ("user", "my refund please"), ("assistant", "refund"), ("user", "login"),
    ]  # fmt: skip
    with refused(openai.NotFoundError):
        client.responses.input_items.list("resp_none")


def test_input_tokens(client: OpenAI) -> None:
    """How many tokens a response would read."""
    count = needs(client, "responses.input_tokens").count
    assert count(model="tiny", input="my refund please").input_tokens == 3
    with refused(openai.NotFoundError, "model_not_found"):
        count(model="unheard-of", input="a")


def test_cancel(client: OpenAI, kept: Any) -> None:
    """Nothing runs in the background, so nothing can be cancelled."""
    with refused():
        client.responses.cancel(kept.id)
    with refused(openai.NotFoundError):
        client.responses.cancel("resp_none")


def test_compact(client: OpenAI) -> None:
    """Not built: 501."""
    with refused(openai.InternalServerError, "not_implemented"):
        needs(client, "responses.compact")(model="tiny", input="a")


def test_delete(client: OpenAI) -> None:
    """What is deleted is gone."""
    made = client.responses.create(model="tiny", input="a")
    client.responses.delete(made.id)
    with refused(openai.NotFoundError):
        client.responses.delete(made.id)

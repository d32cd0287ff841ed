"""Responses with the official client: shapes, conversations, streams, what is kept, and every parameter's fate."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from typing import Any, Literal

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI
from pydantic import BaseModel
from tests.server.conftest import LABELS, refused

from nanosmith.core.limits import MAX_INPUT_CHARS, MAX_MESSAGES
from nanosmith.server.responses.stream import server_sent, stream_events

LOGPROBS: Any = ["message.output_text.logprobs"]
ORDER = [
    "response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
    "response.output_text.delta", "response.output_text.done", "response.content_part.done",
    "response.output_item.done", "response.completed",
]  # fmt: skip
TOOL: Any = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}


def ask(client: OpenAI, said: Any = "my refund please", model: str = "tiny", **options: Any) -> Any:
    return client.responses.create(model=model, input=said, **options)


@pytest.mark.parametrize("label", LABELS)
def test_the_answer_is_the_label(client: OpenAI, label: str) -> None:
    """The text is the label; the object has OpenAI's fields, usage among them."""
    made = ask(client, f"about my {label}")
    assert made.output_text == label
    assert (made.status, made.error, made.incomplete_details, made.model) == ("completed", None, None, "tiny")
    assert (made.output[0].role, made.output[0].status, made.output[0].content[0].annotations) == (
        "assistant",
        "completed",
        [],
    )
    assert made.id.startswith("resp_")
    assert made.output[0].id.startswith("msg_")
    assert made.completed_at >= made.created_at
    assert (made.usage.input_tokens, made.usage.output_tokens, made.usage.total_tokens) == (3, 1, 4)
    assert (made.usage.input_tokens_details.cached_tokens, made.usage.output_tokens_details.reasoning_tokens) == (0, 0)


def test_it_is_kept_unless_the_client_says_no(client: OpenAI) -> None:
    """What was answered can be retrieved as it was, and deleted; with store false it is not there."""
    made = ask(client, metadata={"a": "b"}, instructions="be brief")
    assert client.responses.retrieve(made.id) == made
    assert (made.metadata, made.instructions) == ({"a": "b"}, "be brief")
    client.responses.delete(made.id)
    passing = ask(client, store=False)
    for id in (made.id, passing.id):
        with pytest.raises(openai.NotFoundError, match=id) as caught:
            client.responses.retrieve(id)
        assert caught.value.param == "response_id"


def test_the_answer_to_a_delete(client: OpenAI, http: httpx.Client) -> None:
    """The body names what was deleted; a second time it is a 404."""
    id = ask(client).id
    assert http.delete(f"/v1/responses/{id}").json() == {"id": id, "object": "response", "deleted": True}
    assert http.delete(f"/v1/responses/{id}").status_code == 404


def test_it_is_there_after_a_restart(fresh: Any, start: Any) -> None:
    """An acknowledged response is in the ledger, where a second server finds it."""
    with fresh.client() as client:
        made = ask(client)
    with start(fresh.home) as second, second.client() as client:
        assert client.responses.retrieve(made.id) == made


def test_a_repeated_request_makes_one_response(fresh: Any) -> None:
    """A client that saw no answer and sends again, or sends an Idempotency-Key, gets the first response; another body
    under the same key is refused."""
    with fresh.client() as client:
        first = ask(client)
        assert ask(client, extra_headers={"x-stainless-retry-count": "1"}).id == first.id
        assert ask(client).id != first.id
        keyed = {"extra_headers": {"Idempotency-Key": "k"}}
        assert ask(client, **keyed).id == ask(client, **keyed).id
        with pytest.raises(openai.BadRequestError, match="Idempotency-Key"):
            ask(client, "another", **keyed)


def test_a_conversation_goes_on(client: OpenAI) -> None:
    """The kept turns go before the input: the newest decides here as the oldest are cut, and all are listed."""
    first = ask(client, "refund " * 70)
    second = ask(client, "hello", previous_response_id=first.id)
    assert (second.output_text, second.previous_response_id) == ("refund", first.id)
    assert second.usage.input_tokens > ask(client, "hello").usage.input_tokens
    roles = [item.role for item in client.responses.input_items.list(second.id, order="asc")]
    assert roles == ["user", "assistant", "user"]


def test_a_conversation_outlives_its_parts(client: OpenAI) -> None:
    """When an earlier response is deleted, later ones can still be continued."""
    first = ask(client, "refund")
    second = ask(client, "hm", previous_response_id=first.id)
    client.responses.delete(first.id)
    assert ask(client, "and?", previous_response_id=second.id).output_text == "refund"


def test_an_unknown_previous_response_is_named(client: OpenAI) -> None:
    """Continuing what is not there is a 404 with the id and the parameter."""
    with pytest.raises(openai.NotFoundError, match="resp_none") as caught:
        ask(client, previous_response_id="resp_none")
    assert (caught.value.param, caught.value.code) == ("previous_response_id", "previous_response_not_found")


def test_instructions_are_not_carried_over(client: OpenAI) -> None:
    """They are read for their own response alone, as OpenAI's are."""
    first = ask(client, "hello", instructions="refund")
    assert first.output_text == "refund"
    second = ask(client, "login", previous_response_id=ask(client, "hello", instructions="login login").id)
    assert (second.instructions, second.output_text) == (None, "login")
    assert [item.role for item in client.responses.input_items.list(first.id)] == ["user"]


def test_items_of_all_kinds(client: OpenAI) -> None:
    """Messages, calls and outputs are read and listed with ids; an output may belong to a call of an earlier turn."""
    given: Any = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "input_text", "text": "my"}, {"type": "input_text", "text": "parcel"}]},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "yes", "annotations": []}],
        },
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "x"},
        {"type": "function_call_output", "call_id": "c1", "output": "done"},
    ]
    first = ask(client, given)
    late: Any = [{"type": "custom_tool_call_output", "call_id": "c2", "output": "refund"}]
    second = ask(client, late, previous_response_id=first.id)
    items = list(client.responses.input_items.list(second.id, order="asc", limit=3))
    assert [item.type for item in items[:7]] == [one.get("type", "message") for one in given]
    assert items[1].content[1].text == "parcel"
    assert items[3].content[0].refusal == "no"
    assert (items[4].arguments, items[6].output, items[-1].output) == ("{}", "done", "refund")
    assert len({item.id for item in items}) == len(items) == 9


def test_pages_of_items(client: OpenAI, http: httpx.Client) -> None:
    """Newest first unless asked otherwise; every item is met once; an unknown cursor or limit is a 400."""
    made = ask(client, [{"role": "user", "content": f"refund {i}"} for i in range(7)])
    texts = [item.content[0].text for item in client.responses.input_items.list(made.id, limit=3)]
    assert texts == [f"refund {i}" for i in range(7)][::-1]
    page = http.get(f"/v1/responses/{made.id}/input_items", params={"limit": 3}).json()
    assert (page["has_more"], page["first_id"], page["last_id"]) == (True, page["data"][0]["id"], page["data"][2]["id"])
    for query in ({"after": "msg_none"}, {"limit": "0"}, {"limit": "101"}, {"order": "up"}):
        response = http.get(f"/v1/responses/{made.id}/input_items", params=query)
        assert (response.status_code, response.json()["error"]["param"]) == (400, next(iter(query)))


def test_logprobs_are_those_of_the_labels(client: OpenAI) -> None:
    """With include they stand at the text: one token, and the labels beside it, which sum to one."""
    made = ask(client, include=LOGPROBS, top_logprobs=20)
    token = made.output[0].content[0].logprobs[0]
    assert (token.token, bytes(token.bytes)) == ("refund", b"refund")
    assert {row.token for row in token.top_logprobs} == set(LABELS)
    assert sum(math.exp(row.logprob) for row in token.top_logprobs) == pytest.approx(1, abs=1e-5)
    assert ask(client, include=LOGPROBS).output[0].content[0].logprobs[0].top_logprobs == []
    assert ask(client).output[0].content[0].logprobs == []


@pytest.mark.parametrize("options", [{}, {"include": LOGPROBS, "top_logprobs": 2, "metadata": {"a": "b"}}])
def test_the_order_of_a_stream(client: OpenAI, options: dict[str, Any]) -> None:
    """The events come in OpenAI's order with their numbers, tell one response, and the last one has been kept."""
    events = list(ask(client, stream=True, **options))
    assert [event.type for event in events] == ORDER
    assert [event.sequence_number for event in events] == list(range(len(ORDER)))
    begun, whole = events[0].response, events[-1].response
    assert (begun.status, begun.output, begun.usage) == ("in_progress", [], None)
    assert (begun.id, events[2].item.id) == (whole.id, events[4].item_id)
    assert (events[4].delta, events[5].text, whole.output_text) == ("refund", "refund", "refund")
    assert len(events[4].logprobs) == len(options.get("include", []))
    assert client.responses.retrieve(whole.id) == whole


def test_the_stream_helper(client: OpenAI) -> None:
    """The client's stream() accumulates the events to the final response."""
    with client.responses.stream(model="tiny", input="login") as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert stream.get_final_response().output_text == text == "login"


def test_the_bytes_of_a_stream(http: httpx.Client) -> None:
    """Each event has its name and data; the stream ends after response.completed, without [DONE]."""
    response = http.post("/v1/responses", json={"model": "tiny", "input": "login", "stream": True, "store": False})
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = [block.split("\n") for block in response.text.split("\n\n") if block]
    assert [name.removeprefix("event: ") for name, _ in blocks] == ORDER
    assert all(json.loads(data.removeprefix("data: "))["type"] == name[7:] for name, data in blocks)


def test_a_failure_in_a_stream_is_told(client: OpenAI) -> None:
    """What breaks after the first byte is an error event with the next number, and the stream is not complete."""
    whole = ask(client, store=False).to_dict()

    def broken() -> Iterator[dict[str, Any]]:
        yield from list(stream_events(whole))[:3]
        raise RuntimeError("secret")

    async def collect() -> bytes:
        return b"".join([part async for part in server_sent(broken())])

    sent = asyncio.run(collect())
    last = json.loads(sent.split(b"data: ")[-1])
    assert (last["type"], last["code"], last["sequence_number"]) == ("error", "server_error", 3)
    assert b"response.completed" not in sent
    assert b"secret" not in sent


def test_parse_with_a_schema_that_all_labels_fit(client: OpenAI) -> None:
    """The client's parse() works where every label of the model is valid, and is refused where one is not."""

    class Good(BaseModel):
        intent: Literal["delivery", "login", "refund", "other"]

    class Narrow(BaseModel):
        intent: Literal["delivery", "login"]

    made = client.responses.parse(model="field", input="refund", text_format=Good)
    assert made.output_parsed == Good(intent="refund")
    assert made.text is not None
    assert made.text.format is not None
    assert made.text.format.type == "json_schema"
    with pytest.raises(openai.BadRequestError, match="refund") as caught:
        client.responses.parse(model="field", input="refund", text_format=Narrow)
    assert caught.value.param == "text.format.schema"
    assert "response_format" not in caught.value.message


def test_formats(client: OpenAI) -> None:
    """Text is what a model answers with; JSON only where its answers are JSON."""
    assert ask(client, text={"format": {"type": "text"}}).output_text == "refund"
    made = ask(client, model="field", text={"format": {"type": "json_object"}})
    assert json.loads(made.output_text) == {"intent": "refund"}
    assert refused(ask, client, text={"format": {"type": "json_object"}}).param == "text.format"
    for partial, param in (({"name": "a"}, "schema"), ({"schema": {}}, "name")):
        error = refused(ask, client, model="field", text={"format": {"type": "json_schema"} | partial})
        assert error.param == f"text.format.{param}"


def test_input_tokens(client: OpenAI) -> None:
    """They are counted as a response would read them, its conversation and instructions included, and none is made."""
    counted = client.responses.input_tokens.count(model="tiny", input="my refund please")
    assert (counted.object, counted.input_tokens) == ("response.input_tokens", 3)
    first = ask(client, "one two three")
    again = client.responses.input_tokens.count(model="tiny", input="four", previous_response_id=first.id)
    assert again.input_tokens == ask(client, "four", previous_response_id=first.id).usage.input_tokens
    assert client.responses.input_tokens.count(model="tiny", input="refund " * 90).input_tokens == 90
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.input_tokens.count(input="x")
    assert caught.value.param == "model"


def test_only_background_responses_can_be_cancelled(client: OpenAI) -> None:
    """There are none, so a cancel is a 400, or a 404 for what is not there."""
    made = ask(client)
    with pytest.raises(openai.BadRequestError, match="background"):
        client.responses.cancel(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.cancel("resp_none")


def test_a_kept_response_is_not_streamed(client: OpenAI) -> None:
    """stream=true at a retrieval is refused by name; stream=false is what it does anyway."""
    made = ask(client)
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.retrieve(made.id, stream=True)
    assert caught.value.param == "stream"
    assert client.responses.retrieve(made.id, stream=False).id == made.id


def test_compact_is_not_there_yet(client: OpenAI) -> None:
    """An honest 501."""
    with pytest.raises(openai.InternalServerError) as caught:
        client.responses.compact(model="tiny", input="x")
    assert caught.value.status_code == 501


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("temperature", (-0.1, 2.1, "hot")), ("top_p", (-0.1, 1.1)), ("top_logprobs", (-1, 21)),
        ("max_output_tokens", (0, 15, 1.5, 2**70)), ("max_tool_calls", (-1,)), ("safety_identifier", ("x" * 65,)),
        ("metadata", ({str(i): "" for i in range(17)}, {"a": "x" * 513}, {"a": 1})), ("stream", ("yes",)),
        ("store", ("yes",)), ("model", ("", 3)), ("truncation", ("some",)), ("include", (["all"], "all")),
        ("input", ([], None, 3, [{"role": "robot", "content": "x"}], [{"type": "item_reference", "id": "msg_1"}])),
        ("reasoning", ({"effort": "extreme"}, "low")), ("service_tier", ("gold",)), ("instructions", (["x"],)),
        ("text", ({"format": {"type": "xml"}}, {"verbosity": "loud"}, "text")),
    ],
)  # fmt: skip
def test_ranges(client: OpenAI, name: str, values: tuple[Any, ...]) -> None:
    """A value outside of its range is a 400 that names the parameter."""
    for value in values:
        with pytest.raises(openai.BadRequestError) as caught:
            client.post("/responses", body={"model": "tiny", "input": "x"} | {name: value}, cast_to=object)
        assert (caught.value.param or "").startswith(name), value


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"tools": [TOOL]}, "tools"),
        ({"tools": [TOOL], "tool_choice": "required"}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [{"type": "web_search"}], "tool_choice": "none"}, "tools[0].type"),
        ({"tools": [{"type": "function"}], "tool_choice": "none"}, "tools[0].name"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"moderation": {"model": "m"}}, "moderation"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options"),
    ],
)
def test_what_a_classifier_cannot_do_is_refused(client: OpenAI, options: dict[str, Any], param: str) -> None:
    """Tools, background work, conversations, prompts and moderation are refused by name."""
    assert refused(ask, client, **options).param == param


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]}, "input[0].content[0]"),
        ({"role": "user"}, "input[0]"),
        ({"type": "function_call", "call_id": "c", "name": "f"}, "input[0].arguments"),
        ({"type": "function_call", "name": "f", "arguments": ""}, "input[0].call_id"),
        ({"type": "function_call_output", "call_id": "c", "output": ""}, "input[0].call_id"),
        ({"type": "reasoning", "summary": []}, "input[0].type"),
    ],
)
def test_items_that_are_not_whole(client: OpenAI, item: Any, param: str) -> None:
    """Images, items without what their kind needs, and unknown kinds are a 400 at their place."""
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, [item])
    assert caught.value.param == param


def test_ignored_parameters_are_listed(client: OpenAI) -> None:
    """What changes nothing is accepted, echoed where OpenAI does, and named in a header; neutral values are not."""

    def listed(**options: Any) -> tuple[str | None, Any]:
        raw = client.responses.with_raw_response.create(model="tiny", input="refund", **options)
        return raw.headers.get("x-nanosmith-ignored"), raw.parse()

    header, made = listed(
        temperature=0.7, max_output_tokens=20, reasoning={"effort": "low"}, user="me", text={"verbosity": "low"},
        include=["reasoning.encrypted_content"], tools=[TOOL], tool_choice="none", extra_body={"brand_new": 1},
    )  # fmt: skip
    assert header == (
        "temperature, max_output_tokens, reasoning, user, text.verbosity, include.reasoning.encrypted_content, "
        "brand_new"
    )
    assert (made.temperature, made.max_output_tokens, made.reasoning.effort, made.user) == (0.7, 20, "low", "me")
    assert (made.tools[0].name, made.tool_choice, made.text.verbosity) == ("f", "none", "low")
    assert listed(temperature=0, top_p=1, service_tier="auto", store=True, truncation="auto")[0] is None


def test_truncation(client: OpenAI) -> None:
    """What a model does not read is told in a header; with truncation disabled it is an error instead."""
    raw = client.responses.with_raw_response.create(model="tiny", input="refund " * 90)
    assert raw.headers["x-nanosmith-truncated"] == "read 64 of about 90 tokens"
    with pytest.raises(openai.BadRequestError, match="90 tokens") as caught:
        ask(client, "refund " * 90, truncation="disabled")
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "input")
    assert ask(client, "refund", truncation="disabled").truncation == "disabled"


def test_too_long(client: OpenAI) -> None:
    """Too many characters or items, over all turns of a conversation, are context_length_exceeded."""
    half = "x" * (MAX_INPUT_CHARS // 2 + 1)
    first = ask(client, half)
    for said, options in (
        ("x" * (MAX_INPUT_CHARS + 1), {}),
        (half, {"previous_response_id": first.id}),
        ([{"role": "user", "content": ""}] * (MAX_MESSAGES + 1), {}),
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            ask(client, said, **options)
        assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "input")


def test_errors_before_a_stream_are_plain(client: OpenAI) -> None:
    """A stream for a model that is not there is an HTTP error, not a stream."""
    with pytest.raises(openai.NotFoundError) as caught:
        ask(client, model="none", stream=True)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@given(st.text(max_size=50))
def test_any_text_is_told_in_one_piece(text: str) -> None:
    """Whatever the answer is, the deltas of its stream are its text, and the numbers grow by one."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}

    async def collect() -> bytes:
        return b"".join([part async for part in server_sent(stream_events({"id": "resp_1", "output": [item]}))])

    blocks = asyncio.run(collect()).decode().split("\n\n")[:-1]
    events = [json.loads(block.split("data: ", 1)[1]) for block in blocks]
    assert [event["sequence_number"] for event in events] == list(range(len(ORDER)))
    assert "".join(event.get("delta", "") for event in events) == text

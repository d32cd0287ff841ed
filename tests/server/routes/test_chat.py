"""Chat completions through routes, with the official client."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from tests.server.routes.conftest import TEXT, Routed, write_routes

from nanosmith.core.route import Route
from nanosmith.server.routes.observers import RouteEvent

EMAIL = "write to joe@example.com please"
STEP, ESCALATED = "x-nanosmith-step", "x-nanosmith-escalated"


def say(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def ask(client: OpenAI, model: str, text: str, **options: Any) -> tuple[Any, httpx.Headers]:
    """The completion and the headers."""
    raw = client.chat.completions.with_raw_response.create(model=model, messages=say(text), **options)
    return raw.parse(), raw.headers


def read(stream: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def failed(call: Any) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        call()
    return caught.value


def test_a_sure_answer_stays_here(client: OpenAI, routed: Routed) -> None:
    """The local model answers, the headers say so, and nothing is sent to anybody."""
    completion, headers = ask(client, "sure", "where is my parcel")
    assert completion.choices[0].message.content == "delivery"
    assert (headers["x-nanosmith-route"], headers[STEP], headers[ESCALATED]) == ("sure", "tiny", "false")
    assert 0.01 <= float(headers["x-nanosmith-confidence"]) <= 1
    assert routed.bytes_out == 0


def test_an_unsure_answer_escalates(client: OpenAI, routed: Routed) -> None:
    """The remote model is asked for a label, whose cost is in the header."""
    completion, headers = ask(client, "unsure", "where is my parcel", logprobs=True, top_logprobs=2)
    assert completion.choices[0].message.content == "delivery"
    assert (headers[STEP], headers[ESCALATED]) == ("first/big", "true")
    assert float(headers["x-nanosmith-cost"]) > 0
    assert completion.choices[0].logprobs.content[0].top_logprobs[0].token == "delivery"
    assert routed.first.seen()["requests"] == 1


def test_streams(client: OpenAI) -> None:
    """A label, and a text that grows, as streams with usage."""
    for model, text, said in (("unsure", "where is my parcel", "delivery"), ("text", "count", TEXT)):
        options = {"stream": True, "stream_options": {"include_usage": True}}
        chunks = list(client.chat.completions.create(model=model, messages=say(text), **options))
        assert read(chunks) == said
        assert chunks[-1].usage.total_tokens > 0
        assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    plain = list(client.chat.completions.create(model="text", messages=say("count"), stream=True))
    assert all(chunk.choices and chunk.usage is None for chunk in plain)


@pytest.mark.parametrize("route", ["tools", "unsure"])
def test_a_body_passes_whole(client: OpenAI, routed: Routed, route: str) -> None:
    """What is not a classification arrives as it was sent, in a route with labels too; what is for this server does
    not."""
    seen: list[dict[str, Any]] = []
    upstream = routed.served.services.shared.routing.upstream
    call = upstream.call
    upstream.call = lambda remote, body: seen.append(dict(body)) or call(remote, body)  # type: ignore[method-assign,func-returns-value]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    try:
        _, headers = ask(
            client, route, "count", tools=tools, temperature=0.3, metadata={"a": "b"}, seed=4, max_tokens=9,
            response_format={"type": "json_object"}, extra_body={"new_parameter": 1, "nanosmith": {}},
        )  # fmt: skip
    finally:
        del upstream.call
    assert (headers[STEP], headers[ESCALATED]) == ("first/big", "true")
    assert seen == [
        {"messages": say("count"), "tools": tools, "temperature": 0.3, "seed": 4, "max_tokens": 9, "new_parameter": 1,
         "response_format": {"type": "json_object"}}
    ]  # fmt: skip


def test_a_text_is_judged_by_its_tokens(client: OpenAI) -> None:
    """The scripted writer's tokens all have a probability of exp(-0.5), below what is wanted."""
    for stream in (False, True):
        completion = client.chat.completions.create(model="judged", messages=say("count"), stream=stream)
        said = read(completion) if stream else completion.choices[0].message.content
        assert said == TEXT


def test_a_wrong_label_is_no_answer(client: OpenAI) -> None:
    """A remote model that answers with something else than a label has not answered; the error says who did what."""
    error = failed(lambda: ask(client, "unsure", "odd"))
    assert error.status_code == 502
    assert "tiny: below; first/big: garbage" in str(error)


def test_private_requests_send_nothing(client: OpenAI, routed: Routed) -> None:
    """Personal data, or the header, keep a request here: not a byte leaves, and the error says what to do."""
    card = "my card is ４１１１ 1111 1111 1111"  # with digits of another script
    header = {"x-nanosmith-private": "1"}
    picture = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]
    errors = [
        failed(lambda: ask(client, "text", EMAIL)),
        failed(lambda: ask(client, "unsure", card)),
        failed(lambda: ask(client, "one", "count", extra_headers=header)),
        failed(lambda: client.chat.completions.create(model="text", messages=say(EMAIL), stream=True)),
        failed(lambda: client.responses.create(model="text", input=EMAIL)),
        failed(lambda: ask(client, "text", "count", metadata={"mail": "joe@example.com"})),
        failed(lambda: client.chat.completions.create(model="text", messages=[{"role": "user", "content": picture}])),  # type: ignore[list-item,misc]
    ]
    assert {(error.status_code, error.code) for error in errors} == {(403, "private_request")}
    assert "only remote models left" in str(errors[0])
    assert routed.bytes_out == 0


def test_a_private_request_may_have_the_best_there_is(client: OpenAI, routed: Routed) -> None:
    """Where the route says so, what the local model says is given, and marked."""
    completion, headers = ask(client, "best", f"where is my parcel, {EMAIL}")
    assert completion.choices[0].message.content in ("delivery", "login", "refund")
    assert (headers[STEP], headers["x-nanosmith-unaccepted"]) == ("tiny", "true")
    assert routed.bytes_out == 0


def test_the_next_step_answers_for_one_that_fails(client: OpenAI, routed: Routed) -> None:
    """Whatever is wrong with the first."""
    for fault in ("500=1", "429=1", "reset=1", "garbage=1", "half=1", "hang=1"):
        routed.heal()
        routed.first.set_faults(fault)
        completion, headers = ask(client, "text", "count")
        assert (completion.choices[0].message.content, headers[STEP], headers[ESCALATED]) == (
            TEXT,
            "second/big",
            "true",
        )


def test_a_stream_that_breaks_is_an_error(routed: Routed) -> None:
    """Once content was sent there is no other model: an error event comes, and no [DONE]."""
    routed.first.set_faults("half=1")
    body = {"model": "one", "messages": say("count"), "stream": True}
    with httpx.stream("POST", f"{routed.served.url}/v1/chat/completions", json=body) as response:
        lines = [line for line in response.iter_lines() if line]
    assert response.status_code == 200
    assert json.loads(lines[-1].removeprefix("data: "))["error"]["code"] == "endpoint_error"
    assert "[DONE]" not in "".join(lines)


def test_a_cooldown_holds_for_everybody(client: OpenAI, routed: Routed) -> None:
    """A provider that wants to be left alone for two seconds gets no request, and the client is told how long."""
    routed.first.set_faults("429=1:2")
    for _ in range(3):
        error = failed(lambda: ask(client, "one", "count"))
        assert error.status_code == 429
        assert int(error.response.headers["retry-after"]) in (1, 2)
    assert routed.first.seen()["requests"] == 1


def test_the_deadline_holds(client: OpenAI, routed: Routed) -> None:
    """Of the route, or of the client's header where that is shorter; also in the middle of a stream."""
    routed.first.set_faults("hang=1")
    routed.second.set_faults("hang=1")
    began = time.monotonic()
    assert failed(lambda: ask(client, "text", "count")).status_code in (502, 504)
    short = {"x-nanosmith-deadline": "200ms"}
    error = failed(lambda: ask(client, "text", "count", extra_headers=short))
    assert (error.status_code, error.code) == (504, "deadline_exceeded")
    assert time.monotonic() - began < 5
    assert failed(lambda: ask(client, "text", "x", extra_headers={"x-nanosmith-deadline": "soon"})).status_code == 400
    routed.heal()
    routed.first.set_faults("drip=1:0.3")
    began = time.monotonic()
    with pytest.raises(openai.APIError, match="no answer in time"):
        read(client.chat.completions.create(model="one", messages=say("count"), stream=True))
    assert time.monotonic() - began < 3


def test_hedging(client: OpenAI, routed: Routed) -> None:
    """The next model is asked beside one that is slow; the first answer counts, and the other's connection ends."""
    routed.first.set_faults("hang=1")
    began = time.monotonic()
    completion, headers = ask(client, "hedged", "count")
    assert (completion.choices[0].message.content, headers[STEP]) == (TEXT, "second/big")
    assert time.monotonic() - began < 3


def test_weights_share_the_load(client: OpenAI, routed: Routed) -> None:
    """Three to one, about."""
    for _ in range(40):
        ask(client, "shared", "count")
    first, second = routed.first.seen()["requests"], routed.second.seen()["requests"]
    assert first + second == 40
    assert first > second > 0


def test_a_client_that_leaves_ends_the_call(routed: Routed) -> None:
    """Nothing is left of a request whose client is gone."""
    routed.first.set_faults("hang=1")
    body = {"model": "text", "messages": say("count")}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{routed.served.url}/v1/chat/completions", json=body, timeout=0.2)
    time.sleep(0.3)
    routed.first.set_faults("")
    assert routed.second.seen()["requests"] == 0


def test_rules_of_length_and_project(client: OpenAI) -> None:
    """Steps are passed over, and a route of other projects is refused."""
    assert ask(client, "long", "hi")[1][STEP] == "tiny"
    assert ask(client, "long", "a longer text than that")[1][STEP] == "writer"
    assert failed(lambda: ask(client, "other", "hi")).status_code == 403


def test_remote_models_by_their_own_names(client: OpenAI, routed: Routed) -> None:
    """Those that the file offers answer; others are refused with what to do."""
    assert ask(client, "first/direct-x", "count")[0].choices[0].message.content == TEXT
    error = failed(lambda: ask(client, "first/big", "count"))
    assert error.status_code == 404
    assert 'remote = ["first/big"]' in str(error)
    routing = routed.served.services.shared.routing
    routing.allow_remote("*")  # nanosmith serve --remote
    try:
        assert ask(client, "first/big", "count")[1]["x-nanosmith-route"] == "first/big"
    finally:
        routing.allow_remote()


def test_routes_are_listed_as_models(client: OpenAI) -> None:
    """Those of the project; they can be retrieved, and not be deleted."""
    listed = [model.id for model in client.models.list()]
    assert listed[:2] == ["sure", "unsure"]
    assert "other" not in listed
    assert client.models.retrieve("sure").owned_by == "nanosmith-routes"
    assert failed(lambda: client.models.delete("sure")).status_code == 403


def test_stored_completions(client: OpenAI) -> None:
    """What a route answered is kept when that was asked for, with its metadata."""
    for model, stream in (("sure", False), ("text", False), ("text", True)):
        answer = client.chat.completions.create(
            model=model, messages=say("count"), store=True, metadata={"a": model}, stream=stream
        )
        id = [chunk.id for chunk in answer][0] if stream else answer.id  # noqa: RUF015  # read to its end
        assert client.chat.completions.retrieve(id).metadata == {"a": model}


def test_observers_are_told(client: OpenAI, routed: Routed) -> None:
    """Of every answer of the routes that they want, streamed too, with who was asked; one that fails harms nobody."""
    told: list[RouteEvent] = []

    class Watching:
        def wants(self, route: Route) -> bool:
            return route.name != "sure"

        def answered(self, event: RouteEvent) -> None:
            told.append(event)
            raise RuntimeError("a bug")

    observers = routed.served.services.shared.routing.observers
    observers.add(Watching())
    try:
        ask(client, "unsure", "where is my parcel")
        ask(client, "sure", "where is my parcel")
        read(client.chat.completions.create(model="text", messages=say("count"), stream=True))
    finally:
        observers._all.pop()
    label, text = told
    assert (label.route.name, label.step, label.value, label.content) == ("unsure", "first/big", "delivery", "delivery")
    assert [(one.model, one.outcome) for one in label.tried] == [("tiny", "below"), ("first/big", "answered")]
    assert (text.content, text.streamed, text.value, text.private) == (TEXT, True, None, False)
    assert min(label.cost, text.cost, label.latency_ms) > 0


def test_the_file_is_read_again(client: OpenAI, routed: Routed) -> None:
    """A new route answers soon, and a broken file leaves all as it was."""
    before = routed.file.read_text()
    try:
        write_routes(routed.file, before + '\n[route.new]\n[[route.new.steps]]\nmodel = "tiny"\n')
        time.sleep(0.6)
        assert ask(client, "new", "hi")[1]["x-nanosmith-route"] == "new"
        write_routes(routed.file, "[route")
        time.sleep(0.6)
        assert ask(client, "new", "hi")[1]["x-nanosmith-route"] == "new"
        assert "nanosmith.toml cannot be read" in str(failed(lambda: ask(client, "newer", "hi")))
    finally:
        write_routes(routed.file, before)
        time.sleep(0.6)


def test_concurrent_requests(client: OpenAI, routed: Routed) -> None:
    """Several at once, each with its own answer."""
    found: list[str] = []

    def one(model: str, text: str) -> None:
        found.append(ask(client, model, text)[0].choices[0].message.content)

    pairs = [("text", "count"), ("unsure", "where is my parcel")] * 8
    threads = [threading.Thread(target=one, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == ["delivery"] * 8 + [TEXT] * 8

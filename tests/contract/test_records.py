"""Models of records: content, parsed formats, function calls, responses, and evals over them."""

from __future__ import annotations

import json
import math
from datetime import date
from typing import Any, Literal

import pytest
from openai import OpenAI, pydantic_function_tool
from pydantic import BaseModel
from tests.contract.conftest import refused, until
from tests.server.records import FUNCTION, RECORD, TEXT

ASKED: Any = [{"role": "user", "content": TEXT}]
SHORT: Any = [{"role": "user", "content": "4712"}]


class Invoice(BaseModel):
    """All that the model can answer."""

    number: str
    date: date | None
    total: float | None
    status: Literal["open", "overdue", "paid"]


class Strange(BaseModel):
    """What the model does not know."""

    number: str
    colour: str


def test_create(client: OpenAI) -> None:
    """The content is the record as JSON."""
    done = client.chat.completions.create(model="invoices", messages=ASKED, response_format={"type": "json_object"})
    assert json.loads(done.choices[0].message.content or "") == RECORD
    assert (done.choices[0].finish_reason, done.choices[0].message.tool_calls) == ("stop", None)


def test_entities(client: OpenAI) -> None:
    """Offsets are of the newest user turn."""
    turns: Any = [{"role": "assistant", "content": "city?"}, {"role": "user", "content": "in Palo Alto"}]
    done = client.chat.completions.create(model="booking", messages=turns)
    assert json.loads(done.choices[0].message.content or "") == {
        "label": "BookTable", "entities": [{"label": "city", "start": 3, "end": 12, "text": "Palo Alto"}],
    }  # fmt: skip


def test_parse(client: OpenAI) -> None:
    """A model of the client's is filled; what is missing is null; one with other fields is refused."""
    done = client.chat.completions.parse(model="invoices", messages=ASKED, response_format=Invoice)
    assert done.choices[0].message.parsed == Invoice(number="4711", date=date(2026, 5, 3), total=1250, status="overdue")
    done = client.chat.completions.parse(model="invoices", messages=SHORT, response_format=Invoice)
    assert done.choices[0].message.parsed == Invoice(number="4712", date=None, total=None, status="open")
    with refused(param="response_format.json_schema.schema", code="unsupported_parameter"):
        client.chat.completions.parse(model="invoices", messages=ASKED, response_format=Strange)


def test_stream(client: OpenAI) -> None:
    """The client puts the record together and parses it."""
    with client.chat.completions.stream(model="invoices", messages=ASKED, response_format=Invoice) as stream:
        done = stream.get_final_completion()
    assert done.choices[0].message.parsed is not None
    assert done.choices[0].message.parsed.total == 1250


def test_required_function(client: OpenAI) -> None:
    """The record is the arguments of the function, also parsed; each choice has a call of its own."""
    tools = [pydantic_function_tool(Invoice, name="invoice")]
    done = client.chat.completions.parse(model="invoices", messages=ASKED, tools=tools, tool_choice="required", n=2)
    first, second = done.choices
    assert (first.finish_reason, first.message.content) == ("tool_calls", None)
    assert first.message.tool_calls is not None
    assert second.message.tool_calls is not None
    assert first.message.tool_calls[0].id != second.message.tool_calls[0].id
    assert first.message.tool_calls[0].function.name == "invoice"
    assert json.loads(first.message.tool_calls[0].function.arguments) == RECORD
    assert isinstance(first.message.tool_calls[0].function.parsed_arguments, Invoice)


def test_chosen_function(client: OpenAI) -> None:
    """With "auto" a model calls what its examples called; one that called nothing is asked for more."""
    tools: Any = [
        {"type": "function", "function": {"name": "other", "parameters": Strange.model_json_schema()}},
        {"type": "function", "function": {"name": FUNCTION, "parameters": Invoice.model_json_schema()}},
    ]
    done = client.chat.completions.create(model="filing", messages=ASKED, tools=tools)
    assert [call.function.name for call in done.choices[0].message.tool_calls or ()] == [FUNCTION]  # type: ignore[union-attr]
    named: Any = {"type": "function", "function": {"name": FUNCTION}}
    done = client.chat.completions.create(model="invoices", messages=ASKED, tools=tools, tool_choice=named)
    assert done.choices[0].finish_reason == "tool_calls"
    done = client.chat.completions.create(model="filing", messages=ASKED, tools=tools, tool_choice="none")
    assert json.loads(done.choices[0].message.content or "") == RECORD
    with refused(param="tools"):
        client.chat.completions.create(model="invoices", messages=ASKED, tools=tools)
    with refused(param="tools"):
        client.chat.completions.create(model="filing", messages=ASKED, tools=tools[:1], tool_choice="required")


def test_streamed_call(client: OpenAI) -> None:
    """Name and id come once, then the arguments, then the reason."""
    tools: Any = [{"type": "function", "function": {"name": "f", "parameters": Invoice.model_json_schema()}}]
    made = client.chat.completions.create(
        model="invoices", messages=ASKED, tools=tools, tool_choice="required", stream=True
    )
    choices = [chunk.choices[0] for chunk in made]
    calls = [call for choice in choices for call in choice.delta.tool_calls or ()]
    assert [call.index for call in calls] == [0, 0]
    assert [call.id is None for call in calls] == [False, True]
    assert json.loads("".join(call.function.arguments or "" for call in calls if call.function)) == RECORD
    assert [choice.finish_reason for choice in choices] == [None, None, "tool_calls"]
    with client.chat.completions.stream(
        model="invoices", messages=ASKED, tools=tools, tool_choice="required"
    ) as stream:
        done = stream.get_final_completion()
    assert done.choices[0].message.tool_calls is not None
    assert json.loads(done.choices[0].message.tool_calls[0].function.arguments) == RECORD


def test_logprobs_and_fields(client: OpenAI) -> None:
    """Each value is a token with its field's confidence; the extension tells of every field, and where it stands."""
    done = client.chat.completions.create(
        model="invoices", messages=ASKED, logprobs=True, extra_body={"nanosmith": {"fields": True}}
    )
    told: Any = done.nanosmith  # type: ignore[attr-defined]
    content = done.choices[0].logprobs.content or []  # type: ignore[union-attr]
    assert "".join(token.token for token in content) == done.choices[0].message.content
    sure = {token.token: math.exp(token.logprob) for token in content}
    assert sure['"4711"'] == pytest.approx(told["fields"][0]["confidence"])
    assert sure['{"number":'] == 1.0
    (span,) = told["fields"][1]["spans"]
    assert told["text"][span["start"] : span["end"]] == "3 May 2026"
    assert 0 < told["confidence"] < 1
    for options in ({"stream": True}, {"model": "tiny"}, {"model": "writer"}):
        with refused(param="nanosmith.fields"):
            client.chat.completions.create(
                **{"model": "invoices", "messages": ASKED} | options, extra_body={"nanosmith": {"fields": True}}
            )
    with refused(param="nanosmith.explain"):
        client.chat.completions.create(model="invoices", messages=ASKED, extra_body={"nanosmith": {"explain": True}})


def test_stored_call_as_training_line(client: OpenAI) -> None:
    """A stored call is the same when it is retrieved, and becomes a line that calls the function."""
    tools: Any = [{"type": "function", "function": {"name": FUNCTION, "parameters": Invoice.model_json_schema()}}]
    done = client.chat.completions.create(
        model="filing", messages=ASKED, tools=tools, store=True, metadata={"kind": "call"}
    )
    assert client.chat.completions.retrieve(done.id).choices == done.choices
    file: Any = client.post("/files/from_completions", body={"metadata": {"kind": "call"}}, cast_to=dict)
    (line,) = client.files.content(file["id"]).text.splitlines()
    answer = json.loads(line)["messages"][-1]
    assert answer["tool_calls"][0]["function"]["name"] == FUNCTION
    assert json.loads(answer["tool_calls"][0]["function"]["arguments"]) == RECORD
    assert json.loads(line)["tools"] == tools


def test_responses(client: OpenAI) -> None:
    """A record as text, parsed, as a call, as a stream, and as a conversation."""
    made = client.responses.parse(model="invoices", input=TEXT, text_format=Invoice)
    assert made.output_parsed is not None
    assert made.output_parsed.number == "4711"
    tools: Any = [{"type": "function", "name": "f", "parameters": Invoice.model_json_schema(), "strict": False}]
    made: Any = client.responses.create(model="invoices", input=TEXT, tools=tools, tool_choice="required")
    (item,) = made.output
    assert (item.type, item.name, json.loads(item.arguments)) == ("function_call", "f", RECORD)
    assert item.call_id == f"call_{made.id.removeprefix('resp_')}"
    output = [{"type": "function_call_output", "call_id": item.call_id, "output": "filed"}]
    more = client.responses.create(
        model="invoices", previous_response_id=made.id, input=[*output, {"role": "user", "content": TEXT}]
    )
    assert json.loads(more.output_text)["number"] == "4711"
    with client.responses.stream(model="invoices", input=TEXT, tools=tools, tool_choice="required") as stream:
        kinds = [event.type for event in stream]
    assert "response.function_call_arguments.done" in kinds
    with refused(param="text.format.schema"):
        client.responses.parse(model="invoices", input=TEXT, text_format=Strange)


def test_batch(client: OpenAI) -> None:
    """A batch answers with contents and with calls."""
    tools = [{"type": "function", "function": {"name": "f", "parameters": Invoice.model_json_schema()}}]
    asked = {"model": "invoices", "messages": ASKED}
    bodies = [asked, asked | {"tools": tools, "tool_choice": "required"}]
    lines = [
        {"custom_id": str(i), "method": "POST", "url": "/v1/chat/completions", "body": body}
        for i, body in enumerate(bodies)
    ]
    content = "".join(json.dumps(line) + "\n" for line in lines).encode()
    file = client.files.create(file=("batch.jsonl", content), purpose="batch")
    made = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    done = until(lambda: client.batches.retrieve(made.id), "completed")
    written = client.files.content(done.output_file_id).text.splitlines()
    answers = {line["custom_id"]: line["response"]["body"] for line in map(json.loads, written)}
    assert json.loads(answers["0"]["choices"][0]["message"]["content"]) == RECORD
    (call,) = answers["1"]["choices"][0]["message"]["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == RECORD


def test_decisions_are_about_labels(client: OpenAI) -> None:
    """A record model refuses them in clear words."""
    question: Any = {"type": "predicate", "instructions": "overdue"}
    with refused(param="model", code="unsupported_model"):
        client.post("/decisions", body={"model": "invoices", "input": TEXT, "questions": [question]}, cast_to=dict)


def test_eval(client: OpenAI) -> None:
    """A grader reads fields of the answer, and arguments of a call."""
    criteria: Any = [
        {"type": "string_check", "name": "number", "operation": "eq", "reference": "{{ item.number }}",
         "input": "{{ sample.output_json.number }}"},
        {"type": "string_check", "name": "called", "operation": "eq", "reference": FUNCTION,
         "input": "{{ sample.output_tools[0].function.name }}"},
    ]  # fmt: skip
    schema = {"type": "object", "properties": {"text": {"type": "string"}, "number": {"type": "string"}}}
    config: Any = {"type": "custom", "item_schema": schema, "include_sample_schema": True}
    made = client.evals.create(data_source_config=config, testing_criteria=criteria)
    tools = [{"type": "function", "function": {"name": FUNCTION, "parameters": Invoice.model_json_schema()}}]
    source: Any = {
        "type": "completions", "model": "filing",
        "source": {"type": "file_content", "content": [{"item": {"text": TEXT, "number": "4711"}}]},
        "input_messages": {"type": "template", "template": [{"role": "user", "content": "{{ item.text }}"}]},
        "sampling_params": {"tools": tools},
    }  # fmt: skip
    run = client.evals.runs.create(made.id, data_source=source)
    done = until(lambda: client.evals.runs.retrieve(run.id, eval_id=made.id), "completed")
    assert (done.result_counts.passed, done.result_counts.total) == (1, 1)

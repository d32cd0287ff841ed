"""Calls as a model writes them: the schema that they obey, and reading them off pieces of any size."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nanosmith.core.example import Message
from nanosmith.server.chat.request import ChatMessage, ChatRequest, FunctionToolCall
from nanosmith.server.chat.request import Function as CalledFunction
from nanosmith.server.chat.tools import CallReader, Function, Offer, call_text, told
from nanosmith.testing.scripted import simplest

PLACE: dict[str, Any] = {
    "type": "object",
    "properties": {"place": {"$ref": "#/$defs/Place"}, "more": {"$ref": "#"}},
    "$defs": {"Place": {"enum": ["Bonn"]}},
}
OFFER = Offer((Function("weather", parameters=PLACE), Function("weather_now")), required=True)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("space", ["", " "])
def test_a_call_in_pieces(size: int, space: str) -> None:
    """The name and the arguments, without the brace that ends the call, wherever the pieces end."""
    text = f'{{"name":{space}"weather_now",{space}"arguments":{space}{{"a":{space}{{"b": "}}"}}}}}}'
    reader, shown = CallReader(OFFER), ""
    for i in range(0, len(text), size):
        shown += reader.feed(text[i : i + size], is_last=i + size >= len(text))
    assert (reader.is_call, reader.name) == (True, "weather_now")
    assert json.loads(shown) == {"a": {"b": "}"}}
    assert shown == reader.arguments


@pytest.mark.parametrize("text", ["Hello {there}", '{"name": "other", "arguments": {}}', '{"colour": "red"}', "", "{"])
def test_a_text_in_pieces(text: str) -> None:
    """What is no call of an offered function is a text, and nothing of it is lost."""
    reader = CallReader(OFFER)
    shown = "".join(reader.feed(letter) for letter in text) + reader.feed("", is_last=True)
    assert (reader.is_call, shown) == (False, text)


def test_a_cut_call() -> None:
    """What there is of its arguments is kept."""
    reader = CallReader(OFFER)
    assert reader.feed('{"name":"weather","arguments":{"place":"Bo', is_last=True) == '{"place":"Bo'


def test_the_grammar_of_calls() -> None:
    """Each function's schema is a part of one schema, where its references still lead to itself."""
    schema = json.loads(OFFER.grammar(None).source)
    parts = schema["$defs"]
    assert parts["part0"]["properties"]["more"] == {"$ref": "#/$defs/part0"}
    assert simplest(parts["part0"]["properties"]["place"], schema) == "Bonn"
    answer = {"type": "object", "properties": {"a": {"type": "integer"}}}
    either = Offer(OFFER.functions, required=False)
    assert len(json.loads(either.grammar(answer).source)["anyOf"]) == 3
    assert either.grammar(None).kind == "lark"


def test_functions_are_told() -> None:
    """In the system message, after what it says."""
    (alone, _) = OFFER.told([Message("user", "hi")])
    (joined, _) = OFFER.told([Message("developer", "Be short."), Message("user", "hi")])
    assert alone.role == "system"
    assert joined == Message("developer", f"Be short.\n\n{alone.content}")
    assert '"name": "weather_now"' in alone.content


def test_earlier_calls_are_told() -> None:
    """As the model writes one, after what was said with it."""
    call = FunctionToolCall("id", CalledFunction("weather", '{"place":"Bonn"}'))
    messages = [ChatMessage("user", "hi"), ChatMessage("assistant", "Wait.", tool_calls=[call])]
    said = told(ChatRequest("m", messages))
    assert said[1].content == 'Wait.\n{"name":"weather","arguments":{"place":"Bonn"}}'
    assert call_text("f", "") == '{"name":"f","arguments":{}}'

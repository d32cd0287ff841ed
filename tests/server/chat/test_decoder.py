"""Chat completions of a real decoder: two models on one base, grammars, and requests that want too much."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.server.chat.test_completions import open_stream
from tests.server.chat.test_generate import WEATHER, ask, joined
from tests.server.conftest import Served, refused, running

from nanosmith.core.registry import BUILT_IN
from nanosmith.store.home import open_home
from nanosmith.store.ledger import open_ledger
from nanosmith.store.records import ModelRow

pytest.importorskip("peft")
if "decoder/1" not in BUILT_IN["predictors"]:
    pytest.skip("there are no decoders", allow_module_level=True)
NAMES = ("first", "second")
HOSTILE = (
    {"type": "string", "pattern": "(a{1,999}){1,999}(b{1,999}){1,999}"},
    {"type": "string", "pattern": "(.*a){40}(.*b){40}"},
    {"type": "array", "minItems": 100_000, "items": {"type": "string", "pattern": "[a-z]{1,5000}x"}},
    {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    {"anyOf": [{"type": "string", "pattern": f"(x{{{i},9999}}y?)+"} for i in range(1, 60)]},
    {"type": "object", "not": {"type": "string"}},
    {"type": "string", "pattern": "(("},
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of two models that differ in their adapters alone."""
    from nanosmith.testing.tiny_text import save_random_adapter, save_tiny, seal_adapter, seal_base

    made, home = tmp_path_factory.mktemp("made"), open_home(tmp_path_factory.mktemp("decoders"))
    home.bundles.mkdir()
    tiny = save_tiny(made / "tiny")
    base = seal_base(tiny, home.bundles)
    with closing(open_ledger(home)) as ledger:
        for seed, name in enumerate(NAMES):
            adapter = save_random_adapter(tiny, made / name, seed)
            bundle = seal_adapter(base, adapter, home.bundles / name)
            ledger.add_model(ModelRow(name, 1_700_000_000, name, bundle.digest, "tiny"))
    with running(home) as server:
        yield server


@pytest.fixture(scope="module")
def decoders(served: Served) -> Iterator[OpenAI]:
    with served.client() as client:
        yield client


def test_two_models_on_one_base(decoders: OpenAI) -> None:
    """Served at once, each answers as it does alone, and differently."""
    asked: dict[str, Any] = {"temperature": 0, "max_tokens": 40}
    alone = [ask(decoders, model=name, **asked).choices[0].message.content for name in NAMES]
    assert alone[0] != alone[1]
    found: dict[str, str] = {}

    def read(key: str, name: str) -> None:
        found[key] = joined(list(ask(decoders, model=name, stream=True, **asked)))

    threads = [threading.Thread(target=read, args=(f"{name}{i}", name)) for i in range(2) for name in NAMES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {f"{name}{i}": alone[NAMES.index(name)] for i in range(2) for name in NAMES}


def test_grammars(decoders: OpenAI) -> None:
    """Random weights write what fits a schema, and call a function with arguments that fit, streamed or not."""
    schema = {
        "type": "object",
        "properties": {"legs": {"type": "integer"}, "colour": {"enum": ["red", "brown"]}},
        "required": ["legs", "colour"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "fox", "strict": True, "schema": schema}}
    for seed in range(3):
        done = ask(decoders, model="first", seed=seed, max_tokens=60, response_format=form)
        fox = json.loads(done.choices[0].message.content)
        assert isinstance(fox["legs"], int)
        assert fox["colour"] in ("red", "brown")
    tools: dict[str, Any] = {"tools": [WEATHER], "tool_choice": "required", "max_tokens": 100}
    (call,) = ask(decoders, model="first", **tools).choices[0].message.tool_calls
    assert json.loads(call.function.arguments)["place"] in ("Bonn", "Oslo")
    chunks = list(ask(decoders, model="first", stream=True, **tools))
    calls = [chunk.choices[0].delta.tool_calls[0] for chunk in chunks if chunk.choices[0].delta.tool_calls]
    assert json.loads("".join(call.function.arguments for call in calls))["place"] in ("Bonn", "Oslo")
    done = ask(decoders, model="first", tools=[WEATHER], max_tokens=100).choices[0]
    assert done.message.tool_calls or done.message.content is not None


def test_what_the_model_refuses(decoders: OpenAI) -> None:
    """A prompt over the limit, a token id that is not there: a 400 that names the parameter."""
    for options, param, code in (
        ({"text": "word " * 200}, "messages", "context_length_exceeded"),
        ({"logit_bias": {"99999": 1}}, "logit_bias", None),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": HOSTILE[-1]}}]}, "tools", None),
    ):
        error = refused(ask, decoders, model="first", **options)
        assert error.param == param
        assert code in (None, error.code)


def test_hostile_schemas(decoders: OpenAI) -> None:
    """Each is refused in time, or used, while another text goes on."""
    gaps: list[float] = []
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            last = time.monotonic()
            for _ in ask(decoders, model="second", max_tokens=200, stream=True):
                gaps.append(time.monotonic() - last)
                last = time.monotonic()

    reading = threading.Thread(target=read)
    reading.start()
    try:
        for schema in HOSTILE:
            form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
            began = time.monotonic()
            with suppress(openai.BadRequestError):
                ask(decoders, model="first", response_format=form, max_tokens=5)
            assert time.monotonic() - began < 5
    finally:
        ended.set()
        reading.join()
    assert len(gaps) > 20
    assert max(gaps) < 2


def test_a_client_that_leaves(served: Served, decoders: OpenAI) -> None:
    """The place is free within 200 ms."""
    ask(decoders, model="first", max_tokens=1)
    desk = next(model.desk for key, model in served.services.shared.opened.by_key.items() if key[1] == "first")
    before = desk._places._value
    with open_stream(served, model="first", logit_bias={"0": -100}) as connection:
        assert connection.recv(1024)
        assert desk._places._value == before - 1
    began = time.monotonic()
    while desk._places._value < before:
        assert time.monotonic() - began < 0.2
        time.sleep(0.002)

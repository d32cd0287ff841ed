"""The scripted text model keeps the contract of a Generator, so that tests with it say something."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nanosmith.core.errors import InputError, TooLong
from nanosmith.core.example import Message
from nanosmith.core.generation import Grammar, Sampling
from nanosmith.predict.open import open_predictor
from nanosmith.testing import scripted_bundle
from nanosmith.testing.scripted import WORDS

PLAIN: dict[str, Any] = {"temperature": 0.0}


@pytest.fixture
def model(tmp_path: Path) -> Any:
    return open_predictor(scripted_bundle(tmp_path / "scripted", max_tokens=20))


def written(model: Any, text: str = "go", **options: Any) -> tuple[str, str]:
    pieces = list(model.generate(text, Sampling(**PLAIN | options), lambda: False))
    assert [piece.finish_reason for piece in pieces[:-1]] == [None] * (len(pieces) - 1)
    return "".join(piece.text for piece in pieces), pieces[-1].finish_reason


def test_it_writes_its_words(model: Any) -> None:
    """Or what it is told to, up to a stop text or a number of tokens; never more than its context."""
    assert model.predict(["go"])[0].value == WORDS
    assert written(model) == (WORDS, "stop")
    assert written(model, "say: a b c", stop=("b c",)) == ("a ", "stop")
    assert written(model, max_tokens=2) == ("the quick", "length")
    assert written(model, "word " * 17)[1] == "length"
    assert written(model, temperature=1.0, seed=3) == written(model, temperature=1.0, seed=3)


def test_it_stops_when_told(model: Any) -> None:
    """Without a last piece."""
    pieces = model.generate((Message("user", "go"),), Sampling(**PLAIN), iter((False, False, True)).__next__)
    assert [piece.text for piece in pieces] == ["the", " quick"]


def test_it_refuses_what_a_decoder_refuses(model: Any) -> None:
    """A prompt without room, a token that it does not have, a schema that is none."""
    for text, options, kind in (
        ("word " * 30, {}, TooLong),
        ("go", {"logit_bias": {99: 1.0}}, InputError),
        ("go", {"grammar": Grammar("json_schema", '{"type": "text"}')}, InputError),
    ):
        with pytest.raises(kind):
            written(model, text, **options)


def test_it_obeys_schemas(tmp_path: Path) -> None:
    """With the simplest value."""
    model = open_predictor(scripted_bundle(tmp_path / "scripted"))
    schema = {
        "type": "object",
        "properties": {"a": {"type": "array", "items": {"$ref": "#/$defs/x"}}, "b": {"anyOf": [{"const": 1}]}},
        "$defs": {"x": {"type": ["string", "null"]}},
    }
    text, _ = written(model, grammar=Grammar("json_schema", json.dumps(schema)))
    assert json.loads(text) == {"a": ["word"], "b": 1}

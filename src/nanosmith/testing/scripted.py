"""A text model that writes what it is told, slowly and always the same: for tests of whatever reads such a model.

bundle = scripted_bundle(folder, "the quick brown fox", pause_ms=20)

It writes its words, or those after "say: " where the last turn begins so. A word is a token. With a JSON schema it
writes the simplest value that fits; with a grammar of text or call, a call where the last turn has the word "call".
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nanosmith.core import registry
from nanosmith.core.errors import InputError, TooLong
from nanosmith.core.example import Input, as_messages
from nanosmith.core.generation import Grammar, Piece, Sampling, Stopped, TokenLogprob
from nanosmith.core.manifest import BaseRef, Calibration, DataRef, Manifest
from nanosmith.core.prediction import Prediction
from nanosmith.core.task import Task
from nanosmith.store.bundles import Bundle, seal
from nanosmith.version import __version__

PREDICTOR = "scripted/1"
SAY = "say: "
LOGPROB = -0.5
WORDS = "the quick brown fox jumps over the lazy dog"


class ScriptedGenerator:
    """See the module. With a temperature, the words are shuffled by the seed."""

    def __init__(self, bundle: Bundle, *, threads: int = 1) -> None:
        self.name = bundle.manifest.name
        self.task = bundle.manifest.task
        self.max_tokens = bundle.manifest.max_tokens
        self._words: list[str] = bundle.manifest.settings["words"].split()
        self._pause_s: float = bundle.manifest.settings["pause_ms"] / 1000
        self._before: list[str] = []

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        asked = Sampling(temperature=0.0)
        texts = ["".join(piece.text for piece in self.generate(one, asked, lambda: False)) for one in inputs]
        return [Prediction(text, None, (), (), self.name) for text in texts]

    def generate(self, given: Input, sampling: Sampling, stopped: Stopped) -> Iterator[Piece]:
        """Raises TooLong, InputError."""
        prompt = [word for turn in as_messages(given) for word in (turn.role, *turn.content.split())]
        tokens = self._tokens(as_messages(given)[-1].content, sampling)
        room = self._room(prompt, sampling)
        cached, self._before = _common(prompt, self._before), prompt
        text, shown, written = "", 0, 0
        for token in tokens[:room]:
            time.sleep(self._pause_s)
            if stopped():
                return
            text, written = text + token, written + 1
            if (end := _stop(text, sampling.stop)) is not None:
                break
            safe = max(shown, len(text) - _begun(text, sampling.stop))
            yield Piece(text[shown:safe], _logprobs(token, sampling))
            shown = safe
        else:
            end = None
        yield Piece(
            text[shown:end], finish_reason="stop" if end is not None or len(tokens) <= room else "length",
            prompt_tokens=len(prompt), cached_tokens=cached, written_tokens=written,
        )  # fmt: skip

    def _room(self, prompt: Sequence[str], sampling: Sampling) -> int:
        room = self.max_tokens - len(prompt)
        if room <= 0:
            what = f"This model's maximum context length is {self.max_tokens} tokens"
            raise TooLong(what, got=f"{len(prompt)} tokens")
        return min(room, sampling.max_tokens or room)

    def _tokens(self, last: str, sampling: Sampling) -> list[str]:
        for id in sampling.logit_bias:
            if id >= len(self._words):
                raise InputError("no such token", got=id, allowed=f"0 to {len(self._words) - 1}", param="logit_bias")
        if sampling.grammar is not None and (value := _value_of(sampling.grammar, calls="call" in last.split())):
            return list(value)
        if last.startswith(SAY):
            words = last.removeprefix(SAY).split(" ")
        else:
            banned = {self._words[id] for id, bias in sampling.logit_bias.items() if bias <= -100}
            words = [word for word in self._words if word not in banned]
            if sampling.temperature > 0:
                random.Random(sampling.seed).shuffle(words)  # noqa: S311  # no secret
        return [words[0], *(f" {word}" for word in words[1:])] if words else []


def scripted_bundle(
    folder: Path, words: str = WORDS, *, name: str = "scripted", pause_ms: float = 0.0, max_tokens: int = 256
) -> Bundle:
    """Seal a bundle at `folder` that answers with `words`; it opens in processes that called this."""
    registry.add("predictors", PREDICTOR, "nanosmith.testing.scripted:ScriptedGenerator")
    with tempfile.TemporaryDirectory() as made:
        draft = Path(made) / "draft"
        draft.mkdir()
        manifest = Manifest(
            name=name, created_at=1_700_000_000, predictor=PREDICTOR, recipe=PREDICTOR, task=Task(kind="text"),
            max_tokens=max_tokens, base=BaseRef("none", "0" * 64), data=DataRef("0" * 64, 10, 0),
            calibration=Calibration(), settings={"words": words, "pause_ms": pause_ms}, notes={}, files={},
            nanosmith=__version__,
        )  # fmt: skip
        return seal(draft, manifest, folder)


def simplest(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """A value that fits a JSON schema of the usual keywords. Raises InputError."""
    if "$ref" in schema:
        found: Any = root
        for step in schema["$ref"].split("/")[1:]:
            found = found[step]
        return simplest(found, root)
    for keyword in ("const", "enum", "anyOf"):
        if keyword in schema:
            first = schema[keyword] if keyword == "const" else schema[keyword][0]
            return simplest(first, root) if keyword == "anyOf" else first
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        return {name: simplest(part, root) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [simplest(schema.get("items", {}), root)] * schema.get("minItems", 1)
    values = {"string": "word", "integer": 1, "number": 1.5, "boolean": True, "null": None}
    if kind not in values:
        raise InputError("the grammar cannot be used: unknown type", got=repr(kind), param="response_format")
    return values[kind]


def _value_of(grammar: Grammar, *, calls: bool) -> str | None:
    """What obeys a grammar; None where any text does."""
    if grammar.kind == "lark":
        if not calls:
            return None
        source = grammar.source.partition("%json ")[2]
    else:
        source = grammar.source
    schema = json.loads(source)
    return json.dumps(simplest(schema, schema))


def _stop(text: str, stops: Sequence[str]) -> int | None:
    """Where the first stop sequence begins."""
    return min((found for stop in stops if (found := text.find(stop)) >= 0), default=None)


def _begun(text: str, stops: Sequence[str]) -> int:
    """Characters at the end of a text that may be the beginning of a stop sequence."""
    return max((n for stop in stops for n in range(1, len(stop)) if text.endswith(stop[:n])), default=0)


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    return next((i for i, (a, b) in enumerate(zip(first, second)) if a != b), min(len(first), len(second)))


def _logprobs(token: str, sampling: Sampling) -> tuple[TokenLogprob, ...]:
    if sampling.top_logprobs is None:
        return ()
    others = ((f"{token}{i}", LOGPROB - i) for i in range(1, sampling.top_logprobs))
    top = [(token, token.encode(), LOGPROB), *((text, text.encode(), value) for text, value in others)]
    return (TokenLogprob(token, token.encode(), LOGPROB, tuple(top[: sampling.top_logprobs])),)

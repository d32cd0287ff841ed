"""From a chat completion's parameters to what a text model is asked, and which of them change nothing there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.core.generation import Grammar, Sampling
from nanosmith.server.chat.request import ChatRequest, ResponseFormat, check_common, idle_names, refused
from nanosmith.server.chat.tools import Offer, offer, told
from nanosmith.server.http.strict_schema import Strict
from nanosmith.server.models.turns import check_chars

IGNORED: dict[str, tuple[Any, ...]] = {
    "prediction": (), "reasoning_effort": (), "verbosity": (), "service_tier": ("auto", "default"),
    "prompt_cache_key": (), "prompt_cache_options": (), "prompt_cache_retention": (), "safety_identifier": (),
    "user": (),
}  # fmt: skip
"""Parameters without effect on a written text, with the values that ask for nothing else."""
ANY_OBJECT = {"type": "object"}


class Plan(msgspec.Struct, frozen=True):
    """What is asked of a text model: the turns that it reads, one Sampling for each text, what it may call."""

    turns: tuple[Message, ...]
    samplings: tuple[Sampling, ...]
    offer: Offer | None


def plan(request: ChatRequest) -> Plan:
    """Raises InputError naming the parameter, TooLong."""
    check_common(request)
    if request.nanosmith is not None and request.nanosmith.explain:
        raise refused("nanosmith.explain", "a written text has no explanation", "explain false")
    if request.nanosmith is not None and request.nanosmith.fields:
        raise refused("nanosmith.fields", "a written text has no fields", "fields false")
    offered, said = offer(request), told(request)
    turns = said if offered is None else offered.told(said)
    check_chars((turn.content for turn in turns), "messages")
    schema = _schema(request.response_format)
    if offered is not None:
        grammar: Grammar | None = offered.grammar(schema)
    else:
        grammar = None if schema is None else Grammar("json_schema", json.dumps(schema))
    return Plan(turns, _samplings(request, grammar), offered)


def ignored(request: ChatRequest, given: dict[str, Any]) -> list[str]:
    """Names of parameters in the request that change nothing, unknown ones included."""
    return idle_names(request, given, IGNORED)


def _samplings(request: ChatRequest, grammar: Grammar | None) -> tuple[Sampling, ...]:
    """With a seed, the choices have this one and those that follow: so the first one is that of n 1."""
    sampling = Sampling(
        max_tokens=request.max_completion_tokens or request.max_tokens,
        temperature=_or(request.temperature, 1.0),
        top_p=_or(request.top_p, 1.0),
        stop=_stops(request.stop),
        presence_penalty=_or(request.presence_penalty, 0.0),
        frequency_penalty=_or(request.frequency_penalty, 0.0),
        logit_bias=_biases(request.logit_bias or {}),
        top_logprobs=(request.top_logprobs or 0) if request.logprobs else None,
        grammar=grammar,
    )
    seeds = [None if request.seed is None else request.seed + i for i in range(request.n or 1)]
    return tuple(msgspec.structs.replace(sampling, seed=seed) for seed in seeds)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _stops(given: str | list[str] | None) -> tuple[str, ...]:
    return tuple(stop for stop in ([given] if isinstance(given, str) else given or ()) if stop)


def _biases(given: Mapping[str, float]) -> dict[int, float]:
    """By token id; the model knows which ids it has."""
    for name in given:
        if not (name.isdecimal() and name.isascii() and len(name) <= 9):
            raise InputError(
                "not a token id", got=repr(name[:40]), allowed="ids of the model's own tokenizer", param="logit_bias"
            )
    return {int(name): bias for name, bias in given.items()}


def _schema(wanted: ResponseFormat | None) -> dict[str, Any] | None:
    """What the text must fit, as JSON; None where any text will do."""
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return ANY_OBJECT
    if wanted.json_schema is None or wanted.json_schema.schema is None:
        param = "response_format.json_schema" + ("" if wanted.json_schema is None else ".schema")
        raise InputError("the schema is missing", param=param, code="missing_required_parameter")
    schema = wanted.json_schema.schema
    if wanted.json_schema.strict:
        whose = f"response_format '{wanted.json_schema.name}'"
        Strict(whose, param="response_format.json_schema.schema", code="invalid_json_schema").check(schema)
    return schema

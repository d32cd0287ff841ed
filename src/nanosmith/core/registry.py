"""One registry of everything that can be added, by group; targets are loaded on first use.

A target is `"module:attribute"`. Names end in `/N`: an improved version is added as `/N+1`, so that the manifests of
old bundles stay true. Other packages add theirs through entry points in the group `nanosmith.<group>`.
"""

from __future__ import annotations

import importlib
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from nanosmith.core.errors import NotFound, did_you_mean

BUILT_IN: dict[str, dict[str, str]] = {
    "predictors": {
        "static/1": "nanosmith.predict.static:StaticPredictor",
        "cascade/1": "nanosmith.predict.cascade:CascadePredictor",
        "encoder/1": "nanosmith.predict.encoder:EncoderPredictor",
        "segments/1": "nanosmith.predict.segments:SegmentsPredictor",
        "decoder/1": "nanosmith.predict.decoder:Decoder",
        "tfidf/1": "nanosmith.predict.tfidf:TfidfPredictor",
        "record/1": "nanosmith.predict.record:RecordPredictor",
    },
    "recipes": {
        "tfidf_linear/1": "nanosmith.recipes.tfidf_linear:fit",
        "static/1": "nanosmith.recipes.static:fit",
        "frozen_linear/1": "nanosmith.recipes.frozen_linear:fit",
        "tune_encoder/1": "nanosmith.recipes.tune_encoder:fit",
        "tune_segments/1": "nanosmith.recipes.tune_segments:fit",
        "tune_record/1": "nanosmith.recipes.tune_record:fit",
        "tune_decoder/1": "nanosmith.recipes.tune_decoder:fit",
    },
    "readers": {
        "chat": "nanosmith.data.readers.chat:read",
        "jsonl": "nanosmith.data.readers.jsonl:read",
        "csv": "nanosmith.data.readers.csv:read",
        "conll": "nanosmith.data.readers.conll:read",
        "preference": "nanosmith.data.readers.preference:read",
        "passages": "nanosmith.data.readers.passages:read",
    },
    "dialects": {
        "openai": "nanosmith.predict.endpoint.dialects.openai:OpenAI",
        "anthropic": "nanosmith.predict.endpoint.dialects.anthropic:Anthropic",
        "gemini": "nanosmith.predict.endpoint.dialects.gemini:Gemini",
    },
}


@cache
def registered(group: str) -> dict[str, str]:
    """All names of a group with their targets; nothing is imported."""
    added = {point.name: point.value for point in entry_points(group=f"nanosmith.{group}")}
    return {**added, **BUILT_IN[group]}


def add(group: str, name: str, target: str) -> None:
    """Register a target in this process alone: a test's, or that of a program which has no entry points."""
    registered(group)[name] = target


def load(group: str, name: str) -> Any:
    """Import and return what `name` stands for. Raises NotFound with near names."""
    known = registered(group)
    if name not in known:
        raise NotFound(
            f"no {group[:-1]} of this name",
            got=repr(name),
            allowed=", ".join(sorted(known)),
            remedy=did_you_mean(name, known),
        )
    module, _, attribute = known[name].partition(":")
    return getattr(importlib.import_module(module), attribute)

"""Where this server keeps to something else than OpenAI's document, and why; and what of a request is worth asking."""

from __future__ import annotations

from typing import Any

import msgspec

MODELS = ["tiny", "ft:nanosmith-nano:local:support:abcd1234", "org/model:v1", "tags", "field", "raw", "stars", "truth"]
"""Those of the tests' folder."""
LABELS = ["refund", "login", "delivery", "bad", "good", "fair", "true", "false"]
UPLOADED = "data"
"""What each part of an upload holds, so that uploads of its length can be completed."""


class Change(msgspec.Struct, frozen=True):
    """A JSON merge patch (RFC 7396) at a JSON pointer (RFC 6901)."""

    where: str
    patch: dict[str, Any]
    reason: str


SCHEMAS = "components/schemas"
ANSWERS: tuple[Change, ...] = (
    Change(
        "paths/~1files~1{file_id}~1content/get/responses/200",
        {"content": {"application/json": None, "application/octet-stream": {"schema": {"type": "string"}}}},
        "a file's bytes are sent as bytes; the client asks for application/binary",
    ),
    Change(
        f"{SCHEMAS}/FineTuningJob/properties/status",
        {"enum": ["validating_files", "queued", "running", "succeeded", "failed", "cancelled", "paused"]},
        "the document's own example of the call that pauses a job has this status",
    ),
    Change(
        f"{SCHEMAS}/Embedding/properties",
        {"embedding": {"type": ["array", "string"]}},
        "with encoding_format base64, which the client sends, it is a text",
    ),
    Change(
        f"{SCHEMAS}/CreateEvalCompletionsRunDataSource/properties",
        {"sampling_params": None},
        "a run has its data source as it was sent; parameters that a run does not use are not looked at",
    ),
    Change(
        f"{SCHEMAS}/CreateEvalResponsesRunDataSource/properties",
        {"sampling_params": None},
        "as above",
    ),
    Change(
        f"{SCHEMAS}/ChatCompletionResponseMessage/properties/role",
        {"enum": ["assistant", "user", "system", "developer", "tool", "function"]},
        "the document's own example of a completion's messages has the role user",
    ),
)
"""Applied to the document: what is here is right, and the document is not, or says less."""

_ASKED = f"{SCHEMAS}/Asked"
REQUESTS: tuple[Change, ...] = (
    Change(f"{_ASKED}ModelIdsShared", {"anyOf": [{"type": "string", "enum": MODELS}]}, "models that are there"),
    Change(f"{_ASKED}ModelIdsResponses", {"anyOf": [{"type": "string", "enum": MODELS}]}, "models that are there"),
    Change(f"{_ASKED}TokenCountsBody", {"required": ["model", "input"]}, "there must be something to count"),
    Change(f"{_ASKED}TokenCountsBody/properties/model", {"anyOf": [{"type": "string", "enum": MODELS}]}, "as above"),
    Change(f"{_ASKED}CreateResponse", {"required": ["model", "input"]}, "there must be something to answer"),
    Change(
        f"{_ASKED}CreateEmbeddingRequest/properties",
        {"model": {"anyOf": [{"type": "string", "enum": ["tiny"]}]}, "dimensions": {"maximum": 32}},
        "a model that is there, and as many numbers as its vectors have",
    ),
    Change(
        f"{_ASKED}CreateFineTuningJobRequest/properties/model",
        {"anyOf": [{"type": "string", "enum": ["nanosmith-nano", "gpt-4o-mini"]}]},
        "models that can be tuned",
    ),
    Change(
        f"{_ASKED}CreateBatchRequest/properties/endpoint",
        {"enum": ["/v1/chat/completions", "/v1/embeddings", "/v1/responses"]},
        "endpoints that batches have here",
    ),
    Change(
        f"{_ASKED}ChatCompletionRequestUserMessageContentPart",
        {"anyOf": [{"$ref": f"#/{_ASKED}ChatCompletionRequestMessageContentPartText"}]},
        "classifiers read text",
    ),
    Change(
        f"{_ASKED}CreateUploadRequest/properties",
        {"bytes": {"enum": [len(UPLOADED)]}, "purpose": {"enum": ["fine-tune"]}, "mime_type": {"enum": ["text/jsonl"]}},
        "an upload that can be completed",
    ),
    Change(f"{_ASKED}AddUploadPartRequest/properties/data", {"format": None, "enum": [UPLOADED]}, "as above"),
    Change(
        f"{_ASKED}CreateFineTuningCheckpointPermissionRequest/properties/project_ids",
        {"items": {"type": "string", "enum": ["default"]}},
        "the project that is there",
    ),
)
"""Applied to requests alone: they ask for less than they may, so that more of them are answered with success."""

_TEXT = {"type": "string"}
_PROBABILITY = {"type": "number", "minimum": 0, "maximum": 1}
_COUNT = {"type": "integer", "minimum": 0}


def _object(properties: dict[str, Any], *optional: str) -> dict[str, Any]:
    """An object that has all of the properties but the optional ones."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _list(items: dict[str, Any], least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least}


def _call(asked: dict[str, Any], answered: dict[str, Any]) -> dict[str, Any]:
    """A POST of JSON."""
    answer = {"description": "OK", "content": {"application/json": {"schema": answered}}}
    body = {"required": True, "content": {"application/json": {"schema": asked}}}
    return {"post": {"requestBody": body, "responses": {"200": answer}}}


def _kind(name: str, properties: dict[str, Any], *optional: str) -> dict[str, Any]:
    return _object({"type": {"type": "string", "enum": [name]}} | properties, *optional)


_NAME = {"type": ["string", "null"]}
_LABEL = {"type": "string", "enum": LABELS}
_OPTIONS = {"value": {"anyOf": [_LABEL, {"type": "boolean"}]}, "description": _TEXT}
_QUESTION = {
    "anyOf": [
        _kind("predicate", {"instructions": _LABEL, "name": _TEXT}, "name"),
        _kind("choice", {"instructions": _TEXT, "choices": _list(_object(_OPTIONS, "description"), 2)}),
        _kind("score", {"instructions": _TEXT, "levels": _list(_object({"label": _LABEL}), 2)}),
    ]
}
_USAGE = _object({
    "input_tokens": _COUNT, "output_tokens": _COUNT, "total_tokens": _COUNT,
    "input_tokens_details": _object({"cached_tokens": _COUNT, "cache_write_tokens": _COUNT}),
    "output_tokens_details": _object({"reasoning_tokens": _COUNT}),
})  # fmt: skip
_VALUE = {"value": {"type": ["string", "boolean"]}, "probability": _PROBABILITY}
_LEVEL = {"label": _TEXT, "value": _COUNT, "probability": _PROBABILITY}
_GIVEN = {
    "anyOf": [
        _kind("predicate", {"name": _NAME, "probability": _PROBABILITY}),
        _kind("choice", {"name": _NAME, "choice": {"type": ["string", "boolean"]}, "confidence": _PROBABILITY,
                         "probabilities": _list(_object(_VALUE), 2)}),
        _kind("score", {"name": _NAME, "score": {"type": "number"}, "confidence": _PROBABILITY,
                        "probabilities": _list(_object(_LEVEL), 2)}),
        _kind("refusal", {"name": _NAME}),
    ]
}  # fmt: skip
_DECISION = _object({
    "model": {"type": "string", "enum": MODELS},
    "input": {"anyOf": [_TEXT, _list(_object({"role": {"type": "string", "enum": ["user"]}, "content": _TEXT}), 1)]},
    "questions": _list(_QUESTION, 1),
})  # fmt: skip
_EXPORT = _object(
    {"model": _TEXT, "limit": {"type": "integer", "minimum": 1}, "metadata": {"$ref": f"#/{SCHEMAS}/Metadata"}},
    "model", "limit", "metadata",
)  # fmt: skip
_RUN = [{"in": "path", "name": name, "required": True, "schema": _TEXT} for name in ("eval_id", "run_id")]
_CANCELLED = {"description": "OK", "content": {"application/json": {"schema": {"$ref": f"#/{SCHEMAS}/EvalRun"}}}}
_ROUTES = _object({"object": {"type": "string", "enum": ["list"]}, "data": {"type": "array"},
                   "problem": {"type": ["string", "null"]}})  # fmt: skip
_SHOWN = {"description": "OK", "content": {"application/json": {"schema": _ROUTES}}}
OURS: dict[str, Any] = {
    "/routes": {"get": {"responses": {"200": _SHOWN}}},
    "/decisions": _call(_DECISION, _object({"model": _TEXT, "answers": _list(_GIVEN, 1), "usage": _USAGE})),
    "/files/from_completions": _call(_EXPORT, {"$ref": f"#/{SCHEMAS}/OpenAIFile"}),
    "/evals/{eval_id}/runs/{run_id}/cancel": {"post": {"parameters": _RUN, "responses": {"200": _CANCELLED}}},
}
"""Paths that the document does not have: decisions are newer than it, the others are our own."""

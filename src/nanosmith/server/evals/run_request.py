"""The request of an eval run: which rows are graded, and what a model is asked about each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.core.fields import Metadata
from nanosmith.core.structs import to_struct
from nanosmith.jobs.submit import check_file
from nanosmith.score.graders.messages import Items, check_items, refuse_items, texts
from nanosmith.server.chat import record_format
from nanosmith.server.chat import sampling as text_models
from nanosmith.server.chat.completions import check_format
from nanosmith.server.chat.request import (
    HEADER_NAME,
    IGNORED,
    ChatRequest,
    check,
    check_common,
    refused,
    without_effect,
)
from nanosmith.server.evals.models import task_of
from nanosmith.server.evals.request import below, check_fields
from nanosmith.server.services import Services
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import FileRow

PURPOSE = "evals"
SAMPLING = (
    "temperature", "top_p", "seed", "max_completion_tokens", "reasoning_effort", "response_format", "tools",
)  # fmt: skip
"""Sampling parameters that a chat completion has too."""
MAX_COMPLETION_TOKENS = "max_completions_tokens"
"""As OpenAI's examples write it."""
TEXT = "text"
"""Where a run of type responses has its format."""
ANY_TURNS = (Message("user", ""),)
Seconds: TypeAlias = Annotated[int, Meta(ge=0, le=2**53)] | None


class Row(msgspec.Struct):
    item: dict[str, Any]
    sample: dict[str, Any] | None = None


class FileContent(msgspec.Struct, tag="file_content", tag_field="type"):
    content: list[Row]


class FileId(msgspec.Struct, tag="file_id", tag_field="type"):
    id: str


class Stored(msgspec.Struct, tag="stored_completions", tag_field="type"):
    model: str | None = None
    metadata: Metadata = None
    created_after: Seconds = None
    created_before: Seconds = None
    limit: Annotated[int, Meta(ge=1, le=2**53)] | None = None


class KeptResponses(msgspec.Struct, tag="responses", tag_field="type"):
    """Refused: kept responses are no source here."""


class Template(msgspec.Struct, tag="template", tag_field="type"):
    template: Items


class ItemReference(msgspec.Struct, tag="item_reference", tag_field="type"):
    """`item.NAME`: a list of messages in the row, or a text."""

    item_reference: Annotated[str, Meta(min_length=1, max_length=1024)]


Source: TypeAlias = FileContent | FileId | Stored | KeptResponses
InputMessages: TypeAlias = Template | ItemReference


class Jsonl(msgspec.Struct, tag="jsonl", tag_field="type"):
    source: FileContent | FileId


class Completions(msgspec.Struct, tag="completions", tag_field="type"):
    source: Source
    model: Annotated[str, Meta(min_length=1)] | None = None
    input_messages: InputMessages | None = None
    sampling_params: dict[str, Any] | None = None


class Responses(Completions, tag="responses", tag_field="type"):
    """Asks the same: one answer for each row."""


DataSource: TypeAlias = Jsonl | Completions | Responses


class CreateRun(msgspec.Struct):
    data_source: DataSource
    name: str | None = None
    metadata: Metadata = None


class Sampling(msgspec.Struct, frozen=True):
    """A model that is asked about each row; `params` are those of a chat completion."""

    model: str
    input_messages: InputMessages
    params: dict[str, Any]

    def request(self, turns: Sequence[Message]) -> ChatRequest:
        """Raises InputError naming the parameter."""
        return to_struct({"model": self.model, "messages": msgspec.to_builtins(turns), **self.params}, ChatRequest)


def sampling_of(source: DataSource) -> Sampling | None:
    """None where the samples come with the rows. Raises InputError when half of what is to be asked is missing."""
    if isinstance(source, Jsonl) or (source.model is None and source.input_messages is None):
        return None
    if source.model is None or source.input_messages is None:
        name = "model" if source.model is None else "input_messages"
        param = f"data_source.{name}"
        raise InputError(
            "model and input_messages go together", where=param, param=param, code="missing_required_parameter"
        )
    return Sampling(source.model, source.input_messages, _params(source.sampling_params or {}))


def check_run(asked: CreateRun, schema: Any, home: Services) -> None:
    """Refuse a run that could not begin. `schema` is that of the item. Raises InputError, ModelNotFound, NotFound."""
    source = asked.data_source.source
    if isinstance(source, KeptResponses):
        allowed = "file_id, file_content or stored_completions"
        raise refused("data_source.source.type", "kept responses are no source here", allowed)
    if isinstance(source, FileId):
        eval_file(home.ledger, source.id)
    sampling = sampling_of(asked.data_source)
    if sampling is not None:
        _check_sampling(sampling, True if isinstance(source, Stored) else schema, home)


def eval_file(ledger: Ledger, id: str) -> FileRow:
    """Raises InputError for a file that is not there, or has another purpose."""
    return check_file(ledger, id, "data_source.source.id", PURPOSE)


def ignored(asked: CreateRun, home: Services) -> list[str]:
    """Sampling parameters that change nothing with the run's model, unknown ones included."""
    sampling = sampling_of(asked.data_source)
    if sampling is None:
        return []
    known = (*SAMPLING, MAX_COMPLETION_TOKENS, TEXT)
    given = getattr(asked.data_source, "sampling_params", None) or {}
    unknown = [name for name in given if name not in known and HEADER_NAME.fullmatch(name)]
    if home.shared.routing.find(sampling.model) is not None:
        return unknown
    task = task_of(home, sampling.model)
    table = text_models.IGNORED if task is not None and task.kind == "text" else IGNORED
    return without_effect(sampling.request(ANY_TURNS), table) + unknown


def _check_sampling(sampling: Sampling, schema: Any, home: Services) -> None:
    if isinstance(sampling.input_messages, Template):
        where = "data_source.input_messages.template"
        refuse_items(sampling.input_messages.template, where)
        check_items(sampling.input_messages.template, where)
        for path, text in texts(sampling.input_messages.template, where):
            check_fields(text, path, schema)
    else:
        reference = sampling.input_messages.item_reference
        check_fields(f"{{{{{reference}}}}}", "data_source.input_messages.item_reference", schema)
    with below("data_source.model", "model"):
        task = task_of(home, sampling.model)
    with below("data_source.sampling_params", ""):
        asked = sampling.request(ANY_TURNS)
        if task is None or home.shared.routing.find(sampling.model) is not None:
            return  # each step says for itself what it cannot do
        if task.kind == "text":
            text_models.plan(asked)
        elif task.kind == "record":
            check_common(asked)
            record_format.plan(asked, task)
        else:
            check(asked)
            check_format(asked.response_format, task)


def _params(given: dict[str, Any]) -> dict[str, Any]:
    params = {name: given[name] for name in SAMPLING if name in given}
    if MAX_COMPLETION_TOKENS in given:
        params.setdefault("max_completion_tokens", given[MAX_COMPLETION_TOKENS])
    text = given.get(TEXT)
    if isinstance(text, dict) and text.get("format") is not None:
        params.setdefault("response_format", _chat_format(text["format"]))
    return params


def _chat_format(flat: Any) -> Any:
    """The format of a response as that of a chat completion."""
    if not isinstance(flat, dict) or flat.get("type") != "json_schema":
        return flat
    return {"type": "json_schema", "json_schema": {name: value for name, value in flat.items() if name != "type"}}

"""Stored completions of a vendor: kept as those that are stored here, and as one training file."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from nanosmith.core.errors import InputError
from nanosmith.core.fields import WITHOUT_NUL, Metadata
from nanosmith.core.limits import MAX_STORED_BYTES
from nanosmith.core.watch import Watch
from nanosmith.data.completions import KIND, Exported, training_lines
from nanosmith.data.reading import Reading
from nanosmith.server.chat.request import ChatMessage, ChatRequest, turns
from nanosmith.server.chat.stored import ECHOED, message_object
from nanosmith.server.migration.files import FINE_TUNE, file_id, store
from nanosmith.server.migration.objects import objects
from nanosmith.server.migration.plan import Item, joined, number, unless_there
from nanosmith.server.migration.recognise import kind_of
from nanosmith.server.migration.sources import Source
from nanosmith.server.services import Services
from nanosmith.store.records import Document

CHECKING, STAGE = "checking completions", "completions"
TOGETHER = 100  # in one transaction
FILENAME = "completions.jsonl"
WHY_NOT = {
    "no_user": "their messages are not in these files (export them: GET /chat/completions/{id}/messages)",
    "tool_calls": "they call tools",
    "bad_content": "their answers are no texts",
}
BESIDE = ("messages", "metadata")  # what is kept beside the object


class Answer(msgspec.Struct):
    role: Literal["assistant"]
    content: str | None = None


class Choice(msgspec.Struct):
    index: int
    message: Answer
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class VendorCompletion(msgspec.Struct):
    """What we rely on of OpenAI's chat completion object."""

    id: Annotated[str, Meta(min_length=1, max_length=255, pattern=WITHOUT_NUL)]
    created: Annotated[int, Meta(ge=0, le=2**53)]
    model: Annotated[str, Meta(max_length=512, pattern=WITHOUT_NUL)]
    choices: Annotated[list[Choice], Meta(min_length=1)]
    metadata: Metadata = None


class Completions:
    """The completions of several files, each once. `messages` are those that were exported apart, by completion;
    `refused` counts why some cannot be kept, as of the last reading."""

    def __init__(self, sources: Sequence[Source], messages: Mapping[str, list[dict[str, Any]]]) -> None:
        self._sources = sources
        self._messages = messages
        self.refused: Counter[str] = Counter()

    def rows(self) -> Iterator[Document]:
        self.refused.clear()
        seen: set[str] = set()
        for source in self._sources:
            for one in objects(source.path, Reading()):
                if kind_of(one.record) != "completion":
                    continue
                try:
                    row = document(one.record, self._messages)
                except InputError as error:
                    self.refused[str(error)] += 1
                    continue
                if row.id not in seen:
                    seen.add(row.id)
                    yield row


class CompletionsStep:
    """Makes stored completions, by the vendor's ids, and a training file of those that are examples."""

    def __init__(self, sources: Sequence[Source], messages: Mapping[str, list[dict[str, Any]]]) -> None:
        self._completions = Completions(sources, messages)
        self._count = 0
        where, name = joined([source.name for source in sources]), "stored completions"
        self.item = Item("completions", where, name, name, "ready")

    def look(self, home: Services, total: int, watch: Watch) -> None:
        """Look at the `total` of them, and see whether all are there."""
        exported, known, digest = Exported(), Counter[bool](), hashlib.sha256()
        for line in training_lines(self._counted(home, known, total, watch), exported):
            digest.update(line)
        self._count = known.total()
        item, lines = self.item, exported.lines
        item.what = number(self._count, "stored completion")
        item.becomes = "stored completions" + (
            f", and a file with {number(lines, 'training example')}" if lines else ""
        )
        item.notes = [f"{count:,} cannot be kept: {why}" for why, count in self._completions.refused.most_common()]
        item.notes += [f"{count:,} are no training examples: {WHY_NOT.get(code, code)}" for code, count in
                       exported.skipped.items()]  # fmt: skip
        file = file_id(home, digest.hexdigest(), FINE_TUNE) if lines else None
        if not self._count:
            item.block(item.notes[0])
        elif not known[False] and (file is None or home.ledger.file(file)):
            item.done(*([file] if file else []))

    def make(self, home: Services, watch: Watch) -> None:
        done, rows = 0, self._completions.rows()
        while some := list(islice(rows, TOGETHER)):
            _add(home, some)
            done += len(some)
            watch.progress(STAGE, done, max(done, self._count))
        exported = Exported()
        lines = training_lines(self._completions.rows(), exported)
        first = next(lines, None)
        file = [] if first is None else [store(home, chain([first], lines), FILENAME, FINE_TUNE)]
        self.item.done(*file)

    def _counted(self, home: Services, known: Counter[bool], total: int, watch: Watch) -> Iterator[Document]:
        """The rows; `known` counts those that are there, and those that are not."""
        for done, row in enumerate(self._completions.rows(), start=1):
            known[home.ledger.document(KIND, row.id) is not None] += 1
            if done % TOGETHER == 0:
                watch.progress(CHECKING, done, total)
            yield row
        watch.progress(CHECKING, total, total)


def document(record: Mapping[str, Any], messages: Mapping[str, list[dict[str, Any]]]) -> Document:
    """The row of a completion: the object of the API itself, or `{"completion": …, "messages": …}`.

    Raises InputError when that is no completion, or too large.
    """
    inner = record.get("completion")
    shown = dict(inner if isinstance(inner, dict) else record)
    try:
        read = msgspec.convert(shown, VendorCompletion)
        asked = _asked(record.get("messages", shown.get("messages")) or messages.get(read.id, []))
    except msgspec.ValidationError as error:
        raise InputError(f"it is no chat completion: {error}") from error
    texts = turns(ChatRequest(read.model, asked)) if asked else ()
    shown["choices"] = [_choice(one) for one in shown["choices"]]
    echo = {name: shown.get(name) for name in (*ECHOED, "request_id", "input_user")}
    body = {
        "completion": echo | {name: value for name, value in shown.items() if name not in BESIDE},
        "messages": [message_object(one, text.content) for one, text in zip(asked, texts, strict=True)],
    }
    if len(msgspec.json.encode(body)) > MAX_STORED_BYTES:
        raise InputError("it is too large", allowed=f"{MAX_STORED_BYTES:,} bytes")
    return Document(KIND, read.id, read.created, body, model=read.model, metadata=read.metadata)


def _asked(given: Any) -> list[ChatMessage]:
    """The messages of the request. In a list of messages, one that came in parts has them under `content_parts`."""
    plain = msgspec.convert(given, list[dict[str, Any]])
    one_each = {str(one.get("id", i)): one for i, one in enumerate(plain)}
    return msgspec.convert(
        [one | {"content": one.get("content_parts") if one.get("content") is None else one["content"]}
         for one in one_each.values()], list[ChatMessage],
    )  # fmt: skip


def _choice(given: dict[str, Any]) -> dict[str, Any]:
    """With the fields that OpenAI's type wants, also where an export leaves out what is null."""
    return {"logprobs": None} | given | {"message": {"refusal": None} | given["message"]}


def _add(home: Services, rows: Sequence[Document]) -> None:
    """Those that are not there yet, in one transaction, or one by one where another import adds them too."""
    new = [row for row in rows if home.ledger.document(KIND, row.id) is None]
    if not new:
        return
    with unless_there(lambda: len(new) > 1 or home.ledger.document(KIND, new[0].id)):
        home.ledger.add(*new)
        return
    if len(new) > 1:
        for row in new:
            _add(home, [row])

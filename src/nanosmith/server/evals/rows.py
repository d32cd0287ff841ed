"""The rows of an eval run, in their order, without those that an earlier attempt has graded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.json_schema import fits
from nanosmith.core.limits import MAX_JSON_DEPTH, MAX_STORED_BYTES
from nanosmith.data.completions import stored_completions
from nanosmith.data.lines import decode_object, text_lines
from nanosmith.data.reading import BadLine, Reading
from nanosmith.score.graders.run import sample_of_message
from nanosmith.server.evals.run_request import FileContent, FileId, Source, Stored, eval_file
from nanosmith.server.http.wire import is_deep
from nanosmith.store.blobs import open_blobs
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, UnknownCursor
from nanosmith.store.records import Document


class Row(msgspec.Struct, frozen=True):
    """`problem` says why it cannot be graded. `source_id` is the id of the completion that it was made from, `model`
    the one that gave its sample."""

    number: int
    item: dict[str, Any]
    sample: dict[str, Any] | None = None
    problem: InputError | None = None
    source_id: str | None = None
    model: str = ""


class Kept(msgspec.Struct):
    """A row as it is written in a file."""

    item: dict[str, Any]
    sample: dict[str, Any] | None = None


def rows_of(
    ledger: Ledger, home: Home, source: Source, schema: Any, *, done: int, done_ids: Callable[[], Iterable[str]]
) -> Iterator[Row]:
    """The rows below the first `done`; of stored completions, all but `done_ids`. Raises NotFound when the file was
    deleted."""
    if isinstance(source, Stored):
        yield from _stored(ledger, source, done, set(done_ids()))
        return
    for number, content in enumerate(_contents(ledger, home, source)):
        if number >= done:
            yield _row(number, content, schema)


def _contents(ledger: Ledger, home: Home, source: Source) -> Iterator[Kept | BadLine]:
    if isinstance(source, FileContent):
        yield from (Kept(row.item, row.sample) for row in source.content)
        return
    assert isinstance(source, FileId)
    path, reading = open_blobs(home).path(eval_file(ledger, source.id).sha256), Reading()
    for _, text in text_lines(path, reading):
        if text is None:
            last = reading.problems.pop()
            yield BadLine(last.code, last.message, last.remedy or "")
        elif text.strip():
            yield _read(text)


def _read(text: str) -> Kept | BadLine:
    try:
        return msgspec.convert(decode_object(text), Kept)
    except BadLine as bad:
        return bad
    except msgspec.ValidationError as error:
        return BadLine("invalid_row", f"the line is no row: {error}", 'Write {"item": {…}, "sample": {…}}.')


def _row(number: int, content: Kept | BadLine, schema: Any) -> Row:
    if isinstance(content, BadLine):
        return Row(number, {}, problem=InputError(content.message, remedy=content.remedy, code=content.code))
    unkept = _unkept(content)
    if unkept is not None:
        return Row(number, {}, problem=unkept)
    misfit = _misfit(content.item, schema) if isinstance(schema, dict) else None
    if misfit is not None:
        problem = InputError(f"the item does not fit item_schema: {misfit}", code="invalid_item")
        return Row(number, content.item, content.sample, problem)
    return Row(number, content.item, content.sample)


def _unkept(content: Kept) -> InputError | None:
    """Why a row cannot be kept as it is."""
    if is_deep([content.item, content.sample]):
        return InputError("the row is nested too deeply", allowed=f"{MAX_JSON_DEPTH} levels")
    size = len(msgspec.json.encode(content))
    if size > MAX_STORED_BYTES:
        return InputError("the row is too large", got=f"{size} bytes", allowed=f"{MAX_STORED_BYTES} bytes")
    return None


def _misfit(item: dict[str, Any], schema: dict[str, Any]) -> str | None:
    """What of an item does not fit. A schema with keywords that we do not know forbids nothing."""
    try:
        if fits(item, schema, schema):
            return None
        missing = [name for name in schema.get("required", ()) if name not in item]
        parts = schema.get("properties", {})
        wrong = [name for name, part in parts.items() if name in item and not fits(item[name], part, schema)]
    except InputError:
        return None
    if missing:
        return f"there is no `{missing[0]}`"
    return f"`{wrong[0]}` is not as it says" if wrong else "it has fields that are not allowed, or another type"


def _stored(ledger: Ledger, source: Stored, done: int, seen: set[str]) -> Iterator[Row]:
    """Oldest first. When the completion that a page ends with was deleted, reading starts again: each is given once."""
    while True:
        try:
            for one in stored_completions(ledger, model=source.model, metadata=source.metadata):
                if source.limit is not None and done >= source.limit:
                    return
                if one.id not in seen and _in_time(one, source):
                    seen.add(one.id)
                    yield _of_completion(done, one)
                    done += 1
            return
        except UnknownCursor:
            continue


def _in_time(one: Document, source: Stored) -> bool:
    after, before = source.created_after, source.created_before
    return (after is None or one.created_at >= after) and (before is None or one.created_at <= before)


def _of_completion(number: int, one: Document) -> Row:
    """`item.input` has the messages of the request; the sample is the answer."""
    completion = one.body["completion"]
    messages = [{"role": message["role"], "content": message["content"] or ""} for message in one.body["messages"]]
    item = {"id": one.id, "model": completion["model"], "input": messages, "metadata": one.metadata or {}}
    sample = sample_of_message(completion["choices"][0]["message"])
    return Row(number, item, sample, source_id=one.id, model=completion["model"])

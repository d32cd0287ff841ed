"""Plain rows, as JSONL and CSV files hold them: a text, its answer, optional context and id.

The answer is `label`, `labels`, `entities` (a label may stand beside them), or `output` with further `references`.
Beside labels there may be a teacher's `probabilities`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from nanosmith.core.example import Example, Message
from nanosmith.core.task import Kind
from nanosmith.data.reading import BadLine, Reading, json_type
from nanosmith.data.record.entities import checked_entities

LABEL_KEYS: dict[str, Kind] = {"label": "choice", "labels": "labels"}
DECLARED: dict[str, Kind] = {**LABEL_KEYS, "entities": "record"}
"""What the keys say of the kind of answer; an `output` says nothing."""
KEYS = (*LABEL_KEYS, "entities", "output", "references")
SOFT = 'Write a number from 0 to 1 per label: "probabilities": {"a": 0.9, "b": 0.1}.'


class _Answer(NamedTuple):
    text: str
    others: tuple[str, ...] = ()


def add_row(reading: Reading, line: int, row: Mapping[str, Any]) -> None:
    """Check one row and keep its Example. `context`, the previous turn, becomes an assistant message before the text,
    and the `requested` slots one after that.

    The answer of a `labels` row is a JSON list, that of an `entities` row a JSON object. Raises BadLine.
    """
    turns = turns_of(row)
    key = _answer_key(row)
    if reading.answer_key not in (None, key):
        message = f"some lines have {_named(reading.answer_key)}, others {_named(key)}"
        raise BadLine("mixed_label_keys", message, "Write the answer under the same key in all lines.")
    answer = _ANSWERS[key](row, turns[-1].content)
    reading.claim_id(row.get("id"), line)
    reading.answer_key, reading.declared = key, DECLARED.get(key)
    soft = soft_labels(row) if key in LABEL_KEYS else None
    reading.examples.append(Example(turns, answer.text, line, others=answer.others, soft=soft))


def turns_of(row: Mapping[str, Any]) -> tuple[Message, ...]:
    """What is asked: the text as the user's turn, behind its context and what was requested. Raises BadLine."""
    text = _text(row)
    return (*_context(row), *_requested(row), Message("user", text))


def soft_labels(row: Mapping[str, Any]) -> dict[str, float] | None:
    """A teacher's probability per label, None where there are none. Raises BadLine."""
    given = row.get("probabilities")
    if given is None:
        return None
    if not isinstance(given, dict) or not given:
        message = f"`probabilities` is {json_type(given)}" if given != {} else "`probabilities` is empty"
        raise BadLine("bad_probabilities", message, SOFT)
    for label, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            message = f"the probability of {label[:80]!r} is {msgspec.json.encode(value).decode()[:80]}"
            raise BadLine("bad_probabilities", message, SOFT)
    return {label.strip(): float(value) for label, value in given.items()}


def _text(row: Mapping[str, Any]) -> str:
    text = row.get("text")
    if not isinstance(text, str):
        got = f"`text` is {json_type(text)}" if "text" in row else "there is no `text`"
        raise BadLine("missing_text", got, "Write the input as a string under the key `text`.")
    if not text.strip():
        raise BadLine("empty_text", "`text` is empty", "Write a text, or remove the line.")
    return text


def _context(row: Mapping[str, Any]) -> tuple[Message, ...]:
    context = row.get("context")
    if context is not None and not isinstance(context, str):
        raise BadLine("bad_context", f"`context` is {json_type(context)}", "Write the previous turn as a string.")
    return (Message("assistant", context),) if context and context.strip() else ()


def _requested(row: Mapping[str, Any]) -> tuple[Message, ...]:
    """The slots that the system asked for, as its question."""
    names = row.get("requested")
    if names is None:
        return ()
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        remedy = 'Write a list of names: "requested": ["time"].'
        raise BadLine("bad_requested", f"`requested` is {json_type(names)}, no list of names", remedy)
    return (Message("assistant", ", ".join(names) + "?"),) if names else ()


def _answer_key(row: Mapping[str, Any]) -> str:
    """The key that holds the answer: "output text" and "output object" tell two forms of an `output`."""
    given = [key for key in KEYS if row.get(key) is not None]
    if given == ["label", "entities"]:
        return "entities"
    if given == ["labels", "entities"]:
        return "labels"
    if "output" in given and "references" in given:
        given.remove("references")
    if len(given) > 1:
        message = f"there are both `{given[0]}` and `{given[1]}`"
        raise BadLine("two_label_keys", message, "Keep one of them.")
    if given:
        return "output text" if given[0] == "references" else _output_key(row) if given[0] == "output" else given[0]
    if "output" in row:
        raise BadLine("bad_output", "`output` is null", "Write an object or a string.")
    message = "there is neither `label` nor `labels`, `entities`, `output`"
    raise BadLine("missing_label", message, "Add the wanted answer.")


def _output_key(row: Mapping[str, Any]) -> str:
    return "output object" if isinstance(row["output"], dict) else "output text"


def _named(key: str | None) -> str:
    first, _, what = (key or "").partition(" ")
    return f"`{first}`" + (f" with {'an object' if what == 'object' else 'a text'}" if what else "")


def _label(value: object) -> str:
    """A label as text: numbers and booleans are written as in JSON."""
    if isinstance(value, dict | list) or value is None:
        message = f"a label is {json_type(value)}"
        raise BadLine("bad_label", message, 'Write a string; for several labels: "labels": ["a", "b"].')
    label = value.strip() if isinstance(value, str) else msgspec.json.encode(value).decode()
    if not label:
        raise BadLine("empty_answer", "a label is empty", "Write a label, or remove the line.")
    return label


def _labels(value: object) -> str:
    if not isinstance(value, list):
        raise BadLine("bad_label", f"`labels` is {json_type(value)}", 'Write a list of strings: "labels": ["a", "b"].')
    return json.dumps([_label(item) for item in value], ensure_ascii=False)


def _entities(row: Mapping[str, Any], text: str) -> _Answer:
    answer: dict[str, Any] = {} if row.get("label") is None else {"label": _label(row["label"])}
    answer["entities"] = checked_entities(row["entities"], text)
    return _Answer(msgspec.json.encode(answer).decode())


def _object(row: Mapping[str, Any], _: str) -> _Answer:
    if row.get("references") is not None:
        message = "`references` stand beside an `output` that is an object"
        raise BadLine("bad_references", message, "Remove them: they are further texts, for an `output` that is one.")
    return _Answer(msgspec.json.encode(row["output"]).decode())


def _output(row: Mapping[str, Any], _: str) -> _Answer:
    """The first of `output` and `references`, and the others."""
    output, references = row.get("output"), row.get("references")
    if output is not None and not isinstance(output, str):
        message = f"`output` is {json_type(output)}, neither an object nor a string"
        raise BadLine("bad_output", message, "Write an object or a string.")
    if references is not None and (
        not isinstance(references, list) or not all(isinstance(text, str) for text in references)
    ):
        message = f"`references` is {json_type(references)}, no list of strings"
        raise BadLine("bad_references", message, 'Write a list of texts: "references": ["…", "…"].')
    texts = [*([] if output is None else [output]), *(references or [])]
    if not texts or not all(text.strip() for text in texts):
        raise BadLine("empty_answer", "the answer, or a reference, is empty", "Write a text, or remove the line.")
    first, *others = dict.fromkeys(texts)
    return _Answer(first, tuple(others))


_ANSWERS: dict[str, Callable[[Mapping[str, Any], str], _Answer]] = {
    "label": lambda row, _: _Answer(_label(row["label"])),
    "labels": lambda row, _: _Answer(_labels(row["labels"])),
    "entities": _entities,
    "output object": _object,
    "output text": _output,
}

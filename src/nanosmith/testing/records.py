"""A tiny bundle of records, made in milliseconds without torch: words of the text are its fields and entities."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from tokenizers.processors import TemplateProcessing

from nanosmith.core.manifest import BaseRef, Calibration, DataRef, Manifest
from nanosmith.core.record import Field, RecordForm
from nanosmith.core.task import Task
from nanosmith.data.record.schema import schema_of
from nanosmith.predict.graph_names import CODE_INPUT, GRAPH_FILE, INPUT, OUTPUT, TAGS
from nanosmith.predict.local import TOKENIZER_FILE
from nanosmith.predict.record_layout import LAYOUT_FILE, Confidences, Layout, choice_columns
from nanosmith.store.bundles import Bundle, seal
from nanosmith.testing.tiny import UNKNOWN, word_tokenizer
from nanosmith.version import __version__

INVOICE = RecordForm(
    (
        Field(("number",), "span"),
        Field(("date",), "span", normal="date:dmy:%Y-%m-%d", missing="absent"),
        Field(("total",), "span", normal="number", missing="null"),
        Field(("status",), "choice", ('"open"', '"overdue"', '"paid"')),
    )
)
INVOICE_WORDS = {"4711": "number", "4712": "number", "3": "date", "may": "+date", "2026": "+date", "1250": "total"}
BOOKING = RecordForm((Field(("label",), "choice", ('"BookTable"', '"CancelTable"')),), ("city", "people"))
BOOKING_WORDS = {"palo": "city", "alto": "+city", "berlin": "city", "four": "people", "two": "people"}


def tiny_record(
    folder: Path, form: RecordForm = INVOICE, words: Mapping[str, str] = INVOICE_WORDS, *, name: str = "invoices",
    calibrated: bool = True,
) -> Bundle:  # fmt: skip
    """Seal a bundle at `folder` whose fields are words of the text: `words` names the span field or the label of
    entities that a word begins, with "+" one that it goes on with. A word that is a value of a choice chooses it; else
    the first value is chosen, or none where it may be absent."""
    form = msgspec.structs.replace(form, schema=form.schema or schema_of(form))
    names = tuple(dict.fromkeys(value.lstrip("+") for value in words.values()))
    chosen = _chosen_words(form)
    vocabulary = {word: i for i, word in enumerate((UNKNOWN, *words, *(w for w in chosen if w not in words)))}
    tags = np.zeros((len(vocabulary), 1 + 2 * len(names)), dtype=np.float32)
    tags[:, 0] = 4.0
    for word, value in words.items():
        tags[vocabulary[word], 1 + names.index(value.lstrip("+")) + len(names) * value.startswith("+")] = 8.0
    choices = np.zeros((len(vocabulary), max((part.stop for part in choice_columns(form).values()), default=0)))
    for word, column in chosen.items():
        choices[vocabulary[word], column] = 6.0
    for field in form.fields:
        if field.type == "choice":
            columns = choice_columns(form)[field.name]
            choices[:, columns.start if field.missing is None else columns.stop - 1] = 3.0
    layout = Layout((names,), 64, whole_words=False, confidences=Confidences(examples=10 * calibrated))
    manifest = Manifest(
        name=name, created_at=1_700_000_000, predictor="record/1", recipe="tune_record/1",
        task=Task(kind="record", record=form), max_tokens=64, base=BaseRef("none", "0" * 64),
        data=DataRef("0" * 64, 10, 0), calibration=Calibration(examples=10 * calibrated), settings={}, notes={},
        files={}, nanosmith=__version__,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as made:
        draft = Path(made) / "draft"
        draft.mkdir()
        tokenizer = word_tokenizer(vocabulary)
        tokenizer.post_processor = TemplateProcessing(single=f"{UNKNOWN} $A", special_tokens=[(UNKNOWN, 0)])
        tokenizer.save(str(draft / TOKENIZER_FILE))
        (draft / LAYOUT_FILE).write_bytes(msgspec.json.encode(layout))
        (draft / GRAPH_FILE).write_bytes(_graph(tags, choices.astype(np.float32)))
        return seal(draft, manifest, folder)


def _chosen_words(form: RecordForm) -> dict[str, int]:
    """The column of each value of a choice, by the value as a word."""
    found: dict[str, int] = {}
    for field in form.fields:
        if field.type in ("choice", "choices"):
            start = choice_columns(form)[field.name].start
            found |= {str(msgspec.json.decode(v)).lower(): start + i for i, v in enumerate(field.values)}
    return found


def _graph(tags: np.ndarray[Any, Any], choices: np.ndarray[Any, Any]) -> bytes:
    """A graph that looks up tags (V, C) of each token, and the largest choices (V, L) of all."""
    from onnx import TensorProto, helper, numpy_helper

    given = [helper.make_tensor_value_info(one, TensorProto.INT64, [1, "T"]) for one in (INPUT, CODE_INPUT)]
    gives = [helper.make_tensor_value_info(TAGS, TensorProto.FLOAT, [1, "T", tags.shape[1]])]
    nodes = [helper.make_node("Gather", ["tag_table", INPUT], [TAGS])]
    tables = [numpy_helper.from_array(tags, "tag_table")]
    if choices.shape[1]:
        gives.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [1, choices.shape[1]]))
        nodes += [
            helper.make_node("Gather", ["choice_table", INPUT], ["each"]),
            helper.make_node("ReduceMax", ["each"], [OUTPUT], axes=[1], keepdims=0),
        ]
        tables.append(numpy_helper.from_array(choices, "choice_table"))
    graph = helper.make_graph(nodes, "tiny", given, gives, tables)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content

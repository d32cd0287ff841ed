"""The runtime of records, on a graph that knows a few words."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from nanosmith.core.errors import Damaged
from nanosmith.core.example import Message
from nanosmith.core.prediction import Predictor
from nanosmith.core.record import Field, RecordForm
from nanosmith.core.task import Task
from nanosmith.predict.graph_names import CODE_INPUT, GRAPH_FILE, INPUT, OUTPUT, TAGS
from nanosmith.predict.open import open_predictor
from nanosmith.predict.record import RecordPredictor
from nanosmith.predict.record_layout import LAYOUT_FILE, Confidences, Layout
from nanosmith.store.bundles import Bundle, seal
from nanosmith.testing import tiny_bundle

WORDS = ["[UNK]", "[CLS]", "[SEP]", "oslo", "rome", "book", "cancel"]
FORM = RecordForm((Field(("label",), "choice", ('"book"', '"cancel"')),), ("city",))


def tiny_record(folder: Path, layout: Layout | None = None) -> Bundle:
    """A record/1 bundle that knows two cities and two intents."""
    onnx = pytest.importorskip("onnx")
    source = tiny_bundle(folder.with_name("source"))
    draft = folder.with_name("draft")
    draft.mkdir()
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    tokenizer.save(str(draft / "tokenizer.json"))
    tags, choices = np.zeros((len(WORDS), 3), np.float32), np.zeros((len(WORDS), 2), np.float32)
    tags[:, 0] = 5
    tags[3:5, 1] = 10
    choices[5, 0] = choices[6, 1] = 20
    make = onnx.helper
    ids, floats = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [
            make.make_node("Gather", ["tags_of", INPUT], [TAGS]),
            make.make_node("Gather", ["choices_of", INPUT], ["votes"]),
            make.make_node("ReduceMean", ["votes"], [OUTPUT], axes=[1], keepdims=0),
        ],
        "tiny",
        [make.make_tensor_value_info(name, ids, [1, "T"]) for name in (INPUT, CODE_INPUT)],
        [make.make_tensor_value_info(TAGS, floats, [1, "T", 3]), make.make_tensor_value_info(OUTPUT, floats, [1, 2])],
        [onnx.numpy_helper.from_array(tags, "tags_of"), onnx.numpy_helper.from_array(choices, "choices_of")],
    )
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9), draft / GRAPH_FILE)
    told = layout or Layout((("city",),), 16, True, Confidences(examples=10))
    (draft / LAYOUT_FILE).write_bytes(msgspec.json.encode(told))
    manifest = msgspec.structs.replace(
        source.manifest, predictor="record/1", name="tiny-record", task=Task("record", record=FORM), max_tokens=119
    )  # fmt: skip
    return seal(draft, manifest, folder)


@pytest.fixture
def predictor(tmp_path: Path) -> RecordPredictor:
    opened = open_predictor(tiny_record(tmp_path / "bundle"))
    assert isinstance(opened, RecordPredictor)
    return opened


def test_answers_a_record(predictor: RecordPredictor) -> None:
    """The record has all fields, and entities at their places."""
    assert isinstance(predictor, Predictor)
    (answer,) = predictor.predict(["Book Oslo"])
    assert answer.value == '{"label":"book","entities":[{"label":"city","start":5,"end":9,"text":"Oslo"}]}'
    assert [(field.name, field.value) for field in answer.fields] == [("label", "book"), ("city", "Oslo")]
    assert answer.confidence is not None
    assert 0.5 < answer.confidence < 1
    assert (answer.tokens, answer.dropped_tokens, answer.labels) == (2, 0, ())


def test_answers_do_not_depend_on_neighbours(predictor: RecordPredictor) -> None:
    """Alone, or among longer and shorter texts in any order: exactly the same record."""
    texts = ["Book Oslo", "", "book rome and oslo " * 60, "rome"]
    together = predictor.predict(texts)
    assert together == [predictor.predict([text])[0] for text in texts]
    assert together[::-1] == predictor.predict(texts[::-1])


def test_entities_are_of_the_last_user_turn(predictor: RecordPredictor) -> None:
    """Cities of other turns are read, not answered."""
    given = [Message("user", "rome"), Message("assistant", "oslo or rome?"), Message("user", "oh, oslo")]
    entities = json.loads(str(predictor.predict([given])[0].value))["entities"]
    assert entities == [{"label": "city", "start": 4, "end": 8, "text": "oslo"}]


def test_long_texts_are_read_in_windows(predictor: RecordPredictor) -> None:
    """Entities are found wherever they are in a text that is longer than a window, and what is beyond all windows is
    told."""
    words = ["book"] * 100
    words[0] = words[14] = words[50] = words[99] = "rome"
    text = " ".join(words)
    answer = predictor.predict([text])[0]
    assert [entity["start"] for entity in json.loads(str(answer.value))["entities"]] == [0, 70, 250, 495]
    assert (answer.tokens, answer.dropped_tokens) == (100, 0)
    longer = predictor.predict(["book " * 150])[0]
    assert longer.tokens + longer.dropped_tokens == 150
    assert longer.dropped_tokens > 0


@pytest.mark.parametrize("text", ["", " ", "\0", "\ud800 oslo", "👩‍👩‍👧‍👦 oslo", "a" * 5_000])
def test_odd_texts(predictor: RecordPredictor, text: str) -> None:
    """Every text has an answer of the form, alone or beside others."""
    (answer,) = predictor.predict([text])
    assert set(json.loads(str(answer.value))) == {"label", "entities"}
    assert predictor.predict(["oslo", text, "rome " * 90])[1] == answer


def test_a_damaged_layout(tmp_path: Path) -> None:
    """A layout that cannot be read is damage, told with its file."""
    bundle = tiny_record(tmp_path / "bundle")
    bundle.file(LAYOUT_FILE).write_bytes(b"{}")
    with pytest.raises(Damaged, match=r"record\.json|layout"):
        RecordPredictor(bundle)

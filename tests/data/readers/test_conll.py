"""Tokens with tags."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from nanosmith.data.detect import detect
from nanosmith.data.load import load
from nanosmith.data.readers.conll import entities_of, looks_like, read

SENTENCE = [("Anna", "PER"), ("Lee", "PER"), ("met", ""), ("Bob", "PER"), ("in", ""), ("New", "LOC"), ("York", "LOC")]


@pytest.mark.parametrize(
    "tags",
    [
        "B-PER I-PER O B-PER O B-LOC I-LOC",
        "I-PER I-PER O I-PER O I-LOC I-LOC",
        "B-PER E-PER O S-PER O B-LOC E-LOC",
        "B-PER L-PER O U-PER O B-LOC L-LOC",
    ],
)
def test_schemes(tags: str) -> None:
    """BIO, IOB1, BIOES and BILOU say the same."""
    text, entities = entities_of([(word, tag) for (word, _), tag in zip(SENTENCE, tags.split())])
    assert text == "Anna Lee met Bob in New York"
    assert [(one["label"], one["start"], one["end"], one["text"]) for one in entities] == [
        ("PER", 0, 8, "Anna Lee"), ("PER", 13, 16, "Bob"), ("LOC", 20, 28, "New York"),
    ]  # fmt: skip


def test_neighbours() -> None:
    """B- begins a new entity, and so does I- with another label; labels may have hyphens."""
    _, entities = entities_of([("a", "B-x-y"), ("b", "B-x-y"), ("c", "I-z"), ("d", "E-z"), ("e", "I-z")])
    assert [(one["label"], one["text"]) for one in entities] == [("x-y", "a"), ("x-y", "b"), ("z", "c d"), ("z", "e")]


def test_file(tmp_path: Path) -> None:
    """Sentences become examples with the line of their first token; a sentence with a bad line is left out."""
    path = tmp_path / "d.tsv"
    good = "-DOCSTART- -X- O\n# id 7\nAnna\tNNP\tB-PER\nsleeps\tV\tO\n\n"
    path.write_text(good + "Bob\nruns\tV\tO\n\nCleo\tNNP\tI-PERSON\nis\tV\tx\n\nhere O")
    reading = read(path)
    assert [(problem.code, problem.line) for problem in reading.problems] == [("conll_columns", 6), ("bad_tag", 10)]
    assert [example.line for example in reading.examples] == [3, 12]
    assert msgspec.json.decode(reading.examples[0].answer)["entities"][0]["text"] == "Anna"
    assert reading.rows == 4


def test_detection(tmp_path: Path) -> None:
    """A file of tokens and tags is told from CSV and from other text, also with a token "text"."""
    assert looks_like(["text O", "Anna B-PER"])
    assert looks_like(["# id 7", "#\tO", "Anna\tB-PER"])
    assert not looks_like(["text,label", "a,O"])
    assert not looks_like(["a text", "another"])
    path = tmp_path / "d.txt"
    path.write_text("".join(f"Anna\tB-PER\nsleeps\tO\ntext\tO\n{i}\tO\n\n" for i in range(12)))
    assert detect(path) == "conll"
    data = load(path)
    assert (data.format, len(data), data.task.kind) == ("conll", 12, "record")
    assert data.task.record is not None
    assert data.task.record.entities == ("PER",)

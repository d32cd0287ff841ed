"""From captured traffic to examples."""

from __future__ import annotations

from pathlib import Path

from nanosmith.core.example import Message
from nanosmith.data.load import load
from nanosmith.flows.captured import CORRECTED, TAUGHT, as_dataset, lessons, write_lessons
from nanosmith.store.captures import Capture
from nanosmith.testing import topic_rows


def capture(text: str, answer: str, *, last: bool = True, correction: str | None = None) -> Capture:
    return Capture(f"c-{text}-{answer}", (Message("user", text),), answer, "big" if last else "small", 1,
                   is_last=last, correction=correction)  # fmt: skip


def test_what_becomes_a_lesson() -> None:
    """The teacher's newest answer to each input, or what a person corrected; a local answer alone teaches nothing."""
    found = lessons([
        capture("Where is it?", "delivery"),
        capture("where is it", "login"),  # older, the same but for case and punctuation
        capture("my money", "refund", last=False),
        capture("the courier", "delivery", last=False, correction="refund"),
    ])  # fmt: skip
    assert [(one.answer, one.weight) for one in found] == [("refund", CORRECTED), ("delivery", TAUGHT)]
    assert all(one.disagreed for one in found)


def test_disagreements_come_first() -> None:
    """Inputs on which another model of the route said something else stand before the others."""
    found = lessons([capture("a", "x"), capture("b", "x"), capture("b", "y", last=False)])
    assert [one.messages[0].content for one in found] == ["b", "a"]


def test_too_many_are_balanced() -> None:
    """Where not all are wanted, a rare answer is not crowded out."""
    captures = [capture(f"text {i}", "common") for i in range(50)] + [capture(f"other {i}", "rare") for i in range(3)]
    found = lessons(captures, most=10)
    assert len(found) == 10
    assert sum(one.answer == "rare" for one in found) == 3


def test_as_dataset_and_file(tmp_path: Path) -> None:
    """The lessons are examples with their weights, turns before the last one are context; the file reads the same."""
    captures = [capture(text, label) for text, label in topic_rows(30)]
    context = (Message("user", "hello"), Message("assistant", "How can I help?"), Message("user", "my parcel 77"))
    captures.append(Capture("c", context, "refund", "big", 1, is_last=True, correction="delivery"))
    data = as_dataset(lessons(captures))
    assert data.task.kind == "choice"
    assert data.task.labels == ("delivery", "login", "refund")
    assert [one.weight for one in data.examples] == [CORRECTED] + [TAUGHT] * 30
    assert data.examples[0].messages == context
    write_lessons(tmp_path / "out.jsonl", lessons(captures))
    assert load(tmp_path / "out.jsonl").texts == data.texts

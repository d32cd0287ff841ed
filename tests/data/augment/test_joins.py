"""Joined queries: what they contain, which labels they have, and how they are said."""

from __future__ import annotations

import numpy as np
import pytest

from nanosmith.data.augment.joins import Mix, Said, join, joined, without_shared
from nanosmith.data.augment.patterns import TRAINED, UNTRAINED, Pattern, Patterns

TEXTS = [f"word{i} of query {i}" for i in range(60)]
TARGETS = np.eye(6, dtype=bool)[np.arange(60) % 6]
WEIGHTS = np.linspace(0.1, 1, 60, dtype=np.float32)


def made(seed: int = 0, **more: Mix | Patterns) -> list[tuple[str, np.ndarray, float]]:
    found = joined(TEXTS, TARGETS, WEIGHTS, np.random.default_rng(seed), **more)  # type: ignore[arg-type]
    return list(zip(found.texts, found.targets, found.weights))


def sources(text: str) -> list[int]:
    """Which queries a joined text is made of; their first word is never left out, as no other begins with it."""
    return [i for i in range(60) if f"word{i} " in text.lower()]


def said(between: str, first: str, second: str, seed: int) -> str:
    only = Patterns((Pattern(between),), (Pattern(between),), (Pattern(between),))
    return join(Said(first, ((0, len(first)),)), second, only, np.random.default_rng(seed)).text


@pytest.mark.parametrize("patterns", [TRAINED, UNTRAINED])
def test_labels_and_weights_of_the_parts(patterns: Patterns) -> None:
    """A text has the labels of all its parts and no others, and the smallest of their weights."""
    for text, targets, weight in made(patterns=patterns):
        parts = sources(text)
        assert targets.tolist() == TARGETS[parts].any(axis=0).tolist()
        assert weight == pytest.approx(WEIGHTS[parts].min())


def test_as_many_texts_as_examples() -> None:
    """Each example is used, about half of the texts are joined, most joins have different labels, some the same."""
    rows = made()
    sizes = [len(sources(text)) for text, _, _ in rows]
    assert len(rows) == len(TEXTS)
    assert {i for text, _, _ in rows for i in sources(text)} == set(range(60))
    assert 15 < sizes.count(1) < 45
    assert set(sizes) == {1, 2, 3}
    many = [targets.sum() / len(sources(text)) for seed in range(5) for text, targets, _ in made(seed)]
    assert 0.9 < np.mean(many) < 1


def test_mix_says_how_many() -> None:
    """With no singles wanted there are none; with nothing but singles no text has two parts."""
    assert {len(sources(text)) for text, _, _ in made(mix=Mix(0.5, 0.5))} == {2, 3}
    assert {len(sources(text)) for text, _, _ in made(mix=Mix(0, 0))} == {1}


def test_seed_decides() -> None:
    """The same generator gives the same texts, another one others."""
    assert [row[0] for row in made(1)] == [row[0] for row in made(1)] != [row[0] for row in made(2)]


@pytest.mark.parametrize("patterns", [TRAINED, UNTRAINED])
def test_spans_are_where_the_parts_are(patterns: Patterns) -> None:
    """Each part's span holds what was said of that example; of conversations the newest turns are joined."""
    talks = [f"user: word{i} of query {i}\nassistant: before {i}" for i in range(60)]
    for texts in (TEXTS, talks):
        found = joined(texts, TARGETS, WEIGHTS, np.random.default_rng(3), patterns=patterns)
        for text, parts, spans in zip(found.texts, found.parts, found.spans):
            assert len(parts) == len(spans)
            for part, (start, end) in zip(parts, spans):
                assert text[start:end].lower() == f"word{part} of query {part}"


def test_too_few_to_join() -> None:
    """One example stays as it is; examples of one label are joined all the same."""
    alone = joined(TEXTS[:1], TARGETS[:1], WEIGHTS[:1], np.random.default_rng(0))
    assert (alone.texts, alone.targets.tolist()) == (TEXTS[:1], TARGETS[:1].tolist())
    same = joined(TEXTS[:9], np.ones((9, 1), bool), WEIGHTS[:9], np.random.default_rng(0), mix=Mix(1, 0))
    assert all(len(sources(text)) == 2 for text in same.texts)


def test_calibration_sees_other_connectives() -> None:
    """No connective or frame that the training shows is among those that calibrate."""
    for trained, other in zip(TRAINED, UNTRAINED):
        assert not set(trained) & set(other)


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("can you book a table", "can you play some music", "play some music"),
        ("book a table", "please could you play some music", "play some music"),
        ("what is the time", "what is the weather in rome", "weather in rome"),
        ("What is the time", "what's up there", "what's up there"),
        ("can you help", "can you help", "can you help"),  # nothing would be left
        ("a", "b c d", "b c d"),
    ],
)
def test_ellipsis(first: str, second: str, kept: str) -> None:
    """What was said already, or opens a request, is not said again, unless too little would be left."""
    assert without_shared(first, second) == kept


def test_seam() -> None:
    """Within a sentence the first query loses its end and the second its capital; names in capitals stay."""
    texts = {said(" and ", "Where is it?", "Send it back.", seed) for seed in range(30)} - {"Where is it send it back."}
    assert texts == {
        "Where is it and send it back.",
        "Where is it? and Send it back.",
    }
    assert "It broke and PIN lost" in {said(" and ", "It broke.", "PIN lost", seed) for seed in range(30)}
    assert "It broke. Where am I?" in {said(". ", "It broke!", "where am I?", seed) for seed in range(30)}


def test_conversations() -> None:
    """The newest turns are joined; what was said before the first stays behind it."""
    first, second = "user: yes please\nassistant: shall I book?", "user: and music\nassistant: which song?"
    text = said(" and ", first, second, 3)
    assert text.startswith("user: yes please and ")
    assert text.endswith("\nassistant: shall I book?")
    assert "which song" not in text

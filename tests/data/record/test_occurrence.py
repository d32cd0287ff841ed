"""Which place of several."""

from __future__ import annotations

from nanosmith.data.record.locate import Text
from nanosmith.data.record.occurrence import best_places, choose


def test_better_places() -> None:
    """Places that make the value, are whole words and have the same case come first."""
    text = Text("apple Apples, 5.00 apple")
    assert best_places("apple", text, "verbatim") == [(0, 5), (19, 24)]
    assert best_places("APPLE", text, "verbatim") == [(0, 5), (19, 24)]
    assert best_places("5.00", text, "fixed:2") == [(14, 18)]


def test_the_others_decide() -> None:
    """The words before a value tell its place, by how it goes in the other texts."""
    lines = [("9.00", "CASH 9.00\nTOTAL 9.00\nCHANGE 0.00"), ("7.50", "TOTAL 7.50\nCASH 10.00")]
    lines += [(f"{i}.10", f"CASH 20.00\nTOTAL {i}.10\nTAX 0.{i}0") for i in range(1, 9)]
    texts = [Text(text) for _, text in lines]
    chosen = choose([text.places(value, "verbatim") for (value, _), text in zip(lines, texts)], texts)
    for place, text in zip(chosen, texts):
        assert place is not None
        assert text.text[: place[0]].endswith("TOTAL ")


def test_nothing_to_choose() -> None:
    """No place stays none, and equal places give the first."""
    assert choose([[], [(1, 2)], [(0, 1), (4, 5)]], [Text("x"), Text("abc"), Text("a\nb\na")]) == [None, (1, 2), (0, 1)]

from __future__ import annotations

import numpy as np

from nanosmith.data.record.align import AlignedExample
from nanosmith.recipes.parts.record_rows import RecordSamples
from nanosmith.recipes.parts.span_swap import mentions, swapped


def given() -> RecordSamples:
    texts = ["user: from Oslo to Rome\nassistant: where to?", "user: in Amsterdam"]
    spans = [(("from", 11, 15), ("to", 19, 23)), (("to", 9, 18),)]
    wanted = [AlignedExample(one, (), (), (), 1.0) for one in spans]
    return RecordSamples(texts, [(6, 23), (6, 18)], wanted, ["{}", "{}"])


def test_spans_are_replaced_in_place() -> None:
    """Spans and the last turn still hold what they should, whatever was put in."""
    samples, random = given(), np.random.default_rng(0)
    known, seen = mentions(samples), set()
    for _ in range(20):
        new = swapped(samples, known, 1.0, random)
        start, end = new.turns[0]
        (_, a, b), (_, c, d) = new.wanted[0].spans
        assert new.texts[0][a:b] == "Oslo"
        assert new.texts[0][start:end] == f"from Oslo to {new.texts[0][c:d]}"
        seen.add(new.texts[0][c:d])
    assert seen == {"Rome", "Amsterdam"}


def test_nothing_is_replaced_without_a_share() -> None:
    """A share of zero leaves everything as it is."""
    samples = given()
    assert swapped(samples, mentions(samples), 0.0, np.random.default_rng(0)).texts == samples.texts

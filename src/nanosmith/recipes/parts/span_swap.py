"""Spans replaced by others of their label: what may stand in a place is learnt apart from how the place looks (as the
mention replacement of Dai & Adel 2020, "An Analysis of Simple Data Augmentation for Named Entity Recognition")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from nanosmith.recipes.parts.record_rows import RecordSamples

Mentions = Mapping[str, Sequence[str]]


def mentions(samples: RecordSamples) -> Mentions:
    """The texts of all spans, by their name, as often as they occur."""
    found: dict[str, list[str]] = {}
    for text, wanted in zip(samples.texts, samples.wanted):
        for name, start, end in wanted.spans:
            found.setdefault(name, []).append(text[start:end])
    return found


def swapped(samples: RecordSamples, known: Mentions, share: float, random: np.random.Generator) -> RecordSamples:
    """The same samples, of which about `share` have each span replaced, half of the time, by another of its name. Where
    spans overlap nothing is replaced."""
    texts, turns, wanted = list(samples.texts), list(samples.turns), list(samples.wanted)
    for i, one in enumerate(samples.wanted):
        if random.random() >= share or any(a[2] > b[1] for a, b in zip(one.spans, one.spans[1:])):
            continue
        text, spans, done = "", [], 0
        start, end = turns[i]
        for name, a, b in one.spans:
            others = known[name]
            new = others[int(random.integers(len(others)))] if random.random() < 0.5 else texts[i][a:b]
            text += texts[i][done:a]
            spans.append((name, len(text), len(text) + len(new)))
            text, done = text + new, b
            start, end = (place + (len(new) - (b - a)) * (turns[i][k] >= b) for k, place in enumerate((start, end)))
        texts[i], turns[i] = text + texts[i][done:], (start, end)
        wanted[i] = msgspec.structs.replace(one, spans=tuple(spans))
    return RecordSamples(texts, turns, wanted, samples.values)

"""Which of several places a value was copied from.

Places that make the value by the field's normaliser come first, then whole words, then the same case. Among what is
left the surroundings decide, by expectation maximisation over the whole data set: each place is first as likely as
the others of its value; words before, after and around it that go with likely places make other places likely.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from nanosmith.data.record.locate import Place, Text
from nanosmith.data.record.normals import explains

ROUNDS = 4
PRIOR = 2.0  # examples, of a feature's share of likely places
WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s]")
NEAR_CHARS = 48
PARTS = 8  # of a text, for how far down a place is


def best_places(value: Any, text: Text, normal: str) -> list[Place]:
    """The places that are as good as any other, surroundings aside."""
    places = text.places(value, normal)
    for is_good in (
        lambda place: explains(normal, value, text.text[slice(*place)]),
        text.is_word,
        lambda place: isinstance(value, str) and text.text[slice(*place)] == value,
    ):
        places = [place for place in places if is_good(place)] or places
    return places


def choose(candidates: Sequence[Sequence[Place]], texts: Sequence[Text]) -> list[Place | None]:
    """One place for each text's candidates, None where it has none."""
    features = [
        [_features(text.text, place) for place in places] if len(places) > 1 else []
        for places, text in zip(candidates, texts)
    ]
    alone = [
        _features(text.text, places[0]) for places, text in zip(candidates, texts) if len(places) == 1
    ]  # fmt: skip
    weights = [[1 / len(one)] * len(one) for one in features if one]
    several = [one for one in features if one]
    for _ in range(ROUNDS if several else 0):
        weights = _again(several, weights, alone)
    found = iter(weights)
    return [
        None if not places else places[0] if len(places) == 1 else places[_first_best(next(found))]
        for places in candidates
    ]


def _again(
    several: Sequence[Sequence[Sequence[str]]], weights: Sequence[Sequence[float]], alone: Sequence[Sequence[str]]
) -> list[list[float]]:
    """New weights of the places of each value, by how likely the places are that share their features."""
    likely: Counter[str] = Counter()
    all_: Counter[str] = Counter()
    for one in alone:
        likely.update(one)
        all_.update(one)
    for places, their in zip(several, weights):
        for one, weight in zip(places, their):
            for feature in one:
                likely[feature] += weight  # type: ignore[assignment]
                all_[feature] += 1
    mean = sum(map(sum, weights)) / sum(map(len, weights))
    logs = {
        feature: math.log((likely[feature] + PRIOR * mean) / (count + PRIOR) / mean) for feature, count in all_.items()
    }
    return [_softmax([sum(logs[feature] for feature in one) for one in places]) for places in several]


def _softmax(scores: Sequence[float]) -> list[float]:
    top = max(scores)
    powers = [math.exp(score - top) for score in scores]
    return [power / sum(powers) for power in powers]


def _first_best(weights: Sequence[float]) -> int:
    """The earliest of nearly equal ones."""
    top = max(weights)
    return next(i for i, weight in enumerate(weights) if weight > 0.999 * top)


def _features(text: str, place: Place) -> list[str]:
    """The words around a place: before and after it on its line, the lines above and below, how far down it is."""
    begin, end = place
    before, _, left = text[max(0, begin - NEAR_CHARS) : begin].rpartition("\n")
    right, _, after = text[end : end + NEAR_CHARS].partition("\n")
    lefts, rights = _words(left)[-3:], _words(right)[:2]
    above, below = _words(before.rstrip().rpartition("\n")[2]), _words(after.lstrip().partition("\n")[0])
    found = [f"left {word}" for word in lefts] + [f"above {word}" for word in above]
    found += [f"next {' '.join(lefts[-1:])}", f"then {' '.join(rights[:1])}", f"nexts {' '.join(lefts[-2:])}"]
    found += [f"above all {' '.join(above)}" if not lefts else "", f"below {' '.join(below)}" if not rights else ""]
    found.append(f"part {PARTS * begin // (len(text) + 1)}")
    return [feature for feature in found if feature]


def _words(text: str) -> list[str]:
    return ["0" if word.isdecimal() else word.lower() for word in WORD.findall(text)]

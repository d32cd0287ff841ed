"""Two queries as one, joined in ways that training does not show (nanosmith.data.augment.patterns)."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from bench.accuracy.rows import Row

JOINS = (
    "{a} and in the meantime {b}", "{a}, and separately {b}", "{a} and apart from that {b}", "{a}. in other news {b}",
    "{a} together with this: {b}", "{a}, on another note {b}", "{a} and, if you have a second, {b}",
    "{a}; that aside, {b}", "{a} & also: {b}", "{a} and just quickly {b}", "{a}. while we're at it, {b}",
    "{a} -> {b}", "{a} ... also {b}", "{a} ({b})", "i was wondering {a}, as also {b}", "quick one: {a}; that, and {b}",
    "{a} and i'd like to know {b}", "not only {a} but {b}", "{a} {b}", "{a}, {b}",
)  # fmt: skip
"""The last two are in every list of joins; the others should be in none."""


def pairs(rows: Sequence[Row], count: int, random: Random) -> list[Row]:
    """So many joins of two rows of different domains, with both labels."""
    made: list[Row] = []
    while len(made) < count:
        first, second = random.sample(list(rows), 2)
        if first["domain"] != second["domain"]:
            text = random.choice(JOINS).format(a=first["text"].rstrip(".?! "), b=second["text"])
            made.append({"text": text, "labels": sorted({first["label"], second["label"]})})
    return made

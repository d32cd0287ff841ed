"""The sets: what a contender is trained on, and what it is asked then.

A folder holds one folder per source, with train.jsonl, train_10shot.jsonl, train_5shot.jsonl and test.jsonl.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from bench.accuracy import rows as r
from bench.accuracy.joined import pairs
from bench.accuracy.rows import Row
from bench.accuracy.typos import one_typo, typos_in

FULL = "full"
FILES = {FULL: "train.jsonl", "10": "train_10shot.jsonl", "5": "train_5shot.jsonl"}
OUT_OF_SCOPE = "oos"
TYPO_SHARE = 0.2
FLIPPED_SHARE = 0.1
JOINED = 2_000


class Trial(NamedTuple):
    """One training and its tests.

    `tests` by name: `clean`, `one_typo`, `typos` (in a fifth of the words), `joined` (two queries and more as one).
    `combined`: the training rows have one label each, and the tests ask for sets. `out_of_scope` is the label of the
    rows that no other label fits. `flipped` are the training rows whose label was changed. `attacked`: the `clean`
    rows are also attacked by one character.
    """

    train: list[Row]
    tests: dict[str, list[Row]]
    combined: bool = False
    out_of_scope: str | None = None
    flipped: frozenset[int] = frozenset()
    attacked: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        return r.labels_in(self.train)


class Set(NamedTuple):
    """`make(folder, shots, seed)`; `shots` are those that the set has."""

    make: Callable[[Path, str, int], Trial]
    shots: tuple[str, ...] = (FULL,)


def intents(source: str) -> Set:
    """A set of intents: full and few examples, clean and with typos. Rows that are out of scope are left out."""

    def make(folder: Path, shots: str, seed: int) -> Trial:
        train, test = (_in_scope(r.read(folder / source / file)) for file in (FILES[shots], "test.jsonl"))
        noise = {
            "one_typo": [{**row, "text": one_typo(row["text"], random)} for row, random in _drawn(test, 1)],
            "typos": [{**row, "text": typos_in(row["text"], TYPO_SHARE, random)} for row, random in _drawn(test, 2)],
        }
        return Trial(train, {"clean": test, **noise}, attacked=shots == FULL)

    return Set(make, tuple(FILES))


def plain(source: str, context: bool = False) -> Set:
    """A set as it is; `context`, what was said before, is read too where it is wanted."""

    def make(folder: Path, shots: str, seed: int) -> Trial:
        train, test = (r.read(folder / source / file) for file in (FILES[shots], "test.jsonl"))
        if not context:
            train, test = ([{**row, "context": None} for row in part] for part in (train, test))
        return Trial(train, {"clean": test})

    return Set(make)


def out_of_scope(source: str) -> Set:
    """In scope and out of it; some training rows are out of scope."""

    def make(folder: Path, shots: str, seed: int) -> Trial:
        return Trial(
            r.read(folder / source / FILES[shots]), {"clean": r.read(folder / source / "test.jsonl")},
            out_of_scope=OUT_OF_SCOPE,
        )  # fmt: skip

    return Set(make)


def snips_joined(folder: Path, shots: str, seed: int) -> Trial:
    """Trained on single queries of SNIPS, asked those and the joined ones of MixSNIPS."""
    tests = {"clean": r.read(folder / "snips" / "test.jsonl"), "joined": r.read(folder / "mixsnips" / "test.jsonl")}
    return Trial(r.read(folder / "snips" / FILES[shots]), tests, combined=True)


def clinc150_joined(folder: Path, shots: str, seed: int) -> Trial:
    """Trained on single queries, asked those and pairs of different domains."""
    train, test = (_in_scope(r.read(folder / "clinc150" / file)) for file in (FILES[shots], "test.jsonl"))
    return Trial(train, {"clean": test, "joined": pairs(test, JOINED, Random("joined"))}, combined=True)


def flipped(source: str) -> Set:
    """A tenth of the training rows has another label, drawn by the seed."""

    def make(folder: Path, shots: str, seed: int) -> Trial:
        train, test = (_in_scope(r.read(folder / source / file)) for file in (FILES[shots], "test.jsonl"))
        random, labels = Random(f"flipped {seed}"), r.labels_in(train)
        places = frozenset(random.sample(range(len(train)), round(FLIPPED_SHARE * len(train))))
        for i in sorted(places):
            other = random.choice([label for label in labels if label != train[i]["label"]])
            train[i] = {**train[i], "label": other}
        return Trial(train, {"clean": test}, flipped=places)

    return Set(make)


SETS = {
    "banking77": intents("banking77"),
    "clinc150": intents("clinc150"),
    "hwu64": intents("hwu64"),
    "sgd_domain16": plain("sgd_domain16", context=True),
    "it_tickets": plain("it_tickets"),
    "clinc150_oos": out_of_scope("clinc150"),
    "snips_joined": Set(snips_joined),
    "clinc150_joined": Set(clinc150_joined),
    "banking77_flipped": flipped("banking77"),
    "clinc150_flipped": flipped("clinc150"),
}


def _in_scope(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["label"] != OUT_OF_SCOPE]


def _drawn(rows: Sequence[Row], series: int) -> list[tuple[Row, Random]]:
    """Each row with its own random numbers: the same typos for every contender and seed."""
    return [(row, Random(f"{series} {i}")) for i, row in enumerate(rows)]

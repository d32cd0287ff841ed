"""What a contender is trained on, and what it is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.accuracy import rows as r
from bench.accuracy.joined import JOINS
from bench.accuracy.sets import SETS

from nanosmith.data.augment.patterns import TRAINED, UNTRAINED


def test_intents_are_in_scope_and_have_typos(folder: Path) -> None:
    """Rows out of scope are left out; the tests with typos hold the same rows, changed in the same way every time."""
    trial = SETS["clinc150"].make(folder, "full", 0)
    assert len(trial.train) == 60
    assert trial.labels == ("card", "money", "weather")
    clean, one, many = (trial.tests[name] for name in ("clean", "one_typo", "typos"))
    assert [row["label"] for row in clean] == [row["label"] for row in one] == [row["label"] for row in many]
    assert all(row["text"] != changed["text"] for row, changed in zip(clean, one, strict=True))
    assert SETS["clinc150"].make(folder, "full", 1).tests == trial.tests


@pytest.mark.parametrize(("shots", "rows"), [("full", 60), ("10", 30), ("5", 15)])
def test_shots_are_files(folder: Path, shots: str, rows: int) -> None:
    """Few examples come from the files that are published with them, and only full data is attacked."""
    trial = SETS["clinc150"].make(folder, shots, 0)
    assert len(trial.train) == rows
    assert trial.attacked == (shots == "full")


def test_context_comes_before_the_text(folder: Path) -> None:
    """What was said before is an assistant message, for Nanosmith and, as text, for the peers."""
    row = SETS["sgd_domain16"].make(folder, "full", 0).train[0]
    assert [message.role for message in r.given(row)] == ["assistant", "user"]
    assert r.text(row) == f"user: {row['text']}\nassistant: What is it about?"


def test_our_own_copy_of_banking77_is_read() -> None:
    """It is in the chat format; what is asked and wanted is the same."""
    trial = SETS["banking77"].make(Path(__file__).parents[3] / "data", "full", 0)
    assert len(trial.train) == 10_003
    assert len(trial.labels) == 77
    assert trial.tests["clean"][0] == {"text": "How do I locate my card?", "label": "card_arrival"}


def test_out_of_scope_rows_are_kept(folder: Path) -> None:
    """Where refusal is measured, rows out of scope are trained and asked."""
    trial = SETS["clinc150_oos"].make(folder, "full", 0)
    assert trial.out_of_scope == "oos"
    assert sum(row["label"] == "oos" for row in trial.train) == sum(
        row["label"] == "oos" for row in trial.tests["clean"]
    )


def test_joined_queries_have_both_labels(folder: Path) -> None:
    """Pairs are of two domains; the training rows stay single."""
    trial = SETS["clinc150_joined"].make(folder, "full", 0)
    assert trial.combined
    assert all(len(row["labels"]) == 2 and set(row["labels"]) <= set(trial.labels) for row in trial.tests["joined"])
    assert all(label in row["text"] for row in trial.tests["joined"] for label in row["labels"])


def test_joins_of_the_test_are_not_trained() -> None:
    """Only a space and a comma, the last two, join in training too."""
    betweens = {pattern.between for group in (TRAINED, UNTRAINED) for part in group for pattern in part}
    assert not [join for join in JOINS[:-2] if join.split("{a}")[-1].split("{b}")[0] in betweens]


def test_flipped_labels(folder: Path) -> None:
    """A tenth of the rows gets another label, others at another seed; the test is left alone."""
    plain, first, second = (SETS[name].make(folder, "full", seed) for name, seed in (
        ("clinc150", 0), ("clinc150_flipped", 0), ("clinc150_flipped", 1)))  # fmt: skip
    changed = {i for i, (a, b) in enumerate(zip(plain.train, first.train, strict=True)) if a["label"] != b["label"]}
    assert changed == first.flipped
    assert len(changed) == 6
    assert first.flipped != second.flipped
    assert first.tests["clean"] == plain.tests["clean"]

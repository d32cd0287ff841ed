"""The result file."""

from __future__ import annotations

from nanosmith.jobs.results import as_csv


def test_columns_and_blanks() -> None:
    """OpenAI's columns; what was not measured is blank."""
    steps = [
        (1, {"train_loss": 0.5, "train_mean_token_accuracy": 1.0, "other": 3.0}),
        (2, {"train_loss": 0.25, "valid_loss": 1 / 3, "valid_mean_token_accuracy": 0.0}),
    ]
    assert as_csv(steps).decode().splitlines() == [
        "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy",
        "1,0.5,1,,",
        "2,0.25,,0.333333,0",
    ]


def test_no_steps() -> None:
    """A recipe without steps gives a header alone."""
    assert as_csv([]).count(b"\n") == 1

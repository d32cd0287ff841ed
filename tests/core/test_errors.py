"""Errors that users meet."""

from __future__ import annotations

import pytest

from nanosmith.core import errors
from nanosmith.core.errors import InputError, MissingExtra, NanosmithError, NotFound, did_you_mean, explain


def test_message_has_all_parts_in_order() -> None:
    """What, where, got, allowed, remedy."""
    text = explain("too long", where="line 3", got="9", allowed="1 to 5", remedy="Cut it.")
    assert text == "line 3: too long (got 9; allowed 1 to 5). Cut it."


def test_absent_parts_leave_no_trace() -> None:
    """A message with nothing but its subject is that; a zero counts as given."""
    assert explain("broken") == "broken"
    assert explain("broken", got=0) == "broken (got 0)"


def test_near_names() -> None:
    """A misspelt name is corrected, a strange one is not."""
    assert did_you_mean("chioce", ["choice", "labels"]) == "Did you mean choice?"
    assert did_you_mean("zzz", ["choice", "labels"]) is None


@pytest.mark.parametrize(
    ("kind", "exit_code", "status", "code"),
    [
        (errors.NanosmithError, 1, 500, None),
        (errors.InputError, 2, 400, "invalid_value"),
        (errors.NotFound, 2, 404, "not_found"),
        (errors.TooLong, 2, 400, "context_length_exceeded"),
        (errors.Damaged, 1, 500, "damaged_bundle"),
        (errors.GateRefused, 1, 500, "gate_refused"),
        (errors.StorageFull, 1, 507, "insufficient_storage"),
        (errors.Cancelled, 1, 500, "cancelled"),
    ],
)
def test_exit_codes_and_statuses(kind: type[NanosmithError], exit_code: int, status: int, code: str | None) -> None:
    """Scripts and HTTP clients can tell the kinds apart."""
    error = kind("x")
    assert (error.exit_code, error.http_status, error.code, error.param) == (exit_code, status, code, None)


def test_own_code_and_param() -> None:
    """An error may be more exact than its class, without changing it."""
    error = NotFound("x", code="model_not_found", param="model")
    assert (error.code, error.param, NotFound.code) == ("model_not_found", "model", "not_found")
    assert isinstance(error, InputError)


def test_missing_extra_names_the_command() -> None:
    """The message holds the line to type."""
    assert "pip install 'nanosmith[train]'" in str(MissingExtra("torch", "train"))

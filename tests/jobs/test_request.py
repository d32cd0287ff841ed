"""The create-job request."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanosmith.core.errors import InputError
from nanosmith.jobs.models import resolve
from nanosmith.jobs.request import CreateJob, read_request, slug, tune_settings

LEAST = {"model": "gpt-4.1-nano", "training_file": "file-1"}


def settings(**request: Any) -> Any:
    return tune_settings(read_request(LEAST | request), resolve("gpt-4.1-nano"), seed=7, name="ft:x")


def test_least_request_leaves_everything_open() -> None:
    """Model and file are enough; the rest is derived later."""
    found = settings()
    assert (found.size, found.epochs, found.batch_size, found.learning_rate_multiplier) == ("nano", None, None, None)
    assert (found.budget_s, found.recipe, found.seed, found.name) == (None, None, 7, "ft:x")


def test_nulls_stand_for_absent_fields() -> None:
    """Clients that send null for what they do not set are understood."""
    names = ("validation_file", "method", "hyperparameters", "suffix", "seed", "integrations", "metadata", "nanosmith")
    assert read_request(LEAST | dict.fromkeys(names)) == CreateJob(**LEAST)


def test_deprecated_hyperparameters_are_honoured() -> None:
    """Older clients put hyperparameters at the top."""
    found = settings(hyperparameters={"n_epochs": 3, "batch_size": "auto", "learning_rate_multiplier": 2})
    assert (found.epochs, found.batch_size, found.learning_rate_multiplier) == (3, None, 2.0)


def test_method_wins_over_deprecated_place() -> None:
    """Where both are given, `method` counts."""
    method = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 5}}}
    assert settings(method=method, hyperparameters={"n_epochs": 3}).epochs == 5
    assert settings(method={"type": "supervised"}, hyperparameters={"n_epochs": 3}).epochs == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_epochs", 0), ("n_epochs", 51), ("n_epochs", "many"), ("n_epochs", 1.5), ("n_epochs", True),
        ("batch_size", 0), ("batch_size", 257), ("learning_rate_multiplier", 0), ("learning_rate_multiplier", -1),
    ],
)  # fmt: skip
def test_hyperparameter_out_of_range(name: str, value: Any) -> None:
    """The error names the field, what was given and what is allowed."""
    with pytest.raises(InputError) as caught:
        read_request(LEAST | {"method": {"type": "supervised", "supervised": {"hyperparameters": {name: value}}}})
    assert caught.value.param == f"method.supervised.hyperparameters.{name}"
    assert f"got {json.dumps(value)}" in str(caught.value)
    assert '"auto"' in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("model", None, "model"),
        ("training_file", 3, "training_file"),
        ("suffix", "", "suffix"),
        ("suffix", "x" * 65, "suffix"),
        ("seed", -1, "seed"),
        ("seed", 2**31, "seed"),
        ("seed", "7", "seed"),
        ("metadata", {"k" * 65: "v"}, "metadata"),
        ("metadata", {"k": "v" * 513}, "metadata"),
        ("metadata", {"k": 1}, "metadata"),
        ("metadata", {"k\0": "v"}, "metadata"),
        ("metadata", {"k": "v\0"}, "metadata"),
        ("metadata", {str(i): "" for i in range(17)}, "metadata"),
        ("integrations", [{"type": "wandb"}] * 6, "integrations"),
        ("method", {"type": "magic"}, "method.type"),
        ("nanosmith", {"budgt": "5m"}, "nanosmith"),
        ("nanosmith", {"size": "huge"}, "nanosmith.size"),
    ],
)
def test_bad_field_is_named(field: str, value: Any, param: str) -> None:
    """Whatever does not fit is refused with the field as param."""
    with pytest.raises(InputError) as caught:
        read_request(LEAST | {field: value})
    assert (caught.value.http_status, caught.value.param) == (400, param)


@pytest.mark.parametrize("field", ["model", "training_file"])
def test_missing_field_is_named(field: str) -> None:
    """A required field that is absent is the error's param."""
    with pytest.raises(InputError, match="missing") as caught:
        read_request({name: value for name, value in LEAST.items() if name != field})
    assert caught.value.param == field


def test_preferences() -> None:
    """The method dpo says that preferences are learnt, with its own hyperparameters."""
    found = settings(method={"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2, "n_epochs": 2}}})
    assert (found.method, found.beta, found.epochs) == ("dpo", 0.2, 2)
    open = settings(method={"type": "dpo", "dpo": {"hyperparameters": {"beta": "auto"}}})
    assert (open.method, open.beta) == ("dpo", None)
    assert settings().method is None
    with pytest.raises(InputError) as caught:
        settings(method={"type": "dpo", "dpo": {"hyperparameters": {"beta": 0}}})
    assert caught.value.param == "method.dpo.hyperparameters.beta"


def test_reinforcement_is_refused() -> None:
    """Reinforcement is understood, and refused in words."""
    method = {"type": "reinforcement", "reinforcement": {"grader": {"type": "string_check"}}}
    with pytest.raises(InputError, match="not available") as caught:
        read_request(LEAST | {"method": method})
    assert (caught.value.code, caught.value.param) == ("unsupported_method", "method.type")


def test_integrations_are_refused_not_ignored() -> None:
    """wandb is not silently dropped; an empty list is fine."""
    with pytest.raises(InputError, match="'wandb'") as caught:
        read_request(LEAST | {"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]})
    assert caught.value.param == "integrations"
    assert read_request(LEAST | {"integrations": []}).integrations == []


def test_unknown_fields_are_ignored() -> None:
    """A newer client may send fields that we do not know."""
    assert read_request(LEAST | {"brand_new": 1}) == read_request(LEAST)


def test_own_extension() -> None:
    """`nanosmith` sets budget, size and recipe."""
    found = settings(nanosmith={"budget": "5m", "size": "pico", "recipe": "static"})
    assert (found.budget_s, found.size, found.recipe) == (300.0, "pico", "static")
    assert settings(nanosmith={"budget": 90}).budget_s == 90.0


def test_what_a_model_learns_beyond_its_examples() -> None:
    """`nanosmith` asks for joined queries, misspellings, a label of none, and what becomes of likely label errors."""
    asked = {"combined": True, "noise": False, "oos_label": "oos", "refuse": 0.1, "label_errors": "drop"}
    found = settings(nanosmith=asked)
    assert {name: getattr(found, name) for name in asked} == asked


@pytest.mark.parametrize(
    ("own", "param"),
    [
        ({"budget": "soon"}, "nanosmith.budget"),
        ({"budget": 0}, "nanosmith.budget"),
        ({"refuse": 1}, "nanosmith.refuse"),
        ({"label_errors": "mend"}, "nanosmith.label_errors"),
        ({"recipe": "statik/1"}, "nanosmith.recipe"),
    ],
)
def test_bad_extension_value(own: dict[str, Any], param: str) -> None:
    """A budget or recipe that cannot be is refused before the job exists."""
    with pytest.raises(InputError) as caught:
        settings(nanosmith=own)
    assert caught.value.param == param


def test_slug_keeps_ordinary_suffixes() -> None:
    """What may stand in a name stays; runs of other characters become one hyphen."""
    assert slug("custom-model_v1.2") == "custom-model_v1.2"
    assert slug("my model: v2/β") == "my-model-v2-β"
    assert slug(None) is None
    with pytest.raises(InputError):
        slug("::")


@given(st.text(min_size=1, max_size=64))
def test_slug_never_breaks_a_name(suffix: str) -> None:
    """A slug has no separator of names or paths, is not longer than the suffix, and is its own slug."""
    try:
        made = slug(suffix)
    except InputError:
        return
    assert made is not None
    assert not set(made) & set(":/\\ \n\t")
    assert len(made) <= len(suffix)
    assert slug(made) == made

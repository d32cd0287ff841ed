"""Names of base models."""

from __future__ import annotations

import pytest

from nanosmith.core.errors import InputError
from nanosmith.jobs.models import LocalModel, base_models, resolve
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import ModelRow


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("gpt-4.1-nano", "nano"),
        ("gpt-4.1-nano-2025-04-14", "nano"),
        ("gpt-4o-mini-2024-07-18", "auto"),
        ("gpt-4.1-mini-2025-04-14", "auto"),
        ("gpt-3.5-turbo-0125", "auto"),
        ("nanosmith-pico", "pico"),
        ("nanosmith-nano", "nano"),
        ("nanosmith-auto", "auto"),
    ],
)
def test_known_names(name: str, size: str) -> None:
    """Vendors' names, dated or not, and our own stand for a local size."""
    assert resolve(name).size == size


def test_longest_prefix_wins() -> None:
    """gpt-4.1-nano-… is the nano model, not gpt-4.1."""
    assert resolve("gpt-4.1-nano-2025-04-14") == base_models()["gpt-4.1-nano"]
    assert resolve("gpt-4.1-2025-04-14") == base_models()["gpt-4.1"]


def test_unknown_name_is_refused_with_near_ones() -> None:
    """A misspelt name is answered with what may have been meant."""
    with pytest.raises(InputError, match=r"Did you mean .*gpt-4\.1-nano") as caught:
        resolve("gpt-41-nano")
    assert (caught.value.http_status, caught.value.code, caught.value.param) == (400, "model_not_found", "model")


@pytest.mark.parametrize("name", ["gpt-4.1-nanox", "", "nanosmith"])
def test_part_of_a_name_is_not_that_name(name: str) -> None:
    """A name counts only where a snapshot's number follows: a misspelt gpt-4.1-nano is not taken for gpt-4.1."""
    with pytest.raises(InputError):
        resolve(name)


def test_tuned_model_goes_on(ledger: Ledger) -> None:
    """A fine-tuned model of the ledger is its own base; one that is not there is refused, with near names."""
    name = "ft:gpt-4.1-nano:local::abcdefgh"
    ledger.add_model(ModelRow(name, 1, "bundle", "0" * 64, "minilm-l6"))
    assert resolve(name, ledger) == LocalModel("auto", name, tuned=True)
    with pytest.raises(InputError, match=r"no fine-tuned model of this name is here.*Did you mean ft:gpt") as caught:
        resolve(f"{name}x", ledger)
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")

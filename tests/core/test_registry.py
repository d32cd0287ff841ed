"""The registry of what can be added."""

from __future__ import annotations

import pytest

from nanosmith.core import registry
from nanosmith.core.errors import NotFound

SERVING = [(group, name) for group in ("predictors", "readers") for name in registry.BUILT_IN[group]]


@pytest.mark.parametrize(("group", "name"), SERVING)
def test_targets_can_be_called(group: str, name: str) -> None:
    """Every predictor and reader is found and callable (recipes need torch and have their own tests)."""
    assert callable(registry.load(group, name))


@pytest.mark.parametrize("group", registry.BUILT_IN)
def test_unknown_name_is_refused_with_near_ones(group: str) -> None:
    """A misspelt name is corrected, and all names are listed."""
    known = next(iter(registry.BUILT_IN[group]))
    with pytest.raises(NotFound) as caught:
        registry.load(group, f"{known}x")
    assert f"Did you mean {known}" in str(caught.value)
    assert all(name in str(caught.value) for name in registry.BUILT_IN[group])


def test_built_in_names_cannot_be_replaced() -> None:
    """What another package adds never takes the place of a name that manifests refer to."""
    for group, names in registry.BUILT_IN.items():
        assert names.items() <= registry.registered(group).items()

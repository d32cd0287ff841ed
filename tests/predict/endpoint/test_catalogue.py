"""Providers and models as data."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from nanosmith.core.errors import InputError, NotFound
from nanosmith.predict.endpoint.catalogue import built_in, is_remote, open_catalogue

MINE = {"base_url": "http://127.0.0.1:9000/v1/", "models": {"big": {"input_usd": 1.0, "output_usd": 2.0}}}


def test_built_in_catalogue_is_whole() -> None:
    """At least 20 providers and 60 models; each model has a price and the date of it, and no provider a key."""
    catalogue = open_catalogue()
    remotes = list(catalogue.all())
    assert len(catalogue.providers) >= 20
    assert len(remotes) >= 60
    for remote in remotes:
        assert remote.model.prices is not None, remote.name
        assert date.fromisoformat(remote.model.as_of or "") <= date(2026, 11, 22), remote.name
        assert remote.provider.key_variable, remote.name
        assert catalogue.find(remote.name) == remote


def test_docs_count_what_there_is() -> None:
    """docs/providers.md says how many providers and models there are."""
    catalogue = open_catalogue()
    page = Path(__file__).resolve().parents[3] / "docs" / "providers.md"
    counts = f"{len(catalogue.providers)} providers and {len(list(catalogue.all()))} models"
    assert counts in page.read_text(encoding="utf-8")


def test_cached_input_is_never_dearer() -> None:
    """A price of cached input above that of input would be a slip."""
    for remote in open_catalogue().all():
        model = remote.model
        if model.cached_input_usd is not None:
            assert model.cached_input_usd <= (model.input_usd or 0), remote.name


def test_own_tables_extend_and_override() -> None:
    """A table adds a provider, or changes single fields of one that there is, field by field."""
    tables = {"mine": MINE, "openai": {"models": {"gpt-5": {"input_usd": 9.0, "as_of": date(2026, 11, 1)}}}}
    catalogue = open_catalogue(tables)
    mine = catalogue.find("mine/big")
    assert (mine.provider.base_url, mine.provider.dialect) == ("http://127.0.0.1:9000/v1", "openai")
    changed = catalogue.find("openai/gpt-5")
    assert (changed.model.input_usd, changed.model.output_usd, changed.model.as_of) == (9.0, 10.0, "2026-11-01")
    assert changed.provider.key_variable == "OPENAI_API_KEY"
    assert open_catalogue().find("openai/gpt-5").model.input_usd == 1.25


def test_url_is_a_remote() -> None:
    """A URL with a model needs no table, and takes key and prices of a provider of the same address."""
    plain = open_catalogue().find("http://127.0.0.1:9000/v1#llama")
    assert (plain.provider.base_url, plain.model.name, plain.model.prices) == (
        "http://127.0.0.1:9000/v1",
        "llama",
        None,
    )
    assert open_catalogue({"mine": MINE}).find("http://127.0.0.1:9000/v1/#big").provider.name == "mine"


def test_names_of_remote_models() -> None:
    """By their form: a URL, or a provider of the catalogue before a slash."""
    assert is_remote("openai/gpt-5")
    assert is_remote("https://x.example/v1#m")
    assert not is_remote("models/support")
    assert not is_remote("support")


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("openai/gpt-5-mni", NotFound, "Did you mean gpt-5-mini"),
        ("opnai/gpt-5", NotFound, "Did you mean openai"),
        ("gpt-5", InputError, "PROVIDER/MODEL"),
        ("openai/", InputError, "PROVIDER/MODEL"),
        ("http://127.0.0.1/v1", InputError, "names no model"),
        ("http://#m", InputError, "not the address"),
        ("http://user:secret@h/v1#m", InputError, "not the address"),
    ],
)
def test_wrong_names(name: str, error: type[InputError], words: str) -> None:
    """What is wrong with a name is told, with near names, and never a password."""
    with pytest.raises(error, match=words) as caught:
        open_catalogue().find(name)
    assert caught.value.param == "model"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("tables", "param"),
    [
        ({"x": 3}, "provider"),
        ({"x": {}}, "provider.x.base_url"),
        ({"x": {"base_url": "ftp://x"}}, "provider.x.base_url"),
        ({"x": {"base_url": "http://x/v1?key=1"}}, "provider.x.base_url"),
        ({"x": {"base_url": 3}}, "provider.x.base_url"),
        ({"x": {"base_url": "http://x", "dialect": "z"}}, "provider.x.dialect"),
        ({"x": {"base_url": "http://x", "models": 1}}, "provider.x.models"),
        ({"x": {"base_url": "http://x", "models": {"a": 1}}}, "provider.x.models"),
        ({"openai": {"models": {"gpt-5": {"input_usd": -1}}}}, "provider.openai.models.gpt-5.input_usd"),
        ({"openai": {"models": {"gpt-5": {"output_usd": "dear"}}}}, "provider.openai.models.gpt-5.output_usd"),
        ({"openai": {"models": {"gpt-5": {"context_tokens": 0}}}}, "provider.openai.models.gpt-5.context_tokens"),
        ({"openai": {"models": {"gpt-5": {"price": 1}}}}, "provider.openai.models.gpt-5"),
        ({"a/b": {"base_url": "http://x"}}, "provider.a/b"),
    ],
)
def test_wrong_tables(tables: dict[str, Any], param: str) -> None:
    """A wrong table names its field."""
    with pytest.raises(InputError) as caught:
        open_catalogue(tables)
    assert caught.value.param == param


def test_built_in_is_not_changed() -> None:
    """Opening with tables leaves the built-in data as it stands."""
    before = len(built_in())
    open_catalogue({"mine": MINE})
    assert len(built_in()) == before
    assert "mine" not in open_catalogue().providers

"""Providers and their models, as data: catalogue.toml, extended by the [provider.NAME] tables of nanosmith.toml.

catalogue = open_catalogue({"mine": {"base_url": "https://llm.example.com/v1"}})
remote = catalogue.find("openai/gpt-5-mini")            # or "http://127.0.0.1:9000/v1#model"
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal, TypeAlias, TypeVar
from urllib.parse import urlsplit

import msgspec

from nanosmith.core import registry
from nanosmith.core.errors import InputError, NotFound, did_you_mean
from nanosmith.core.money import Prices, prices_of
from nanosmith.core.structs import to_struct

Capability: TypeAlias = Literal["tools", "json_schema", "temperature", "logprobs", "images", "reasoning"]
Usd: TypeAlias = Annotated[float, msgspec.Meta(ge=0, lt=1e6)]
Tokens: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
Table = TypeVar("Table")
ALLOWED = {
    "input_usd": "US dollars per million tokens",
    "cached_input_usd": "US dollars per million tokens",
    "cache_write_usd": "US dollars per million tokens",
    "output_usd": "US dollars per million tokens",
    "context_tokens": "a whole number above 0",
    "output_tokens": "a whole number above 0",
    "tokens_field": "max_tokens or max_completion_tokens",
    "capabilities": "tools, json_schema, temperature, logprobs, images, reasoning",
}
FORM = "PROVIDER/MODEL, or a URL such as http://127.0.0.1:9000/v1#MODEL"


class RemoteModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model that answers elsewhere.

    Prices are US dollars per million tokens, None where they are not known; input that was cached, or that is newly put
    into the provider's cache, costs as much as other input where it has no price of its own. `context_tokens` bounds
    prompt and answer together, `output_tokens` the answer. `capabilities` None: nobody knows. `as_of` is the date of
    the prices.
    """

    name: str
    input_usd: Usd | None = None
    cached_input_usd: Usd | None = None
    cache_write_usd: Usd | None = None
    output_usd: Usd | None = None
    context_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    capabilities: tuple[Capability, ...] | None = None
    as_of: str | None = None

    @property
    def prices(self) -> Prices | None:
        """None where they are not known."""
        if self.input_usd is None or self.output_usd is None:
            return None
        return prices_of(self.input_usd, self.output_usd, self.cached_input_usd, self.cache_write_usd)

    def can(self, capability: Capability) -> bool | None:
        """None: nobody knows."""
        return None if self.capabilities is None else capability in self.capabilities


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who answers. `key_variable` names the environment variable of the key, None where none is needed; `dialect` the
    API it speaks; `tokens_field` what it calls the bound of an answer. `any_model`: it also has models that are not in
    `models`."""

    name: str
    base_url: str
    dialect: str = "openai"
    key_variable: str | None = None
    title: str = ""
    tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    any_model: bool = False
    as_of: str | None = None
    models: Mapping[str, RemoteModel] = {}


class Remote(msgspec.Struct, frozen=True):
    """A model of a provider; `name` is what it is called by."""

    name: str
    provider: Provider
    model: RemoteModel


class Catalogue:
    """All providers, by name."""

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self.providers = providers

    def find(self, name: str) -> Remote:
        """The remote model of this name. Raises NotFound with near names, InputError for what is no name of one."""
        if is_url(name):
            return self._at_url(name)
        prefix, slash, model = name.partition("/")
        if not slash or not model:
            raise InputError("this is no name of a remote model", got=repr(name), allowed=FORM, param="model")
        if prefix not in self.providers:
            raise NotFound("no provider of this name", got=repr(prefix), allowed=", ".join(self.providers),
                           remedy=did_you_mean(prefix, self.providers) or "Add a [provider.NAME] table.",
                           param="model")  # fmt: skip
        provider = self.providers[prefix]
        found = provider.models.get(model) or (RemoteModel(model) if provider.any_model else None)
        if found is None:
            near = did_you_mean(model, provider.models)
            more = f'To use it anyway, add [provider.{prefix}.models."{model}"] to nanosmith.toml.'
            raise NotFound(f"the catalogue has no model of this name at {prefix}", got=repr(model),
                           remedy=f"{near} {more}" if near else more, param="model")  # fmt: skip
        return Remote(name, provider, found)

    def names(self, name: str) -> bool:
        """Whether a name is one of a remote model: a URL, or PROVIDER/MODEL with a provider that is known."""
        return is_url(name) or ("/" in name and name.partition("/")[0] in self.providers)

    def all(self) -> Iterator[Remote]:
        """Every listed model, by provider."""
        for provider in self.providers.values():
            for model in provider.models.values():
                yield Remote(f"{provider.name}/{model.name}", provider, model)

    def _at_url(self, name: str) -> Remote:
        """A URL with the model behind "#". A provider of that address lends its key and prices."""
        url, _, model = name.partition("#")
        if not model:
            raise InputError("the URL names no model", got=repr(name), allowed=FORM, param="model")
        url = check_url(url)
        for provider in self.providers.values():
            if provider.base_url == url and (model in provider.models or provider.any_model):
                return Remote(name, provider, provider.models.get(model) or RemoteModel(model))
        return Remote(name, Provider(url, url, any_model=True), RemoteModel(model))


def is_url(name: str) -> bool:
    return name.startswith(("http://", "https://"))


def is_remote(name: str) -> bool:
    """Whether a name is one of a remote model by its form: a URL, or PROVIDER/MODEL with a provider of the catalogue
    that comes with Nanosmith. A folder that exists goes first; the caller looks."""
    return is_url(name) or ("/" in name and name.partition("/")[0] in built_in())


def open_catalogue(tables: Mapping[str, Any] | None = None) -> Catalogue:
    """The catalogue with a configuration's `provider` tables over it, field by field. Raises InputError that names the
    field, as `provider.NAME.models.MODEL.input_usd`."""
    merged: dict[str, Any] = dict(built_in())
    for name, table in _tables(tables or {}, "provider").items():
        earlier = merged.get(name, {})
        models = dict(earlier.get("models", {}))
        for model, own in _tables(table.get("models", {}), f"provider.{name}.models").items():
            models[model] = {**models.get(model, {}), **own}
        merged[name] = {**earlier, **table, "models": models}
    return Catalogue({name: _provider(name, table) for name, table in merged.items()})


@cache
def built_in() -> Mapping[str, Any]:
    """catalogue.toml as it stands."""
    return tomllib.loads(files("nanosmith.predict.endpoint").joinpath("catalogue.toml").read_text(encoding="utf-8"))


def _tables(content: object, path: str) -> Mapping[str, Any]:
    """Raises InputError unless this is a table of tables."""
    wrong = content if not isinstance(content, Mapping) else next(
        (value for value in content.values() if not isinstance(value, Mapping)), None
    )  # fmt: skip
    if wrong is not None or not isinstance(content, Mapping):
        raise InputError("not a table", where=path, got=repr(wrong)[:80],
                         remedy=f"Write [{path}.NAME] and its fields below.", param=path)  # fmt: skip
    return content


def _provider(name: str, table: Mapping[str, Any]) -> Provider:
    path = f"provider.{name}"
    listed = table.get("models", {}).items()
    models = {model: _model(model, own, table, f"{path}.models.{model}") for model, own in listed}
    if "/" in name or not name:
        raise InputError("a provider's name has no slash", where=path, got=repr(name), param=path)
    provider = _struct({**table, "name": name, "models": {}}, Provider, path)
    registered = registry.registered("dialects")
    if provider.dialect not in registered:
        raise InputError("no such dialect", where=f"{path}.dialect", got=repr(provider.dialect),
                         allowed=", ".join(registered), param=f"{path}.dialect")  # fmt: skip
    url = check_url(provider.base_url, f"{path}.base_url")
    return msgspec.structs.replace(provider, base_url=url, models=models)


def _model(name: str, own: Mapping[str, Any], provider: Mapping[str, Any], path: str) -> RemoteModel:
    dated = {"as_of": provider["as_of"]} if "as_of" in provider else {}
    return _struct({**dated, **own, "name": name}, RemoteModel, path)


def _struct(content: Mapping[str, Any], type: type[Table], path: str) -> Table:
    plain = {key: value.isoformat() if isinstance(value, date) else value for key, value in content.items()}
    try:
        return to_struct(plain, type, ALLOWED)
    except InputError as error:
        where = f"{path}.{error.param}" if error.param else path
        raise InputError(f"a table of nanosmith.toml is wrong: {error}", where=path, param=where,
                         remedy="See docs/providers.md for its fields.") from error  # fmt: skip


def check_url(url: str, where: str = "model") -> str:
    """The address without a slash at its end. Raises InputError unless it is http or https, of a host, without a user,
    a query or a fragment."""
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        fine = False
    if not fine or "@" in parts.netloc or parts.query or parts.fragment or any(c.isspace() for c in url):
        shown = url.rpartition("@")[2]  # what stands before may be a password
        raise InputError("not the address of an API", where=where, got=repr(shown), param=where,
                         allowed="http or https, a host and a path; no user, query or fragment")  # fmt: skip
    return url.rstrip("/")

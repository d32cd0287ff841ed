"""From the `model` of a job to the local model that is tuned for it; the table is models.toml."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files

import msgspec

from nanosmith.core.errors import InputError, did_you_mean
from nanosmith.core.settings import Size

TUNED = "ft:"
SNAPSHOT = r"-(\d.*|latest)"


class LocalModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is tuned; `vendor` is None for our own names."""

    size: Size
    base: str
    vendor: str | None = None


@cache
def base_models() -> dict[str, LocalModel]:
    """All names of the table."""
    content = files("nanosmith.jobs").joinpath("models.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(content), dict[str, LocalModel])


def resolve(name: str) -> LocalModel:
    """The local model for `name`. Raises InputError (model_not_found, with near names) with param "model"."""
    if name.startswith(TUNED):
        raise InputError(
            "a fine-tuned model cannot be tuned further yet",
            got=repr(name), allowed="a base model", code="unsupported_model", param="model",
            remedy="Name the model that it was tuned from, and train on the old and new examples together.",
        )  # fmt: skip
    known = base_models()
    fitting = [prefix for prefix in known if re.fullmatch(rf"{re.escape(prefix)}({SNAPSHOT})?", name)]
    if not fitting:
        raise InputError(
            "no model of this name can be fine-tuned",
            got=repr(name), allowed=", ".join(known), remedy=did_you_mean(name, known),
            code="model_not_found", param="model",
        )  # fmt: skip
    return known[max(fitting, key=len)]

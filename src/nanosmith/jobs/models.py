"""From the `model` of a job to the local model that is tuned for it; the table is models.toml."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files

import msgspec

from nanosmith.core.errors import InputError, did_you_mean
from nanosmith.core.settings import Size
from nanosmith.core.task import Kind
from nanosmith.store.ledger import Ledger

TUNED = "ft:"
SNAPSHOT = r"-(\d.*|latest)"


class LocalModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is tuned; `vendor` is None for our own names. `tuned`: `base` is the name of a fine-tuned model."""

    size: Size
    base: str
    vendor: str | None = None
    tuned: bool = False


@cache
def base_models() -> dict[str, LocalModel]:
    """All names of the table."""
    content = files("nanosmith.jobs").joinpath("models.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(content), dict[str, LocalModel])


def fitting(local: LocalModel, kind: Kind) -> LocalModel:
    """The same for examples of this kind: what a name of the table stands for only holds for labels."""
    writes = kind == "text" and not local.tuned and local.size not in ("auto", "mini")
    return msgspec.structs.replace(local, size="auto") if writes else local


def resolve(name: str, ledger: Ledger | None = None) -> LocalModel:
    """The local model for `name`: a base, or a fine-tuned model of `ledger`, which is then trained further.

    Raises InputError (model_not_found, with near names) with param "model".
    """
    known = base_models()
    fitting = [prefix for prefix in known if re.fullmatch(rf"{re.escape(prefix)}({SNAPSHOT})?", name)]
    if fitting:
        return known[max(fitting, key=len)]
    if ledger is not None and ledger.model(name) is not None:
        return LocalModel("auto", name, tuned=True)
    tuned = [row.name for row in ledger.models()] if ledger is not None else []
    is_tuned = name.startswith(TUNED)
    raise InputError(
        "no fine-tuned model of this name is here" if is_tuned else "no model of this name can be fine-tuned",
        got=repr(name), allowed=f"{', '.join(known)}, or a fine-tuned model", code="model_not_found", param="model",
        remedy=did_you_mean(name, [*tuned, *known]),
    )  # fmt: skip

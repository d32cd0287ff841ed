"""The create-job request: OpenAI's fields, and our own under `nanosmith`.

Unknown keys are ignored, as OpenAI's clients send new ones over time; inside `nanosmith` they are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from nanosmith.core import registry
from nanosmith.core.errors import InputError, did_you_mean
from nanosmith.core.fields import Metadata
from nanosmith.core.limits import MAX_METADATA_PAIRS
from nanosmith.core.settings import LabelErrors, Size, TuneSettings, parse_duration
from nanosmith.core.structs import to_struct, wrong_value
from nanosmith.jobs.models import LocalModel

Auto: TypeAlias = Literal["auto"]
MAX_SEED = 2**31 - 1
ALLOWED = {
    "n_epochs": 'an integer from 1 to 50, or "auto"',
    "batch_size": 'an integer from 1 to 256, or "auto"',
    "learning_rate_multiplier": 'a number above 0, or "auto"',
    "beta": 'a number above 0, at most 2, or "auto"',
    "suffix": "a string of 1 to 64 characters",
    "seed": f"an integer from 0 to {MAX_SEED}",
    "integrations": "at most 5",
    "metadata": f"at most {MAX_METADATA_PAIRS} pairs of strings, keys of at most 64 characters, values of at most 512, "
    "none with NUL",
    "refuse": "a number above 0, below 1",
    "budget": 'a duration such as "5m", or seconds',
}


class Hyperparameters(msgspec.Struct, frozen=True):
    n_epochs: Annotated[int, Meta(ge=1, le=50)] | Auto = "auto"
    batch_size: Annotated[int, Meta(ge=1, le=256)] | Auto = "auto"
    learning_rate_multiplier: Annotated[float, Meta(gt=0)] | Auto = "auto"


class Supervised(msgspec.Struct, frozen=True):
    hyperparameters: Hyperparameters | None = None


class DpoHyperparameters(Hyperparameters, frozen=True):
    beta: Annotated[float, Meta(gt=0, le=2)] | Auto = "auto"


class Dpo(msgspec.Struct, frozen=True):
    hyperparameters: DpoHyperparameters | None = None


class Method(msgspec.Struct, frozen=True):
    """`reinforcement` is read and refused."""

    type: Literal["supervised", "dpo", "reinforcement"]
    supervised: Supervised | None = None
    dpo: Dpo | None = None
    reinforcement: dict[str, Any] | None = None


class Integration(msgspec.Struct, frozen=True):
    type: str


class Extension(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What OpenAI has no field for: `extra_body={"nanosmith": {…}}` in its Python client. The fields are TuneSettings';
    with `keep_examples` false a model's examples are not kept for its retraining."""

    budget: str | Annotated[float, Meta(gt=0)] | None = None
    size: Size | None = None
    recipe: str | None = None
    keep_examples: bool = True
    combined: bool = False
    noise: bool | None = None
    oos_label: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    refuse: Annotated[float, Meta(gt=0, lt=1)] = 0.05
    label_errors: LabelErrors = "keep"


class CreateJob(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`hyperparameters` is OpenAI's older place for what `method` holds; `method` wins."""

    model: str
    training_file: str
    validation_file: str | None = None
    method: Method | None = None
    hyperparameters: Hyperparameters | None = None
    suffix: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    seed: Annotated[int, Meta(ge=0, le=MAX_SEED)] | None = None
    integrations: Annotated[list[Integration], Meta(max_length=5)] | None = None
    metadata: Metadata = None
    nanosmith: Extension | None = None

    @property
    def asked(self) -> Hyperparameters:
        """The hyperparameters, wherever they stand in the request."""
        chosen = getattr(self.method, self.method.type) if self.method else None
        return (chosen and chosen.hyperparameters) or self.hyperparameters or Hyperparameters()

    @property
    def is_dpo(self) -> bool:
        """Whether the examples are preferences."""
        return self.method is not None and self.method.type == "dpo"


def read_request(content: Mapping[str, Any]) -> CreateJob:
    """Check a decoded body. Raises InputError whose param is the path of the field."""
    request = to_struct(content, CreateJob, ALLOWED)
    _refuse_unsupported(request)
    return request


def tune_settings(request: CreateJob, local: LocalModel, *, seed: int, name: str) -> TuneSettings:
    """What the flow is asked for. Raises InputError for a budget or recipe that cannot be."""
    own = request.nanosmith or Extension()
    asked = request.asked
    return TuneSettings(
        size=own.size or local.size,
        budget_s=_seconds(own.budget),
        seed=seed,
        recipe=_recipe(own.recipe),
        base=local.base,
        name=name,
        epochs=_given(asked.n_epochs),
        batch_size=_given(asked.batch_size),
        learning_rate_multiplier=_given(asked.learning_rate_multiplier),
        keep_examples=own.keep_examples,
        combined=own.combined,
        noise=own.noise,
        oos_label=own.oos_label,
        refuse=own.refuse,
        label_errors=own.label_errors,
        method="dpo" if request.is_dpo else None,
        beta=_given(getattr(asked, "beta", None)),
    )


def slug(suffix: str | None) -> str | None:
    """A suffix as it stands in a model's name: runs of characters other than letters, digits, "_", "-" and "." become
    one hyphen. Raises InputError when nothing is left."""
    if suffix is None:
        return None
    kept = re.sub(r"[^\w.-]+", "-", suffix).strip("-")
    if not kept:
        raise InputError("the suffix has no letter or digit", got=repr(suffix), param="suffix")
    return kept


def _refuse_unsupported(request: CreateJob) -> None:
    if request.method and request.method.type == "reinforcement":
        raise InputError(
            "this training method is not available here", where="method.type", got=repr(request.method.type),
            allowed="'supervised', 'dpo'", code="unsupported_method", param="method.type",
        )  # fmt: skip
    if request.integrations:
        raise InputError(
            "integrations are not available here", got=", ".join(repr(i.type) for i in request.integrations),
            remedy="Leave them out; the events and the result file hold the same figures.",
            code="unsupported_integration", param="integrations",
        )  # fmt: skip


def _seconds(budget: str | float | None) -> float | None:
    try:
        return None if budget is None else parse_duration(str(budget))
    except InputError:
        raise wrong_value("nanosmith.budget", budget, ALLOWED["budget"]) from None


def _recipe(name: str | None) -> str | None:
    known = registry.registered("recipes")
    if name is None or name in known or any(full.startswith(f"{name}/") for full in known):
        return name
    raise wrong_value("nanosmith.recipe", name, ", ".join(sorted(known)), did_you_mean(name, known))


def _given(value: Any) -> Any:
    return None if value == "auto" else value

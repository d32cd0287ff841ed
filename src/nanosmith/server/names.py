"""Names of models: the ones that answer, and the base models that a fine-tuning job can start from."""

from __future__ import annotations

from nanosmith.core.errors import InputError, did_you_mean
from nanosmith.jobs import models
from nanosmith.server.errors import ModelNotFound
from nanosmith.store.ledger import Ledger


def own_bases() -> list[str]:
    """Our own base models; vendors' names are accepted by jobs, but are not models that we have."""
    return [name for name, local in models.base_models().items() if local.vendor is None]


def is_base(name: str) -> bool:
    """Whether a job could start from this name."""
    try:
        models.resolve(name)
    except InputError:
        return False
    return True


def model_not_found(ledger: Ledger, name: str) -> ModelNotFound:
    """The error for a name that no local model has, with near names."""
    if is_base(name):
        return ModelNotFound(
            f"The model `{name[:200]}` is a base model, which does not answer",
            remedy="Fine-tune it with a fine-tuning job, then ask for the fine-tuned model.",
            param="model",
        )
    known = [*(row.name for row in ledger.models()), *own_bases()]
    remedy = did_you_mean(name[:200], known) or "GET /v1/models lists all models."
    return ModelNotFound(f"The model `{name[:200]}` does not exist", remedy=remedy, param="model")

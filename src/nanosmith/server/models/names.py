"""Names of models: the ones that answer, and the base models that a fine-tuning job can start from."""

from __future__ import annotations

from nanosmith.core.errors import InputError, did_you_mean
from nanosmith.jobs import models
from nanosmith.server.http.errors import ModelNotFound
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import ModelRow

ALIAS = "model.alias"
"""Documents whose id is the name that a fine-tuned model had at a vendor, their parent the job that makes it here."""


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


def callable_model(ledger: Ledger, name: str) -> tuple[ModelRow, str]:
    """The model that answers to this name, and whose project it is: an own one, also by the name it had at a vendor,
    else one that another project gave a permission for. Raises ModelNotFound."""
    own = ledger.model(name) or _imported(ledger, name)
    found = (own, ledger.project) if own is not None else ledger.shared_model(name)
    if found is None:
        raise model_not_found(ledger, name)
    return found


def _imported(ledger: Ledger, name: str) -> ModelRow | None:
    """The model of the job that was imported with this name. Raises ModelNotFound while that has none."""
    alias = ledger.document(ALIAS, name)
    job = ledger.job(alias.parent) if alias is not None and alias.parent is not None else None
    if job is None:
        return None
    if job.fine_tuned_model is None:
        raise ModelNotFound(
            f"The model `{name[:200]}` is to be made by an imported job, which has not succeeded",
            got=f"{job.id}, {job.status}", param="model",
        )  # fmt: skip
    return ledger.model(job.fine_tuned_model)


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

"""A vendor's fine-tuning job becomes a job here: same files, suffix, seed and metadata, a local model for the old name.

Its hyperparameters are chosen anew unless they are to be kept: the vendor wrote down those that "auto" had stood for
with a model of another size. Calls with the old name of the fine-tuned model reach the new one (`names.ALIAS`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.limits import MIN_EXAMPLES
from nanosmith.core.watch import Watch
from nanosmith.jobs import messages, models
from nanosmith.jobs.request import MAX_SEED, read_request, slug
from nanosmith.jobs.submit import submit
from nanosmith.server.migration.files import FileStep
from nanosmith.server.migration.found_files import FoundFiles, Unknown
from nanosmith.server.migration.plan import Item, made_id, unless_there
from nanosmith.server.migration.scan import Taken
from nanosmith.server.models.names import ALIAS
from nanosmith.server.services import Services
from nanosmith.store.ledger import new_event
from nanosmith.store.records import Document, JobRow

ENDED_BADLY = ("failed", "cancelled")
IMPORTED_FROM = "imported_from"
MAX_PAIRS = 16  # of metadata
FIELDS = ("n_epochs", "batch_size", "learning_rate_multiplier")


class VendorJob(msgspec.Struct):
    """What counts of OpenAI's job object. `user_provided_suffix` is in its answers, though not in its reference."""

    id: str
    model: str
    training_file: str
    validation_file: str | None = None
    status: str = "succeeded"
    fine_tuned_model: str | None = None
    user_provided_suffix: str | None = None
    seed: int | None = None
    hyperparameters: dict[str, Any] | None = None
    method: dict[str, Any] | None = None
    metadata: dict[str, str] | None = None
    integrations: list[Any] | None = None

    @property
    def suffix(self) -> str | None:
        """As given, else as it stands in the name of the fine-tuned model."""
        parts = (self.fine_tuned_model or "").split(":")
        return self.user_provided_suffix or (parts[3] if len(parts) >= 5 else None) or None

    @property
    def old_name(self) -> str | None:
        """Of the fine-tuned model."""
        name = self.fine_tuned_model or ""
        return name if name.startswith(models.TUNED) else None

    @property
    def method_type(self) -> str:
        found = (self.method or {}).get("type")
        return found if isinstance(found, str) else "supervised"

    @property
    def asked(self) -> dict[str, Any]:
        """The hyperparameters that have a value."""
        inner = (self.method or {}).get("supervised")
        found = (inner.get("hyperparameters") if isinstance(inner, dict) else None) or self.hyperparameters or {}
        return {name: found[name] for name in FIELDS if isinstance(found, dict) and found.get(name) is not None}


class JobStep:
    """`train` and `validation` are set by `find_files`, unless the item is blocked or left before."""

    train: FileStep
    validation: FileStep | None = None

    def __init__(self, taken: Taken, *, keep_hyperparameters: bool = False) -> None:
        name = f"job {str(taken.record.get('id'))[:80]}"
        self.item = Item("job", taken.source.name, name, name, "ready")
        self._keep = keep_hyperparameters
        try:
            self.vendor = msgspec.convert(taken.record, VendorJob)
        except msgspec.ValidationError as error:
            self.item.block(f"it is no fine-tuning job: {error}. Export it again.")
            return
        self.item.what = f"job {self.vendor.id} ({_described(self.vendor)})"
        if self.vendor.status in ENDED_BADLY:
            self.item.state, self.item.why = "left", f"at the vendor it ended as {self.vendor.status}"
            return
        try:
            checked = read_request(self._asked() | {"training_file": self.vendor.training_file})
            slug(checked.suffix)
            self._local = models.resolve(checked.model)
        except InputError as error:
            self.item.block(str(error))

    def find_files(self, found: FoundFiles) -> None:
        """Which files its ids mean."""
        if self.item.state != "ready":
            return
        try:
            self.train = found.file(self.vendor.training_file)
            if self.vendor.validation_file:
                self.validation = found.file(self.vendor.validation_file)
        except Unknown as error:
            self.item.block(str(error))

    def look(self, home: Services) -> None:
        """Whether its files can be used, what it would be, and whether it is there."""
        if self.item.state != "ready":
            return
        try:
            self._check_files()
        except InputError as error:
            self.item.block(str(error))
            return
        self.item.becomes = self._becomes(self._local)
        self._note_differences()
        job = home.ledger.job(self.id(home))
        if job is not None and self._has_alias(home, job):
            self.item.notes = [f"its status is {job.status}"]
            self.item.done(job.id)

    def id(self, home: Services) -> str:
        files = [self.train.sha256, self.validation.sha256 if self.validation else ""]
        return made_id("ftjob-", home.ledger.project, self.vendor.id, *files)

    def make(self, home: Services, _watch: Watch) -> None:
        id = self.id(home)
        if home.ledger.job(id) is None:
            said = new_event(id, messages.imported(self.vendor.id))
            with unless_there(lambda: home.ledger.job(id)):
                submit(home.ledger, home.home, self._request(home), id=id, also=[said])
        self._add_alias(home, id)
        self.item.done(id)

    def _request(self, home: Services) -> dict[str, Any]:
        request = self._asked() | {"training_file": self.train.id(home)}
        return request if self.validation is None else request | {"validation_file": self.validation.id(home)}

    def _asked(self) -> dict[str, Any]:
        """The request to create it, without files."""
        vendor = self.vendor
        request: dict[str, Any] = {
            "model": vendor.model, "suffix": vendor.suffix, "method": {"type": vendor.method_type},
            "metadata": _marked(vendor.metadata, vendor.id),
        }  # fmt: skip
        if vendor.seed is not None and 0 <= vendor.seed <= MAX_SEED:
            request["seed"] = vendor.seed
        if self._keep and vendor.method_type == "supervised":
            request["method"]["supervised"] = {"hyperparameters": vendor.asked}
        return request

    def _check_files(self) -> None:
        """Raises InputError."""
        for file in (self.train, *([self.validation] if self.validation else [])):
            if file.item.state == "blocked":
                raise InputError(f"{file.name} cannot be used, as is said there")
        if self.train.is_small:
            raise InputError(
                f"{self.train.name} has too few examples", allowed=f"at least {MIN_EXAMPLES}", remedy="Add examples."
            )

    def _becomes(self, local: models.LocalModel) -> str:
        validated = f", validated on {self.validation.name}" if self.validation else ""
        size = f"size {local.size}, base {local.base}"
        return f"fine-tuning job of a local model ({size}) with {self.train.name}{validated}"

    def _note_differences(self) -> None:
        vendor, notes = self.vendor, self.item.notes
        if vendor.old_name:
            notes.append(f"calls of {vendor.old_name} reach the new model once the job has succeeded")
        if vendor.asked and not self._keep:
            notes.append(
                "hyperparameters are chosen anew: the vendor's were for another model; or --keep-hyperparameters"
            )
        if vendor.integrations:
            notes.append("integrations are left out")

    def _has_alias(self, home: Services, job: JobRow) -> bool:
        old = self.vendor.old_name
        alias = home.ledger.document(ALIAS, old) if old else None
        return not old or (alias is not None and alias.parent == job.id)

    def _add_alias(self, home: Services, id: str) -> None:
        """The name means the newest job that was made from the vendor's."""
        old, ledger = self.vendor.old_name, home.ledger
        if not old or ledger.update_document(ALIAS, old, parent=id):
            return
        with unless_there(lambda: ledger.document(ALIAS, old)):
            ledger.add(Document(ALIAS, old, int(time.time()), {}, parent=id))


def _described(vendor: VendorJob) -> str:
    method = [] if vendor.method_type == "supervised" else [vendor.method_type]
    asked = [f"{name} {value}" for name, value in vendor.asked.items()]
    suffix = [f"suffix {vendor.suffix}"] if vendor.suffix else []
    return ", ".join([vendor.model, *method, *asked, *suffix])


def _marked(metadata: Mapping[str, str] | None, id: str) -> dict[str, str]:
    given = dict(metadata or {})
    return given | {IMPORTED_FROM: id} if len(given) < MAX_PAIRS else given

"""The story of a fine-tuning: examples → Task → recipe → draft → sealed bundle → report through the runtime → gate."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from nanosmith.core.errors import GateRefused, InputError
from nanosmith.core.manifest import BaseRef, DataRef, Manifest
from nanosmith.core.settings import TuneSettings
from nanosmith.core.watch import Watch
from nanosmith.data.dataset import Dataset
from nanosmith.flows.assemble import TuneData, open_base, recipes_for, require_training, samples, tune_data
from nanosmith.flows.budget import Budget
from nanosmith.flows.choose import Chooser, Chosen
from nanosmith.flows.evaluate import made, size_bytes
from nanosmith.predict.open import open_predictor
from nanosmith.score.evaluate import evaluate
from nanosmith.score.render import as_html
from nanosmith.score.report import Report
from nanosmith.store.atomic import disk_errors, part_prefix
from nanosmith.store.bundles import Bundle, add_files, require_absent, seal
from nanosmith.store.home import Home, open_home
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import ModelRow
from nanosmith.version import __version__

if TYPE_CHECKING:
    from nanosmith.recipes.work import Draft, Model

RESERVE_S = 15.0  # of a budget: writing, sealing, the report's page
RESERVE_EXAMPLE_S = 0.01  # of a budget: each example that the gate or the report answers


class Tuned(msgspec.Struct, frozen=True):
    """What a run gave. `model_name` is the name by which the model is served."""

    bundle: Bundle
    report: Report
    model_name: str
    recipe: str
    trained_tokens: int


def tune(
    train: Path | Dataset,
    *,
    test: Path | Dataset | None = None,
    settings: TuneSettings | None = None,
    home: Home | None = None,
    out: Path | None = None,
    watch: Watch | None = None,
    keep_checkpoints: int = 0,
) -> Tuned:
    """Tune, seal, evaluate and register a model.

    The bundle goes to `out`, else into the home. `keep_checkpoints` is how many of the last epochs' models are kept
    too. Raises InputError, MissingExtra, NotFound, Damaged, GateRefused, StorageFull, Cancelled; then nothing is left.
    """
    settings, watch, home = settings or TuneSettings(), watch or Watch(), home or open_home()
    require_training()
    if out is not None:
        require_absent(out)
    recipes = recipes_for(settings)
    began = time.monotonic()
    data = tune_data(train, test, settings, watch)
    budget = Budget(settings.budget_s, RESERVE_S + RESERVE_EXAMPLE_S * (len(data.test) + min(1_000, len(data.train))))
    with _Workshop(data, settings, home, keep_checkpoints) as shop:
        keep = shop.keep_draft if keep_checkpoints else None
        chosen = Chooser(data.train, shop.base, settings, budget, watch, keep).choose(recipes)
        draft = shop.write(chosen.model, chosen.check)
        bundle = shop.seal(chosen, draft, shop.name, out, {"seconds": round(time.monotonic() - began, 1)})
        report = _report(bundle, data, watch)
        page = as_html(report).encode()
        bundle = add_files(bundle, {"report.json": msgspec.json.encode(report), "report.html": page})
        for step, figures, checkpoint in shop.checkpoints_of(chosen.fit):
            name = f"{shop.name}:ckpt-step-{step}"
            shop.register(name, shop.seal(chosen, checkpoint, name, None, {}))
            watch.checkpoint(step, figures, name)
        shop.register(shop.name, bundle)
    return Tuned(bundle, report, shop.name, chosen.recipe, chosen.model.trained_tokens)


class _Workshop:
    """The drafts and bundles of one run: all of them are removed when the run does not end well."""

    def __init__(self, data: TuneData, settings: TuneSettings, home: Home, keep_checkpoints: int) -> None:
        self._data, self._home, self._keep = data.train, home, keep_checkpoints
        self._ledger = Ledger(home.ledger)
        self.name = _free_name(settings.name, self._data, self._ledger)
        self.base = open_base(settings.base, home)
        self._checkpoints: list[tuple[int, int, dict[str, float], tuple[Path, Draft]]] = []
        self._sealed: list[Path] = []
        self._registered: list[str] = []

    def __enter__(self) -> _Workshop:
        self._home.bundles.mkdir(exist_ok=True)
        self._drafts = Path(tempfile.mkdtemp(dir=self._home.bundles, prefix=part_prefix()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._drafts, ignore_errors=True)
        if error is not None:
            for name in self._registered:
                self._ledger.delete_model(name)
            for path in self._sealed:
                shutil.rmtree(path, ignore_errors=True)
        self._ledger.close()

    def write(self, model: Model, check: Any) -> tuple[Path, Draft]:
        """Write a model's files into a new draft folder."""
        folder = Path(tempfile.mkdtemp(dir=self._drafts))
        with disk_errors(folder):
            return folder, model.write(folder, check)

    def keep_draft(self, fit: int, step: int, figures: dict[str, float], model: Model) -> None:
        """Keep a checkpoint; those of an earlier fit go, and the oldest one when there are too many."""
        kept = [one for one in self._checkpoints if one[0] == fit]
        kept.append((fit, step, figures, self.write(model, samples(self._data, []))))
        kept = kept[-self._keep :]
        for one in self._checkpoints:
            if one not in kept:
                shutil.rmtree(one[3][0])
        self._checkpoints = kept

    def checkpoints_of(self, fit: int) -> list[tuple[int, dict[str, float], tuple[Path, Draft]]]:
        """Step, figures and draft of the checkpoints of the fit whose model was kept; others are dropped."""
        return [one[1:] for one in self._checkpoints if one[0] == fit]

    def seal(
        self, chosen: Chosen, written: tuple[Path, Draft], name: str, out: Path | None, notes: dict[str, Any]
    ) -> Bundle:
        folder, draft = written
        base = self.base.folder
        manifest = Manifest(
            name=name, created_at=int(time.time()), predictor=draft.predictor, recipe=chosen.recipe,
            task=self._data.task, max_tokens=draft.max_tokens, base=BaseRef(base.name, base.sha256),
            data=DataRef(self._data.digest, len(self._data), chosen.tune_examples), calibration=chosen.calibration,
            settings=draft.settings, notes={**chosen.notes, **draft.notes, **notes}, files={}, nanosmith=__version__,
        )  # fmt: skip
        target = out or self._home.bundles / f"{_slug(name)}-{secrets.token_hex(4)}"
        bundle = seal(folder, manifest, target)
        self._sealed.append(target)
        return bundle

    def register(self, name: str, bundle: Bundle) -> None:
        """Make the bundle callable by its name."""
        path = bundle.path.resolve()
        inside = path.is_relative_to(self._home.bundles)
        place = path.relative_to(self._home.bundles) if inside else path
        manifest = bundle.manifest
        self._ledger.add_model(ModelRow(name, manifest.created_at, str(place), bundle.digest, manifest.base.name))
        self._registered.append(name)


def _report(bundle: Bundle, data: TuneData, watch: Watch) -> Report:
    """Score the sealed bundle on the test data; refuse one that learned nothing."""
    told = {"evaluated_file": data.note, **made(bundle.manifest), "why": data.train.why}
    inputs = [example.messages for example in data.test.examples]
    report = evaluate(open_predictor(bundle), inputs, data.test.values, watch=watch,
                      bytes=size_bytes(bundle.manifest), made=told)  # fmt: skip
    most_frequent = Counter(data.test.values).most_common(1)[0][1] / len(data.test)
    if report.accuracy_interval[1] < most_frequent:
        raise GateRefused(
            "the model is worse than always giving the most frequent answer",
            got=f"{report.accuracy:.1%} right", allowed=f"{most_frequent:.1%} and more",
            remedy="Look at the data with nanosmith check: are the answers to be known from the inputs?",
        )  # fmt: skip
    return report


def _free_name(wanted: str | None, data: Dataset, ledger: Ledger) -> str:
    """`wanted`, which must be free, or the file's name with a number when it is taken."""
    taken = {row.name for row in ledger.models()}
    if wanted is not None:
        if wanted in taken:
            raise InputError("a model of this name exists already", got=repr(wanted),
                             remedy="Choose another with --name, or delete the old one.", param="name")  # fmt: skip
        return wanted
    stem = _slug(data.source.stem) if data.source else "model"
    numbered = (f"{stem}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (stem, *numbered) if name not in taken)


def _slug(name: str) -> str:
    """A name that is safe as a folder."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "model"

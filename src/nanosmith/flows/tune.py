"""The story of a fine-tuning: examples → Task → recipe → draft → sealed bundle → report through the runtime → gate."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from nanosmith.core.errors import GateRefused, StorageFull
from nanosmith.core.manifest import BaseRef, DataRef, Manifest
from nanosmith.core.settings import TuneSettings
from nanosmith.core.watch import Watch
from nanosmith.data.dataset import Dataset
from nanosmith.data.kept import Kept, forget, keep
from nanosmith.flows.assemble import TuneData, open_base, recipes_for, require_training, samples, tune_data
from nanosmith.flows.audit import audited
from nanosmith.flows.budget import Budget
from nanosmith.flows.choose import WORDS, Chooser, Chosen
from nanosmith.flows.decoders import writing
from nanosmith.flows.earlier import find_earlier
from nanosmith.flows.evaluate import made, quick_robustness, size_bytes
from nanosmith.flows.explanations import with_explanations
from nanosmith.flows.forgetting import figures_of, measure, require_memory
from nanosmith.flows.progress import INTERVAL_S, Progress, run_key
from nanosmith.flows.record_settings import RECIPE
from nanosmith.flows.register import free_name, new_folder, row_of, slug
from nanosmith.flows.retrain import Retrainer
from nanosmith.flows.retrain_data import Plan, plan_retraining
from nanosmith.flows.spelling import add_spelling
from nanosmith.flows.text_settings import by_decoder
from nanosmith.flows.tune_record import RecordFitter, finds_more
from nanosmith.flows.tune_text import TextFitter, report_texts
from nanosmith.predict.open import open_predictor
from nanosmith.predict.scope import SCOPE_FILE
from nanosmith.score.evaluate import evaluate
from nanosmith.score.render import as_html
from nanosmith.score.report import Report
from nanosmith.store import checkpoints
from nanosmith.store.atomic import disk_errors, part_prefix
from nanosmith.store.bundles import Bundle, add_files, require_absent, seal
from nanosmith.store.home import Home, open_home
from nanosmith.store.ledger import Ledger, open_ledger
from nanosmith.store.records import ModelRow
from nanosmith.version import __version__

if TYPE_CHECKING:
    from nanosmith.recipes.parts.base import Base
    from nanosmith.recipes.parts.decoder import Decoder
    from nanosmith.recipes.work import Draft, Model

RESERVE_S = 45.0  # of a budget: writing, sealing, out of scope, spelling, explanations, the report's page
RESERVE_EXAMPLE_S = 0.01  # of a budget: each example that the gate or the report answers
DRAFT, ABOUT = "draft", "about.json"  # of a checkpoint that is not sealed yet


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
    ledger: Ledger | None = None,
    out: Path | None = None,
    watch: Watch | None = None,
    keep_checkpoints: int = 0,
    state: Path | None = None,
    state_interval_s: float = INTERVAL_S,
) -> Tuned:
    """Tune, seal, evaluate and register a model.

    The bundle goes to `out`, else into the home; it is registered in `ledger`, by default the home's.
    `keep_checkpoints` is how many of the last epochs' models are kept too.

    In the folder `state`, which is of this run alone, the run keeps how far it is, at most every `state_interval_s`
    seconds (0: at every step). Called again with the same data and settings after it was killed, it goes on from there,
    and replaces what it had registered under `settings.name` and its checkpoints' names. The caller removes the folder.

    Raises InputError, MissingExtra, NotFound, Damaged, GateRefused, StorageFull, Cancelled; then nothing is left but
    `state`, and the checkpoints that `watch` was told of.
    """
    settings, watch, home = settings or TuneSettings(), watch or Watch(), home or open_home()
    require_training()
    if out is not None:
        require_absent(out)
    earlier = find_earlier(settings, home, ledger)
    recipes = (earlier.recipe(settings),) if earlier else recipes_for(settings)
    began = time.monotonic()
    plan = plan_retraining(earlier, train, test, settings, home, watch) if earlier else None
    data = plan.data if plan else tune_data(train, test, settings, watch)
    budget = Budget(settings.budget_s, RESERVE_S + RESERVE_EXAMPLE_S * (len(data.test) + min(1_000, len(data.train))))
    data, base = audited(data, settings, home, watch) if settings.label_errors != "keep" else (data, None)
    decoder = None if plan or not by_decoder(data.train.task, settings) else writing(settings, home, out, watch)
    with _Workshop(data, settings, home, ledger, keep_checkpoints, state, plan, decoder or base) as shop:
        progress = shop.open_progress(watch, state_interval_s)
        earlier_s = progress.spent_s
        budget.spend(earlier_s)
        keep_draft = shop.keep_draft if keep_checkpoints else None
        chosen = _chosen(shop, data, plan, decoder, settings, recipes, budget, progress, watch, keep_draft)
        draft = shop.write(chosen, data, watch, spelling=settings.noise is not False and not decoder)
        bundle = shop.seal(chosen, draft, shop.name, out, {"seconds": round(earlier_s + time.monotonic() - began, 1)})
        bundle = _guarded(bundle, plan, watch) if plan else bundle
        report = report_texts(bundle, data, settings, watch) if decoder else _report(bundle, data, watch)
        page = as_html(report).encode()
        bundle = add_files(bundle, {"report.json": msgspec.json.encode(report), "report.html": page})
        shop.announce_checkpoints(chosen, watch)
        if settings.keep_examples:
            shop.keep_examples(watch)
        shop.register(shop.name, bundle)
    return Tuned(bundle, report, shop.name, chosen.recipe, chosen.model.trained_tokens)


def _chosen(
    shop: _Workshop, data: TuneData, plan: Plan | None, decoder: Decoder | None, settings: TuneSettings,
    recipes: tuple[str, ...], budget: Budget, progress: Progress, watch: Watch,
    keep_draft: Callable[[int, int, dict[str, float], Model], None] | None,
) -> Chosen:  # fmt: skip
    """What the kind of task and the settings ask for, fitted."""
    if plan and shop.tuned:
        return Retrainer(plan, shop.tuned, settings, budget, progress, watch, keep_draft).choose(recipes[0])
    if decoder:
        return TextFitter(data.train, decoder, settings, budget, progress, watch, keep_draft).choose()
    if data.train.task.kind == "record":
        return RecordFitter(data.train, shop.base, settings, budget, progress, watch, keep_draft).choose()
    return Chooser(
        data.train, shop.base, settings, budget, progress, watch, keep_draft, data.outside
    ).choose(recipes)  # fmt: skip


class _Workshop:
    """The drafts and bundles of one run: all of them are removed when the run does not end well."""

    def __init__(
        self, data: TuneData, settings: TuneSettings, home: Home, ledger: Ledger | None, keep_checkpoints: int,
        state: Path | None, plan: Plan | None = None, base: Base | Decoder | None = None,
    ) -> None:  # fmt: skip
        self._examples = plan.kept if plan else Kept(data.train, data.test)
        self._data, self._home, self._keep, self._state = data.train, home, keep_checkpoints, state
        self._own_ledger = ledger is None
        self._ledger = ledger or open_ledger(home)
        self.name = _free_name(settings.name, self._data, self._ledger, replace=state is not None)
        self.tuned = plan.earlier.open(home.cache) if plan else None
        self.base: Any = self.tuned or base or open_base(settings.base, home)
        self._inputs = {
            "settings": msgspec.structs.replace(settings, name=None), "recipes": recipes_for(settings),
            "base": self.base.folder.sha256, "task": data.train.task, "train": data.train.examples,
            "test": data.test.digest, "keep_checkpoints": keep_checkpoints, "outside": data.outside,
            "held": plan.held.digest if plan else None,
        }  # fmt: skip
        self._sealed: list[Path] = []
        self._registered: list[str] = []
        self._kept_examples = False

    def __enter__(self) -> _Workshop:
        self._home.bundles.mkdir(parents=True, exist_ok=True)
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
            if self._kept_examples:
                forget(self._home.examples, self._data.digest)
        if self._own_ledger:
            self._ledger.close()

    def open_progress(self, watch: Watch, interval_s: float) -> Progress:
        """How far an interrupted attempt at this run is; nothing is kept where no folder was given for it."""
        if self._state is None:
            self._progress = Progress(self._drafts, watch)
        else:
            self._progress = Progress(self._state / run_key(self._inputs), watch, interval_s)
        return self._progress

    def write(self, chosen: Chosen, data: TuneData, watch: Watch, *, spelling: bool) -> tuple[Path, Draft]:
        """Write the model's files into a new draft folder; with `spelling`, the words that it corrects by too, unless
        the model reads pieces of words, which cost it less than correcting them."""
        folder = Path(tempfile.mkdtemp(dir=self._drafts))
        if spelling and chosen.recipe not in (WORDS, RECIPE):
            add_spelling(folder, chosen, data, self.base, watch)
        if chosen.held_out:
            chosen.held_out.write(folder)
        with disk_errors(folder):
            if chosen.scope:
                chosen.scope.write(folder)
            return folder, chosen.model.write(folder, chosen.check)

    def keep_draft(self, fit: int, step: int, figures: dict[str, float], model: Model) -> None:
        """Keep a checkpoint; those of an earlier fit go, and the oldest one when there are too many."""
        told = {name: value for name, value in figures.items() if math.isfinite(value)}

        def write(folder: Path) -> None:
            (folder / DRAFT).mkdir()
            draft = model.write(folder / DRAFT, samples(self._data, []))
            (folder / ABOUT).write_bytes(msgspec.json.encode({"figures": told, "draft": draft}))

        checkpoints.save(self._progress.models(fit), step, write, keep=self._keep)
        for earlier in range(1, fit):
            shutil.rmtree(self._progress.models(earlier), ignore_errors=True)

    def announce_checkpoints(self, chosen: Chosen, watch: Watch) -> None:
        """Seal, register and tell of each checkpoint that was kept."""
        for step, figures, checkpoint in self.checkpoints_of(chosen.fit):
            name = f"{self.name}:ckpt-step-{step}"
            sealed = self.seal(chosen, checkpoint, name, None, {})
            self.register(name, sealed)
            watch.checkpoint(step, figures, name)
            self.leave(name, sealed)

    def checkpoints_of(self, fit: int) -> Iterator[tuple[int, dict[str, float], tuple[Path, Draft]]]:
        """Step, figures and a copy of the draft of each checkpoint of the fit whose model was kept."""
        from nanosmith.recipes.work import Draft

        for saved in checkpoints.all_right(self._progress.models(fit)):
            about = msgspec.json.decode((saved.path / ABOUT).read_bytes())
            copy = Path(tempfile.mkdtemp(dir=self._drafts))
            with disk_errors(copy):
                shutil.copytree(saved.path / DRAFT, copy, dirs_exist_ok=True)
            yield saved.step, about["figures"], (copy, msgspec.convert(about["draft"], Draft))

    def seal(
        self, chosen: Chosen, written: tuple[Path, Draft], name: str, out: Path | None, notes: dict[str, Any]
    ) -> Bundle:
        folder, draft = written
        base = self.base.folder
        scope = chosen.scope if (folder / SCOPE_FILE).is_file() else None  # checkpoints have none
        manifest = Manifest(
            name=name, created_at=int(time.time()), predictor=draft.predictor, recipe=chosen.recipe,
            task=self._data.task, max_tokens=draft.max_tokens, base=BaseRef(base.name, base.sha256),
            data=DataRef(self._data.digest, len(self._data), chosen.tune_examples), calibration=chosen.calibration,
            settings=draft.settings, notes={**chosen.notes, **draft.notes, **notes}, files={}, nanosmith=__version__,
            scope=scope.scope if scope else None,
        )  # fmt: skip
        target = out or new_folder(self._home, name)
        bundle = seal(folder, manifest, target)
        self._sealed.append(target)
        return bundle

    def register(self, name: str, bundle: Bundle) -> None:
        """Make the bundle callable by its name."""
        row = row_of(name, bundle, self._home)
        earlier = self._ledger.model(name) if self._state is not None else None
        if earlier is None:
            self._ledger.add_model(row)
            self._registered.append(name)
        else:
            self._replace(earlier, row, bundle)

    def _replace(self, earlier: ModelRow, row: ModelRow, bundle: Bundle) -> None:
        """A model that an interrupted attempt registered, and maybe announced: the name can be called all the time."""
        values = {"created_at": row.created_at, "bundle": row.bundle, "digest": row.digest, "base": row.base}
        self._ledger.update_model(row.name, **values)
        self._sealed.remove(bundle.path)
        if (folder := self._home.bundles / earlier.bundle).parent == self._home.bundles:
            shutil.rmtree(folder, ignore_errors=True)

    def keep_examples(self, watch: Watch) -> None:
        """Keep what the model was made from for its retraining; without room for that the model is whole all the
        same."""
        self._kept_examples = not (self._home.examples / self._data.digest).exists()
        try:
            keep(self._home.examples, self._data.digest, self._examples)
        except StorageFull as error:
            watch.message(f"The examples could not be kept for a later retraining. {error}", "warn")

    def leave(self, name: str, bundle: Bundle) -> None:
        """A checkpoint was announced: it stays, whatever becomes of the run."""
        self._registered = [other for other in self._registered if other != name]
        self._sealed = [path for path in self._sealed if path != bundle.path]


def _report(bundle: Bundle, data: TuneData, watch: Watch) -> Report:
    """Score the sealed bundle on the test data; refuse one that learned nothing."""
    told = {"evaluated_file": data.note, **made(bundle.manifest), "why": data.train.why}
    inputs = [example.messages for example in data.test.examples]
    predictor = open_predictor(bundle)
    report = evaluate(predictor, inputs, data.test.values, watch=watch,
                      bytes=size_bytes(bundle.manifest), made=told, outside=data.test_outside)  # fmt: skip
    ((constant, count),) = Counter(data.test.values).most_common(1)
    most_frequent = count / len(data.test)
    if report.accuracy_interval[1] < most_frequent and not finds_more(report, data.test, constant):
        raise GateRefused(
            "the model is worse than always giving the most frequent answer",
            got=f"{report.accuracy:.1%} right", allowed=f"{most_frequent:.1%} and more",
            remedy="Look at the data with nanosmith check: are the answers to be known from the inputs?",
        )  # fmt: skip
    if predictor.task.kind == "record":
        return report
    report = quick_robustness(report, predictor, inputs, data.test.values, seed=0, watch=watch)
    return with_explanations(report, predictor, inputs, watch)


def _guarded(bundle: Bundle, plan: Plan, watch: Watch) -> Bundle:
    """The bundle, whose manifest tells what the old classes have lost. Raises GateRefused where that is too much."""
    found = measure(plan, bundle, watch)
    require_memory(found, watch)
    notes = {**bundle.manifest.notes, "retrained": figures_of(found)}
    return Bundle(bundle.path, msgspec.structs.replace(bundle.manifest, notes=notes))


def _free_name(wanted: str | None, data: Dataset, ledger: Ledger, *, replace: bool) -> str:
    """`wanted`, or the file's name; see `free_name`."""
    stem = slug(data.source.stem) if data.source else "model"
    return free_name(wanted, stem, (row.name for row in ledger.models()), replace=replace)

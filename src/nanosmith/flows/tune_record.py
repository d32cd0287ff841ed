"""Records: one recipe, fitted once or, where there are few examples, for their confidences and then on all of them.

Confidences and the gate of the int8 graph need examples that the model has not seen. Of many a small share is held out;
few are too dear for that, so two models that each leave out a fifth tell how sure a third one may be, or one that
leaves out a tenth, where texts are long.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from nanosmith.core import registry
from nanosmith.core.manifest import Calibration
from nanosmith.core.record import RecordForm
from nanosmith.core.settings import TuneSettings
from nanosmith.core.task import Value
from nanosmith.core.watch import Watch
from nanosmith.data.dataset import Dataset
from nanosmith.data.record.align import align
from nanosmith.data.splits import Split, folds, split
from nanosmith.flows.budget import Budget
from nanosmith.flows.choose import Chosen
from nanosmith.flows.progress import Progress
from nanosmith.flows.record_settings import RECIPE
from nanosmith.predict.record_layout import Layout
from nanosmith.predict.record_reader import turn_of
from nanosmith.score.report import Report

if TYPE_CHECKING:
    from nanosmith.recipes.parts.base import Base
    from nanosmith.recipes.parts.record_model import RecordModel
    from nanosmith.recipes.parts.record_rows import RecordSamples

FEW = 2_000  # examples, up to which there is a last fit on all of them
SHORT = 400_000  # characters of all texts together, up to which the fits before it are crosswise
FOLDS, FITTED_FOLDS = 5, 2
TUNE_MAX = 500  # held-out examples of more
TUNE_SHARE = 0.1
MARGIN = 1.1


class RecordFitter:
    """Fits the record recipe to one Dataset. `checkpoint` is called with the number of the fit and the models of its
    epochs."""

    def __init__(
        self, data: Dataset, base: Base, settings: TuneSettings, budget: Budget, progress: Progress, watch: Watch,
        checkpoint: Callable[[int, int, dict[str, float], Any], None] | None = None,
    ) -> None:  # fmt: skip
        self._data, self._base, self._settings, self._budget = data, base, settings, budget
        self._progress, self._watch, self._checkpoint = progress, watch, checkpoint
        assert data.task.record is not None
        self._form: RecordForm = data.task.record
        self._fits = 0
        self._options = {"n_epochs": settings.epochs, "batch_size": settings.batch_size,
                         "learning_rate_multiplier": settings.learning_rate_multiplier}  # fmt: skip

    def choose(self) -> Chosen:
        """The fitted model, with its confidences."""
        from nanosmith.recipes.parts.record_figures import RECORD, confidences

        self._samples = samples_of(self._data)
        self._layout = self._layout_of(self._samples)
        splits = _splits(self._data, self._settings.seed)
        few = len(self._data) <= FEW
        rows, seconds, model = [], 0.0, None
        for number, one in enumerate(splits):
            if number and self._lacks(f"fit {number + 1}", 2 * seconds / number):
                break
            model, outcomes, took_s = self._tried(one, self._budget.left_s(), last=not few)
            rows.append(outcomes)
            seconds += took_s
        again = few and (model is None or not self._lacks("a fit on all", seconds / len(rows)))
        outcomes = np.concatenate(rows)
        whole = outcomes[outcomes[:, 0] == RECORD]
        self._watch.message(f"{RECIPE}: {whole[:, 2].mean():.1%} of {len(whole):,} held-out records wholly right "
                            f"({seconds:.0f} s).")  # fmt: skip
        if again:
            self._watch.message(f"{RECIPE} is fitted again, on all {len(self._data):,} training examples.")
            model, _ = self._fit(list(range(len(self._data))), splits[0].tune, self._budget.left_s(), last=True)
        assert model is not None  # only what is fitted again was saved without its model
        model.confidences = confidences(outcomes)
        figures = {"recipe": RECIPE, "record_match": float(whole[:, 2].mean()), "examples": len(whole),
                   "fits": len(rows), "seconds": round(seconds, 1)}  # fmt: skip
        notes = {"candidates": [figures], "fitted_on_all": again, "groups": len(self._layout.groups)}
        check: Any = self._samples.subset(splits[0].tune)
        return Chosen(RECIPE, cast(Any, model), check, self._fits, Calibration(examples=len(whole)), len(whole), notes)

    def _lacks(self, what: str, seconds: float) -> bool:
        """Whether the budget has no time for what takes so many seconds: a fit that is cut short is worse than one on
        fewer examples."""
        return self._progress.once(f"no {what}", MARGIN * seconds > self._budget.left_s())

    def _layout_of(self, samples: RecordSamples) -> Layout:
        from nanosmith.recipes.parts.encoder_model import plain_tokenizer
        from nanosmith.recipes.parts.record_rows import layout_of

        fields = [field.name for field in self._form.fields if field.type in ("span", "spans")]
        names = [*fields, *self._form.entities]
        return layout_of(plain_tokenizer(self._base), samples, names, self._base.max_tokens)

    def _tried(
        self, one: Split, limit_s: float, *, last: bool
    ) -> tuple[RecordModel | None, NDArray[np.float32], float]:
        """A model, the outcomes of its answers to held-out examples, and the seconds of both; or what is known."""
        if known := self._progress.scores(self._fits + 1):
            self._fits += 1
            return None, *known
        model, began_s = self._fit(one.train, one.tune, limit_s, last=last)
        outcomes = model.outcomes(self._samples.subset(one.tune))
        return model, outcomes, self._progress.finish(self._fits, outcomes, began_s)

    def _fit(self, train: list[int], tune: list[int], limit_s: float, *, last: bool) -> tuple[RecordModel, float]:
        """A model, and when its fit began, in seconds of the run."""
        from nanosmith.recipes.parts.record_work import RecordWork

        self._fits += 1
        keeper = self._progress.begin(self._fits)
        began_s = keeper.began_s if keeper else self._progress.spent_s
        work = RecordWork(
            form=self._form, layout=self._layout, train=self._samples.subset(train), tune=self._samples.subset(tune),
            base=self._base, seed=self._settings.seed, watch=self._watch,
            limit_s=None if limit_s == float("inf") else limit_s,
            options={name: value for name, value in self._options.items() if value is not None},
            checkpoint=partial(self._checkpoint, self._fits) if self._checkpoint and last else None, keeper=keeper,
        )  # fmt: skip
        model: RecordModel = registry.load("recipes", RECIPE)(work)
        return model, began_s


def samples_of(data: Dataset) -> RecordSamples:
    """What an encoder reads and shall find."""
    from nanosmith.recipes.parts.record_rows import RecordSamples

    aligned = align(data)
    turns = [turn_of(data.task, example.messages)[1] for example in data.examples]
    return RecordSamples(aligned.texts, turns, aligned.examples, [str(value) for value in data.values])


def finds_more(report: Report, test: Dataset, constant: Value) -> bool:
    """Whether a model of records finds more than always giving this record would, though fewer of its records may be
    wholly right: where most texts have nothing to find, the empty record is right most often."""
    from nanosmith.recipes.parts.record_figures import figures

    if test.task.record is None:
        return False
    wanted = [str(value) for value in test.values]
    return report.micro_f1 > figures(test.task.record, [str(constant)] * len(wanted), wanted).f1


def _splits(data: Dataset, seed: int) -> list[Split]:
    if len(data) <= FEW and sum(map(len, data.texts)) <= SHORT:
        usable = [one for one in folds(data, seed, FOLDS) if one.tune][:FITTED_FOLDS]
        if len(usable) > 1:
            return usable
    return [split(data, seed, min(TUNE_SHARE, TUNE_MAX / len(data)))]

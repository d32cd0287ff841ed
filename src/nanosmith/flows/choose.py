"""`auto`: try the cheap recipes first, score each on examples it has not seen, keep the smallest that is not worse.

Up to FOLDS_BELOW examples the scores are cross-validated; above, one held-out tenth tells as much and costs a fifth.
What is kept is then fitted again on all examples, as long as there are not so many that a tenth hardly counts, and the
time budget allows it; its calibration comes from the held-out scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from nanosmith.core import registry
from nanosmith.core.manifest import Calibration
from nanosmith.core.settings import TuneSettings
from nanosmith.core.watch import Watch
from nanosmith.data.as_labels import with_joins
from nanosmith.data.dataset import Dataset
from nanosmith.data.splits import Split, folds, split
from nanosmith.flows.assemble import names, samples
from nanosmith.flows.augmentation import augmentation
from nanosmith.flows.budget import Budget
from nanosmith.flows.held_out import HeldOut, judged
from nanosmith.flows.progress import Progress
from nanosmith.flows.scope import FittedScope, ScopeFitter
from nanosmith.score.calibration import fit_sigmoid_temperature, fit_temperature, fit_thresholds
from nanosmith.score.metrics import correct

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from nanosmith.recipes.parts.base import Base
    from nanosmith.recipes.work import Floats2d, Model, Samples, Targets

FOLDS_BELOW = 2_000  # examples
FOLDS = 5
EXPENSIVE = "tune_encoder/1"
FROZEN = "frozen_linear/1"
NAMED = (FROZEN, EXPENSIVE)  # recipes that know words which no example has
SEGMENTS = "tune_segments/1"  # in EXPENSIVE's place, where examples of one label are to be recognised in joined queries
COSTLY = (EXPENSIVE, SEGMENTS)
COSTLY_FOLDS = 2  # of the FOLDS
WORDS = "tfidf_linear/1"
STATIC = "static/1"
SMALLER = (STATIC, WORDS)  # the others have all the size of their encoder
FEW, LONG = 2_000, 20  # examples and words per text: of fewer and shorter ones words alone never were the best
FOREIGN = 1.8  # pieces per word from which on the encoder hardly knows the language, so that words alone may be better
LOOKED_AT, WORDS_LOOKED_AT = 1_000, 50  # texts, and words of each, for that
NOT_WORSE = 0.003  # accuracy that the smaller recipe may lack
TUNE_MAX = 2_000  # held-out examples
STATIC_SHARE = 0.5  # of the budget that is left, for the token vectors
LEAST_TUNING_S = 20.0
MANY = 20_000  # examples: the frozen encoder is not tried beside the tuned one, and nothing is fitted twice
NAMED_BELOW = 30  # examples per label: then the labels' names may serve as examples
NOISE_COSTS = 0.005  # accuracy that training on misspelled texts may cost


class Trial(msgspec.Struct, frozen=True):
    """A recipe fitted on some splits: its scores (N, L) for examples it had not seen, what was wanted of them, and
    whether each answer was right (N). All trials have their examples in the same order; some have fewer. `model` is
    None where the scores are those of an interrupted attempt."""

    recipe: str
    model: Model | None
    logits: Floats2d
    wanted: Targets
    right: NDArray[np.bool_]
    fits: int
    seconds: float
    fit: int = 0  # number of the fit that made the model
    whole: bool = False

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())

    @property
    def figures(self) -> dict[str, Any]:
        return {"recipe": self.recipe, "accuracy": self.accuracy, "examples": len(self.logits), "fits": self.fits,
                "seconds": round(self.seconds, 1)}  # fmt: skip


class Chosen(msgspec.Struct, frozen=True):
    """The kept model, the data for its parity gate, its calibration, and what is told about the choice."""

    recipe: str
    model: Model
    check: Samples
    fit: int
    calibration: Calibration
    tune_examples: int
    notes: dict[str, Any]
    scope: FittedScope | None = None
    held_out: HeldOut | None = None


class Chooser:
    """Tries recipes on one Dataset. `checkpoint` is called with the number of the fit and the models of its epochs;
    `outside` are texts that are about none of the labels."""

    def __init__(
        self, data: Dataset, base: Base, settings: TuneSettings, budget: Budget, progress: Progress, watch: Watch,
        checkpoint: Callable[[int, int, dict[str, float], Model], None] | None = None, outside: Sequence[str] = (),
    ) -> None:  # fmt: skip
        self._scope = ScopeFitter(data.task, outside, settings, progress)
        self._data, self._base, self._settings, self._budget = data, base, settings, budget
        self._progress, self._watch, self._checkpoint = progress, watch, checkpoint
        self._splits = _splits(data, settings.seed)
        self._fits = 0
        self._names: Samples | None = None
        self._unspoilt = False
        self._options = {"n_epochs": settings.epochs, "batch_size": settings.batch_size,
                         "learning_rate_multiplier": settings.learning_rate_multiplier}  # fmt: skip

    def choose(self, recipes: tuple[str, ...]) -> Chosen:
        """Try `recipes` in order, and finish the best."""
        trials: list[Trial] = []
        recipes = self._worth_trying(recipes)
        if any(recipe in NAMED for recipe in recipes):
            self._names = self._names_that_help()
        for recipe in recipes:
            if trials and recipe in COSTLY and self._progress.once("no tuning", self._budget.left_s() < LEAST_TUNING_S):
                self._watch.message(f"{recipe} is left out: {self._budget.left_s():.0f} s are too little", "warn")
                continue
            trials.append(self._tried(recipe))
            if self._is_spoilt_by_noise(trials):
                self._watch.message("Training on misspelled texts costs too much accuracy here; again without.", "warn")
                self._unspoilt = True
                trials[-1] = self._tried(recipe)
        best = pick(trials)
        final = self._finish(best)
        assert final.model is not None  # only what is fitted again was saved without its model
        if len(trials) > 1:
            self._watch.message(f"Kept: {best.recipe}.")
        tune = self._splits[0].tune
        notes = {"candidates": [trial.figures for trial in trials], "fitted_on_all": final.whole}
        calibration = calibrate(self._data.task.kind, best.logits, best.wanted, decided=best.recipe == SEGMENTS)
        looks = range(best.fit - best.fits + 1, best.fit + 1)
        scope = self._scope.fitted(looks, final.model, samples(self._data))
        return Chosen(
            best.recipe, final.model, self._held_out(tune), final.fit, calibration, len(best.logits), notes, scope,
            self._judged(best, calibration),
        )  # fmt: skip

    def _judged(self, trial: Trial, calibration: Calibration) -> HeldOut | None:
        """The held-out answers; those of joined queries are none to examples of the file."""
        if self._settings.combined:
            return None
        rows = [row for one in self._splits for row in one.tune]
        return judged(self._data, rows[: len(trial.logits)], trial.logits, calibration)

    def _worth_trying(self, recipes: tuple[str, ...]) -> tuple[str, ...]:
        """Without those that never were the best for so few or so many examples, or for such texts; for joined queries
        the one that is made for them."""
        if self._settings.combined and EXPENSIVE in recipes and len(recipes) > 1 and self._have_one_label():
            return (SEGMENTS,)
        size, left_out = len(self._data), set()
        if size > MANY and EXPENSIVE in recipes:
            left_out.add(FROZEN)
        if len(recipes) > 1 and (size < FEW or EXPENSIVE in recipes) and not self._may_be_words_alone():
            left_out.add(WORDS)
        others = {*recipes} - left_out - {STATIC}
        if STATIC in recipes and others and self._progress.once("no static", self._is_static_slow()):
            self._watch.message(f"{STATIC} is left out: its token vectors would take over half of the budget.", "warn")
            left_out.add(STATIC)
        return tuple(recipe for recipe in recipes if recipe not in left_out)

    def _is_static_slow(self) -> bool:
        """Whether a first static model, which makes the token vectors for all later ones, has too little time."""
        left_s = self._budget.left_s()
        return left_s < float("inf") and self._base.token_vectors_s() > STATIC_SHARE * left_s

    def _have_one_label(self) -> bool:
        return all(len(value) == 1 for value in self._data.values)

    def _may_be_words_alone(self) -> bool:
        """Whether texts are long, or of a language that the encoder does not know."""
        texts = self._data.texts
        return sum(len(text.split()) for text in texts) >= LONG * len(texts) or is_foreign(texts, self._base.tokenizer)

    def _tried(self, recipe: str) -> Trial:
        trial = self._try(recipe)
        if trial.model:
            self._watch.message(_said(trial))
        return trial

    def _noise(self, recipe: str) -> bool:
        """Whether a recipe trains on misspelled texts too. Unasked, only the one that learns from many passes does."""
        return recipe in COSTLY and not self._unspoilt if self._settings.noise is None else self._settings.noise

    def _is_spoilt_by_noise(self, trials: list[Trial]) -> bool:
        """Whether the last trial, had with noise that nobody asked for, is worse than a simpler recipe without."""
        if self._settings.noise is not None or not self._noise(trials[-1].recipe) or len(trials) < 2:
            return False
        shared = min(len(trial.right) for trial in trials)
        clean = max(float(trial.right[:shared].mean()) for trial in trials[:-1])
        return float(trials[-1].right[:shared].mean()) < clean - NOISE_COSTS

    def _try(self, recipe: str) -> Trial:
        splits = self._splits[:COSTLY_FOLDS] if recipe in COSTLY else self._splits
        fits = len(splits) + (len(self._splits) > 1)  # folds are always followed by a fit on all examples
        models, rows, seconds = [], [], 0.0
        for number, one in enumerate(splits):
            limit_s = self._budget.left_s() / (fits - number) if recipe in COSTLY else None
            held_out = self._held_out(one.tune)
            model, logits, took_s = self._scored(recipe, one.train, held_out, limit_s, last=fits == 1)
            models.append(model)
            rows.append((logits, held_out.targets))
            seconds += took_s
        logits = np.concatenate([row[0] for row in rows])
        wanted = np.concatenate([row[1] for row in rows])
        right = is_right(self._data.task.kind, logits, wanted)
        return Trial(recipe, models[-1], logits, wanted, right, len(splits), seconds, self._fits)

    def _scored(
        self, recipe: str, train: list[int], held_out: Samples, limit_s: float | None, *, last: bool
    ) -> tuple[Model | None, Floats2d, float]:
        """A model, its scores of the held-out examples, and the seconds of both; or what is known of them."""
        if known := self._progress.scores(self._fits + 1):
            self._fits += 1
            return None, *known
        model, began_s = self._fit(recipe, train, held_out, limit_s, last=last)
        logits = model.logits(held_out.texts)
        self._scope.look(self._fits, model, samples(self._data, train), held_out, logits)
        return model, logits, self._progress.finish(self._fits, logits, began_s)

    def _finish(self, trial: Trial) -> Trial:
        """The same recipe on all examples; after a single costly fit only if the budget has the time for another."""
        again_s = trial.seconds / trial.fits * len(self._data) / max(1, len(self._splits[0].train))
        costly = trial.recipe in COSTLY and len(self._splits) == 1
        if costly and len(self._data) > MANY:
            return trial
        if costly and self._progress.once("no second fit", 1.1 * again_s > self._budget.left_s()):
            self._watch.message("The held-out tenth stays out of training: the budget has no time for a second fit.")
            return trial
        limit_s = self._budget.left_s() if trial.recipe in COSTLY else None
        self._watch.message(f"{trial.recipe} is fitted again, on all {len(self._data):,} training examples.")
        everything = list(range(len(self._data)))
        model, _ = self._fit(trial.recipe, everything, self._held_out(self._splits[0].tune), limit_s, last=True)
        return msgspec.structs.replace(trial, model=model, fit=self._fits, whole=True)

    def _fit(
        self, recipe: str, train: list[int], held_out: Samples, limit_s: float | None, *, last: bool
    ) -> tuple[Model, float]:
        """A model, and when its fit began, in seconds of the run."""
        from nanosmith.recipes.work import Work

        self._fits += 1
        if recipe in NAMED and self._progress.keeps:
            self._read_texts()
        keeper = self._progress.begin(self._fits)
        began_s = keeper.began_s if keeper else self._progress.spent_s
        learned = samples(self._data, train)
        work = Work(
            task=self._data.task, train=learned + self._names if self._names and recipe in NAMED else learned,
            tune=held_out, base=self._base,
            seed=self._settings.seed, watch=self._watch, limit_s=None if limit_s == float("inf") else limit_s,
            options={name: value for name, value in self._options.items() if value is not None},
            checkpoint=partial(self._checkpoint, self._fits) if self._checkpoint and last else None, keeper=keeper,
            augment=augmentation(joins=self._settings.combined and recipe != SEGMENTS, noise=self._noise(recipe)),
        )  # fmt: skip
        model: Model = registry.load("recipes", recipe)(work)
        return model, began_s

    def _held_out(self, rows: list[int]) -> Samples:
        """Examples to score; joined ones too, where the model shall recognise them."""
        held_out = self._data.subset(rows)
        return samples(with_joins(held_out, self._settings.seed) if self._settings.combined else held_out)

    def _names_that_help(self) -> Samples | None:
        """The labels' names as examples, if the head on the frozen encoder is not worse with them on held-out examples;
        None where there are many examples."""
        named = names(self._data.task)
        if not len(named) or len(self._splits) < 2 or len(self._data) > NAMED_BELOW * len(self._data.task.labels):
            return None
        return named if self._progress.once("label names", self._right(named) >= self._right(None)) else None

    def _right(self, added: Samples | None) -> int:
        """Right answers of a head on the frozen encoder, over all folds."""
        from nanosmith.recipes.work import Work

        fit, task, right = registry.load("recipes", FROZEN), self._data.task, 0
        for one in self._splits:
            train, tune = samples(self._data, one.train), samples(self._data, one.tune)
            train = train + added if added else train
            model: Model = fit(Work(task=task, train=train, tune=tune, base=self._base, seed=0, watch=self._watch))
            right += int(is_right(task.kind, model.logits(tune.texts), tune.targets).sum())
        return right

    def _read_texts(self) -> None:
        """The sentence vectors of all texts, from one pass: which texts are read together moves the last bits of a
        vector, and an attempt that goes on would read other ones together than the attempt before it."""
        texts = list(dict.fromkeys(self._data.texts))
        self._base.know(texts, self._progress.array("vectors", lambda: self._base.vectors(texts, self._watch)))


def is_foreign(texts: Sequence[str], tokenizer: Tokenizer) -> bool:
    """Whether the encoder takes the words apart: they are of a language that it was not made for."""
    words = [text.split()[:WORDS_LOOKED_AT] for text in texts[:LOOKED_AT]]
    encoded = tokenizer.encode_batch([" ".join(row) for row in words], add_special_tokens=False)
    return sum(len(row.ids) for row in encoded) >= FOREIGN * sum(map(len, words))


def pick(trials: list[Trial]) -> Trial:
    """The best by accuracy on the examples that all trials share, or the best of the smaller recipes where it is not
    worse by more than NOT_WORSE."""
    shared = min(len(trial.right) for trial in trials)
    accuracy = {trial.recipe: float(trial.right[:shared].mean()) for trial in trials}
    best = max(trials, key=lambda trial: accuracy[trial.recipe])
    smaller = [t for t in trials if t.recipe in SMALLER and accuracy[t.recipe] >= accuracy[best.recipe] - NOT_WORSE]
    return max(smaller, key=lambda trial: accuracy[trial.recipe], default=best)


def is_right(kind: str, logits: Floats2d, wanted: Targets) -> NDArray[np.bool_]:
    """Whether each answer by logits (N, L) is wholly right (N)."""
    given = logits.argmax(axis=1) if kind == "choice" else logits > 0
    return correct(given, wanted)


def calibrate(kind: str, logits: Floats2d, wanted: Targets, *, decided: bool = False) -> Calibration:
    """Temperature, and thresholds for labels, from scores (N, L) of examples that the model had not seen. With
    `decided` the labels with a score above 0 are the answer, and no threshold changes it."""
    if kind == "choice":
        return Calibration(temperature=fit_temperature(logits, wanted.astype(np.int64)), examples=len(logits))
    temperature = fit_sigmoid_temperature(logits, wanted.astype(bool))
    probabilities = 1 / (1 + np.exp(-logits.astype(np.float64) / temperature))
    members = wanted.astype(bool)
    never_empty = bool(members.any(axis=1).all())
    if decided:
        return Calibration(temperature, (), len(logits), never_empty)
    thresholds = fit_thresholds(probabilities, members, at_least_one=never_empty)
    return Calibration(temperature, thresholds, len(logits), never_empty)


def _splits(data: Dataset, seed: int) -> list[Split]:
    if len(data) <= FOLDS_BELOW:
        usable = [one for one in folds(data, seed, FOLDS) if one.tune]
        if usable:
            return usable
    return [split(data, seed, min(0.1, TUNE_MAX / len(data)))]


def _said(trial: Trial) -> str:
    how = f"{trial.fits} folds" if trial.fits > 1 else "held out"
    return (
        f"{trial.recipe}: {trial.accuracy:.1%} right on {len(trial.logits):,} examples ({how}, {trial.seconds:.0f} s)"
    )

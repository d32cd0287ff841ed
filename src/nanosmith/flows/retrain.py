"""Training an earlier model further: one fit from its weights, then as far along the way as the old classes bear.

First without some of the new examples: on them, and on old examples that the earlier model has not seen, it is chosen
how far to go from the old weights to the new ones, and by how much the scores of new labels are lowered (both by
`balance`). Then with all of them, and as far.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from nanosmith.core import registry
from nanosmith.core.manifest import Calibration
from nanosmith.core.settings import TuneSettings
from nanosmith.core.watch import Watch
from nanosmith.data.dataset import Dataset
from nanosmith.data.splits import split
from nanosmith.data.summary import labels_of
from nanosmith.data.union import joined
from nanosmith.flows.assemble import samples
from nanosmith.flows.augmentation import augmentation
from nanosmith.flows.balance import MAX_LOSS, Balance, balance
from nanosmith.flows.budget import Budget
from nanosmith.flows.choose import EXPENSIVE, FROZEN, Chosen, calibrate, is_right
from nanosmith.flows.progress import Progress
from nanosmith.flows.retrain_data import Plan
from nanosmith.flows.scope import ScopeFitter

if TYPE_CHECKING:
    from nanosmith.recipes.parts.from_bundle import TunedBase, TunedStatic
    from nanosmith.recipes.parts.span import Span
    from nanosmith.recipes.work import Model, Work

TUNE_SHARE, TUNE_SHARE_SMALL = 0.1, 0.2  # of 1,000 new examples and more, and of fewer
AGAIN_BELOW = 2_000  # new examples: fitted again on all of them
MOST_HELD = 1_000  # examples of each side that are scored at every share
PASSES = 4  # the encoder knows the task: a third of what a tuning from the base takes for as many examples
Scores: TypeAlias = NDArray[np.float32]
"""(S, N, L): of the models at S shares of the way."""


class Retrainer:
    """Does what Chooser does, for a Plan and one recipe."""

    def __init__(
        self, plan: Plan, base: TunedBase | TunedStatic, settings: TuneSettings, budget: Budget, progress: Progress,
        watch: Watch, checkpoint: Callable[[int, int, dict[str, float], Model], None] | None = None,
    ) -> None:  # fmt: skip
        self._plan, self._base, self._settings, self._budget = plan, base, settings, budget
        self._progress, self._watch, self._checkpoint = progress, watch, checkpoint
        share = TUNE_SHARE if len(plan.new) >= 1_000 else TUNE_SHARE_SMALL
        sides = split(plan.new, settings.seed, share)
        self._fitted, self._tune = plan.new.subset(sides.train), plan.new.subset(sides.tune[:MOST_HELD])
        self._held = plan.held.subset(list(range(len(plan.held)))[:MOST_HELD])
        self._fits = 0
        as_before = msgspec.structs.replace(settings, oos_label=plan.earlier.oos_label)
        self._scope = ScopeFitter(plan.task, plan.data.outside, as_before, progress)

    def choose(self, recipe: str) -> Chosen:
        """The retrained model, with what is told about it."""
        if not self._plan.knows_old:
            recipe = FROZEN if self._base.static_vectors() is None else recipe
        again = len(self._tune) > 0 and len(self._plan.new) < AGAIN_BELOW
        checked = joined(self._plan.task, self._held, self._tune)
        span, scores = self._scored(recipe, checked, fits=1 + again)
        found = self._balanced(scores, checked)
        self._watch.message(found.said(self._plan.earlier.name))
        shift = self._shift(found.shift)
        logits = scores[_shares(scores).index(found.share)] + shift
        if span and self._has_all_labels:
            trained = joined(self._plan.task, self._plan.replay, self._fitted)
            self._scope.look(1, span.at(found.share, shift), samples(trained), samples(checked), logits)
        if again:
            span, _ = self._fit(recipe, self._plan.new, fits=1, last=True)
            shift = self._shift(self._low_enough(span, found))
        assert span is not None
        model = span.at(found.share, shift)
        return Chosen(
            recipe, model, samples(checked), self._fits,
            calibrate(self._plan.task.kind, logits, samples(checked).targets) if len(checked) else Calibration(),
            len(checked), {"fitted_on_all": again},
            self._scope.fitted((1,), model, samples(self._plan.data.train)) if self._has_all_labels else None,
        )  # fmt: skip

    def _low_enough(self, span: Span, found: Balance) -> float:
        """The shift that was found, or the next lower one with which the second fit keeps the held old examples too."""
        before, held = self._before(), samples(self._held)
        if before is None:
            return found.shift
        scores = span.at(found.share, self._shift(0.0)).logits(held.texts)
        lower = sorted((shift for shift in Balance.SHIFTS if shift <= found.shift), reverse=True)
        right = [is_right(self._plan.task.kind, scores + self._shift(by), held.targets).mean() for by in lower]
        enough = [by for by, kept in zip(lower, right) if kept >= before - MAX_LOSS]
        return enough[0] if enough else lower[int(np.argmax(right))]

    @property
    def _has_all_labels(self) -> bool:
        """Whether what is learnt has an example of each label, also where some are held out."""
        found = {label for data in (self._plan.replay, self._fitted) for v in data.values for label in labels_of(v)}
        return found == set(self._plan.task.labels)

    def _scored(self, recipe: str, checked: Dataset, fits: int) -> tuple[Span | None, Scores]:
        """A fit without the held-out new examples, and its scores (S, N, L); or what is known of them."""
        from nanosmith.recipes.parts.span import logits

        if fits > 1 and (known := self._progress.scores(self._fits + 1)):
            self._fits += 1
            return None, known[0]
        span, began_s = self._fit(recipe, self._fitted, fits=fits, last=fits == 1)
        scores = logits(span, checked.texts, len(self._plan.task.labels))
        self._progress.finish(self._fits, scores, began_s)
        return span, scores

    def _fit(self, recipe: str, new: Dataset, *, fits: int, last: bool) -> tuple[Span, float]:
        """Train on the replayed and these new examples; when the fit began, in seconds of the run."""
        from nanosmith.recipes.parts.grown_head import grown_head
        from nanosmith.recipes.parts.span import span_of
        from nanosmith.recipes.work import enlarged

        self._fits += 1
        earlier = self._plan.earlier
        data = joined(self._plan.task, self._plan.replay, new)
        if self._progress.keeps:
            self._read_texts()
        keeper = self._progress.begin(self._fits)
        began_s = keeper.began_s if keeper else self._progress.spent_s
        work = self._work(recipe, data, fits, last)
        learned = enlarged(work) if work.task.kind == "labels" else work.train  # joined queries have sets of their own
        vectors = self._base.vectors(learned.texts, self._watch)
        head = grown_head(earlier.task, work.task, self._base.head, vectors, learned, self._watch)
        trained = None
        if recipe != FROZEN and self._plan.knows_old:
            start = head.weight.detach().numpy().T, head.bias.detach().numpy()
            work = msgspec.structs.replace(work, keeper=keeper, start_head=start)
            trained = registry.load("recipes", recipe)(work)
        return span_of(work, head, trained), began_s

    def _work(self, recipe: str, data: Dataset, fits: int, last: bool) -> Work:
        from nanosmith.recipes.work import Work

        left_s, asked = self._budget.left_s(), self._settings
        noise = recipe == EXPENSIVE if asked.noise is None else asked.noise
        options = {"n_epochs": asked.epochs or (PASSES if self._base.static_vectors() is None else None),
                   "batch_size": asked.batch_size,
                   "learning_rate_multiplier": asked.learning_rate_multiplier, "kept": 1.0}  # fmt: skip
        return Work(
            task=self._plan.task, train=samples(data), tune=samples(self._tune), base=self._base, seed=asked.seed,
            watch=self._watch, options={name: value for name, value in options.items() if value is not None},
            limit_s=None if left_s == float("inf") else left_s / fits,
            checkpoint=partial(self._checkpoint, self._fits) if self._checkpoint and last else None,
            augment=augmentation(joins=asked.combined, noise=noise),
        )  # fmt: skip

    def _balanced(self, scores: Scores, checked: Dataset) -> Balance:
        """How far to go, judged on the held old examples (the first of `checked`) and the held-out new ones."""
        kind, wanted = self._plan.task.kind, samples(checked).targets
        right = np.array(
            [[is_right(kind, one + self._shift(shift), wanted) for shift in Balance.SHIFTS] for one in scores]
        )
        return balance(right, _shares(scores), len(self._held), self._before())

    def _before(self) -> float | None:
        """Accuracy of the earlier model on the held old examples; None where there are none."""
        if not len(self._held):
            return None
        old = self._plan.earlier.task
        held = Dataset(self._held.examples, msgspec.structs.replace(old, system=self._plan.task.system))
        weight, bias = self._base.head
        scores = self._base.vectors(held.texts, self._watch) @ weight + bias
        return float(is_right(old.kind, scores, samples(held).targets).mean())

    def _shift(self, by: float) -> NDArray[np.float32]:
        """What is added to the scores (L): `by` to those of new labels."""
        old = set(self._plan.earlier.task.labels)
        return np.array([0.0 if label in old else by for label in self._plan.task.labels], dtype=np.float32)

    def _read_texts(self) -> None:
        """As Chooser does: the vectors of all texts come from one pass, also when the run goes on after a crash."""
        if self._base.static_vectors() is not None:
            return
        data = (self._plan.data.train, self._plan.held)
        texts = list(dict.fromkeys(text for one in data for text in one.texts))
        self._base.know(texts, self._progress.array("vectors", lambda: self._base.vectors(texts, self._watch)))


def _shares(scores: Scores) -> tuple[float, ...]:
    """Of the way, of each of the models whose scores these are."""
    return tuple(float(share) for share in np.linspace(0, 1, len(scores)))

"""Which students fit a goal, and how good these are once they are trained.

What misses the bytes or the time is never trained: a student is measured as soon as it is cut. The others are trained
by successive halving (Jamieson & Talwalkar 2016): all for a few passes, the better half to the end. Every figure is of
a sealed bundle.

Letters: N held-out examples.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from nanosmith.core.device import Device
from nanosmith.core.goal import Goal
from nanosmith.core.settings import TuneSettings
from nanosmith.core.watch import Watch
from nanosmith.flows.budget import Budget
from nanosmith.flows.lesson import Lesson, answered
from nanosmith.flows.progress import Progress
from nanosmith.flows.soft_labels import SoftLabels, asked, copies_of
from nanosmith.flows.students import Students
from nanosmith.flows.teacher import Teacher
from nanosmith.predict.open import open_predictor
from nanosmith.score.front import Loss, Point, fits, loss
from nanosmith.score.latency import measure
from nanosmith.store.bundles import Bundle

if TYPE_CHECKING:
    from nanosmith.core.prediction import Predictor
    from nanosmith.recipes.parts.from_bundle import TunedBase
    from nanosmith.recipes.parts.plans import Plan

MOST_ENCODERS = 4  # that are trained
FIRST_SHARE = 0.25  # of the passes, before the worse half is left
REPORT_BYTES = 120_000  # that are kept free for the report, where this is little of the whole
REPORT_SHARE = 0.1
SPELLED_BYTES = 20  # of a piece in the tokenizer's file, and the scale (with int4 the steps too) of its vector
TIMED, ROUNDS = 100, 3  # calls, and how often; the quickest median counts: others only slow it down


class Search:
    """Which students fit, and how good these are. `teacher` and `untrained` are points beside what `run` gives."""

    def __init__(
        self, bundle: Bundle, teacher: Teacher, learnt: Lesson, goal: Goal, settings: TuneSettings, folder: Path,
        budget: Budget, watch: Watch, device: Device | None = None,
    ) -> None:  # fmt: skip
        from nanosmith.recipes.parts.start import ENCODER, start_of

        self._learnt, self._goal, self._budget, self._watch = learnt, goal, budget, watch
        self._bundle, self._settings, self._device = bundle, settings, device
        self.base: TunedBase = start_of(bundle, folder.parents[1])
        self._cuts = bundle.manifest.predictor == ENCODER
        labels = _soft_labels(teacher.predictor, learnt, folder, settings.seed, watch)
        self.students = Students(bundle, self.base, learnt, labels, settings, folder, watch)
        self.untrained: list[Point] = []
        self.bundles: dict[str, Bundle] = {}
        accuracy = loss(learnt.right, learnt.right)
        took_ms = self._latency_ms(open_predictor(bundle), self.base.config if self._cuts else None)
        self.teacher = Point(
            bundle.manifest.name, bundle.manifest.recipe, folder_bytes(bundle), took_ms, accuracy
        )  # fmt: skip

    def run(self) -> list[Point]:
        """All students that were trained, or needed no training."""
        from nanosmith.recipes.parts.plans import ENCODER
        from nanosmith.recipes.parts.shape import shape_of

        fitting = self._fitting()
        whole = shape_of(self.base.config)
        ready = [plan for plan in fitting if plan.shape == whole]
        static = [plan for plan in fitting if plan.recipe != ENCODER]
        encoders = [plan for plan in fitting if plan.recipe == ENCODER and plan.shape != whole]
        picked = _evenly(encoders, MOST_ENCODERS)
        self.untrained += [
            msgspec.structs.replace(fitting[plan], why="others of its size were trained")
            for plan in encoders if plan not in picked
        ]  # fmt: skip
        full = self._epochs()
        points = [self._point(plan, 0, 1) for plan in ready]
        points += [self._point(plan, full, len(static) + 2 * len(picked) - i) for i, plan in enumerate(static)]
        return points + self._halved(picked, full)

    def _fitting(self) -> dict[Plan, Point]:
        """Plans whose bundle is small and quick enough, with the largest vocabulary with which it is, untrained."""
        from nanosmith.recipes.parts.plans import plans
        from nanosmith.recipes.parts.vocabulary import can_trim

        kept: dict[Plan, Point] = {}
        goal = _with_room(self._goal)
        trims = can_trim(self.base.tokenizer)
        if not trims:
            self._watch.message("This vocabulary cannot be trimmed: only WordPiece can.", "warn")
        every = [plan for plan in plans(self.base.config, trims) if self._cuts or plan.shape is None]
        for done, plan in enumerate(every, start=1):
            plan, point = self._sized(plan, goal, trims)
            if plan.shape and goal.bytes is not None and point.bytes > goal.bytes:
                plan, point = self._sized(msgspec.structs.replace(plan, weights="int4"), goal, trims)
            if fits(point, goal):
                kept[plan] = point
            else:
                self.untrained.append(msgspec.structs.replace(point, why="misses the bytes or the latency"))
            self._watch.check()
            self._watch.progress("measure untrained students", done, len(every))
        return kept

    def _sized(self, plan: Plan, goal: Goal, trims: bool) -> tuple[Plan, Point]:
        """The plan with the largest vocabulary that fits the bytes, measured; as it is where none does."""
        from nanosmith.recipes.parts.plans import with_most_pieces

        point = self._measured(plan)
        if not trims or goal.bytes is None:
            return plan, point
        larger = with_most_pieces(plan, self.base.config["vocab_size"], self._room(plan, point, goal.bytes))
        return (plan, point) if larger is None or larger == plan else (larger, self._measured(larger))

    def _room(self, plan: Plan, point: Point, most: int) -> Callable[[Plan], bool]:
        """Whether a vocabulary of another size fits `most` bytes: each piece costs its vector, a scale and its
        spelling."""
        width = self.base.config["hidden_size"] if plan.shape else plan.width
        each = (width / 2 if plan.weights == "int4" else width) + SPELLED_BYTES
        return lambda other: point.bytes + (other.pieces - plan.pieces) * each <= most

    def _measured(self, plan: Plan) -> Point:
        with tempfile.TemporaryDirectory(prefix="nanosmith-") as made:
            bundle = self.students.untrained(plan, Path(made) / "bundle")
            took_ms = self._latency_ms(open_predictor(bundle), self._config(plan))
            return Point(plan.name, plan.recipe, folder_bytes(bundle), took_ms, details=plan.details)

    def _halved(self, encoders: list[Plan], full: int) -> list[Point]:
        """All for a few passes, the better half of them to the end."""
        first = max(1, round(FIRST_SHARE * full))
        if len(encoders) < 2 or first == full:
            return [self._point(plan, full, len(encoders) - i) for i, plan in enumerate(encoders)]
        begun = {plan: self._point(plan, first, 2 * len(encoders) - i) for i, plan in enumerate(encoders)}
        ranked = sorted(encoders, key=lambda plan: -_accuracy(begun[plan]))
        half = -(-len(ranked) // 2)
        ended = [self._point(plan, full, half - i) for i, plan in enumerate(ranked[:half])]
        left = [msgspec.structs.replace(begun[plan], why=f"left after {first} passes") for plan in ranked[half:]]
        return [*ended, *left]

    def _point(self, plan: Plan, epochs: int, fits_left: int) -> Point:
        """A student that was trained for so many passes, with a share of the time that is left, sealed and measured."""
        left_s = self._budget.left_s()
        bundle = self.students.trained(plan, epochs, None if left_s == float("inf") else left_s / fits_left)
        predictor = open_predictor(bundle)
        right = answered(predictor, self._learnt.held, self._watch, "judge a student")
        found = self._against_itself(right) if not epochs else loss(self._learnt.right, right)
        self.bundles[plan.name] = bundle
        said = f"{plan.name}: {found.accuracy:.1%} right, {found.points:+.1f} points lost, {epochs} passes"
        self._watch.message(said)
        sparsity = self.students.sparsity(plan, bundle) if plan.shape and epochs == self._epochs() else {}
        took_ms, details = self._latency_ms(predictor, self._config(plan)), {**plan.details, "epochs": epochs}
        return Point(plan.name, plan.recipe, folder_bytes(bundle), took_ms, found, None, details, sparsity)

    def _against_itself(self, right: NDArray[np.bool_]) -> Loss:
        """The loss of the teacher's own weights with fewer pieces. Where these have seen the held-out examples, so has
        the teacher that they are compared with."""
        if not self._learnt.seen:
            return loss(self._learnt.right, right)
        found = loss(answered(open_predictor(self._bundle), self._learnt.held, self._watch), right)
        return msgspec.structs.replace(found, accuracy=float(self._learnt.right.mean()) - found.points / 100)

    def _epochs(self) -> int:
        from nanosmith.recipes.tune_encoder import resolve

        return int(resolve(len(self._learnt.train), {"n_epochs": self._settings.epochs})["n_epochs"])

    def _config(self, plan: Plan) -> dict[str, Any] | None:
        """Of an encoder; None for a static model."""
        from nanosmith.recipes.parts.shape import cut_config

        return cut_config(self.base.config, plan.shape, plan.pieces) if plan.shape else None

    def _latency_ms(self, predictor: Predictor, config: dict[str, Any] | None) -> float:
        """The median of calls with one text, the least of a few rounds; or the estimate for another device."""
        inputs = [example.messages for example in self._learnt.held.examples[:TIMED]]
        if self._device is None:
            return min(measure(predictor, inputs).p50 for _ in range(ROUNDS))
        tokens = float(np.median([answer.tokens for answer in predictor.predict(inputs)]))
        if config is None:
            return self._device.static(getattr(predictor, "width", 0), tokens)
        from nanosmith.recipes.parts.shape import head_width

        return self._device.encoder(
            config["num_hidden_layers"], config["num_attention_heads"], config["intermediate_size"],
            config["hidden_size"], head_width(self.base.weights.encoder, self.base.config), tokens,
        )  # fmt: skip


def _soft_labels(teacher: Predictor, learnt: Lesson, folder: Path, seed: int, watch: Watch) -> SoftLabels:
    """What the teacher says, asked once: a run that goes on reads it again."""
    texts = copies_of([learnt.data.texts[row] for row in learnt.train], seed)
    flat = [text for copy in texts for text in copy]
    known = Progress(folder / "labels", watch)
    told = known.array("told", lambda: asked(teacher, flat, watch)).reshape(len(texts), len(texts[0]), -1)
    soft, vectors = np.split(told, [len(teacher.task.labels)], axis=2)
    return SoftLabels(texts, soft, vectors if vectors.shape[2] else None)


def _with_room(goal: Goal) -> Goal:
    """The goal of an untrained student: its report comes later."""
    if goal.bytes is None:
        return goal
    return msgspec.structs.replace(goal, bytes=goal.bytes - min(REPORT_BYTES, int(REPORT_SHARE * goal.bytes)))


def _accuracy(point: Point) -> float:
    return point.loss.accuracy if point.loss else 0.0


def _evenly(plans: Sequence[Plan], most: int) -> list[Plan]:
    """At most so many, the first and the last among them."""
    if len(plans) <= most:
        return list(plans)
    return [plans[round(i * (len(plans) - 1) / (most - 1))] for i in range(most)]


def folder_bytes(bundle: Bundle) -> int:
    """Of all files in the bundle's folder."""
    return sum(file.stat().st_size for file in bundle.path.rglob("*") if file.is_file())

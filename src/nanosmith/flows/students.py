"""Students of one teacher: made of its weights, measured before any training, trained, and sealed.

Letters: N examples, L labels, D width, K pieces of a student's vocabulary.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from nanosmith.core import registry
from nanosmith.core.errors import NanosmithError
from nanosmith.core.manifest import BaseRef, Calibration, DataRef, Manifest
from nanosmith.core.settings import TuneSettings
from nanosmith.core.watch import Watch
from nanosmith.flows.choose import calibrate
from nanosmith.flows.held_out import HeldOut, judged
from nanosmith.flows.lesson import Lesson
from nanosmith.flows.progress import INTERVAL_S, Progress
from nanosmith.flows.scope import FittedScope, ScopeFitter
from nanosmith.flows.soft_labels import SoftLabels
from nanosmith.predict.spelling import SPELLING_FILE
from nanosmith.store.atomic import disk_errors, make_folders, part_prefix, sweep_parts
from nanosmith.store.bundles import Bundle, open_bundle, seal
from nanosmith.version import __version__

if TYPE_CHECKING:
    import torch

    from nanosmith.recipes.parts.base import Base
    from nanosmith.recipes.parts.from_bundle import TunedBase
    from nanosmith.recipes.parts.plans import Plan
    from nanosmith.recipes.parts.shape import Arrays, Importance
    from nanosmith.recipes.work import Draft, Model, Samples, Targets, Work

SPARSITY = (0.5, 0.7, 0.9)
FASTER = 3.0  # times the rate at which a whole encoder is tuned: a cut one has far to go
RANKED = 512  # texts that tell how important heads and columns are
RANKED_BATCH = 32


class Students:
    """Makes the students of a teacher in `folder`, where finished ones stay, so that a run that was killed goes on."""

    def __init__(
        self, teacher: Bundle, base: TunedBase, lesson: Lesson, labels: SoftLabels, settings: TuneSettings,
        folder: Path, watch: Watch,
    ) -> None:  # fmt: skip
        self._teacher, self._base, self._lesson, self._settings = teacher, base, lesson, settings
        self._labels = labels
        self._kept_of: dict[int, NDArray[np.int64]] = {}
        self._of_piece: dict[int, NDArray[np.float32]] = {}
        self._folder, self._watch = folder, watch
        self._task = teacher.manifest.task
        make_folders(folder)
        sweep_parts(folder)

    def untrained(self, plan: Plan, place: Path) -> Bundle:
        """A bundle as large and as quick as the trained one will be; its answers mean nothing."""
        from nanosmith.recipes.parts.encoder_model import EncoderModel
        from nanosmith.recipes.parts.head import linear
        from nanosmith.recipes.parts.shape import even, shape_of
        from nanosmith.recipes.static import StaticModel

        student = self._student(plan, even(shape_of(self._base.config)))
        work = msgspec.structs.replace(self._work(plan, student, {}, None, None), watch=Watch())
        head = linear(*self._head(plan))
        vectors = work.base.static_vectors()
        model: Model = (EncoderModel(work, work.base.new_encoder(), head, {}, 0) if vectors is None
                        else StaticModel(work.base, vectors, head, {}, 0))  # fmt: skip
        return self._sealed(plan, model, _nothing(work.tune), place, Calibration(examples=1), self._empty_scope(plan))

    def trained(self, plan: Plan, epochs: int, limit_s: float | None) -> Bundle:
        """The sealed student after so many passes (0: as it is cut), from where an interrupted attempt was."""
        place = self._folder / f"{plan.name}-{epochs}"
        if place.is_dir():
            return open_bundle(place)
        state = self._folder / f"{plan.name}-{epochs}-state"
        progress = Progress(state, self._watch, INTERVAL_S)
        work = self._work(plan, self._student(plan), self._options(plan, epochs), limit_s, progress)
        model = self._fitted(plan, work, epochs)
        held = work.tune
        logits = model.logits(held.texts)
        scope = self._scope(model, held, logits, progress)
        calibration = calibrate(self._task.kind, logits, held.targets)
        rows = self._lesson.held_rows
        told = judged(self._lesson.held, range(len(held)), logits, calibration) if rows else None
        if told:
            told = msgspec.structs.replace(told, rows=np.asarray(rows, dtype=np.int32))
        bundle = self._sealed(plan, model, held, place, calibration, scope, told)
        shutil.rmtree(state, ignore_errors=True)
        return bundle

    def _options(self, plan: Plan, epochs: int) -> dict[str, Any]:
        """Hyperparameters; a static model takes so little time that its own number of passes stands, unless asked."""
        if plan.shape:
            return {"n_epochs": epochs, "kept": 1.0, "learning_rate_multiplier": FASTER}
        return {"n_epochs": self._settings.epochs} if self._settings.epochs else {}

    def sparsity(self, plan: Plan, bundle: Bundle) -> dict[str, float]:
        """Accuracy of a sealed encoder on the held-out examples with 50, 70 and 90 % of its weights at zero."""
        from nanosmith.flows.choose import is_right
        from nanosmith.recipes.parts.encoder_model import EncoderModel
        from nanosmith.recipes.parts.from_bundle import TunedBase
        from nanosmith.recipes.parts.head import linear
        from nanosmith.recipes.parts.sparse import sparsified

        base = TunedBase(bundle)
        work, encoder, found = self._work(plan, base, {}, None, None), base.new_encoder(), {}
        for share in SPARSITY:
            model = EncoderModel(work, sparsified(encoder, share), linear(*base.head), {}, 0)
            right = is_right(self._task.kind, model.logits(work.tune.texts), work.tune.targets)
            found[f"{share:.0%}"] = float(right.mean())
        return found

    def _fitted(self, plan: Plan, work: Work, epochs: int) -> Model:
        from nanosmith.recipes.parts.encoder_model import EncoderModel
        from nanosmith.recipes.parts.head import linear

        if not epochs:
            return EncoderModel(work, work.base.new_encoder(), linear(*self._head(plan)), {"n_epochs": 0}, 0)
        model: Model = registry.load("recipes", plan.recipe)(work)
        return model

    def _work(
        self, plan: Plan, base: Base, options: dict[str, Any], limit_s: float | None, progress: Progress | None
    ) -> Work:
        from nanosmith.flows.assemble import samples
        from nanosmith.recipes.work import Work

        lesson = self._lesson
        return Work(
            task=self._task, train=self._labels.plain(samples(lesson.data, lesson.train)), tune=samples(lesson.held),
            base=base, seed=self._settings.seed, watch=self._watch, limit_s=limit_s,
            options={**options, "weights": plan.weights},
            keeper=progress.begin(1) if progress else None, augment=self._labels.augment,
            start_head=self._head(plan) if plan.shape else None,
        )  # fmt: skip

    def _head(self, plan: Plan) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The teacher's, for vectors as wide as its own; zero for a static student."""
        if plan.shape:
            return self._base.head
        labels = len(self._task.labels)
        return np.zeros((plan.width, labels), dtype=np.float32), np.zeros(labels, dtype=np.float32)

    def _student(self, plan: Plan, importance: Importance | None = None) -> Base:
        """The base that a student is trained from; by default the teacher tells what is important."""
        from nanosmith.recipes.parts.shape import shape_of
        from nanosmith.recipes.parts.student import EncoderStudent, StaticStudent

        kept, folder = self._kept(plan.pieces), self._folder / f"pieces-{plan.pieces}"
        if plan.shape is None:
            return StaticStudent(self._base, plan.width, self._token_vectors(kept), kept, folder)
        weights = self._base.weights.encoder if plan.shape == shape_of(self._base.config) else self._start
        return EncoderStudent(self._base, weights, plan.shape, importance or self._importance, kept, folder)

    @cached_property
    def _start(self) -> Arrays:
        """What encoders are cut from: the teacher's weights. Where these know the held-out examples, which would make
        students look better than they are, it is the base that the teacher was tuned from, if it is at hand."""
        from nanosmith.recipes.base_folder import find_base
        from nanosmith.recipes.parts.base import Base

        of_teacher = self._base.weights.encoder
        if not self._lesson.seen:
            return of_teacher
        wanted = self._teacher.manifest.base
        try:
            base = Base(find_base(wanted.name))
        except NanosmithError:
            base = None
        if base is None or base.folder.sha256 != wanted.sha256 or base.config["model_type"] != "bert":
            self._watch.message(
                "The base of the teacher is not at hand: students are cut from the teacher, which has seen the held-out"
                " examples, so that the loss is underestimated. Name others with --test.", "warn",
            )  # fmt: skip
            return of_teacher
        return {name: tensor.numpy() for name, tensor in base.new_encoder().state_dict().items()}

    def _kept(self, pieces: int) -> NDArray[np.int64]:
        """Ids of the teacher's pieces that stay, found once for each number."""
        from nanosmith.recipes.parts.vocabulary import needed

        tokenizer = self._base.tokenizer
        if pieces not in self._kept_of:
            texts = [text for copy in self._labels.texts for text in copy]
            known = tokenizer.get_vocab_size()
            self._kept_of[pieces] = np.arange(known) if pieces >= known else needed(tokenizer, texts, pieces)
        return self._kept_of[pieces]

    def _token_vectors(self, kept: NDArray[np.int64]) -> NDArray[np.float32]:
        """The teacher's vector (K, D) of each of these pieces alone, computed once."""
        new = [int(piece) for piece in kept if int(piece) not in self._of_piece]
        if new:
            self._of_piece.update(zip(new, self._base.vectors_of(new, self._watch)))
        return np.stack([self._of_piece[int(piece)] for piece in kept])

    @cached_property
    def _importance(self) -> Importance:
        from nanosmith.recipes.parts.head import linear
        from nanosmith.recipes.parts.shape import importance_of

        head = linear(*self._base.head)
        encoder = self._base.new_encoder()
        return importance_of(encoder, self._losses(encoder, head))

    def _losses(self, encoder: torch.nn.Module, head: torch.nn.Linear) -> Iterator[Callable[[], torch.Tensor]]:
        """The teacher's own loss on batches of RANKED examples."""
        from nanosmith.flows.assemble import samples

        lesson = self._lesson
        few = samples(lesson.data, lesson.train[:: -(-len(lesson.train) // RANKED)])
        ids = self._base.token_ids(few.texts)
        starts = range(0, len(ids), RANKED_BATCH)
        for done, start in enumerate(starts, start=1):
            rows = slice(start, start + RANKED_BATCH)
            yield partial(self._loss, encoder, head, ids[rows], few.targets[rows], few.weights[rows])
            self._watch.check()
            self._watch.progress("rank heads and columns", done, len(starts))

    def _loss(
        self, encoder: torch.nn.Module, head: torch.nn.Linear, ids: list[list[int]], targets: Targets,
        weights: NDArray[np.float32],
    ) -> torch.Tensor:  # fmt: skip
        import torch

        from nanosmith.recipes.parts.head import loss_of

        logits = head(self._base.sentence_vectors(encoder, ids))
        return loss_of(self._task, logits, torch.from_numpy(targets), torch.from_numpy(weights))

    def _scope(
        self, model: Model, held: Samples, logits: NDArray[np.float32], progress: Progress
    ) -> FittedScope | None:
        """As the teacher tells what is out of scope."""
        from nanosmith.flows.assemble import samples

        of_teacher = self._teacher.manifest.scope
        if of_teacher is None:
            return None
        settings = msgspec.structs.replace(self._settings, refuse=of_teacher.refuse, oos_label=of_teacher.label)
        fitter = ScopeFitter(self._task, self._lesson.outside, settings, progress)
        train = samples(self._lesson.data, self._lesson.train)
        fitter.look(1, model, train, held, logits)
        return fitter.fitted((1,), model, train)

    def _empty_scope(self, plan: Plan) -> FittedScope | None:
        """Of the size of a fitted one."""
        from nanosmith.recipes.parts.scope import MAX_OUTSIDE

        of_teacher = self._teacher.manifest.scope
        if of_teacher is None:
            return None
        width = self._base.config["hidden_size"] if plan.shape else plan.width
        labels, outside = len(self._task.labels), min(MAX_OUTSIDE, len(self._lesson.outside))
        shapes = {"square": (width, width), "linear": (width, labels), "constant": (labels,),
                  "classes": (labels, width), "outside": (outside, width)}  # fmt: skip
        return FittedScope(of_teacher, {name: np.zeros(shape, dtype=np.float32) for name, shape in shapes.items()})

    def _sealed(
        self, plan: Plan, model: Model, check: Samples, place: Path, calibration: Calibration,
        scope: FittedScope | None, held_out: HeldOut | None = None,
    ) -> Bundle:  # fmt: skip
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=part_prefix()) as made, disk_errors(place):
            draft = Path(made) / "draft"
            draft.mkdir()
            if SPELLING_FILE in self._teacher.manifest.files:
                shutil.copyfile(self._teacher.file(SPELLING_FILE), draft / SPELLING_FILE)
            if scope:
                scope.write(draft)
            if held_out:
                held_out.write(draft)
            return seal(draft, self._manifest(plan, model.write(draft, check), calibration, scope), place)

    def _manifest(self, plan: Plan, draft: Draft, calibration: Calibration, scope: FittedScope | None) -> Manifest:
        teacher, lesson = self._teacher.manifest, self._lesson
        return Manifest(
            name=plan.name, created_at=int(time.time()), predictor=draft.predictor, recipe=plan.recipe,
            task=self._task, max_tokens=draft.max_tokens, base=BaseRef(teacher.name, teacher.model_digest),
            data=DataRef(lesson.digest, len(lesson.train), len(lesson.held)), calibration=calibration,
            settings={**draft.settings, **plan.details}, notes=draft.notes, files={}, nanosmith=__version__,
            scope=scope.scope if scope else None,
        )  # fmt: skip


def _nothing(samples: Samples) -> Samples:
    """None of the samples."""
    return msgspec.structs.replace(
        samples, texts=[], targets=samples.targets[:0], weights=samples.weights[:0], soft=None, vectors=None
    )

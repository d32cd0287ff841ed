"""Where settings become objects: data, base, and the recipes that may be tried."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from nanosmith.core import registry
from nanosmith.core.errors import InputError, MissingExtra
from nanosmith.core.example import Input
from nanosmith.core.limits import MIN_EXAMPLES
from nanosmith.core.settings import TuneSettings
from nanosmith.core.task import Task
from nanosmith.core.watch import Watch
from nanosmith.data.as_labels import as_labels, load_test, with_joins
from nanosmith.data.dataset import Dataset
from nanosmith.data.label_names import text_of_name
from nanosmith.data.load import load
from nanosmith.data.overlap import overlap
from nanosmith.data.scope import apart, knowing, nothing_outside
from nanosmith.data.splits import split
from nanosmith.flows.record_settings import check_record_settings
from nanosmith.flows.scope import check_tolerance
from nanosmith.flows.text_settings import by_decoder, check_text_settings
from nanosmith.store.home import Home

if TYPE_CHECKING:
    from nanosmith.recipes.parts.base import Base
    from nanosmith.recipes.work import Samples, Targets

RECIPES_OF_SIZE = {
    "pico": ("static/1", "tfidf_linear/1"),
    "nano": ("frozen_linear/1", "tune_encoder/1"),
    "mini": ("tune_decoder/1",),
    "auto": ("static/1", "tfidf_linear/1", "frozen_linear/1", "tune_encoder/1"),
}
PASSAGES = "passages"
FORMATS = {"dpo": "preference", "domain": PASSAGES}
"""The readers of methods whose files have a form of their own."""
HELD_OUT_SHARE = 0.1  # of 1,000 examples and more, when no test file is given
HELD_OUT_SHARE_SMALL = 0.2
TRAIN_MODULES = ("torch", "transformers", "onnx", "sklearn")


class TuneData(msgspec.Struct, frozen=True):
    """`train` is for the recipes, `test` for the report alone; `note` says where `test` is from. What is out of scope
    stands apart: texts to train with, and inputs for the report."""

    train: Dataset
    test: Dataset
    note: str
    outside: tuple[str, ...] = ()
    test_outside: tuple[Input, ...] = ()


def require_training() -> None:
    """Raises MissingExtra before any work when a training package is absent."""
    for module in TRAIN_MODULES:
        if find_spec(module) is None:
            raise MissingExtra(module, "train")


def open_base(name: str, home: Home) -> Base:
    """Find, check and open the base weights. Raises NotFound, InputError, Damaged."""
    from nanosmith.recipes.base_folder import find_base
    from nanosmith.recipes.parts.base import Base

    return Base(find_base(name), cache=home.cache)


def recipes_for(settings: TuneSettings) -> tuple[str, ...]:
    """The recipes to try, cheapest first. Raises InputError, NotFound."""
    if settings.recipe:
        name = settings.recipe if "/" in settings.recipe else f"{settings.recipe}/1"
        registry.load("recipes", name)
        return (name,)
    if settings.size not in RECIPES_OF_SIZE:
        raise InputError("this size does not exist yet", got=settings.size, allowed=", ".join(RECIPES_OF_SIZE),
                         param="size")  # fmt: skip
    return RECIPES_OF_SIZE[settings.size]


def tune_data(train: Path | Dataset, test: Path | Dataset | None, settings: TuneSettings, watch: Watch) -> TuneData:
    """Load and check the files; without a test file some of the training examples are held out for the report."""
    check_tolerance(settings)
    data = train if isinstance(train, Dataset) else _loaded(train, settings)
    _check_settings(data.task, settings)
    if settings.combined:
        data = as_labels(data)
    for sentence in data.why:
        watch.message(sentence)
    warn(data, watch)
    if settings.oos_label is not None and settings.oos_label not in data.task.labels:
        watch.message(nothing_outside(data, settings.oos_label), "warn")
    if test is None:
        share = HELD_OUT_SHARE if len(data) >= 1_000 else HELD_OUT_SHARE_SMALL
        sides = split(data, settings.seed, share)
        note = f"{len(sides.tune):,} of {len(data):,} examples were held out for the report, as no test file was given"
        held_out = data.subset(sides.tune)
        if settings.combined:
            held_out = with_joins(held_out, settings.seed)
            note += "; they were also joined to queries with several labels"
        watch.message(f"{note}.")
        return _in_scope(TuneData(data.subset(sides.train), held_out, note), settings.oos_label)
    held_out = _test_data(test, data.task, settings)
    if settings.combined:
        held_out = as_labels(held_out)
    warn(held_out, watch)
    for problem in overlap(data, held_out):
        watch.message(problem.message, "warn")
    return _in_scope(TuneData(data, held_out, held_out.source.name if held_out.source else "given"), settings.oos_label)


def _loaded(train: Path, settings: TuneSettings) -> Dataset:
    """The training file, of the method's form where it has one; joined queries and examples of "none of them" are about
    labels alone."""
    if format := FORMATS.get(settings.method or ""):
        return load(train, kind="text", format=format, min_examples=1 if format == PASSAGES else MIN_EXAMPLES)
    labels_alone = settings.combined or settings.oos_label is not None
    return load(train, kind=settings.kind, schema=settings.schema, labels_alone=labels_alone)


def _check_settings(task: Task, settings: TuneSettings) -> None:
    """Raises InputError where they do not go with the kind of task."""
    if by_decoder(task, settings):
        check_text_settings(task, settings)
    elif task.kind == "record":
        check_record_settings(settings)


def _test_data(test: Path | Dataset, task: Task, settings: TuneSettings) -> Dataset:
    if isinstance(test, Dataset):
        return test
    if settings.method == "domain":
        return _loaded(test, settings)
    return load_test(test, knowing(task, settings.oos_label))


def _in_scope(data: TuneData, oos_label: str | None) -> TuneData:
    """The same, with the examples that have `oos_label` apart."""
    if oos_label is None:
        return data
    train, outside = apart(data.train, oos_label)
    test, test_outside = apart(data.test, oos_label)
    return TuneData(
        train, test, data.note, tuple(outside.texts), tuple(example.messages for example in test_outside.examples)
    )


def warn(data: Dataset, watch: Watch) -> None:
    """Tell the watch about each kind of warning once; `nanosmith check` shows all."""
    by_code: dict[str, int] = {}
    for problem in data.problems:
        by_code[problem.code] = by_code.get(problem.code, 0) + 1
        if by_code[problem.code] == 1:
            watch.message(problem.message, "warn")
    more = sum(count - 1 for count in by_code.values())
    if more:
        watch.message(f"{more:,} more warnings of these kinds: run nanosmith check", "warn")


def samples(data: Dataset, indices: list[int] | None = None) -> Samples:
    """Texts, targets and weights of a Dataset, or of some of its examples."""
    from nanosmith.recipes.work import Samples, targets_of

    chosen = list(range(len(data))) if indices is None else indices
    weights = np.array([data.examples[i].weight for i in chosen], dtype=np.float32)
    targets = targets_of(data.task, [data.values[i] for i in chosen])
    return Samples([data.texts[i] for i in chosen], targets, weights, _soft(data, chosen, targets))


def _soft(data: Dataset, chosen: list[int], targets: Targets) -> NDArray[np.float32] | None:
    """A teacher's probabilities (N, L) of these examples; None where none of them has any. The answer stands for those
    that are missing."""
    from nanosmith.recipes.work import memberships

    if all(data.examples[i].soft is None for i in chosen):
        return None
    labels = data.task.labels
    soft = memberships(targets, len(labels)).astype(np.float32)
    for row, i in enumerate(chosen):
        told = data.examples[i].soft
        if told is not None:
            soft[row] = [told.get(label, 0.0) for label in labels]
    return soft


def names(task: Task) -> Samples:
    """The names of labels, as far as they are words, as examples of them."""
    from nanosmith.recipes.work import Samples, targets_of

    texts = {label: text for label in task.labels if (text := text_of_name(label))}
    values = [label if task.kind == "choice" else (label,) for label in texts]
    return Samples(list(texts.values()), targets_of(task, values), np.ones(len(texts), dtype=np.float32))

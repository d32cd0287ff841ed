"""Texts: one recipe, fitted once; what it writes is then measured on as many examples as there is time for.

The held-out examples choose among the passes; the report's examples are never seen before.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nanosmith.core import registry
from nanosmith.core.errors import InputError
from nanosmith.core.example import Example, Input, Message
from nanosmith.core.manifest import Calibration
from nanosmith.core.prediction import Predictor
from nanosmith.core.settings import Method, TuneSettings
from nanosmith.core.watch import Watch
from nanosmith.data.dataset import Dataset
from nanosmith.data.load import load
from nanosmith.data.splits import split
from nanosmith.flows.assemble import PASSAGES, TuneData
from nanosmith.flows.budget import Budget
from nanosmith.flows.choose import Chosen
from nanosmith.flows.evaluate import made, size_bytes
from nanosmith.flows.progress import Progress
from nanosmith.flows.text_settings import RECIPE
from nanosmith.predict.open import open_predictor
from nanosmith.score.evaluate import evaluate
from nanosmith.score.report import Report
from nanosmith.store.bundles import Bundle

if TYPE_CHECKING:
    from nanosmith.recipes.parts.decoder import Decoder
    from nanosmith.recipes.parts.decoder_batches import TextSample

TRAINED_TOKENS = 1_024  # of one example; the runtime reads more
PASSAGE_TOKENS = 512
TUNE_SHARE, TUNE_MAX = 0.1, 200
GENERAL_SHARE = 0.25  # of the examples at most are general ones
REPORT_S, REPORT_SHARE = 120.0, 0.2  # of writing for the report: seconds, and at most this share of a budget
TIMED, REPORTED_MIN = 3, 20


class TextFitter:
    """Fits the recipe to one Dataset. `checkpoint` is called with 1, and the step, figures and model of each pass."""

    def __init__(
        self, data: Dataset, base: Decoder, settings: TuneSettings, budget: Budget, progress: Progress, watch: Watch,
        checkpoint: Callable[[int, int, dict[str, float], Any], None] | None = None,
    ) -> None:  # fmt: skip
        self._data, self._base, self._settings, self._budget = data, base, settings, budget
        self._progress, self._watch, self._checkpoint = progress, watch, checkpoint
        self._method = method_of(data, settings)

    def choose(self) -> Chosen:
        """The fitted model, with the held-out losses that its pass was chosen by."""
        from nanosmith.recipes.parts.text_work import TextWork

        data, settings = self._data, self._settings
        sides = split(data, settings.seed, min(TUNE_SHARE, TUNE_MAX / len(data)))
        train, tune = ([data.examples[i] for i in side] for side in (sides.train, sides.tune))
        keeper = self._progress.begin(1)
        self._budget.spend(report_s(settings))
        limit_s = self._budget.left_s()
        options = {"n_epochs": settings.epochs, "batch_size": settings.batch_size, "beta": settings.beta,
                   "learning_rate_multiplier": settings.learning_rate_multiplier}  # fmt: skip
        work = TextWork(
            method=self._method, train=self._samples(train + self._general(len(train))), tune=self._samples(tune),
            base=self._base, seed=settings.seed, watch=self._watch, keeper=keeper,
            limit_s=None if limit_s == float("inf") else limit_s,
            options={name: value for name, value in options.items() if value is not None},
            checkpoint=partial(self._checkpoint, 1) if self._checkpoint else None,
        )  # fmt: skip
        model = registry.load("recipes", RECIPE)(work)
        notes: dict[str, Any] = {"own_template": self._base.chat.has_own_template}
        check: Any = None  # nothing is compared: the runtime's base is quantised, the adapter is not
        return Chosen(RECIPE, model, check, 1, Calibration(), len(tune), notes)

    def _samples(self, examples: list[Example]) -> list[TextSample]:
        """What is learnt of the examples; of preferences two samples each."""
        from nanosmith.recipes.parts.chat import passages, sample_of

        chat, most = self._base.chat, min(TRAINED_TOKENS, self._base.max_tokens)
        if self._method == "domain":
            return passages(chat, [example.answer for example in examples], min(PASSAGE_TOKENS, most - 1))
        found = [
            sample_of(chat, example.messages, text, example.weight, most)
            for example in examples for text in self._answers(example)
        ]  # fmt: skip
        cut = sum(one.tokens >= most for one in found)
        if cut:
            self._watch.message(f"{cut:,} of {len(found):,} answers with their prompts have more than {most:,} tokens; "
                                "they are cut.", "warn")  # fmt: skip
        return found

    def _answers(self, example: Example) -> tuple[str, ...]:
        if self._method == "dpo":
            return (example.answer, str(example.rejected))
        task = self._data.task
        return (task.render(task.parse(example.answer)), *example.others)  # records in the one form that is allowed

    def _general(self, count: int) -> list[Example]:
        """Examples of other texts, against forgetting: evenly from their file."""
        if self._settings.general is None:
            return []
        if self._method != "supervised":
            raise InputError("general examples are mixed into answers alone", got=self._method, allowed="supervised",
                             param="general")  # fmt: skip
        others = load(Path(self._settings.general), kind="text").examples
        most = max(1, int(count * GENERAL_SHARE / (1 - GENERAL_SHARE)))
        every = -(-len(others) // most)
        return list(others[::every])


def method_of(data: Dataset, settings: TuneSettings) -> Method:
    """As the settings say, which the examples have to fit, else as the examples are. Raises InputError."""
    pairs = [example.rejected is not None for example in data.examples]
    found: Method = "dpo" if all(pairs) else "domain" if data.format == PASSAGES else "supervised"
    if settings.method not in (None, found):
        raise InputError("the examples are not those of this method", got=settings.method, allowed=found,
                         param="method", where=str(data.source.name) if data.source else None)  # fmt: skip
    return found


def report_s(settings: TuneSettings) -> float:
    """Seconds of writing for the report."""
    return min(REPORT_S, REPORT_SHARE * (settings.budget_s or math.inf))


def report_texts(bundle: Bundle, data: TuneData, settings: TuneSettings, watch: Watch) -> Report:
    """The report on as many of the test examples, evenly chosen, as are answered in about `report_s`."""
    predictor = open_predictor(bundle)
    halved = data.test.format == PASSAGES
    pairs = [_asked(example, halved=halved) for example in data.test.examples]
    chosen = evenly(len(pairs), _affordable(predictor, [given for given, _ in pairs], report_s(settings)))
    examples = [data.test.examples[i] for i in chosen]
    note = data.note if len(chosen) == len(pairs) else f"{data.note}; {len(chosen):,} of its {len(pairs):,} examples"
    told = {"evaluated_file": note, **made(bundle.manifest), "why": data.train.why}
    values: list[Any] = [pairs[i][1] for i in chosen]
    if data.test.task.kind != "text":
        values = [data.test.values[i] for i in chosen]
    return evaluate(
        predictor, [pairs[i][0] for i in chosen], values, watch=watch, bytes=size_bytes(bundle.manifest), made=told,
        others=[example.others for example in examples] if data.test.task.kind == "text" else (),
    )  # fmt: skip


def evenly(count: int, most: int) -> list[int]:
    """At most `most` of the positions 0 to count - 1, evenly spread."""
    return sorted({i * count // min(count, most) for i in range(min(count, most))})


def _asked(example: Example, *, halved: bool) -> tuple[Input, str]:
    """What the model is asked for the report, and the wanted text; of a passage its second half, by the first."""
    if not halved:
        return example.messages, example.answer
    half = example.answer.find(" ", len(example.answer) // 2)
    middle = len(example.answer) // 2 if half < 0 else half
    return (Message("user", example.answer[:middle]),), example.answer[middle:].lstrip() or example.answer


def _affordable(predictor: Predictor, inputs: list[Input], seconds: float) -> int:
    """How many answers take about so long, by the time of a few."""
    times = []
    for given in inputs[:TIMED]:
        began_s = time.perf_counter()
        predictor.predict([given])
        times.append(time.perf_counter() - began_s)
    return max(REPORTED_MIN, int(seconds / max(1e-4, statistics.median(times))))

"""The story of labelling: a file's texts → teachers' answers, each kept once → a data file with labels.

A run that was stopped or killed goes on where it was; see `nanosmith.flows.labelling.journal`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.money import NANO
from nanosmith.core.task import Task
from nanosmith.core.watch import Watch
from nanosmith.data.unlabelled import Unlabelled, read_unlabelled
from nanosmith.flows.labelling.agreement import agreed
from nanosmith.flows.labelling.asking import Asking, Failure, Outcome, Question, ask_all
from nanosmith.flows.labelling.hardest import hardest
from nanosmith.flows.labelling.journal import Journal
from nanosmith.flows.labelling.purse import Purse, Rate
from nanosmith.flows.labelling.rows import Labelled, write_rows
from nanosmith.flows.labelling.task import Wanted, task_of
from nanosmith.flows.labelling.teachers import Asked, Asker, members, open_askers
from nanosmith.predict.open import open_predictor
from nanosmith.store.bundles import Bundle
from nanosmith.store.home import Home
from nanosmith.store.paid import HomePurse

DISAGREEMENT = Failure("disagreement", "the answers do not agree")


class Hardest(msgspec.Struct, frozen=True):
    """Ask about `most` inputs alone: those that the student, a bundle, is least sure of."""

    most: int
    student: Path


class LabelSettings(msgspec.Struct, frozen=True):
    """`budget` is of nano-dollars, for all runs over one output; `rate_per_s` bounds the tries of all teachers
    together."""

    asked: Asked
    wanted: Wanted = Wanted()
    how: Asking = Asking()
    budget: int | None = None
    rate_per_s: float | None = None
    hardest: Hardest | None = None


class Plan(msgspec.Struct, frozen=True):
    """What a run will do. Nano-dollars: `likely` is what is about to be spent, None where a price is not known, and
    `spent` what earlier runs did."""

    inputs: int
    questions: int
    cached: int
    likely: int | None
    spent: int


class LeftOut(msgspec.Struct, frozen=True):
    """An input without a label: its line, a stable `reason`, and a sentence."""

    line: int
    reason: str
    message: str


class LabelReport(msgspec.Struct, frozen=True):
    """`labelled` rows were written, `cached` of them from what earlier runs were told. `cost` is what this run spent,
    `unsure` what tries without an answer may have cost beside it, `spent` all runs (nano-dollars; None: a price is not
    known). `stopped` is "budget", "teacher" or None."""

    out: Path
    labelled: int
    cached: int
    left_out: tuple[LeftOut, ...]
    cost: int | None
    unsure: int
    spent: int | None
    seconds: float
    stopped: str | None
    why: str


Confirm = Callable[[Plan], None]


def label(
    file: Path, out: Path, settings: LabelSettings, home: Home, *, confirm: Confirm = lambda _: None,
    watch: Watch | None = None,
) -> LabelReport:  # fmt: skip
    """Label the texts of `file` and write `out`. `confirm` is told the plan before anything is asked, and may raise.

    Raises InputError, NotFound, Damaged, Misconfigured (a key is missing), Cancelled, EndpointError (the teacher
    refuses every question).
    """
    with closing(HomePurse(home)) as purse:
        return _labelled(file, out, settings, home, purse, confirm, watch or Watch())


def _labelled(
    file: Path, out: Path, settings: LabelSettings, home: Home, paid_from: HomePurse, confirm: Confirm, watch: Watch
) -> LabelReport:
    began = time.monotonic()
    found = members(settings.asked, home)
    texts = read_unlabelled(file)
    task = task_of(file, settings.wanted, [one for one in found.values() if isinstance(one, Bundle)])
    askers = open_askers(settings.asked, home, found, task, paid_from)
    _check(askers, settings)
    inputs = _chosen(texts.inputs, settings, watch)
    wrong_lines = tuple(LeftOut(one.line or 0, one.code, one.message) for one in texts.problems)
    with Journal(out) as journal:
        work = _Work(inputs, askers, settings, journal)
        confirm(work.plan())
        before = journal.cost, journal.unsure
        purse = Purse(settings.budget, journal.cost + journal.unsure)
        outcome = ask_all(work.open, journal, settings.how, purse, Rate(settings.rate_per_s), watch)
        rows, left_out = work.results(task, outcome)
        if rows:
            write_rows(out, rows, task)
        return LabelReport(
            out, len(rows), work.cached(rows), (*wrong_lines, *left_out), work.known(journal.cost - before[0]),
            journal.unsure - before[1], work.known(journal.cost), time.monotonic() - began, outcome.stopped,
            outcome.why,
        )  # fmt: skip


def _check(askers: Sequence[Asker], settings: LabelSettings) -> None:
    """Raises InputError."""
    unpriced = next((one.name for one in askers if one.is_remote and one.prices is None), None)
    if settings.budget is not None and unpriced is not None:
        raise InputError(
            "a budget needs prices", got=f"{unpriced}, whose price is not known", param="budget",
            remedy="Write them into nanosmith.toml: [provider.NAME.models.MODEL] with input_usd and output_usd.",
        )  # fmt: skip


def _chosen(inputs: Sequence[Unlabelled], settings: LabelSettings, watch: Watch) -> Sequence[Unlabelled]:
    if settings.hardest is None:
        return inputs
    student = open_predictor(settings.hardest.student)
    positions = hardest(student, [one.turns for one in inputs], settings.hardest.most, watch)
    return [inputs[i] for i in positions]


class _Work:
    """Which questions there are, and which of them are open."""

    def __init__(
        self, inputs: Sequence[Unlabelled], askers: Sequence[Asker], settings: LabelSettings, journal: Journal
    ) -> None:
        self._inputs, self._askers, self._journal = inputs, askers, journal
        self._keys = [
            [asker.key(one.turns, sample) for asker in askers for sample in _samples(asker, settings)]
            for one in inputs
        ]  # fmt: skip
        self._earlier = frozenset(journal.answers)
        self.open = self._open(settings)

    def plan(self) -> Plan:
        costs = [question.asker.estimate(question.turns).likely for question in self.open]
        cached = sum(all(key in self._earlier for key in keys) for keys in self._keys)
        spent = self._journal.cost + self._journal.unsure
        return Plan(len(self._inputs), len(self.open), cached, self.known(sum(costs)), spent)

    def known(self, cost: int) -> int | None:
        """A sum of money, None where it leaves out what nobody knows."""
        return None if any(one.is_remote and one.prices is None for one in self._askers) else cost

    def results(self, task: Task, outcome: Outcome) -> tuple[list[Labelled], list[LeftOut]]:
        rows, left_out = [], []
        by = ",".join(asker.name for asker in self._askers)
        for given, keys in zip(self._inputs, self._keys):
            failure = next((found for key in keys if (found := self._failure(key, outcome))), None)
            if failure is None:
                answer = agreed(task, [self._journal.answers[key] for key in keys])
                if answer.value is not None:
                    rows.append(Labelled(given, answer.value, answer.probabilities, by))
                    continue
                failure = DISAGREEMENT
            left_out.append(LeftOut(given.line, failure.reason, failure.message))
        return rows, left_out

    def cached(self, rows: Sequence[Labelled]) -> int:
        """How many of the rows nobody was asked about in this run."""
        lines = {row.given.line for row in rows}
        return sum(
            all(key in self._earlier for key in keys) and given.line in lines
            for given, keys in zip(self._inputs, self._keys)
        )

    def _open(self, settings: LabelSettings) -> list[Question]:
        """Each once, in the order of the inputs, so that a budget ends with whole answers."""
        asked: dict[str, Question] = {}
        for given, keys in zip(self._inputs, self._keys):
            askers = [asker for asker in self._askers for _ in _samples(asker, settings)]
            for asker, key in zip(askers, keys):
                if key not in self._journal.answers:
                    asked.setdefault(key, Question(asker, given.turns, key))
        return list(asked.values())

    def _failure(self, key: str, outcome: Outcome) -> Failure | None:
        if key in self._journal.answers:
            return None
        return outcome.failures.get(key) or Failure("not_asked", outcome.why)


def _samples(asker: Asker, settings: LabelSettings) -> range:
    """A bundle answers the same at each time."""
    return range(settings.asked.samples if asker.is_remote else 1)


def as_object(report: LabelReport) -> Mapping[str, Any]:
    """What `nanosmith label --json` prints; docs/label.md has the fields."""
    reasons: dict[str, int] = {}
    for one in report.left_out:
        reasons[one.reason] = reasons.get(one.reason, 0) + 1
    return {
        "out": str(report.out.resolve()) if report.labelled else None,
        "labelled": report.labelled,
        "cached": report.cached,
        "left_out": [msgspec.to_builtins(one) for one in report.left_out],
        "reasons": reasons,
        "cost_usd": _usd(report.cost),
        "unsure_usd": _usd(report.unsure),
        "spent_usd": _usd(report.spent),
        "seconds": round(report.seconds, 1),
        "stopped": report.stopped,
        "why": report.why or None,
    }


def _usd(nano: int | None) -> float | None:
    return None if nano is None else nano / NANO

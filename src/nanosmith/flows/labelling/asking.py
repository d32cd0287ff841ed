"""Asking about many inputs at once: in parallel, with an eye on failures, and each answer kept before the next counts.

While a teacher answers nothing at all, one input at a time is tried, with growing waits, until `patience_s` is over.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from nanosmith.core.errors import InputError, OverBudget
from nanosmith.core.prediction import Prediction
from nanosmith.core.watch import Watch
from nanosmith.flows.labelling.journal import DIGITS, Entry, Journal
from nanosmith.flows.labelling.purse import Purse, Rate, Tries
from nanosmith.flows.labelling.teachers import Asker, Turns
from nanosmith.predict.endpoint.failure import WRONG_ANSWER, EndpointError

Stopped: TypeAlias = Literal["budget", "teacher"]
LEAST_MISSES = 4  # failures in a row that make a silence
FIRST_PAUSE_S, MAX_PAUSE_S = 1.0, 60.0
SECOND_TRIES = 1  # how often an input that got no answer is asked about again, behind all others
HOPELESS = (401, 403, 404)
"""Statuses that no other input would change."""
UNKNOWN_PRICE = "unknown_price"  # of the model, where the data folder has a budget: no other input would change it
LOOK_S = 0.2  # how often a request to stop is looked for


class Question(NamedTuple):
    """One input for one teacher; `key` is its digest."""

    asker: Asker
    turns: Turns
    key: str


class Failure(msgspec.Struct, frozen=True):
    """Why there is no answer: `reason` is stable, `message` for a person."""

    reason: str
    message: str


class Asking(msgspec.Struct, frozen=True):
    """How many at once, and how long a teacher may answer nothing at all, in seconds."""

    parallel: int = 8
    patience_s: float = 120.0


class Outcome(msgspec.Struct):
    """Failures by key; `stopped` says why not all were asked, and `why` in words."""

    failures: dict[str, Failure] = {}
    stopped: Stopped | None = None
    why: str = ""


class _Done(NamedTuple):
    question: Question
    tries: Tries
    answer: Prediction | BaseException


def ask_all(
    questions: Sequence[Question], journal: Journal, how: Asking, purse: Purse, rate: Rate, watch: Watch
) -> Outcome:
    """Put every question, and keep its answer in the journal. Raises Cancelled, StorageFull, and what is wrong with
    every question alike (EndpointError: the key, the model)."""
    return _Run(questions, journal, how, purse, rate, watch).run()


class _Run:
    """The state of one run. Threads ask; the caller's thread alone writes the journal.

    `_misses` counts each teacher's failures since `_heard_at`, when it last said something; as many as there are
    threads make a silence. Every answer is needed, so the others wait for the one that is silent.
    """

    def __init__(
        self, questions: Sequence[Question], journal: Journal, how: Asking, purse: Purse, rate: Rate, watch: Watch
    ) -> None:
        self._waiting = deque(questions)
        self._total = len(questions)
        self._journal, self._how, self._purse, self._rate, self._watch = journal, how, purse, rate, watch
        self._tried: Counter[str] = Counter()
        self._under_way = 0
        self._todo: queue.SimpleQueue[Question | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[_Done] = queue.SimpleQueue()
        self._misses: Counter[str] = Counter()
        self._heard_at = dict.fromkeys((question.asker.name for question in questions), time.monotonic())
        self._pause_s, self._resume_at = 0.0, 0.0
        self._finished = 0
        self._outcome = Outcome()

    def run(self) -> Outcome:
        width = min(self._how.parallel, self._total)
        for _ in range(width):
            threading.Thread(target=self._work, daemon=True).start()  # an end of the process does not wait for replies
        try:
            while self._under_way or (self._waiting and not self._outcome.stopped):
                self._watch.check()
                self._put()
                self._take()
        finally:
            for _ in range(width):
                self._todo.put(None)
            self._keep([])  # what was answered while this was stopped
        reason = "budget" if self._outcome.stopped == "budget" else "not_asked"
        for question in self._waiting:
            self._outcome.failures[question.key] = Failure(reason, self._outcome.why)
        return self._outcome

    @property
    def _is_silent(self) -> bool:
        return max(self._misses.values(), default=0) >= max(self._how.parallel, LEAST_MISSES)

    def _put(self) -> None:
        """Give out as many questions as may be under way."""
        width = 1 if self._is_silent else self._how.parallel
        while self._waiting and self._under_way < width and not self._outcome.stopped:
            if time.monotonic() < self._resume_at:
                return
            self._under_way += 1
            self._todo.put(self._waiting.popleft())

    def _take(self) -> None:
        """Wait for what is done, and keep it: all at once, so that the disk is flushed once."""
        try:
            done = self._keep([self._done.get(timeout=LOOK_S)])
        except queue.Empty:
            return
        self._under_way -= len(done)
        for one in done:
            self._count(one)
        self._watch.progress("labelling", self._finished, self._total)

    def _keep(self, done: list[_Done]) -> list[_Done]:
        """These and all that are done, written to the journal."""
        while not self._done.empty():
            done.append(self._done.get())
        self._journal.add([entry for one in done for entry in _entries(one)])
        return done

    def _count(self, done: _Done) -> None:
        error = done.answer
        if isinstance(error, Prediction):
            self._heard(done.question)
        elif isinstance(error, OverBudget):
            self._waiting.appendleft(done.question)
            self._stop("budget", str(error))
        elif isinstance(error, EndpointError):
            self._failed(done.question, error)
        elif isinstance(error, InputError) and error.code != UNKNOWN_PRICE:
            self._heard(done.question, Failure("input", str(error)))
        else:
            raise error

    def _failed(self, question: Question, error: EndpointError) -> None:
        if error.status in HOPELESS:
            raise error
        failure = Failure(reason_of(error), str(error))
        if error.code == WRONG_ANSWER or not error.may_pass:
            self._heard(question, failure)
            return
        self._missed(question, failure)
        if self._is_silent and self._left_s(question) < 0:
            self._stop("teacher", f"{question.asker.name} has stopped answering: {error}")

    def _heard(self, question: Question, failure: Failure | None = None) -> None:
        """The teacher is there; what it said may be useless for this question."""
        self._misses[question.asker.name] = 0
        self._heard_at[question.asker.name] = time.monotonic()
        if not self._is_silent:
            self._pause_s, self._resume_at = 0.0, 0.0
        self._finished += 1
        if failure is not None:
            self._outcome.failures[question.key] = failure

    def _left_s(self, question: Question) -> float:
        """Of the patience with its teacher."""
        return self._heard_at[question.asker.name] + self._how.patience_s - time.monotonic()

    def _missed(self, question: Question, failure: Failure) -> None:
        """Ask again behind all others, or give up; in a silence the question is not to blame, and stays first."""
        now = time.monotonic()
        if self._is_silent:
            self._waiting.appendleft(question)
            if now >= self._resume_at:  # else it was under way when the silence began
                self._pause_s = min(MAX_PAUSE_S, max(FIRST_PAUSE_S, 2 * self._pause_s))
                self._resume_at = now + max(0.0, min(self._pause_s, self._left_s(question)))
        elif self._tried[question.key] < SECOND_TRIES:
            self._tried[question.key] += 1
            self._waiting.append(question)
        else:
            self._outcome.failures[question.key] = failure
            self._finished += 1
        self._misses[question.asker.name] += 1

    def _stop(self, reason: Stopped, why: str) -> None:
        if not self._outcome.stopped:
            self._outcome.stopped, self._outcome.why = reason, why

    def _work(self) -> None:
        while (question := self._todo.get()) is not None:
            most = question.asker.estimate(question.turns).most
            tries = Tries(self._purse, self._rate, question.asker.prices, most)
            try:
                answer: Prediction | BaseException = question.asker.ask(question.turns, tries)
            except BaseException as error:  # it is raised, or counted, by the caller's thread
                answer = error
            tries.close()
            self._done.put(_Done(question, tries, answer))


def reason_of(error: EndpointError) -> str:
    """A word for why there is no answer: wrong_answer, or a kind of EndpointError."""
    return WRONG_ANSWER if error.code == WRONG_ANSWER else error.kind


def _entries(done: _Done) -> list[Entry]:
    """What the journal keeps of one question."""
    key, tries, answer = done.question.key, done.tries, done.answer
    entries = [Entry(key, cost=tries.unsure, sure=False)] if tries.unsure else []
    if isinstance(answer, Prediction):
        entries.append(Entry(key, answer.answer, shares_of(answer), cost=tries.cost))
    elif tries.cost:
        entries.append(Entry(key, cost=tries.cost))
    return entries


def shares_of(answer: Prediction) -> dict[str, float] | None:
    """Probabilities by label, as far as they are not 0 in DIGITS digits; None where there are none, or where none of
    the labels is the answer."""
    if answer.answer != answer.value:
        return None
    shares = {label: round(share, DIGITS) for label, share in zip(answer.labels, answer.probabilities)}
    return {label: share for label, share in shares.items() if share} or None

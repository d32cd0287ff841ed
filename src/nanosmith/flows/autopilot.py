"""The flywheel of a route: observe → train → shadow → canary → serve, each step by its gate, with retreat.

A model learns from what the route's teacher answered (`captured`). It is then asked, in the shadow, about newer traffic
that the teacher answered too, and a threshold is certified from that (score.certificate). In the canary it answers a
small share of the traffic, and when it serves, all but a few requests: these go to the teacher by lot, and are a fair
sample of the traffic, by which the promise is watched. Where that shows the promise broken, the model is withdrawn, and
the wheel begins anew, with what was captured since agreement fell.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, TypeAlias

import msgspec
import numpy as np

from nanosmith.core.errors import NanosmithError
from nanosmith.core.prediction import Predictor
from nanosmith.core.settings import TuneSettings
from nanosmith.core.watch import Watch
from nanosmith.flows.captured import Lesson, as_dataset, key_of, lessons
from nanosmith.flows.certify import Local as Certified
from nanosmith.flows.certify import Promise, Sample, certificate_of
from nanosmith.flows.tune import Tuned, tune
from nanosmith.predict.open import open_predictor
from nanosmith.score.agreement import sureness
from nanosmith.score.anytime import changed_at, running_bound
from nanosmith.score.certificate import Chosen, choose, needed
from nanosmith.store import certificates
from nanosmith.store.autopilots import Local, State, read_state, trail, write_state
from nanosmith.store.captures import Capture, read_captures
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import Document

HELD, MOST_HELD = 0.4, 1_500  # share, and number, of the newest of the fair sample that are for the certificate
GROWTH = 1.25  # times as many lessons as at the last attempt, before the next one
LOOKED_AT = 50_000  # captures, the newest
RISK = 0.05  # of ever withdrawing a model that keeps its promise
BIG_GROWTH = 2.0  # times as many lessons as the serving model had, before a better one is tried


class Goals(msgspec.Struct, frozen=True):
    """The promise: `agreement` with the teacher on what is answered locally, with `confidence`. A model is used if it
    answers at least the share `coverage`. `least` answers of the teacher are wanted before the first attempt, `canary`
    requests before all are answered. `tuning` is how models are made."""

    agreement: float = 0.97
    confidence: float = 0.95
    coverage: float = 0.3
    least: int = 500
    canary: int = 200
    tuning: TuneSettings = TuneSettings(budget_s=300.0)


Announce: TypeAlias = Callable[[Ledger, str, State, bool], Iterable[Document]]
"""From the ledger, a route, its new state, and whether a model was withdrawn."""


def silently(_ledger: Ledger, _route: str, _state: State, _is_withdrawal: bool) -> list[Document]:
    return []


class Broken(msgspec.Struct, frozen=True):
    """A promise that is kept no longer: why, with its figures, and from which Unix time on agreement was less."""

    why: str
    since: int
    figures: dict[str, Any]


class Autopilot:
    """One route's. `step` does the next thing there is to do, if any, and says what was decided."""

    def __init__(
        self, route: str, home: Home, ledger: Ledger, goals: Goals | None = None, watch: Watch | None = None,
        now: Callable[[], float] = time.time, announce: Announce = silently,
    ) -> None:  # fmt: skip
        """`announce` gives the rows that tell people of a decision."""
        self.route, self._home, self._ledger = route, home, ledger
        self._goals, self._watch, self._now = goals or Goals(), watch or Watch(), now
        self._announce = announce

    def step(self) -> State:
        """Raises what training raises; the state then is as it was."""
        state = read_state(self._ledger, self.route)
        captures = list(islice(read_captures(self._ledger, self.route), LOOKED_AT))
        after, figures = self._after(state, captures)
        if after != state:
            self._write(state, after, figures)
            self._watch.message(f"{after.phase}: {after.why}")
        return after

    def retreat(self, why: str) -> State:
        """Withdraw what answers locally: the teacher answers everything again."""
        state = read_state(self._ledger, self.route)
        after = msgspec.structs.replace(state, phase="observe", candidate=None, serving=None, why=why)
        self._write(state, after, {})
        return after

    def trail(self) -> list[Document]:
        """What was decided, newest first."""
        return trail(self._ledger, self.route)

    def _write(self, before: State, after: State, figures: dict[str, Any]) -> None:
        told = self._announce(self._ledger, self.route, after, is_withdrawal(before, after))
        write_state(self._ledger, self.route, after, figures, told)

    def _after(self, state: State, captures: list[Capture]) -> tuple[State, dict[str, Any]]:
        if state.serving is not None and (found := self._broken(state.serving, captures)):
            return msgspec.structs.replace(anew(state, found), serving=None), found.figures
        if state.phase == "canary" and state.candidate is not None:
            return self._canary(state, state.candidate, captures)
        return self._observe(state, captures)

    def _observe(self, state: State, captures: list[Capture]) -> tuple[State, dict[str, Any]]:
        """Wait for enough to learn from; then train, and look at the model in the shadow."""
        captures = [one for one in captures if one.at >= state.learn_from]
        cut, held = held_out(captures)
        known = {key_of(one) for one in held}
        found = lessons(one for one in captures if one.at <= cut or key_of(one) not in known)
        if len(found) < self._wanted(state) or len(held) < needed(self._goals.agreement, self._goals.confidence):
            return state, {}
        certificates.require_signing()
        try:
            tuned = self._trained(found, state.tried + 1)
        except NanosmithError as error:
            tried = msgspec.structs.replace(state, tried=state.tried + 1, lessons=len(found))
            return msgspec.structs.replace(tried, why=f"no model could be trained: {error}"), {}
        return self._shadow(state, tuned, len(found), held)

    def _wanted(self, state: State) -> float:
        """Lessons before the next attempt."""
        if state.serving is not None:
            return max(state.serving.lessons * BIG_GROWTH, state.lessons * GROWTH)
        return max(self._goals.least, state.lessons * GROWTH if state.tried else 0)

    def _trained(self, found: list[Lesson], number: int) -> Tuned:
        settings = msgspec.structs.replace(self._goals.tuning, name=f"{self.route}-{number}")
        return tune(as_dataset(found), settings=settings, home=self._home, ledger=self._ledger, watch=self._watch)

    def _shadow(self, state: State, tuned: Tuned, count: int, held: Sequence[Capture]) -> tuple[State, dict[str, Any]]:
        """Certify a threshold on traffic that is newer than what was learnt; to the canary, or on observing."""
        goals = self._goals
        sample = compared(open_predictor(tuned.bundle), held, self._watch)
        found = choose(sample.sure, sample.agrees, goals.agreement, goals.confidence)
        tried = msgspec.structs.replace(state, tried=state.tried + 1, lessons=count)
        figures: dict[str, Any] = {"model": tuned.model_name, "lessons": count, "n": len(held)}
        if not isinstance(found, Chosen):
            return msgspec.structs.replace(tried, why=f"{tuned.model_name} is not used: {found.reason}"), figures
        coverage = found.answered / found.n
        figures |= {"threshold": found.threshold, "coverage": coverage, "bound": found.bound}
        if coverage < self._least_coverage(state, held):
            why = f"{tuned.model_name} is not used: it would answer {coverage:.1%} of the traffic"
            return msgspec.structs.replace(tried, why=why), figures
        local = Local(
            tuned.model_name, tuned.bundle.manifest.model_digest, count, int(self._now()), found.threshold,
            self._signed(tuned, held[-1].by, sample, found),
        )  # fmt: skip
        why = f"{local.model} agrees on {coverage:.1%} of the traffic with a bound of {found.bound:.2%}"
        return msgspec.structs.replace(tried, phase="canary", candidate=local, why=why), figures

    def _least_coverage(self, state: State, held: Sequence[Capture]) -> float:
        """What a candidate has to answer: more than the model that serves."""
        if state.serving is None:
            return self._goals.coverage
        sample = compared(self._open(state.serving), held, self._watch)
        return max(self._goals.coverage, float((sample.sure >= state.serving.threshold).mean()))

    def _signed(self, tuned: Tuned, teacher: str, sample: Sample, found: Chosen) -> str:
        """The path of a certificate that says what the model was let into the canary for."""
        promise = Promise(self._goals.agreement, self._goals.confidence)
        local = Certified(self.route, tuned.model_name, tuned.bundle)
        made = certificate_of(local, (teacher, {}), sample, found, promise, "captured traffic")
        return str(certificates.keep(self._home, made))

    def _canary(self, state: State, local: Local, captures: Sequence[Capture]) -> tuple[State, dict[str, Any]]:
        """Serve after enough requests that did not break the promise."""
        if found := self._broken(local, captures):
            return anew(state, found), found.figures
        seen = sum(one.at > local.since for one in captures)
        if seen < self._goals.canary:
            return state, {}
        serving = msgspec.structs.replace(local, since=int(self._now()))
        why = f"{local.model} answers, after {seen} requests as a canary"
        return msgspec.structs.replace(state, phase="serve", candidate=None, serving=serving, why=why), {"seen": seen}

    def _broken(self, local: Local, captures: Sequence[Capture]) -> Broken | None:
        """Why the model is to be withdrawn: what the teacher was asked by lot since then shows too few agreements."""
        since = [one for one in fair(captures) if one.at > local.since]
        if not since:
            return None
        sample = compared(self._open(local), since, self._watch)
        sure = sample.sure >= local.threshold
        above = sample.agrees[sure]
        n, agreed = len(above), int(above.sum())
        if running_bound(n - agreed, agreed, RISK) <= 1 - self._goals.agreement:
            return None
        why = f"{local.model} is withdrawn: it agreed on {agreed} of {n}, which is under {self._goals.agreement:.0%}"
        first = np.flatnonzero(sure)[changed_at(above, self._goals.agreement)]
        return Broken(why, since[first].at, {"model": local.model, "agreed": agreed, "n": n})

    def _open(self, local: Local) -> Predictor:
        row = self._ledger.model(local.model)
        return open_predictor(self._home.bundles / (row.bundle if row else local.model))


def anew(state: State, found: Broken) -> State:
    """Observing, without the candidate, with what was captured since agreement fell."""
    return msgspec.structs.replace(
        state, phase="observe", candidate=None, lessons=0, learn_from=found.since, why=found.why
    )


def is_withdrawal(before: State, after: State) -> bool:
    """Whether a model answers no longer, and no other does in its place."""
    lost = before.candidate is not None and after.candidate is None and after.phase == "observe"
    return lost or (before.serving is not None and after.serving is None)


def fair(captures: Sequence[Capture]) -> list[Capture]:
    """Those that went to the teacher whatever a local model would have said, oldest first: a fair sample of the
    traffic."""
    return sorted((one for one in captures if one.is_last and one.by_lot), key=lambda one: one.at)


def compared(predictor: Predictor, captures: Sequence[Capture], watch: Watch) -> Sample:
    """The local answer to each request, how sure it is, and whether it is the teacher's."""
    answers = []
    for i, one in enumerate(captures):
        answers += predictor.predict([one.messages])
        watch.check()
        watch.progress("compare with the teacher", i + 1, len(captures))
    pairs = zip(answers, captures)
    agrees = [predictor.task.render(found.answer).strip() == one.answer.strip() for found, one in pairs]
    sure = np.array([sureness(found) for found in answers])
    return Sample([one.messages for one in captures], answers, sure, np.array(agrees, dtype=bool), [1.0] * len(answers))


def held_out(captures: Sequence[Capture]) -> tuple[int, list[Capture]]:
    """The newest of the fair sample, which are not learnt from, and the Unix time before them. What came since then is
    learnt from too, unless it is one of their texts: that texts repeat is for the time before to show."""
    sample = fair(captures)
    most = min(MOST_HELD, math.ceil(len(sample) * HELD))
    cut = sample[len(sample) - most].at - 1 if sample else 0
    return cut, [one for one in sample if one.at > cut]

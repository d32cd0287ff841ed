"""When to believe a certificate no longer, and when again: a state that numbers change, without any clock or network.

While a certificate is believed, some of the requests that are answered locally are put to the teacher, too, and
traffic is compared with the certificate's sample. An alarm ends that: nothing is answered locally, so the teacher
answers everything, and each of its answers is compared with the local one. When these show the promise again, the guard
believes it from then on, with a threshold that is never looser than the certificate's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import msgspec
import numpy as np

from nanosmith.core.certificate import Certificate, Reference
from nanosmith.score.anytime import level_of, listen, running_bound
from nanosmith.score.certificate import Chosen, choose, needed
from nanosmith.score.drift import Sight, input_shift, label_shift, reference

Kind: TypeAlias = Literal["agreement", "input", "labels"]
BLOCKS = (200, 2_000)  # requests that are compared with the sample at a time: few to be quick, many to see small shifts
FALSE_ALARMS = 10_000  # a comparison of traffic that is like the sample is taken for a shift once in so many
ALARM_LEVEL = 10_000.0  # as long as the promise holds, audits give a false alarm at most once in so many on average
SUSPICION = 100.0  # from this level on everything that is answered is audited
FIRST_LOOK = 3  # times as many comparisons as the promise takes at least, before the first look at them
LOOKS = 5  # each at twice as many comparisons as the one before; then they begin anew
LEAST_COVERAGE = 0.05
POINTS = 200  # of the history that is kept


class Alarm(msgspec.Struct, frozen=True):
    """`apart` is how far traffic is from the sample (see score.drift), or the agreement among the audits."""

    kind: Kind
    seen: int
    apart: float
    text: str


class Point(msgspec.Struct, frozen=True):
    """After `seen` requests: how far the last block was from the sample, the audits' agreement and its bound."""

    seen: int
    input: float
    labels: float
    agreement: float | None
    bound: float
    believed: bool


class Compared(msgspec.Struct, frozen=True):
    """One request, and whether its local answer is the teacher's."""

    sight: Sight
    agrees: bool


class State(msgspec.Struct):
    """All there is to keep. `threshold` is in force while `believed`; `certificate` is its `identity`. `audited`
    and `agreed` count since it is believed, `sample` are comparisons since it is not."""

    certificate: str
    threshold: float
    reference: Reference
    believed: bool = True
    seen: int = 0
    audited: int = 0
    agreed: int = 0
    levels: tuple[float, ...] = ()
    recent: list[Sight] = []
    sample: list[Compared] = []
    looks: int = 0
    alarms: list[Alarm] = []
    history: list[Point] = []


def new_state(certificate: Certificate) -> State:
    return State(identity(certificate), certificate.threshold, certificate.reference)


def identity(certificate: Certificate) -> str:
    """What tells one certificate of a route from another."""
    return f"{certificate.created_at} {certificate.sample} {certificate.threshold}"


class Guard:
    """One route's."""

    def __init__(self, certificate: Certificate, state: State | None = None) -> None:
        """`state` of another certificate is forgotten."""
        fits = state is not None and state.certificate == identity(certificate)
        self.certificate = certificate
        self.state = state if state is not None and fits else new_state(certificate)

    @property
    def threshold(self) -> float:
        """What a local answer must reach now; infinite where none is believed."""
        return self.state.threshold if self.state.believed else math.inf

    @property
    def bound(self) -> float:
        """The lower bound of the agreement among local answers since they are believed."""
        state = self.state
        return running_bound(state.agreed, state.audited - state.agreed, 1 - self.certificate.confidence)

    def wants(self, sure: float, share: float, draw: Callable[[], float]) -> bool:
        """Whether the teacher is to be asked about this request, too; `draw` gives a number in [0, 1) by chance. Where
        the audits look bad, all answers are audited until they look better, or worse."""
        if not self.state.believed:
            return True
        return sure >= self.state.threshold and (draw() < share or level_of(self.state.levels) >= SUSPICION)

    def saw(self, sight: Sight) -> Alarm | None:
        """A request came. The alarm, if its block is unlike the sample."""
        state = self.state
        state.seen += 1
        state.recent.append(sight)
        if len(state.recent) > BLOCKS[-1]:
            del state.recent[: -BLOCKS[-1]]
        if state.seen % BLOCKS[0]:
            return None
        return self._compare_blocks()

    def heard(self, sight: Sight, agrees: bool) -> Alarm | None:
        """The teacher's answer came. The alarm, if the promise is broken."""
        state = self.state
        if not state.believed:
            state.sample.append(Compared(sight, agrees))
            self._look()
            return None
        if sight.confidence < state.threshold:
            return None
        state.audited += 1
        state.agreed += agrees
        state.levels = listen(state.levels, agrees, self.certificate.target)
        if level_of(state.levels) < ALARM_LEVEL:
            return None
        share = state.agreed / state.audited
        return self._retreat("agreement", share, f"{share:.1%} of {state.audited:,} audited answers agree")

    def _compare_blocks(self) -> Alarm | None:
        state = self.state
        found = None
        for block in BLOCKS:
            if state.seen % block == 0 and len(state.recent) >= block:
                found = found or self._compare(state.recent[-block:], is_short=block == BLOCKS[0])
        return found

    def _compare(self, block: Sequence[Sight], *, is_short: bool) -> Alarm | None:
        state, known = self.state, self.state.reference
        shift = input_shift(block, known, self.certificate.n)
        counts = Counter(sight.label for sight in block if sight.label)
        moved, likely = label_shift(counts, known.labels, state.seen) if counts and known.labels else (0.0, 1.0)
        if is_short:
            share = state.agreed / state.audited if state.audited else None
            point = Point(state.seen, shift.apart, moved, share, self.bound, state.believed)
            state.history = [*state.history, point][-POINTS:]
        if not state.believed:
            return None
        of = f"of the last {len(block):,} requests"
        if shift.chance < 1 / FALSE_ALARMS:
            return self._retreat("input", shift.apart, f"{shift.measure} {of} is {shift.apart:.2f} from the sample")
        if likely < 1 / FALSE_ALARMS:
            return self._retreat("labels", moved, f"{moved:.0%} {of} have other labels than in the sample")
        return None

    def _retreat(self, kind: Kind, apart: float, text: str) -> Alarm:
        alarm = Alarm(kind, self.state.seen, apart, text)
        state = self.state
        state.believed, state.sample, state.looks = False, [], 0
        state.audited, state.agreed, state.levels = 0, 0, ()
        state.alarms = [*state.alarms, alarm][-POINTS:]
        return alarm

    def _look(self) -> None:
        """Believe again, where the comparisons since the alarm show the promise. The risk is shared by all looks."""
        state, promise = self.state, self.certificate
        first = FIRST_LOOK * needed(promise.target, promise.confidence)
        if len(state.sample) < first * 2 ** (state.looks % LOOKS):
            return
        state.looks += 1
        risk = (1 - promise.confidence) / 2**state.looks
        sure = np.array([one.sight.confidence for one in state.sample])
        agrees = np.array([one.agrees for one in state.sample])
        found = choose(sure, agrees, promise.target, 1 - risk, method=promise.method)
        if isinstance(found, Chosen) and found.answered >= LEAST_COVERAGE * found.n:
            state.threshold = max(promise.threshold, found.threshold)
            state.reference = reference([one.sight for one in state.sample])
            state.believed, state.sample, state.recent = True, [], []
        elif state.looks % LOOKS == 0:
            state.sample = []

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
from nanosmith.score.anytime import follow, level_of, listen, running_bound
from nanosmith.score.certificate import Chosen, choose, needed
from nanosmith.score.drift import Shift, Sight, input_shift, label_shift, reference

Kind: TypeAlias = Literal["agreement", "input", "labels", "outdated"]
BLOCK, LONGER = 200, (600, 2_000)  # requests that are compared with the sample: few to be quick, many to see more
FALSE_ALARMS = 10_000  # BLOCK requests that are like the sample are taken for a shift once in so many blocks
FALSE_ALARMS_OF_LONGER = 200_000  # each of the longer ones, which are compared after each BLOCK
ALARM_LEVEL = 10_000.0  # as long as the promise holds, audits give a false alarm at most once in so many on average
SUSPICION = 100.0  # from this level on everything that is answered is audited
FOLLOW = 1.0  # the same, for what followed the last disagreements (score.anytime.follow): one is worth about 16 answers
FIRST_LOOK = 3  # times as many comparisons as the promise takes at least, before the first look at them
LOOKS = 5  # each at twice as many comparisons as the one before; then they begin anew
LEAST_COVERAGE = 0.05
POINTS = 200  # of the history that is kept


class Alarm(msgspec.Struct, frozen=True):
    """`apart` is how far traffic is from the sample (see score.drift), or the agreement among the audits. "outdated":
    the certificate itself does not count any more."""

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


class Distance(msgspec.Struct, frozen=True):
    """How far `n` requests are from the sample: see score.drift."""

    n: int
    shift: Shift
    moved: float
    likely: float


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
    following: tuple[float, ...] = ()
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


def is_newer(state: State, certificate: Certificate) -> bool:
    """Whether the state is that of a newer certificate."""
    return state.certificate.partition(" ")[0] > str(certificate.created_at)


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
        """Whether the teacher is to be asked about this request, too; `draw` gives a number in [0, 1) by chance. After
        a disagreement all answers are audited until they look better, or worse; which they are does not depend on what
        the teacher will say, so that the alarm holds."""
        state = self.state
        if not state.believed:
            return True
        is_bad = level_of(state.levels) >= SUSPICION or level_of(state.following) >= FOLLOW
        return sure >= state.threshold and (is_bad or draw() < share)

    def saw(self, sight: Sight) -> Alarm | None:
        """A request came. The alarm, if the last ones are unlike the sample."""
        state = self.state
        state.seen += 1
        state.recent.append(sight)
        if len(state.recent) > LONGER[-1]:
            del state.recent[: -LONGER[-1]]
        return None if state.seen % BLOCK or len(state.recent) < BLOCK else self._compare_blocks()

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
        state.following = follow(state.following, agrees, self.certificate.target)
        if level_of(state.levels) < ALARM_LEVEL:
            return None
        share = state.agreed / state.audited
        return self._retreat("agreement", share, f"{share:.1%} of {state.audited:,} audited answers agree")

    def _compare_blocks(self) -> Alarm | None:
        state = self.state
        block = self._compared(state.recent[-BLOCK:])
        share = state.agreed / state.audited if state.audited else None
        point = Point(state.seen, block.shift.apart, block.moved, share, self.bound, state.believed)
        state.history = [*state.history, point][-POINTS:]
        if not state.believed:
            return None
        found = self._unlike(block, FALSE_ALARMS)
        for n in sorted({min(one, len(state.recent)) for one in LONGER} - {BLOCK}):
            found = found or self._unlike(self._compared(state.recent[-n:]), FALSE_ALARMS_OF_LONGER)
        return found

    def _compared(self, block: Sequence[Sight]) -> Distance:
        known = self.state.reference
        counts = Counter(sight.label for sight in block if sight.label)
        moved, likely = label_shift(counts, known.labels, self.state.seen) if counts and known.labels else (0.0, 1.0)
        return Distance(len(block), input_shift(block, known, self.certificate.n), moved, likely)

    def _unlike(self, block: Distance, false_alarms: int) -> Alarm | None:
        shift, of = block.shift, f"of the last {block.n:,} requests"
        if shift.chance < 1 / false_alarms:
            return self._retreat("input", shift.apart, f"{shift.measure} {of} is {shift.apart:.2f} from the sample")
        if block.likely < 1 / false_alarms:
            return self._retreat("labels", block.moved, f"{block.moved:.0%} {of} have other labels than in the sample")
        return None

    def _retreat(self, kind: Kind, apart: float, text: str) -> Alarm:
        alarm = Alarm(kind, self.state.seen, apart, text)
        state = self.state
        state.believed, state.sample, state.looks = False, [], 0
        state.audited, state.agreed, state.levels, state.following = 0, 0, (), ()
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

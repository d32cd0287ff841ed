"""How answers hold when texts have typos: curves over the share of misspelled words, kinds of typos, and an attack.

The typos come from real misspellings that training never uses, and from slips of the finger drawn anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random

import msgspec

from nanosmith.core.example import Input
from nanosmith.core.prediction import Prediction, Predictor
from nanosmith.core.task import Value
from nanosmith.core.watch import Watch
from nanosmith.data.augment.noise import KINDS, Typos
from nanosmith.score.attack import QUERIES, attack
from nanosmith.score.intervals import Interval, paired_difference, wilson
from nanosmith.score.metrics import as_set, shorten
from nanosmith.score.variants import Asking, changed, own_text, with_text

RATES = (0.1, 0.2, 0.3)
CURVE_TEXTS, KIND_TEXTS, ATTACK_TEXTS = 1_000, 300, 200
SHOWN_BREAKS = 10


class Loss(msgspec.Struct, frozen=True):
    """Answers to `n` texts with typos: their accuracy, and how far it is below that of the same texts without."""

    typos: str
    n: int
    accuracy: float
    accuracy_interval: Interval
    loss: float
    loss_interval: Interval


class Break(msgspec.Struct, frozen=True):
    """A right answer that one changed character made wrong."""

    text: str
    wanted: Value
    given: Value


class Attack(msgspec.Struct, frozen=True):
    """A greedy one-character attack on `n` texts, with at most `queries` questions each.

    `accuracy` is what it left of `clean_accuracy`; `kept` the share of the right answers that stayed right.
    """

    n: int
    queries: int
    clean_accuracy: float
    accuracy: float
    kept: float
    kept_interval: Interval
    breaks: tuple[Break, ...]


class Robustness(msgspec.Struct, frozen=True):
    """Robustness on a sample of `n` texts, drawn by `seed`; `clean_accuracy` is that of the sample as it is.

    `one_typo`: one typo in each text. `curve`: typos in a share of the words, which `typos` names. `kinds`: one typo of
    each kind, on the texts of the sample that can have it. `attack` is None where it was left out.
    """

    n: int
    seed: int
    clean_accuracy: float
    one_typo: Loss
    curve: tuple[Loss, ...]
    kinds: tuple[Loss, ...]
    attack: Attack | None


def robustness(
    predictor: Predictor, inputs: Sequence[Input], wanted: Sequence[Value], *, seed: int = 0,
    watch: Watch | None = None, texts: int = CURVE_TEXTS, kinds: bool = True, attacked: bool = True,
    typos: Typos | None = None,
) -> Robustness:  # fmt: skip
    """Measure on at most `texts` of the examples, with `typos` (None: with held-out misspellings). Raises Cancelled."""
    watch = watch or Watch()
    chosen = Random(seed).sample(range(len(inputs)), min(texts, len(inputs)))  # noqa: S311 - not for secrets
    trial = _Trial(predictor, [inputs[i] for i in chosen], [wanted[i] for i in chosen], seed, watch)
    trial.ask_clean(1 + len(RATES))
    typos = typos or Typos(held_out=True)
    one = trial.loss("one", typos.one)
    curve = tuple(trial.loss(f"{rate:.0%}", partial(typos.share, rate=rate)) for rate in RATES)
    return Robustness(
        n=len(chosen),
        seed=seed,
        clean_accuracy=sum(trial.right) / len(chosen),
        one_typo=one,
        curve=curve,
        kinds=trial.kinds(typos) if kinds else (),
        attack=trial.attack() if attacked else None,
    )


class _Trial:
    """A sample of examples, and which of them (`right`) are answered rightly as they are."""

    def __init__(
        self, predictor: Predictor, inputs: Sequence[Input], wanted: Sequence[Value], seed: int, watch: Watch
    ) -> None:
        self._predictor, self._inputs, self._seed, self._watch = predictor, inputs, seed, watch
        self._wanted = [as_set(value) for value in wanted]
        self._values = wanted
        self.right: list[bool] = []

    def ask_clean(self, curves: int) -> None:
        """Answer the texts as they are; so many curves over all of them follow."""
        self._asking = self._stage("typos", (1 + curves) * len(self._inputs))
        self.right = self._ask(self._inputs, range(len(self._inputs)))

    def loss(self, name: str, change: Callable[[str, Random], str], only: Sequence[int] | None = None) -> Loss:
        """Answer the texts (those at `only`, else all) with typos."""
        rows = range(len(self._inputs)) if only is None else only
        random = self._random(name)
        given = changed([self._inputs[i] for i in rows], lambda text: change(text, random))
        return _loss(name, [self.right[i] for i in rows], self._ask(given, rows))

    def kinds(self, typos: Typos) -> tuple[Loss, ...]:
        """One typo of each kind, where that changes the text."""
        changes = {kind: partial(typos.one, kind=kind) for kind in KINDS}
        rows = {kind: self._changing(kind, changes[kind]) for kind in KINDS}
        self._asking = self._stage("kinds of typos", sum(map(len, rows.values())))
        return tuple(self.loss(kind, changes[kind], rows[kind]) for kind in KINDS if rows[kind])

    def _changing(self, name: str, change: Callable[[str, Random], str]) -> list[int]:
        texts = [own_text(given) for given in self._inputs]
        random = self._random(name)
        return [i for i, text in enumerate(texts) if change(text, random) != text][:KIND_TEXTS]

    def attack(self) -> Attack:
        n = min(ATTACK_TEXTS, len(self._inputs))
        asking, random, breaks = self._stage("attack", n), self._random("attack"), []
        task = self._predictor.task
        for given, wanted, right in zip(self._inputs[:n], self._values, self.right):
            if right:
                answer = partial(_answer_to, asking, given)
                tried = attack(answer, task, own_text(given), wanted, random)
                if tried.text is not None and tried.given is not None:
                    breaks.append(Break(shorten(tried.text), wanted, tried.given))
            asking.step()
        before = sum(self.right[:n])
        kept = before - len(breaks)
        share = kept / before if before else 0.0
        return Attack(n, QUERIES, before / n, kept / n, share, wilson(kept, before), tuple(breaks[:SHOWN_BREAKS]))

    def _ask(self, inputs: Sequence[Input], rows: Sequence[int]) -> list[bool]:
        answers = self._asking.answers(inputs)
        return [as_set(answer.value) == self._wanted[i] for answer, i in zip(answers, rows)]

    def _stage(self, name: str, total: int) -> Asking:
        return Asking(self._predictor, self._watch, name, total)

    def _random(self, name: str) -> Random:
        return Random(f"{self._seed} {name}")  # noqa: S311 - not for secrets


def _answer_to(asking: Asking, given: Input, text: str) -> Prediction:
    return asking.answer(with_text(given, text))


def _loss(name: str, before: Sequence[bool], after: Sequence[bool]) -> Loss:
    lost = sum(old and not new for old, new in zip(before, after))
    won = sum(new and not old for old, new in zip(before, after))
    n, right = len(after), sum(after)
    return Loss(name, n, right / n, wilson(right, n), (lost - won) / n, paired_difference(lost, won, n))

"""From a route, a teacher and texts to a certificate: how often the local answers are the teacher's, and from which
confidence on."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from nanosmith.core.certificate import Certificate, Method
from nanosmith.core.errors import InputError, NotFound, did_you_mean
from nanosmith.core.example import Input, as_messages
from nanosmith.core.prediction import Prediction, Predictor
from nanosmith.core.route import Route
from nanosmith.core.watch import Watch
from nanosmith.flows.second_opinion import fitting_teacher, second_opinions
from nanosmith.predict.open import open_predictor
from nanosmith.score.agreement import same, sight_of, sureness
from nanosmith.score.certificate import Chosen, Refusal, by_class, choose, needed, too_few
from nanosmith.score.drift import reference
from nanosmith.score.metrics import Bools, Floats
from nanosmith.store import certificates
from nanosmith.store.bundles import Bundle, open_bundle
from nanosmith.store.captures import read_captures
from nanosmith.store.config import find_config, read_config
from nanosmith.store.home import Home
from nanosmith.store.ledger import open_ledger
from nanosmith.store.named import bundle_of, model_bundles
from nanosmith.version import __version__

SAMPLE = 4_000  # texts that are asked at most, by default


class Promise(msgspec.Struct, frozen=True):
    """What is asked for: an `agreement` with this `confidence`, shares in (0, 1). `classes`: bounds per label, too.
    `budget` bounds what asking may cost, in nano-dollars; of more texts than `sample` so many are drawn."""

    agreement: float = 0.97
    confidence: float = 0.95
    method: Method = "exact"
    classes: bool = False
    budget: int | None = None
    sample: int = SAMPLE
    seed: int = 0


class Local(msgspec.Struct, frozen=True):
    """The local model of a route, by the name that the route has for it."""

    route: str
    model: str
    bundle: Bundle


class Outcome(msgspec.Struct, frozen=True):
    """A certificate with its file, or why there is none. `cost` is what asking cost, in nano-dollars (None: nobody
    knows), `left_out` how many texts the teacher gave no answer for."""

    n: int
    cost: int | None
    left_out: int
    certificate: Certificate | None = None
    file: Path | None = None
    refusal: Refusal | None = None


def certify(
    local: Local, teacher: str, inputs: Sequence[Input], promise: Promise, home: Home, *, source: str,
    watch: Watch | None = None,
) -> Outcome:  # fmt: skip
    """Ask both about the inputs (a sample of them, where there are many), and sign a certificate where they agree.

    `source` says where the inputs came from. Raises InputError, NotFound and Damaged (the teacher), EndpointError,
    OverBudget, Cancelled, StorageFull.
    """
    check(promise)
    certificates.require_signing()
    watch = watch or Watch()
    drawn = _drawn(inputs, promise)
    if len(drawn) < needed(promise.agreement, promise.confidence):
        return Outcome(len(drawn), 0, 0, refusal=too_few(len(drawn), promise.agreement, promise.confidence))
    predictor = open_predictor(local.bundle)
    asked = fitting_teacher(teacher, home, predictor.task)
    if set(asked.digests.values()) == {local.bundle.manifest.model_digest}:
        watch.message("The teacher is the model itself, so that this certificate tells nothing.", "warn")
    answers = _answers(predictor, drawn, watch)
    told = second_opinions(asked, drawn, home, budget=promise.budget, watch=watch)
    known = [i for i, value in enumerate(told.values) if value is not None]
    agrees = np.array([same(predictor.task, answers[i].answer, told.values[i]) for i in known], dtype=np.bool_)
    sure = np.array([sureness(answers[i]) for i in known])
    found = choose(sure, agrees, promise.agreement, promise.confidence, method=promise.method)
    outcome = Outcome(len(known), told.cost, len(drawn) - len(known))
    if isinstance(found, Refusal):
        return msgspec.structs.replace(outcome, refusal=found)
    kept = Sample(
        [drawn[i] for i in known], [answers[i] for i in known], sure, agrees, [told.weights[i] for i in known]
    )
    made = certificate_of(local, (teacher, told.digests), kept, found, promise, source)
    return msgspec.structs.replace(outcome, certificate=made, file=certificates.keep(home, made))


def find_local(route: str, home: Home) -> Local:
    """The model whose answers are certified: that of the route's certified step, else its first local one. A bundle's
    folder, or the name of a model, is a route of its own. Raises NotFound, Damaged, InputError."""
    routes = read_config(find_config(home)).routes
    if route in routes:
        name = _local_model(routes[route], home)
    elif bundle_of(route, home) is not None:
        name = route
    else:
        raise NotFound("no route or model of this name", got=repr(route), param="route",
                       allowed="a [route.NAME] of nanosmith.toml, the name of a model, or a bundle's folder",
                       remedy=did_you_mean(route, [*routes, *model_bundles(home)]))  # fmt: skip
    folder = bundle_of(name, home)
    assert folder is not None
    return Local(route, name, open_bundle(folder))


def captured(route: str, home: Home, most: int = SAMPLE) -> list[Input]:
    """The newest captured requests of a route. Raises NotFound where there are none."""
    found: list[Input] = []
    if home.has_ledger:
        ledger = open_ledger(home)
        try:
            for _, one in zip(range(most), read_captures(ledger, route)):
                found.append(one.messages)
        finally:
            ledger.close()
    if not found:
        raise NotFound("the route has no captured traffic", got=repr(route), code="no_traffic",
                       remedy="Name texts with --data, or set capture = true in nanosmith.toml.")  # fmt: skip
    return found


def check(promise: Promise) -> None:
    """Raises InputError for what cannot be promised."""
    for name, value in (("agreement", promise.agreement), ("confidence", promise.confidence)):
        if not 0 < value < 1:
            raise InputError("this cannot be promised", where=f"--{name}", got=value, allowed="above 0, below 1",
                             param=name)  # fmt: skip


class Sample(msgspec.Struct, frozen=True):
    """Texts (N), what was answered here, how sure (N), whether the teacher agrees (N), and what asking it weighs."""

    inputs: list[Input]
    answers: list[Prediction]
    sure: Floats
    agrees: Bools
    weights: list[float]


def _local_model(route: Route, home: Home) -> str:
    """Raises InputError where none is certified, and none is local."""
    certified = [step.model for step in route.steps if step.accept == "certified"]
    local = [step.model for step in route.steps if bundle_of(step.model, home) is not None]
    if len(certified) > 1:
        raise InputError("several steps of the route want a certificate", where=f"[route.{route.name}]",
                         got=", ".join(certified), allowed="one", param="route")  # fmt: skip
    chosen = (certified or local or [""])[0]
    if chosen not in local:
        raise InputError("the route has no local model to certify", where=f"[route.{route.name}]",
                         got=", ".join(step.model for step in route.steps), param="route")  # fmt: skip
    return chosen


def _drawn(inputs: Sequence[Input], promise: Promise) -> list[Input]:
    """In an order of their own, as files are often sorted."""
    order = np.random.default_rng(promise.seed).permutation(len(inputs))
    return [inputs[i] for i in order[: promise.sample]]


def _answers(predictor: Predictor, inputs: Sequence[Input], watch: Watch) -> list[Prediction]:
    answers = []
    for done, given in enumerate(inputs, start=1):
        answers.append(predictor.predict([given])[0])
        watch.check()
        watch.progress("answer here", done, len(inputs))
    if all(answer.sureness is None for answer in answers):
        raise InputError("the model gives no confidence, so no threshold can be set", got=predictor.name,
                         remedy="Tune it with held-out examples.", param="route")  # fmt: skip
    return answers


def certificate_of(
    local: Local, teacher: tuple[str, dict[str, str]], sample: Sample, found: Chosen, promise: Promise, source: str
) -> Certificate:
    """What is signed. `teacher` is its name with the digests of its bundles."""
    above = sample.sure >= found.threshold
    weights = np.array(sample.weights)
    task = local.bundle.manifest.task
    sights = [sight_of(task, given, answer) for given, answer in zip(sample.inputs, sample.answers)]
    kept = [sight.label for sight, given in zip(sights, above) if given]
    return Certificate(
        route=local.route, model=local.model, model_digest=local.bundle.manifest.model_digest, teacher=teacher[0],
        teacher_digests=teacher[1], target=promise.agreement, confidence=promise.confidence, method=promise.method,
        threshold=found.threshold, bound=found.bound, n=found.n, answered=found.answered, agreed=found.agreed,
        cost_share=float(weights[~above].sum() / weights.sum()), sample=_digest(sample.inputs), source=source,
        reference=reference(sights), created_at=int(time.time()), nanosmith=__version__,
        tested=found.tested,
        classes=by_class(kept, sample.agrees[above], promise.confidence) if promise.classes else (),
    )  # fmt: skip


def _digest(inputs: Sequence[Input]) -> str:
    """SHA-256 (hex) of the texts, whatever their order."""
    rows = sorted(msgspec.json.encode([[turn.role, turn.content] for turn in as_messages(one)]) for one in inputs)
    return hashlib.sha256(b"\n".join(rows)).hexdigest()

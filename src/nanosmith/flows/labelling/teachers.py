"""Who is asked: bundles of this machine and remote models, behind one interface."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.core.money import Prices, Usage, most_of
from nanosmith.core.prediction import Prediction, Predictor
from nanosmith.core.task import Task
from nanosmith.flows.teacher import open_teacher
from nanosmith.predict.endpoint.catalogue import Remote, is_remote, open_catalogue
from nanosmith.predict.endpoint.client import Meter, Patience
from nanosmith.predict.endpoint.predictor import EndpointPredictor, open_endpoint
from nanosmith.predict.endpoint.prompt import bound_of, estimated
from nanosmith.predict.open import open_predictor
from nanosmith.store.bundles import Bundle, open_bundle
from nanosmith.store.config import find_config, read_config
from nanosmith.store.home import Home
from nanosmith.store.named import bundle_of
from nanosmith.store.paid import HomePurse

Turns = tuple[Message, ...]
SAMPLING_TEMPERATURE = 0.7


class Estimate(NamedTuple):
    """Nano-dollars of one try: about, and at most."""

    likely: int
    most: int


class Asker(Protocol):
    """One teacher. `is_remote`: asking takes long and may cost money; `prices` None: nobody knows how much."""

    name: str
    is_remote: bool
    prices: Prices | None
    task: Task

    def key(self, turns: Turns, sample: int) -> str:
        """The digest of everything that decides the answer."""

    def ask(self, turns: Turns, meter: Any) -> Prediction:
        """Raises EndpointError, InputError."""

    def estimate(self, turns: Turns) -> Estimate: ...


class LocalTeacher:
    """A bundle; one thread at a time."""

    is_remote = False
    prices: Prices | None = None

    def __init__(self, name: str, bundle: Bundle) -> None:
        self.name = name
        self._digest = bundle.manifest.model_digest
        self._predictor: Predictor = open_predictor(bundle)
        self._lock = threading.Lock()
        self.task = self._predictor.task

    def key(self, turns: Turns, sample: int) -> str:
        return _digest(self._digest, _plain(turns))

    def ask(self, turns: Turns, meter: Any) -> Prediction:
        with self._lock:
            return self._predictor.predict([turns])[0]

    def estimate(self, turns: Turns) -> Estimate:
        return Estimate(0, 0)


class RemoteTeacher:
    """A remote model, whose calls are paid from `purse`."""

    is_remote = True

    def __init__(self, predictor: EndpointPredictor, purse: HomePurse) -> None:
        self.name = predictor.name
        self.task = predictor.task
        self.prices = predictor.remote.model.prices
        self._predictor = predictor
        self._purse = purse

    def key(self, turns: Turns, sample: int) -> str:
        """Not of what is asked for beside the answer, such as log-probabilities: a provider may refuse that later."""
        remote, body = self._predictor.remote, self._predictor.body(turns)
        asked = [body["messages"], body.get("temperature", 0) > 0]
        return _digest(remote.provider.base_url, remote.model.name, asked, sample)

    def ask(self, turns: Turns, meter: Any) -> Prediction:
        """Raises OverBudget and NoPrice, too."""
        remote = self._predictor.remote
        most = None if self.prices is None else self.estimate(turns).most
        paid = self._purse.meter(remote.provider.name, remote.model.name, self.prices, most)
        try:
            return self._predictor.ask(turns, _Both(meter, paid))
        finally:
            paid.close()

    def estimate(self, turns: Turns) -> Estimate:
        if self.prices is None:
            return Estimate(0, 0)
        body = self._predictor.body(turns)
        likely = most_of(*estimated(body, self.task, self._predictor.remote.model), self.prices)
        return Estimate(likely, most_of(*bound_of(body), self.prices))


class _Both:
    """Two meters of one question."""

    def __init__(self, *meters: Meter) -> None:
        self._meters = meters

    def before(self) -> None:
        for meter in self._meters:
            meter.before()

    def after(self, usage: Usage | None) -> None:
        for meter in self._meters:
            meter.after(usage)


class Asked(msgspec.Struct, frozen=True):
    """Which teachers, and how: each input is put to each of them `samples` times."""

    names: tuple[str, ...]
    samples: int = 1
    patience: Patience = Patience()


def members(asked: Asked, home: Home) -> dict[str, Bundle | Remote]:
    """What each name stands for, in their order. Raises NotFound, Damaged, InputError."""
    if not asked.names:
        raise InputError("no teacher is named", param="teacher")
    return {name: _member(name, home) for name in asked.names}


def _member(name: str, home: Home) -> Bundle | Remote:
    path = bundle_of(name, home)
    if path is not None:
        return open_bundle(path)
    providers = read_config(find_config(home)).providers
    if not is_remote(name) and name.partition("/")[0] not in providers:
        open_teacher(name, home)  # raises NotFound, with near names
    return open_catalogue(providers).find(name)


def open_askers(
    asked: Asked, home: Home, found: Mapping[str, Bundle | Remote], task: Task, purse: HomePurse
) -> list[Asker]:
    """All teachers, in their order. Raises InputError (they do not fit together), Misconfigured."""
    warmth = SAMPLING_TEMPERATURE if asked.samples > 1 else 0.0
    askers: list[Asker] = []
    for name, member in found.items():
        if isinstance(member, Bundle):
            askers.append(LocalTeacher(name, member))
            _check_fit(askers[-1], task)
        else:
            opened = open_endpoint(member, home, task, patience=asked.patience, temperature=warmth)
            askers.append(RemoteTeacher(opened, purse))
    return askers


def _check_fit(asker: Asker, task: Task) -> None:
    own = asker.task
    if own.kind != task.kind or set(own.labels) != set(task.labels):
        raise InputError(
            "the teacher has other labels", got=f"{asker.name}: {own.kind}, {_shown(own.labels)}",
            allowed=f"{task.kind}, {_shown(task.labels)}", param="teacher",
            remedy="Name teachers of the same labels; --labels and --like are for remote ones.",
        )  # fmt: skip


def _shown(labels: Sequence[str]) -> str:
    return ", ".join(labels[:5]) + (f" … ({len(labels)})" if len(labels) > 5 else "") or "no labels"


def _plain(turns: Turns) -> list[list[str]]:
    return [[turn.role, turn.content] for turn in turns]


def _digest(*parts: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()

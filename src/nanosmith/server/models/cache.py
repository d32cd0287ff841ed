"""Opened models: the most recently used stay in memory, each with one thread of its own.

All bookkeeping happens on the event loop, so it needs no locks; opening and predicting happen on the model's thread,
so that the loop never waits and one model never runs twice at the same time. Only a model that answers in microseconds
is asked on the loop itself: handing it to a thread would take longer than its answer. What others have answered is
kept (answers.py).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, TypeVar

from starlette.concurrency import run_in_threadpool

from nanosmith.core.example import Input
from nanosmith.core.limits import MAX_OPEN_MODELS, MAX_WAITING_PREDICTIONS
from nanosmith.core.manifest import Manifest
from nanosmith.core.prediction import Prediction, Predictor
from nanosmith.server.http.errors import TooBusy
from nanosmith.server.models.answers import from_environment, key_of
from nanosmith.server.models.names import callable_model
from nanosmith.server.models.writing import Desk
from nanosmith.store.bundles import open_bundle
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger

Given = TypeVar("Given")
Result = TypeVar("Result")
Key: TypeAlias = tuple[str, str, str]
"""Project, name and digest."""
NO_KEY, NO_FOLDER = ("", "", ""), Path()
FRESH_S = 1.0
"""How long what the ledger said of a name is believed: a model that another process deletes answers so much longer."""


class OpenModel:
    """A model that answers; `manifest` and `predictor` are there once `opening` is done."""

    manifest: Manifest
    predictor: Predictor
    fingerprint: str
    digest: str

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        # Never shut down by hand: a request may still hold an evicted model. The thread ends with the last reference.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self.desk = Desk(self._thread)
        self.opening = asyncio.get_running_loop().run_in_executor(self._thread, self._open, folder)

    def _open(self, folder: Path) -> None:
        from nanosmith.predict.open import open_predictor

        bundle = open_bundle(folder)
        self.predictor = open_predictor(bundle)
        self.manifest = bundle.manifest
        self.digest = bundle.manifest.model_digest
        self.fingerprint = f"fp_{self.digest[:10]}"
        if prepare := getattr(self.predictor, "prepare", None):  # what need not be there for the first answer
            self._thread.submit(prepare)

    def quick_answer(self, given: Input) -> Prediction | None:
        """One that takes microseconds; None where the model has none."""
        if getattr(self.predictor, "is_quick", False):
            return self.predictor.predict([given])[0]
        quick = getattr(self.predictor, "quick_answer", None)
        found: Prediction | None = quick(given) if quick else None
        return found

    async def predict(self, given: Input) -> Prediction:
        return (await self.run(self.predictor.predict, [given]))[0]

    async def run(self, work: Callable[[Given], Result], given: Given) -> Result:
        """`work(given)` on the model's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, given)


class OpenModels:
    """What is open, of all projects. At most `capacity` models are, and at most `max_waiting` predictions wait for
    their turn."""

    def __init__(self, *, capacity: int = MAX_OPEN_MODELS, max_waiting: int = MAX_WAITING_PREDICTIONS) -> None:
        self.capacity = capacity
        self.max_waiting = max_waiting
        self.waiting = 0
        self.by_key: OrderedDict[Key, OpenModel] = OrderedDict()
        self.answers = from_environment()


class ModelCache:
    """One project's models by name."""

    def __init__(self, home: Home, ledger: Ledger, opened: OpenModels) -> None:
        self._home = home
        self._ledger = ledger
        self._opened = opened
        self._known: dict[str, tuple[float, Key, Path]] = {}  # when the ledger was asked (monotonic seconds)

    async def get(self, name: str) -> OpenModel:
        """The model of this name, opened if need be. Raises ModelNotFound, Damaged, TooBusy."""
        now = time.monotonic()
        read_at, key, folder = self._known.get(name, (-math.inf, NO_KEY, NO_FOLDER))
        if now - read_at > FRESH_S:
            self._known.pop(name, None)
            row, project = await run_in_threadpool(callable_model, self._ledger, name)
            key, folder = (project, row.name, row.digest), self._home.of(project).bundles / row.bundle
            self._known[name] = now, key, folder
        return await self.open(key, folder)

    async def open(self, key: Key, folder: Path) -> OpenModel:
        """The model in `folder`. A key with the project "" is one that all projects may use."""
        opened = self._opened
        model = opened.by_key.get(key)
        if model is None:
            model = opened.by_key[key] = OpenModel(key[1], folder)
        opened.by_key.move_to_end(key)
        if not model.opening.done():
            with self.place():
                await asyncio.shield(asyncio.wait([model.opening]))  # a client that leaves closes nothing for others
        if model.opening.exception() is not None:
            opened.by_key.pop(key, None)
        model.opening.result()
        while len(opened.by_key) > opened.capacity:
            opened.by_key.popitem(last=False)
        return model

    async def predict(self, model: OpenModel, given: Input) -> Prediction:
        """Raises TooBusy when too many others wait."""
        if (quick := model.quick_answer(given)) is not None:
            return quick
        answers, key = self._opened.answers, key_of(self._home.project, model.digest, given)
        if (kept := answers.get(key)) is not None:
            return kept
        with self.place():
            answer = await model.predict(given)
        answers.keep(key, answer)
        return answer

    def digest_of(self, name: str) -> str | None:
        """Of the model that answers to this name now; None before it was asked."""
        _, key, _ = self._known.get(name, (0.0, NO_KEY, NO_FOLDER))
        return getattr(self._opened.by_key.get(key), "digest", None)

    def forget(self, name: str) -> None:
        """Close a model that was deleted."""
        self._known.pop(name, None)
        opened = self._opened.by_key
        for key in [key for key in opened if key[:2] == (self._home.project, name)]:
            del opened[key]

    @contextmanager
    def place(self) -> Iterator[None]:
        """One place in the queue. Raises TooBusy."""
        if self._opened.waiting >= self._opened.max_waiting:
            raise TooBusy(
                "too many predictions wait",
                got=self._opened.waiting,
                allowed=self._opened.max_waiting,
                remedy="Try again in a second.",
            )
        self._opened.waiting += 1
        try:
            yield
        finally:
            self._opened.waiting -= 1

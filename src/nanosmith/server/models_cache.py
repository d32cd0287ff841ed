"""Opened models: the most recently used stay in memory, each with one thread of its own.

All bookkeeping happens on the event loop, so it needs no locks; opening and predicting happen on the model's thread,
so that the loop never waits and one model never runs twice at the same time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from starlette.concurrency import run_in_threadpool

from nanosmith.core.example import Input
from nanosmith.core.limits import MAX_OPEN_MODELS, MAX_WAITING_PREDICTIONS
from nanosmith.core.manifest import Manifest
from nanosmith.core.prediction import Prediction, Predictor
from nanosmith.server.errors import TooBusy
from nanosmith.server.names import model_not_found
from nanosmith.store.bundles import open_bundle
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import ModelRow


class OpenModel:
    """A model that answers; `manifest` and `predictor` are there once `opening` is done."""

    manifest: Manifest
    predictor: Predictor

    def __init__(self, row: ModelRow, folder: Path) -> None:
        self.name = row.name
        # Never shut down by hand: a request may still hold an evicted model. The thread ends with the last reference.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self.opening = asyncio.get_running_loop().run_in_executor(self._thread, self._open, folder)

    def _open(self, folder: Path) -> None:
        from nanosmith.predict.open import open_predictor

        bundle = open_bundle(folder)
        self.predictor = open_predictor(bundle)
        self.manifest = bundle.manifest

    async def predict(self, given: Input) -> Prediction:
        loop = asyncio.get_running_loop()
        return (await loop.run_in_executor(self._thread, self.predictor.predict, [given]))[0]


class ModelCache:
    """Models by name. At most `capacity` are open, and at most `max_waiting` predictions wait for their turn."""

    def __init__(
        self, home: Home, ledger: Ledger, *, capacity: int = MAX_OPEN_MODELS, max_waiting: int = MAX_WAITING_PREDICTIONS
    ) -> None:
        self._home = home
        self._ledger = ledger
        self._capacity = capacity
        self._max_waiting = max_waiting
        self._waiting = 0
        self._open: OrderedDict[tuple[str, str], OpenModel] = OrderedDict()  # by name and digest

    async def get(self, name: str) -> OpenModel:
        """The model of this name, opened if need be. Raises ModelNotFound, Damaged, TooBusy."""
        row = await run_in_threadpool(self._ledger.model, name)
        if row is None:
            raise await run_in_threadpool(model_not_found, self._ledger, name)
        key = (row.name, row.digest)
        model = self._open.get(key)
        if model is None:
            model = self._open[key] = OpenModel(row, self._home.bundles / row.bundle)
        self._open.move_to_end(key)
        with self._place():
            try:
                await asyncio.shield(model.opening)
            except BaseException:
                self._open.pop(key, None)
                raise
        while len(self._open) > self._capacity:
            self._open.popitem(last=False)
        return model

    async def predict(self, model: OpenModel, given: Input) -> Prediction:
        """Raises TooBusy when too many others wait."""
        with self._place():
            return await model.predict(given)

    def forget(self, name: str) -> None:
        """Close a model that was deleted."""
        for key in [key for key in self._open if key[0] == name]:
            del self._open[key]

    @contextmanager
    def _place(self) -> Iterator[None]:
        """One place in the queue. Raises TooBusy."""
        if self._waiting >= self._max_waiting:
            raise TooBusy(
                "too many predictions wait",
                got=self._waiting,
                allowed=self._max_waiting,
                remedy="Try again in a second.",
            )
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

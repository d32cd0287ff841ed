"""The local answer to a request, and its teacher's: what an audit compares. Both are asked on the auditor's threads."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from nanosmith.core.budget import Call
from nanosmith.core.certificate import Certificate
from nanosmith.core.example import Message
from nanosmith.core.money import most_of
from nanosmith.core.prediction import Prediction
from nanosmith.core.task import Task, Value
from nanosmith.predict.endpoint.predictor import EndpointPredictor
from nanosmith.predict.open import open_predictor
from nanosmith.server.routes.bill import most_tokens
from nanosmith.store.bundles import open_bundle
from nanosmith.store.home import Home
from nanosmith.store.named import bundle_of
from nanosmith.store.paid import PurseMeter
from nanosmith.store.purse import Purse


class Opinions:
    """Of one certificate. Raises NotFound, Damaged, InputError, Misconfigured where one of both cannot be opened."""

    def __init__(self, certificate: Certificate, home: Home, purse: Purse) -> None:
        from nanosmith.flows.teacher import open_teacher  # a server without certificates never loads it

        folder = bundle_of(certificate.model, home)
        self._local = open_predictor(open_bundle(folder or certificate.model))
        self.task: Task = self._local.task
        self._teacher = open_teacher(certificate.teacher, home, task=self.task)
        self._purse = purse
        self._turn, self._teachers_turn = threading.Lock(), threading.Lock()  # bundles answer one at a time

    @property
    def is_remote(self) -> bool:
        """Whether the teacher is outside of this machine."""
        return self._teacher.remote is not None

    def local(self, turns: Sequence[Message]) -> Prediction:
        with self._turn:
            return self._local.predict([tuple(turns)])[0]

    def teacher(self, turns: Sequence[Message], route: str, project: str) -> Value:
        """Raises EndpointError, OverBudget, InputError."""
        given = tuple(turns)
        predictor = self._teacher.predictor
        if not isinstance(predictor, EndpointPredictor):
            with self._teachers_turn:
                return predictor.predict([given])[0].answer
        remote = predictor.remote
        prices = remote.model.prices
        most = None if prices is None else most_of(*most_tokens(remote.model, predictor.body(given)), prices)
        call = Call(project, "", route, remote.provider.name, remote.model.name)
        meter = PurseMeter(self._purse, call, prices, most)
        try:
            return predictor.ask(given, meter).answer
        finally:
            meter.close()

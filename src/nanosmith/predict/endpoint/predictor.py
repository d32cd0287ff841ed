"""EndpointPredictor: a remote model that answers as the local ones do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nanosmith.core.example import Input
from nanosmith.core.prediction import Prediction
from nanosmith.core.task import Task
from nanosmith.predict.endpoint.catalogue import Capability, Remote
from nanosmith.predict.endpoint.client import Client, Meter, NoMeter, Patience
from nanosmith.predict.endpoint.dialects.dialect import count
from nanosmith.predict.endpoint.failure import EndpointError
from nanosmith.predict.endpoint.keys import key_of
from nanosmith.predict.endpoint.prompt import body_of, response_format
from nanosmith.predict.endpoint.reading import answered, probabilities_of
from nanosmith.store.home import Home

TOP_LOGPROBS = 20  # the most that OpenAI gives
FIELDS: dict[Capability, tuple[str, ...]] = {
    "logprobs": ("logprobs", "top_logprobs"), "json_schema": ("response_format",), "temperature": ("temperature",),
}  # fmt: skip
"""What is asked for where a model can do it, or may: who refuses it is asked again without."""


class EndpointPredictor:
    """Asks a remote model for a task: its labels, its record, or (None) free text.

    Answers are checked, and asked for again where they are none of the task's. `probabilities` are read from the
    tokens' where the provider gives them. There is no confidence: nobody calibrated these.
    """

    def __init__(
        self, remote: Remote, task: Task | None = None, *, key: str | None = None, patience: Patience | None = None,
        temperature: float = 0.0, seed: int | None = None,
    ) -> None:  # fmt: skip
        self.name = remote.name
        self.task = task or Task("text")
        self.remote = remote
        self._temperature = temperature
        self._client = Client(remote, key, patience or Patience(), seed=seed)
        self._refused: set[str] = set()

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        """One after the other. Raises EndpointError for the first that gets no answer."""
        return [self.ask(given) for given in inputs]

    def ask(self, given: Input, meter: Meter | None = None) -> Prediction:
        """Raises EndpointError, InputError, and what `meter` raises."""
        body = self.body(given)
        try:
            return self._ask(body, meter or NoMeter())
        except EndpointError as error:
            if error.status not in (400, 422) or not (found := self._optional(body)):
                raise
            self._refused |= found  # a provider of whom nothing is known may not know a field
            return self._ask(self.body(given), meter or NoMeter())

    def body(self, given: Input) -> dict[str, Any]:
        """The request, as OpenAI's chat completions have it."""
        body = body_of(self.task, given, self.remote.model)
        if self._may("temperature"):
            body["temperature"] = self._temperature
        if self.task.kind == "choice" and self._may("logprobs"):
            body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        if (wanted := response_format(self.task)) and self._may("json_schema"):
            body["response_format"] = wanted
        return body

    def _may(self, capability: Capability) -> bool:
        """Whether the model can do it, or nobody knows yet that it cannot."""
        known = self.remote.model.can(capability)
        return capability not in self._refused if known is None else known

    def _optional(self, body: dict[str, Any]) -> set[str]:
        """What the body asks for although nobody knows whether the model can do it."""
        unknown = self.remote.model.capabilities is None
        return {name for name, fields in FIELDS.items() if unknown and any(field in body for field in fields)}

    def _ask(self, body: dict[str, Any], meter: Meter) -> Prediction:
        answer = self._client.ask(body, meter, self._check)
        value, choice = answered(self.name, self.task, answer), answer["choices"][0]
        shares = None
        if self.task.kind == "choice":
            shares = probabilities_of(self.task.labels, choice.get("logprobs"))
        read = count((answer.get("usage") or {}).get("prompt_tokens"))
        labels = self.task.labels if shares else ()
        return Prediction(value, None, labels, shares or (), self.name, tokens=read)

    def _check(self, answer: dict[str, Any]) -> None:
        answered(self.name, self.task, answer)


def open_endpoint(
    remote: Remote, home: Home, task: Task | None = None, *, patience: Patience | None = None, temperature: float = 0.0
) -> EndpointPredictor:
    """The predictor of a remote model, with its provider's key. Raises Misconfigured where that is missing."""
    key = key_of(remote.provider, home)
    return EndpointPredictor(remote, task, key=key, patience=patience, temperature=temperature)

"""Routes in Python: predictors in order, of which the first that is sure enough answers.

    import nanosmith as ns

    route = ns.route(ns.step(ns.open("support-nano"), accept=0.9), ns.step("openai/gpt-5-mini"))
    route = ns.route("support")                    # [route.support] of nanosmith.toml
    route.predict(["where is my money?"])[0].by    # who answered

The server's routes do more: streams, weights, hedging, cooldowns, budgets (docs/routes.md).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from nanosmith.core.errors import InputError, NotFound, did_you_mean
from nanosmith.core.example import Input
from nanosmith.core.prediction import Prediction, Predictor
from nanosmith.core.route import Route
from nanosmith.core.route import Step as StepSettings
from nanosmith.core.task import Task
from nanosmith.predict.endpoint.catalogue import open_catalogue
from nanosmith.predict.endpoint.client import Patience
from nanosmith.predict.endpoint.failure import EndpointError
from nanosmith.predict.endpoint.predictor import EndpointPredictor, open_endpoint
from nanosmith.predict.open import open_predictor
from nanosmith.store.config import find_config, read_config
from nanosmith.store.home import Home, open_home
from nanosmith.store.named import bundle_of, model_bundles


class Step(msgspec.Struct, frozen=True):
    """A predictor, and the confidence in [0, 1] from which on its answer is accepted; None: always."""

    predictor: Predictor
    accept: float | None = None


class RoutePredictor:
    """Asks its steps in order. What is out of scope, or has no confidence, is never accepted by a step with a
    threshold; an endpoint that fails leaves the answer to the next step."""

    def __init__(self, steps: Sequence[Step], name: str = "route") -> None:
        """Raises InputError where nobody would answer in the end."""
        if not steps:
            raise InputError("a route needs a step", param="steps")
        if steps[-1].accept is not None:
            raise InputError("the last step answers whatever its confidence", got=f"accept={steps[-1].accept}",
                             allowed="accept=None", param="accept")  # fmt: skip
        self.name = name
        self.task: Task = steps[0].predictor.task
        self._steps = tuple(steps)

    def predict(self, inputs: Sequence[Input]) -> list[Prediction]:
        """`by` of each tells who answered. Raises what the last step raises."""
        found: dict[int, Prediction] = {}
        for step in self._steps:
            left = [i for i in range(len(inputs)) if i not in found]
            is_last = step is self._steps[-1]
            found |= dict(_answers(step, inputs, left, is_last=is_last))
        return [found[i] for i in range(len(inputs))]


def route(*steps: Step | str, home: Home | None = None) -> RoutePredictor:
    """Of steps made with `step`, or, by one name, a route of nanosmith.toml. Raises InputError, NotFound."""
    if len(steps) == 1 and isinstance(steps[0], str):
        return _configured(steps[0], home or open_home())
    given = [one if isinstance(one, Step) else step(one, home=home) for one in steps]
    return RoutePredictor(given)


def step(
    model: Predictor | str, accept: float | None = None, *, task: Task | None = None, home: Home | None = None
) -> Step:
    """`model`: a predictor, or the name of one: a bundle's folder, a model of the data folder, PROVIDER/MODEL; `task`
    is what a remote one is asked (None: free text). Raises InputError, NotFound."""
    if accept is not None and not 0 <= accept <= 1:
        raise InputError("not a threshold", got=accept, allowed="0 to 1", param="accept")
    return Step(_opened(model, task, home or open_home()) if isinstance(model, str) else model, accept)


def endpoint(
    name: str, task: Task | None = None, *, home: Home | None = None, patience: Patience | None = None
) -> EndpointPredictor:
    """A remote model, PROVIDER/MODEL or URL#MODEL, asked for a task's labels or records (None: free text). Raises
    InputError, NotFound, Misconfigured."""
    opened = home or open_home()
    catalogue = open_catalogue(read_config(find_config(opened)).providers)
    return open_endpoint(catalogue.find(name), opened, task, patience=patience)


def quantile(logprobs: Sequence[float], share: float) -> float | None:
    """A text's confidence: the probability that this share of its tokens does not reach
    (https://arxiv.org/abs/2404.10136); None without tokens."""
    if not logprobs:
        return None
    ordered = sorted(logprobs)
    return math.exp(min(0.0, ordered[min(len(ordered) - 1, int(share * len(ordered)))]))


def is_sure(prediction: Prediction, accept: float) -> bool:
    """Whether an answer is accepted."""
    sure = prediction.sureness
    return sure is not None and sure >= accept and not prediction.refused


def _answers(
    step: Step, inputs: Sequence[Input], left: Sequence[int], *, is_last: bool
) -> Iterable[tuple[int, Prediction]]:
    """Those that a step gives, by the place of the input. Raises EndpointError, of the last step alone."""
    for i in left:
        try:
            answer = step.predictor.predict([inputs[i]])[0]
        except EndpointError:
            if is_last:
                raise
            continue
        if step.accept is None or is_sure(answer, step.accept):
            yield i, answer


def _configured(name: str, home: Home) -> RoutePredictor:
    routes = read_config(find_config(home)).routes
    if name not in routes:
        raise NotFound("no route of this name", got=repr(name), allowed=", ".join(routes) or "none",
                       remedy=did_you_mean(name, routes) or "Write it into nanosmith.toml.", param="route")  # fmt: skip
    found = routes[name]
    local = [one for one in found.steps if not _is_remote(one.model, home)]
    opened = {one.model: _opened(one.model, None, home) for one in local}
    task = next((p.task for p in opened.values() if p.task.kind in ("choice", "labels")), None)
    steps = [
        Step(opened.get(one.model) or _remote(one, task, home), _threshold(one, found, home)) for one in found.steps
    ]
    return RoutePredictor(steps, name)


def _threshold(step: StepSettings, route: Route, home: Home) -> float | None:
    """Raises NotFound, Damaged or GateRefused where a certificate is wanted and none holds."""
    if step.accept != "certified":
        return step.accept
    from nanosmith.store.certificates import newest

    return newest(home, route.name).threshold


def _remote(step: StepSettings, task: Task | None, home: Home) -> EndpointPredictor:
    patience = Patience(timeout_s=step.timeout_s, retries=step.retries)
    return endpoint(step.model, task if step.task == "auto" else None, home=home, patience=patience)


def _is_remote(name: str, home: Home) -> bool:
    return open_catalogue(read_config(find_config(home)).providers).names(name)


def _opened(name: str, task: Task | None, home: Home) -> Predictor:
    folder = bundle_of(name, home)
    if folder is not None:
        return open_predictor(folder)
    if _is_remote(name, home):
        return endpoint(name, task, home=home)
    raise NotFound("no model of this name", got=repr(name), param="model",
                   remedy=did_you_mean(name, model_bundles(home)) or "See what is there: nanosmith ls")  # fmt: skip

"""Nanosmith's recipe tune_encoder alone, without choosing, sealing and reporting. See worker.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lines import serve, timed


def train(request: dict[str, Any]) -> tuple[Callable[[list[str]], list[list[float]]], dict[str, Any]]:
    import numpy as np

    from nanosmith.core.task import Task
    from nanosmith.core.watch import Watch
    from nanosmith.predict.local import sigmoid, softmax
    from nanosmith.recipes.base_folder import find_base
    from nanosmith.recipes.parts.base import Base
    from nanosmith.recipes.tune_encoder import fit
    from nanosmith.recipes.work import Model, Samples, Work, targets_of

    labels = tuple(f"{i:04}" for i in range(request["labels"]))
    task = Task("labels" if request["several"] else "choice", labels)
    values = [(labels[i],) if request["several"] else labels[i] for i in request["wanted"]]
    samples = Samples(request["texts"], targets_of(task, values), np.ones(len(values), np.float32))
    nothing = Samples([], targets_of(task, []), np.ones(0, np.float32))
    base = Base(find_base(request["base"]), cache=Path(request["folder"]))
    work = Work(
        task=task, train=samples, tune=nothing, base=base, seed=request["seed"], watch=Watch(),
        options={"n_epochs": request["epochs"]},
    )  # fmt: skip
    models: list[Model] = []
    took = timed(lambda: models.append(fit(work)))

    def scores(given: list[str]) -> list[list[float]]:
        squash = sigmoid if request["several"] else softmax
        return [squash(row) for row in models[0].logits(given).tolist()]

    return scores, {**took, "notes": {"epochs": request["epochs"]}}


if __name__ == "__main__":
    serve(train)

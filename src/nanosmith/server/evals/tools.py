"""What the graders of an eval may use: models and routes by their names, and the base model that embeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anyio.from_thread

from nanosmith.core.example import Message
from nanosmith.score.graders import run as graders
from nanosmith.score.graders.grade import Answer, SamplingParams, Tools
from nanosmith.score.graders.multi import MultiGrader
from nanosmith.score.graders.text_similarity import TextSimilarityGrader
from nanosmith.server.embeddings.embeddings import open_model
from nanosmith.server.evals.asking import of_one_row
from nanosmith.server.fine_tuning.graders import asker
from nanosmith.server.services import Services

EMBEDDER = "nanosmith-nano"
"""OpenAI does not say which model its cosine is of."""


def tools_of(here: Services, call: Callable[..., Any] = anyio.from_thread.run, *, key: str = "") -> Tools:
    """`call` runs a coroutine function with its arguments: without it, from a thread of the event loop. `key` is whose
    budgets a route's calls count to."""
    asked = asker(here, key, call)

    def ask(name: str, messages: Sequence[Message], sampling: SamplingParams) -> Answer:
        with of_one_row():
            return asked(name, messages, sampling)

    return Tools(ask=ask, embed=lambda texts: call(_vectors, here, texts))


async def open_embedder(here: Services) -> None:
    """So that a model that cannot be had is told before any row is graded. Raises MissingExtra, MissingWeights."""
    await open_model(here, EMBEDDER)


def is_cosine(grader: graders.Grader) -> bool:
    if isinstance(grader, MultiGrader):
        return any(map(is_cosine, grader.graders.values()))
    return isinstance(grader, TextSimilarityGrader) and grader.evaluation_metric == "cosine"


async def _vectors(here: Services, texts: Sequence[str]) -> list[list[float]]:
    """(N, D), of length 1; what is beyond the model's limit of tokens is not read."""
    from nanosmith.predict.embed import as_embedder  # numpy: not before it is needed

    model = await open_model(here, EMBEDDER)
    embedder = as_embedder(model.predictor)
    return await model.run(lambda given: [embedder.vector(embedder.token_ids(one)[0]).tolist() for one in given], texts)

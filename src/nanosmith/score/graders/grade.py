"""What graders share: what they are given, what they give back, and how a grade fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol, TypeAlias, get_args

import msgspec
from msgspec import Meta

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.core.limits import MAX_INPUT_CHARS

Flag: TypeAlias = Literal[
    "formula_parse_error", "sample_parse_error", "truncated_observation_error", "unresponsive_reward_error",
    "invalid_variable_error", "other_error", "python_grader_server_error", "python_grader_runtime_error",
    "model_grader_server_error", "model_grader_refusal_error", "model_grader_parse_error",
]  # fmt: skip
FLAGS: tuple[Flag, ...] = get_args(Flag)
"""OpenAI's names for what can go wrong with a grade."""

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]
Template: TypeAlias = Annotated[str, Meta(max_length=MAX_INPUT_CHARS)]


class GradingError(InputError):
    """No grade can be made of this item and sample. The reward is then 0, and `flag` says why."""

    def __init__(self, what: str, *, flag: Flag, **parts: Any) -> None:
        super().__init__(what, **parts)
        self.flag = flag


class Answer(msgspec.Struct, frozen=True):
    """What a model that was asked said."""

    text: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0


class SamplingParams(msgspec.Struct, frozen=True):
    """How a model that grades is to be sampled; one that always gives its best answer may ignore it."""

    seed: int | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    max_completions_tokens: Annotated[int, Meta(ge=1)] | None = None
    reasoning_effort: Annotated[str, Meta(max_length=64)] | None = None


class Ask(Protocol):
    """Asks a model by its name. What it raises goes through to the caller of the grader."""

    def __call__(self, model: str, messages: Sequence[Message], sampling: SamplingParams, /) -> Answer: ...


class Embed(Protocol):
    """N texts to their embeddings: (N, D)."""

    def __call__(self, texts: Sequence[str], /) -> Sequence[Sequence[float]]: ...


class Tools(msgspec.Struct, frozen=True):
    """What the caller can do for graders. Those that need more are refused."""

    ask: Ask | None = None
    embed: Embed | None = None


class Context(msgspec.Struct, frozen=True):
    """What one grade is made from; `item` and `sample` are the two namespaces of templates."""

    item: Mapping[str, Any]
    sample: Mapping[str, Any]
    tools: Tools = Tools()


class Grade(msgspec.Struct, frozen=True):
    """A reward, and how it came about. `flags` is empty where nothing went wrong; `messages` says what did."""

    reward: float
    flags: frozenset[Flag] = frozenset()
    messages: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()
    sub_rewards: dict[str, float] = {}


class BaseGrader(msgspec.Struct, frozen=True, tag_field="type"):
    """A grader as it is sent and stored. `where` is the path of the grader in the request: `grader`."""

    name: Name

    def refuse(self, where: str, tools: Tools) -> None:
        """Raises InputError where this grader can grade nothing at all, MissingExtra where a package is missing."""

    def check(self, where: str) -> None:
        """Raises GradingError for a template or formula that cannot be read."""

    def grade(self, context: Context) -> Grade:
        """Raises GradingError; and whatever the tools raise."""
        raise NotImplementedError


def attempt(grader: BaseGrader, context: Context) -> Grade:
    """The grade; or reward 0 and the reason, where none can be made."""
    try:
        return grader.grade(context)
    except GradingError as error:
        return failed(error)


def failed(error: GradingError, answers: tuple[Answer, ...] = ()) -> Grade:
    return Grade(0.0, frozenset({error.flag}), (str(error),), answers)


def unsupported(what: str, where: str, remedy: str) -> InputError:
    return InputError(what, remedy=remedy, param=where, code="unsupported_grader")

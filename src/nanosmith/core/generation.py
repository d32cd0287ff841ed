"""What a predictor that writes free text is asked (Sampling) and what it gives, piece by piece (Piece)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, Protocol, TypeAlias

import msgspec

from nanosmith.core.example import Input
from nanosmith.core.prediction import Predictor

FinishReason: TypeAlias = Literal["stop", "length"]
Stopped: TypeAlias = Callable[[], bool]


class Grammar(msgspec.Struct, frozen=True):
    """What the text must obey: a JSON schema (as JSON text), a regular expression, or a Lark grammar."""

    kind: Literal["json_schema", "regex", "lark"]
    source: str


class Sampling(msgspec.Struct, frozen=True):
    """How the next token is drawn, as OpenAI's parameters of the same names say. Temperature 0 takes the likeliest.

    `max_tokens` None: to the end of the context. `stop` are texts before which the answer ends. `top_logprobs` None: no
    probabilities wanted. `logit_bias` is by token id.
    """

    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = {}
    top_logprobs: int | None = None
    grammar: Grammar | None = None


class TokenLogprob(msgspec.Struct, frozen=True):
    """A token's text, its bytes, its natural-log probability (before temperature), and the likeliest in its place."""

    text: str
    utf8: bytes
    logprob: float
    top: tuple[tuple[str, bytes, float], ...] = ()


class Piece(msgspec.Struct, frozen=True):
    """The next piece of an answer: `text` is valid Unicode (a character is never cut). The last piece has the
    `finish_reason`, and `prompt_tokens`, `cached_tokens` (of them) and `written_tokens` of the whole answer."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    finish_reason: FinishReason | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0


class Generator(Predictor, Protocol):
    """A predictor that writes text."""

    max_tokens: int
    """Of the context: prompt and answer together."""

    def generate(self, given: Input, sampling: Sampling, stopped: Stopped) -> Iterator[Piece]:
        """The answer, piece by piece; ends early, without a last piece, once `stopped()` is true (asked at each token).

        Raises TooLong (before the first piece) where the prompt leaves no room, InputError for a grammar that cannot
        be compiled in time.
        """
        ...

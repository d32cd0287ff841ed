"""From the messages of a request to the turns that a model reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nanosmith.core.errors import InputError, TooLong
from nanosmith.core.example import Input, Message
from nanosmith.core.limits import MAX_INPUT_CHARS
from nanosmith.core.prediction import Prediction

TRUNCATED = "x-nanosmith-truncated"
UNCALIBRATED = "x-nanosmith-uncalibrated"
OUT_OF_SCOPE = "x-nanosmith-out-of-scope"
CACHE = "x-nanosmith-cache"


def check_chars(texts: Iterable[str], param: str) -> None:
    """Raises TooLong when the texts together are longer than an input may be."""
    chars = sum(map(len, texts))
    if chars > MAX_INPUT_CHARS:
        raise TooLong(
            "the input is too long", got=f"{chars} characters", allowed=f"{MAX_INPUT_CHARS} characters", param=param
        )


def as_input(turns: Sequence[Message], param: str) -> Input:
    check_chars((turn.content for turn in turns), param)
    return turns


def not_text(kind: str, param: str, allowed: str) -> InputError:
    return InputError("this part is not text", got=repr(kind[:80]), allowed=allowed, param=param)


def remarks(prediction: Prediction) -> dict[str, str]:
    """Headers that tell what limits an answer: an input that was not read to its end, probabilities that were never
    compared with outcomes, an input that is out of scope, and an answer that was given before. Mostly empty."""
    headers = {}
    if prediction.dropped_tokens:
        read, total = prediction.tokens, prediction.tokens + prediction.dropped_tokens
        headers[TRUNCATED] = f"read {read} of about {total} tokens"
    if prediction.confidence is None:
        headers[UNCALIBRATED] = "true"
    if prediction.refused:
        headers[OUT_OF_SCOPE] = f"{prediction.out_of_scope:.4f}"
    if prediction.is_kept:
        headers[CACHE] = "hit"
    return headers

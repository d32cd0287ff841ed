"""What a text model wrote, in the shapes of a chat completion: its choices whole, or as deltas while they grow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nanosmith.core.generation import Piece, TokenLogprob
from nanosmith.server.chat.sampling import Plan
from nanosmith.server.chat.tools import CallReader
from nanosmith.server.models.writing import Part
from nanosmith.store.ledger import new_id

UNLIKELY = -9999.0  # what OpenAI writes for a probability of zero


class Choice:
    """One text as it grows; `reason` is None until it has ended."""

    def __init__(self, index: int, plan: Plan) -> None:
        self.index = index
        self.text = ""
        self.tokens: list[TokenLogprob] = []
        self.call = CallReader(plan.offer) if plan.offer is not None else None
        self.call_id = new_id("call_")
        self.reason: str | None = None
        self._shown_tokens = 0

    @property
    def is_decided(self) -> bool:
        """Whether it is known if this is a call or a text."""
        return self.call is None or self.call.is_call is not None

    @property
    def is_call(self) -> bool:
        return bool(self.call and self.call.is_call)

    def add(self, piece: Piece) -> str:
        """What is new: of the arguments for a call, else of the text."""
        self.tokens += piece.logprobs
        new = piece.text if self.call is None else self.call.feed(piece.text, is_last=piece.finish_reason is not None)
        if not self.is_call:
            self.text += new
        if piece.finish_reason is not None:
            self.reason = "tool_calls" if self.is_call and piece.finish_reason == "stop" else piece.finish_reason
        return new

    def new_tokens(self) -> list[TokenLogprob]:
        """Those of a text that this did not give before."""
        shown, self._shown_tokens = self._shown_tokens, len(self.tokens)
        return [] if self.is_call else self.tokens[shown:]


class Written:
    """All choices of one request, and what they cost."""

    def __init__(self, plan: Plan) -> None:
        self.choices = [Choice(index, plan) for index in range(len(plan.samplings))]
        self.prompt_tokens = self.cached_tokens = self.written_tokens = 0
        self._pieces = 0  # of the choice that has not ended

    def add(self, part: Part) -> tuple[Choice, str]:
        """The choice that grows, and what is new of it. The prompt is counted once, as all choices are about it."""
        choice, piece = self.choices[part.choice], part.piece
        if piece.finish_reason is not None:
            if part.choice == 0:
                self.prompt_tokens, self.cached_tokens = piece.prompt_tokens, piece.cached_tokens
            self.written_tokens += piece.written_tokens
        self._pieces = 0 if piece.finish_reason is not None else self._pieces + 1
        return choice, choice.add(piece)

    @property
    def has_ended(self) -> bool:
        return self.choices[-1].reason is not None

    @property
    def total_tokens(self) -> int:
        """Of a text that was left, those that were sent, about."""
        return self.prompt_tokens + self.written_tokens + self._pieces


class Deltas:
    """The deltas of a stream's choices: the role first, then what is new, then the reason."""

    def __init__(self, written: Written, *, logprobs: bool) -> None:
        self._written = written
        self._logprobs = logprobs
        self._begun: set[int] = set()
        self._named: set[int] = set()

    def of(self, part: Part) -> Iterator[dict[str, Any]]:
        """As the `choices` of chunks: those that a part of the texts makes."""
        choice, new = self._written.add(part)
        if choice.index not in self._begun:
            self._begun.add(choice.index)
            yield self._shown(choice, {"role": "assistant", "content": "", "refusal": None})
        if choice.is_call:
            if delta := self._call(choice, new):
                yield self._shown(choice, delta)
        else:
            tokens = choice.new_tokens() if choice.is_decided else []
            if new or tokens:
                yield self._shown(choice, {"content": new}, logprobs(tokens) if self._logprobs else None)
        if choice.reason is not None:
            yield self._shown(choice, {}, reason=choice.reason)

    def _call(self, choice: Choice, new: str) -> dict[str, Any]:
        """Id and name once, then arguments alone."""
        if choice.index in self._named:
            return {"tool_calls": [{"index": 0, "function": {"arguments": new}}]} if new else {}
        self._named.add(choice.index)
        return {"tool_calls": [{"index": 0} | tool_call(choice, new)]}

    def _shown(
        self, choice: Choice, delta: dict[str, Any], told: dict[str, Any] | None = None, reason: str | None = None
    ) -> dict[str, Any]:
        return {"index": choice.index, "delta": delta, "logprobs": told, "finish_reason": reason}


def whole(choice: Choice, *, with_logprobs: bool) -> dict[str, Any]:
    """A choice that has ended."""
    message: dict[str, Any] = {"role": "assistant", "content": choice.text, "refusal": None, "annotations": []}
    if choice.is_call and choice.call is not None:
        message |= {"content": None, "tool_calls": [tool_call(choice, choice.call.arguments)]}
    told = logprobs(choice.tokens) if with_logprobs and not choice.is_call else None
    return {"index": choice.index, "message": message, "logprobs": told, "finish_reason": choice.reason}


def tool_call(choice: Choice, arguments: str) -> dict[str, Any]:
    name = choice.call.name if choice.call else ""
    return {"id": choice.call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def logprobs(tokens: list[TokenLogprob]) -> dict[str, Any]:
    return {"content": [_token(token) for token in tokens], "refusal": None}


def token_logprob(text: str, utf8: bytes, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": max(UNLIKELY, min(logprob, 0.0)), "bytes": list(utf8)}


def usage(written: Written) -> dict[str, Any]:
    return usage_object(written.prompt_tokens, written.written_tokens, cached_tokens=written.cached_tokens)


def usage_object(read: int, written: int, *, cached_tokens: int = 0) -> dict[str, Any]:
    return {
        "prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": cached_tokens, "cache_write_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0,
        },
    }  # fmt: skip


def _token(token: TokenLogprob) -> dict[str, Any]:
    shown = token_logprob(token.text, token.utf8, token.logprob)
    return shown | {"top_logprobs": [token_logprob(*other) for other in token.top]}

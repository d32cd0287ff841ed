"""Answers on one base: prompts read in blocks, tokens written one by one, each step a turn of its own.

Several answers go on at the same time, on one thread or on many: each step waits for its turn at the graph, first come
first served, so that all answers in progress get one step after the other (they are not computed as one batch: rows of
a batch would change each other's last bits).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from nanosmith.core.errors import InputError, TooLong
from nanosmith.core.generation import FinishReason, Grammar, Piece, Sampling, Stopped, TokenLogprob
from nanosmith.predict.grammar import Compiling, Ending, Grammars, Matcher
from nanosmith.predict.log_softmax import log_softmax
from nanosmith.predict.text.graph import DecoderGraph, Floats, SequenceState
from nanosmith.predict.text.prefixes import BLOCK, block_keys
from nanosmith.predict.text.sampling import Sampler, likeliest
from nanosmith.predict.text.stops import StopTexts
from nanosmith.predict.text.vocabulary import Growing, Vocabulary

Result = TypeVar("Result")
WAITING = Piece("")
"""A step without text: whoever takes turns may take the next one."""


class DecoderEngine:
    """One model: a base's graph, an adapter's matrices (none: the base itself), a vocabulary, and the tokens that end
    an answer. `context` bounds prompt and answer together."""

    def __init__(
        self,
        graph: DecoderGraph,
        vocabulary: Vocabulary,
        *,
        model: str,
        adapter: Mapping[str, Floats],
        ends: Sequence[int],
        context: int,
    ) -> None:
        self.vocabulary = vocabulary
        self.context = context
        self._graph, self._prefixes, self._model, self._adapter = graph, graph.prefixes, model, adapter
        self._native = graph.native.adapter(adapter) if graph.native else None
        self._ends = frozenset(ends)
        self._grammars = Grammars(vocabulary, graph.vocabulary, tuple(ends))

    def generate(self, ids: Sequence[int], sampling: Sampling, stopped: Stopped) -> Iterator[Piece]:
        """The answer to a prompt's ids. Pieces without text mark steps that wrote nothing to be shown yet.

        Raises TooLong, InputError.
        """
        self._check(ids)
        sampler = Sampler(sampling, self._graph.vocabulary)
        left = min(sampling.max_tokens or self.context, self.context - len(ids))
        compiling = self._grammars.begin(sampling.grammar) if sampling.grammar else None
        while compiling is not None and not compiling.ready():
            if stopped():
                return
            yield WAITING
        matcher = compiling.matcher() if compiling else None
        answer = _Answer(self.vocabulary, sampling, sampler, matcher, self._ends, left)
        state = SequenceState(self._graph, len(ids) + left, self._adapter, self._native)
        read = yield from self._read(state, ids, stopped)
        if read is None:
            return
        logits, cached = read
        while True:
            piece = answer.step(logits)
            if answer.finish_reason is not None:
                yield answer.last(piece, prompt=len(ids), cached=cached)
                return
            yield piece
            if stopped():
                return
            logits = state.step(answer.token)

    def prepare(self, grammar: Grammar) -> Compiling:
        """Begins to compile a grammar, so that `generate` need not wait for it. Raises InputError."""
        return self._grammars.begin(grammar)

    def score(self, ids: Sequence[int], answers: Sequence[Sequence[int]]) -> list[float]:
        """The log-probability of each answer's ids after a prompt, the token that ends an answer included. Beginnings
        that answers share are computed once. Raises TooLong, InputError."""
        self._check(ids, room=max(map(len, answers), default=0))
        state = SequenceState(self._graph, self.context, self._adapter)
        read = returned(self._read(state, ids, lambda: False))
        assert read is not None
        return _Scores(state, self._ends).of(answers, log_softmax(read[0]))

    def forget_prefixes(self) -> None:
        """Of all models on this base: to measure, or to free their memory."""
        self._graph.prefixes.clear()

    def _check(self, ids: Sequence[int], room: int = 1) -> None:
        if len(ids) + room > self.context:
            raise TooLong(
                f"this model's maximum context length is {self.context} tokens",
                got=f"a prompt of {len(ids)} tokens",
                allowed=f"at most {self.context - room}, which leaves room for an answer",
                remedy="Shorten the messages.",
                param="messages",
            )
        wrong = [token for token in ids if not 0 <= token < self._graph.vocabulary]
        if wrong or not ids:
            raise InputError(
                "token ids out of range" if wrong else "the prompt is empty",
                got=wrong[0] if wrong else None, allowed=f"0 to {self._graph.vocabulary - 1}", param="messages",
            )  # fmt: skip

    def _read(
        self, state: SequenceState, ids: Sequence[int], stopped: Stopped
    ) -> Generator[Piece, None, tuple[Floats, int] | None]:
        """Reads a prompt, block by block; gives the logits (V) of its last token and the count of cached ones, or None
        once `stopped()` is true."""
        keys = block_keys(self._model, ids)
        for key in keys:
            block = self._prefixes.get(key)
            if block is None:
                break
            state.read(block)
        cached = state.length
        for i in range(cached // BLOCK, len(keys)):
            if stopped():
                return None
            state.run(ids[i * BLOCK : (i + 1) * BLOCK])
            self._prefixes.keep(keys[i], state.copied(i * BLOCK, (i + 1) * BLOCK))
            yield WAITING
        return None if stopped() else (state.run(ids[len(keys) * BLOCK :])[0], cached)


def returned(steps: Generator[Any, None, Result]) -> Result:
    """What a generator returns, its steps passed over."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Result = end.value
            return found


class _Answer:
    """What was written so far, and how it goes on. `token` is the last one, to be read next."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        sampling: Sampling,
        sampler: Sampler,
        matcher: Matcher | None,
        ends: frozenset[int],
        left: int,
    ) -> None:
        self.token = -1
        self.finish_reason: FinishReason | None = None
        self._vocabulary, self._sampler, self._matcher = vocabulary, sampler, matcher
        self._top = sampling.top_logprobs
        self._ends = ends
        self._left, self._written = left, 0
        self._ending = Ending(vocabulary, matcher, left) if matcher else None
        self._characters, self._stops = Growing(), StopTexts(sampling.stop)

    def step(self, logits: Floats) -> Piece:
        """Draws the next token from logits (V); text that may be shown now."""
        token = self._next(logits)
        if token is None or token in self._ends:
            self.finish_reason = "length" if self._ending and self._ending.is_leaving else "stop"
            return WAITING
        self.token = token
        self._left, self._written = self._left - 1, self._written + 1
        if self._matcher:
            self._matcher.add(token)
        logprob = None if self._top is None else token_logprob(self._vocabulary, logits, token, self._top)
        text, logprobs = self._stops.add(self._characters.add(self._vocabulary.bytes(token)), logprob)
        if self._stops.found or (self._matcher and self._matcher.is_over):
            self.finish_reason = "length" if self._ending and self._ending.is_leaving else "stop"
        elif not self._left:
            self.finish_reason = "length"
        return Piece(text, logprobs)

    def last(self, piece: Piece, *, prompt: int, cached: int) -> Piece:
        """`piece` with what was held back, and the counts."""
        text, logprobs = self._stops.rest()
        return Piece(piece.text + text, piece.logprobs + logprobs, self.finish_reason, prompt, cached, self._written)

    def _next(self, logits: Floats) -> int | None:
        if self._matcher is None:
            return self._sampler.draw(logits)
        token = self._sampler.draw(logits, self._matcher.allowed())
        if token in self._ends or self._ending is None:
            return token
        return self._ending.next(token, self._left)


class _Scores:
    """Walks the tree that answers form, depth first, so that no beginning is read twice. Letters: V, as elsewhere."""

    def __init__(self, state: SequenceState, ends: frozenset[int]) -> None:
        self._state = state
        self._ends = sorted(ends)

    def of(self, answers: Sequence[Sequence[int]], logprobs: Floats) -> list[float]:
        scores = [0.0] * len(answers)
        self._walk(list(range(len(answers))), answers, 0, 0.0, logprobs, scores)
        return scores

    def _walk(
        self, which: list[int], answers: Sequence[Sequence[int]], depth: int, so_far: float, logprobs: Floats,
        scores: list[float],
    ) -> None:  # fmt: skip
        """All answers of `which` share their first `depth` tokens, after which `logprobs` (V) hold."""
        groups: dict[int, list[int]] = {}
        for i in which:
            if len(answers[i]) == depth:
                scores[i] = so_far + float(np.logaddexp.reduce(logprobs[self._ends]))
            else:
                groups.setdefault(answers[i][depth], []).append(i)
        length = self._state.length
        for token, members in groups.items():
            self._state.rewind(length)
            reached = so_far + float(logprobs[token])
            if len(members) == 1:
                scores[members[0]] = reached + self._tail(answers[members[0]][depth:])
            else:
                following = log_softmax(self._state.run([token])[0])
                self._walk(members, answers, depth + 1, reached, following, scores)
        self._state.rewind(length)

    def _tail(self, ids: Sequence[int]) -> float:
        """Of what follows `ids[0]` and of the end, in one run."""
        rows = self._state.run(ids, rows=len(ids))
        total = 0.0
        for row, token in zip(rows, [*ids[1:], None]):
            logprobs = log_softmax(row)
            total += float(np.logaddexp.reduce(logprobs[self._ends]) if token is None else logprobs[token])
        return total


def token_logprob(vocabulary: Vocabulary, logits: Floats, token: int, top: int) -> TokenLogprob:
    """What the model itself gave the token: before temperature, penalties, bias and grammar."""
    logprobs = log_softmax(logits)

    def row(one: int) -> tuple[str, bytes, float]:
        raw = vocabulary.raw(one)
        return raw.decode("utf-8", "replace"), raw, float(logprobs[one])

    return TokenLogprob(*row(token), tuple(row(one) for one in likeliest(logprobs, top)))

"""A text that grows and ends before a stop text: what may be the beginning of one is held back."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from nanosmith.core.generation import TokenLogprob


class StopTexts:
    """Text in, text that may be shown out. `found` once a stop text was met; nothing after that counts.

    The logprobs of tokens come out with the text that they begin in; those of a stop text never do.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self._shown = 0  # characters
        self._tokens: deque[tuple[int, TokenLogprob]] = deque()
        self.found = False

    def add(self, text: str, token: TokenLogprob | None = None) -> tuple[str, tuple[TokenLogprob, ...]]:
        if token is not None:
            self._tokens.append((self._shown + len(self._held), token))
        self._held += text
        cuts = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if cuts:
            self.found = True
            self._held = self._held[: min(cuts)]
            return self._release(len(self._held))
        return self._release(len(self._held) - self._begun())

    def rest(self) -> tuple[str, tuple[TokenLogprob, ...]]:
        """What was held back, at the end."""
        text, tokens = self._release(len(self._held))
        if self.found:
            return text, tokens
        left = tuple(token for _, token in self._tokens)
        self._tokens.clear()
        return text, tokens + left

    def _release(self, count: int) -> tuple[str, tuple[TokenLogprob, ...]]:
        text, self._held = self._held[:count], self._held[count:]
        self._shown += count
        tokens = []
        while self._tokens and self._tokens[0][0] < self._shown:
            tokens.append(self._tokens.popleft()[1])
        return text, tuple(tokens)

    def _begun(self) -> int:
        """Characters at the end that may be the beginning of a stop text."""
        return max((n for stop in self._stops for n in range(1, len(stop)) if self._held.endswith(stop[:n])), default=0)

"""What the fake provider saw: requests and bytes by path, faults, and which texts it answered how often."""

from __future__ import annotations

from collections import Counter
from typing import Any

PER_TOKENS = 1_000_000


class Seen:
    """`price` is US dollars per million tokens of input and of output."""

    def __init__(self, price: tuple[float, float] = (0.0, 0.0)) -> None:
        self._price = price
        self.connections = 0
        self.requests: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.texts: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()

    def answered(self, text: str, prompt: int, written: int) -> None:
        """A whole answer was made, also one that a fault then spoils: a provider would send its bill."""
        self.texts[text] += 1
        self.tokens["input"] += prompt
        self.tokens["output"] += written

    def as_object(self, *, texts: bool) -> dict[str, Any]:
        spent = self.tokens["input"] * self._price[0] + self.tokens["output"] * self._price[1]
        found: dict[str, Any] = {
            "connections": self.connections, "requests": self.requests.total(), "bytes": self.bytes.total(),
            "paths": {path: {"requests": n, "bytes": self.bytes[path]} for path, n in self.requests.items()},
            "faults": dict(self.faults), "answers": self.texts.total(), "tokens": dict(self.tokens),
            "cost_usd": spent / PER_TOKENS,
        }  # fmt: skip
        return found | ({"texts": dict(self.texts)} if texts else {})

"""What the fake provider answers: from a table, from a bundle, or always the same."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nanosmith.core.errors import InputError
from nanosmith.core.example import Message
from nanosmith.core.prediction import Predictor

PIECE_CHARS = 4  # of a token
UNLIKELY = -100.0


class Answer(NamedTuple):
    """`shares` are the probabilities of all answers that there are."""

    content: str
    shares: Mapping[str, float]


class Table:
    """Answers by the last user's text; `default` where it is not listed."""

    def __init__(self, rows: Mapping[str, str], default: str = "unknown") -> None:
        self._rows, self._default = rows, default
        answers = sorted(set(rows.values()))[:100]
        self._rest = 0.1 / max(1, len(answers) - 1)
        self._answers = answers

    def answer(self, turns: Sequence[Message]) -> Answer:
        found = self._rows.get(last_text(turns), self._default)
        return Answer(found, {**dict.fromkeys(self._answers, self._rest), found: 0.9})


class Model:
    """Answers as a bundle does."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def answer(self, turns: Sequence[Message]) -> Answer:
        task = self._predictor.task
        found = self._predictor.predict([tuple(turns)])[0]
        content = task.render(found.answer)
        shares = dict(zip(found.labels, found.probabilities)) if task.kind == "choice" else {content: 1.0}
        return Answer(content, shares)


def read_table(path: Path) -> dict[str, str]:
    """JSON lines of {"text", "label" or "output"} or {"messages"}, as in a data file. Raises InputError."""
    rows = {}
    for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not text.strip():
            continue
        try:
            asked, answer = _row(json.loads(text))
            rows[asked] = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
        except (ValueError, LookupError, AttributeError, TypeError):
            raise InputError("the line is no row of a table", where=f"{path}:{line}",
                             allowed='{"text": "…", "label": "…"}') from None  # fmt: skip
    return rows


def _row(row: dict[str, Any]) -> tuple[str, Any]:
    """Text and answer. Raises LookupError, TypeError."""
    if "messages" in row:
        *before, last = row["messages"]
        return [turn["content"] for turn in before if turn["role"] == "user"][-1], last["content"]
    return row["text"], row.get("label", row.get("output"))


def last_text(turns: Sequence[Message]) -> str:
    return next((turn.content for turn in reversed(turns) if turn.role == "user"), "")


def pieces(content: str) -> list[str]:
    """The tokens of a text: of four characters each."""
    return [content[i : i + PIECE_CHARS] for i in range(0, len(content), PIECE_CHARS)]


def logprobs(answer: Answer, top: int) -> dict[str, Any]:
    """OpenAI's form: each token with the likeliest in its place, given what was written before."""
    content, written = [], ""
    for piece in pieces(answer.content):
        shares: dict[str, float] = {}
        for other, share in answer.shares.items():
            if other.startswith(written) and other != written:
                next_one = other[len(written) : len(written) + PIECE_CHARS]
                shares[next_one] = shares.get(next_one, 0.0) + share
        total = sum(shares.values()) or 1.0
        ranked = sorted(shares.items(), key=lambda pair: -pair[1])[:top]
        content.append(
            _token(piece, shares.get(piece, 0.0) / total)
            | {"top_logprobs": [_token(text, share / total) for text, share in ranked]}
        )
        written += piece
    return {"content": content, "refusal": None}


def _token(text: str, share: float) -> dict[str, Any]:
    return {"token": text, "logprob": math.log(share) if share > 0 else UNLIKELY, "bytes": list(text.encode())}

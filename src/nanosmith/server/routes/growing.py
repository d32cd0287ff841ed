"""Chunks of a growing answer: when it has begun, and what it amounts to at its end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

CONTENT = ("content", "refusal", "tool_calls", "function_call", "reasoning_content", "audio")
"""What a delta may hold that a client could show."""


async def first_of(chunks: AsyncGenerator[dict[str, Any]]) -> list[dict[str, Any]]:
    """The chunks up to the first with content, which decides that this stream is the answer. On an error, all is
    closed. Raises what goes wrong before it."""
    first = []
    try:
        async for chunk in chunks:
            first.append(chunk)
            if has_begun(chunk):
                break
    except BaseException:
        await chunks.aclose()
        raise
    return first


def has_begun(chunk: Mapping[str, Any]) -> bool:
    """Whether a chunk has content, or ends a choice."""
    return any(
        choice.get("finish_reason") or any(choice.get("delta", {}).get(name) for name in CONTENT)
        for choice in chunk["choices"]
    )


class Grown:
    """What the chunks of one answer amount to: its choices' texts, calls and reasons, and its usage."""

    def __init__(self) -> None:
        self.head: dict[str, Any] = {}
        self.usage: dict[str, Any] | None = None
        self._choices: dict[int, _Choice] = {}

    def take(self, chunk: Mapping[str, Any]) -> None:
        if not self.head:
            self.head = {name: chunk.get(name) for name in ("id", "created", "model", "system_fingerprint")}
        self.usage = chunk.get("usage") or self.usage
        for choice in chunk["choices"]:
            self._choices.setdefault(choice.get("index", 0), _Choice()).take(choice)

    @property
    def content(self) -> str:
        """Of the first choice; of calls, nothing."""
        return self._choices[0].text if 0 in self._choices else ""

    @property
    def has_ended(self) -> bool:
        return bool(self._choices) and all(choice.reason for choice in self._choices.values())

    def completion(self) -> dict[str, Any]:
        """The same answer as if it had come whole."""
        choices = [choice.whole(index) for index, choice in sorted(self._choices.items())]
        return self.head | {"object": "chat.completion", "choices": choices, "usage": self.usage}


class _Choice:
    def __init__(self) -> None:
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self.calls: dict[int, dict[str, Any]] = {}
        self.logprobs: list[Any] = []
        self.reason: str | None = None

    def take(self, choice: Mapping[str, Any]) -> None:
        delta = choice.get("delta") or {}
        self._texts.append(delta.get("content") or "")
        self._refusals.append(delta.get("refusal") or "")
        self.logprobs += (choice.get("logprobs") or {}).get("content") or []
        self.reason = choice.get("finish_reason") or self.reason
        for call in delta.get("tool_calls") or ():
            known = self.calls.setdefault(call.get("index", 0), _empty_call())
            known["id"] = call.get("id") or known["id"]
            said = call.get("function") or {}
            known["function"]["name"] += said.get("name") or ""
            known["function"]["arguments"] += said.get("arguments") or ""

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def whole(self, index: int) -> dict[str, Any]:
        text, refusal = self.text, "".join(self._refusals)
        message: dict[str, Any] = {
            "role": "assistant", "content": text if text or not self.calls else None, "refusal": refusal or None,
            "annotations": [],
        }  # fmt: skip
        if self.calls:
            message["tool_calls"] = [call for _, call in sorted(self.calls.items())]
        told = {"content": self.logprobs, "refusal": None} if self.logprobs else None
        return {"index": index, "message": message, "logprobs": told, "finish_reason": self.reason}


def _empty_call() -> dict[str, Any]:
    return {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}

"""OpenAI's chat completions, and the many APIs that copy them: nearly nothing has to be translated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nanosmith.predict.endpoint.catalogue import Remote
from nanosmith.predict.endpoint.dialects.dialect import Call, decoded, decoded_error, failed, garbage
from nanosmith.predict.endpoint.events import Event
from nanosmith.predict.endpoint.failure import EndpointError

DONE = "[DONE]"
TOKENS_FIELDS = ("max_completion_tokens", "max_tokens")


class OpenAI:
    """POST /chat/completions."""

    def call(self, remote: Remote, body: Mapping[str, Any], key: str | None) -> Call:
        """The body with the provider's model name and its word for the bound of an answer; a stream is asked for its
        usage."""
        bound = next((body[field] for field in TOKENS_FIELDS if body.get(field) is not None), None)
        sent = {name: value for name, value in body.items() if name not in TOKENS_FIELDS}
        sent["model"] = remote.model.name
        if bound is not None:
            sent[remote.provider.tokens_field] = bound
        if body.get("stream"):
            sent["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return Call("/chat/completions", headers, sent)

    def answer(self, remote: Remote, reply: Any) -> dict[str, Any]:
        choices = reply.get("choices") if isinstance(reply, dict) else None
        if not isinstance(choices, list) or not choices or not all(map(_is_choice, choices)):
            raise garbage(remote, "there are no choices with a message")
        usage = reply.get("usage")
        return {**reply, "usage": usage if isinstance(usage, dict) else None}

    def chunks(self, remote: Remote) -> OpenAIChunks:
        return OpenAIChunks(remote)

    def failure(self, remote: Remote, status: int, headers: Mapping[str, str], body: bytes) -> EndpointError:
        error = decoded_error(body)
        code = error.get("code") or error.get("type")
        return failed(remote, status, headers, str(error.get("message") or ""), code if isinstance(code, str) else None)


class OpenAIChunks:
    """Chunks as they come; the end is [DONE]."""

    def __init__(self, remote: Remote) -> None:
        self.finished = False
        self._remote = remote

    def take(self, event: Event) -> list[dict[str, Any]]:
        if event.data.strip() == DONE:
            self.finished = True
            return []
        content = decoded(self._remote, event.data)
        if "error" in content:
            error = decoded_error(event.data.encode())
            raise EndpointError(
                "broken_stream", f"{self._remote.name} broke off: {error.get('message') or 'no reason'}"
            )
        if not isinstance(content.get("choices"), list):
            raise garbage(self._remote, "an event has no choices")
        return [content]


def _is_choice(choice: Any) -> bool:
    return isinstance(choice, dict) and isinstance(choice.get("message"), dict)

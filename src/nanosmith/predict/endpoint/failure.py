"""What goes wrong when a remote model is asked."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from nanosmith.core.errors import NanosmithError

FailureKind: TypeAlias = Literal["rate_limited", "unavailable", "timeout", "broken_stream", "garbage", "refused"]
STATUS: dict[FailureKind, int] = {
    "rate_limited": 429, "unavailable": 503, "timeout": 504, "broken_stream": 502, "garbage": 502, "refused": 502,
}  # fmt: skip
"""What our own server answers where nothing else helps."""
WRONG_ANSWER = "wrong_answer"
"""The code of an error for an answer that came, but is none of the task."""


class EndpointError(NanosmithError):
    """A remote model gave no answer.

    rate_limited   it asks for fewer requests; `retry_after_s` is how long it wants to be left alone, where it says so
    unavailable    no connection, or an error of its own (5xx)
    timeout        no answer, or not all of it, in time
    broken_stream  the answer ended before its end
    garbage        what came back is not an answer
    refused        the request is wrong: the key, the model, a parameter, a spent quota; asking again does not help

    `status` is the provider's HTTP status, None where there was none. Messages never hold a key.
    """

    code = "endpoint_error"

    def __init__(
        self,
        kind: FailureKind,
        what: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        **details: Any,
    ) -> None:
        super().__init__(what, **details)
        self.kind: FailureKind = kind
        self.status = status
        self.retry_after_s = retry_after_s
        self.http_status = STATUS[kind]

    @property
    def may_pass(self) -> bool:
        """Whether asking again may help."""
        return self.kind != "refused"

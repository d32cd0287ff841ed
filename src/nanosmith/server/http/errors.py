"""Errors that only HTTP has, and OpenAI's error body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nanosmith.core.errors import NanosmithError, NotFound


class ApiError(NanosmithError):
    """An error that only a request can cause; `headers` go with its response."""

    headers: Mapping[str, str] = {}


class Unauthorized(ApiError):
    http_status = 401
    code = "invalid_api_key"
    headers = {"www-authenticate": "Bearer"}  # noqa: RUF012


class Forbidden(ApiError):
    http_status = 403
    code = "forbidden"


class ModelNotFound(NotFound):
    code = "model_not_found"


class TooLarge(ApiError):
    """The body exceeds its limit. The server takes the rest and drops it: a client that is cut off while it sends would
    see a broken connection instead of the answer."""

    http_status = 413
    code = "request_too_large"


class SlowBody(ApiError):
    """The body trickles in. Its connection ends with the answer, as the rest of the body would come as slowly."""

    http_status = 408
    code = "slow_body"
    headers = {"connection": "close"}  # noqa: RUF012


class WrongContentType(ApiError):
    http_status = 415
    code = "unsupported_content_type"


class WrongRange(ApiError):
    """A Range header that is malformed, or beyond the file's end."""

    http_status = 416
    code = "invalid_range"

    def __init__(self, what: str, *, size_bytes: int, **parts: Any) -> None:
        super().__init__(what, **parts)
        self.headers = {"content-range": f"bytes */{size_bytes}"}


class TooBusy(ApiError):
    """A queue is full. Passes by itself, so clients may retry."""

    http_status = 429
    code = "rate_limit_exceeded"
    headers = {"retry-after": "1"}  # noqa: RUF012


class RateLimited(ApiError):
    """A project's or key's limit per minute is reached. Passes by itself."""

    http_status = 429
    code = "rate_limit_exceeded"

    def __init__(self, what: str, *, retry_after_s: int, **parts: Any) -> None:
        super().__init__(what, **parts)
        self.headers = {"retry-after": str(retry_after_s)}


class QuotaExceeded(ApiError):
    """A limit that does not pass by itself, so clients are told not to retry."""

    http_status = 429
    code = "insufficient_quota"
    headers = {"x-should-retry": "false"}  # noqa: RUF012


class TooSlow(ApiError):
    """A text takes longer than anybody waits for it. It would the next time, too, so clients are told not to retry."""

    http_status = 503
    code = "timeout"
    headers = {"x-should-retry": "false"}  # noqa: RUF012


class NotBuilt(ApiError):
    """A call that OpenAI has and this server does not have yet."""

    http_status = 501
    code = "not_implemented"


class TryAgain(ApiError):
    http_status = 503
    code = "try_again"
    headers = {"retry-after": "1"}  # noqa: RUF012


def error_body(message: str, *, status: int, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    """OpenAI's error body; all four keys are always there."""
    return {"error": {"message": message, "type": _type(status, code), "param": param, "code": code}}


def _type(status: int, code: str | None) -> str:
    if status == 429:
        return QuotaExceeded.code if code == QuotaExceeded.code else "rate_limit_exceeded"
    return "invalid_request_error" if status < 500 else "server_error"

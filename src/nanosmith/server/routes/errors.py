"""How a route can end without an answer."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nanosmith.server.http.errors import ApiError


class PrivateRequest(ApiError):
    """Only models outside of this machine are left, and the request must not leave it."""

    http_status = 403
    code = "private_request"


class NoStep(ApiError):
    """The rules of all steps pass the request over."""

    http_status = 422
    code = "no_step"


class NotAllowed(ApiError):
    http_status = 403
    code = "route_not_allowed"


class _MayPass(ApiError):
    """Passes by itself; clients are told when to try again."""

    def __init__(self, what: str, *, retry_after_s: float | None = None, **parts: object) -> None:
        super().__init__(what, **parts)  # type: ignore[arg-type]
        self.headers = {"retry-after": str(max(1, math.ceil(retry_after_s or 1)))}


class AllFailed(_MayPass):
    http_status = 502
    code = "route_failed"


class AllBusy(_MayPass):
    """Every step that was left is limited or cools down."""

    http_status = 429
    code = "rate_limit_exceeded"


class DeadlineExceeded(ApiError):
    """It would be exceeded the next time, too, so clients are told not to retry."""

    http_status = 504
    code = "deadline_exceeded"
    headers = {"x-should-retry": "false"}  # noqa: RUF012


class NotSure(ApiError):
    """Nobody was sure enough, and nobody is left."""

    http_status = 422
    code = "not_confident"


def told(tried: Sequence[tuple[str, str]]) -> str:
    """What became of each step, as an error says it: `support-nano: below 0.9; openai/gpt-5-mini: timeout`."""
    return "; ".join(f"{model}: {outcome}" for model, outcome in tried) or "no step was asked"


def late(route: str, limit_s: float, got: str) -> DeadlineExceeded:
    return DeadlineExceeded(
        f"the route {route} had no answer in time", got=got, allowed=f"{limit_s:g} s", param="model",
        remedy="Give the route a longer deadline, or its steps shorter timeouts.",
    )  # fmt: skip

"""From any error to its response."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from nanosmith.core.errors import NanosmithError, OverBudget, Unavailable
from nanosmith.server.http.errors import ApiError, error_body
from nanosmith.server.http.wire import json_response

NO_RETRY = {"x-should-retry": "false"}
RETRY = {"retry-after": "1"}


def error_response(error: NanosmithError) -> Response:
    """The response to an error. Those above 499, and those of budgets, that will not pass by themselves tell clients
    not to retry."""
    status = error.http_status
    headers = dict(error.headers) if isinstance(error, ApiError) else {}
    if isinstance(error, OverBudget):
        headers = RETRY if error.may_pass else NO_RETRY
    elif status >= 500 and not headers:
        headers = RETRY if isinstance(error, Unavailable) else NO_RETRY
    return json_response(
        error_body(str(error), status=status, code=error.code, param=error.param), status=status, headers=headers
    )


def internal_error(request_id: str) -> Response:
    """The response to a bug; what happened stands in the log under this request id, never in the answer."""
    message = f"Internal error. The server's log names the cause under the request id {request_id}."
    return json_response(error_body(message, status=500, code="internal_error"), status=500)


async def on_nanosmith_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, NanosmithError)
    return error_response(error)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """What the router refuses: an unknown path (404) or method (405)."""
    assert isinstance(error, HTTPException)
    status, asked = error.status_code, f"{request.method} {request.url.path}"
    if status == 404:
        body = error_body(
            f"Unknown request URL: {asked}. See docs/api.md for all routes.", status=404, code="unknown_url"
        )
    elif status == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        body = error_body(f"Not allowed: {asked} (allowed: {allowed}).", status=405, code="method_not_allowed")
    else:
        body = error_body(str(error.detail), status=status)
    return json_response(body, status=status, headers=error.headers)

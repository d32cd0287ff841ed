"""Where OpenAI's own server and its published types disagree, we answer as the server does; a client that checks the
types sends a header and gets what they allow, with the true value under `nanosmith`."""

from __future__ import annotations

from starlette.requests import Request

HEADER = "x-nanosmith-strict"


def wants_strict_types(request: Request) -> bool:
    return request.headers.get(HEADER, "").lower() == "true"

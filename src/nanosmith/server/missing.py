"""Calls that OpenAI has and this server does not have yet: an honest 501 instead of a page that says "not found"."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nanosmith.server.http.errors import NotBuilt

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
RESOURCES = (
    "assistants", "audio", "chatkit", "completions", "containers", "content_provenance_checks",
    "conversations", "images", "live", "organization", "projects", "realtime",
    "skills", "threads", "vector_stores", "videos",
)  # fmt: skip
CALLS = (
    ("/responses/compact", ("POST",)),
    ("/fine_tuning/alpha/{rest:path}", METHODS),
)


async def not_built(request: Request) -> Response:
    raise NotBuilt(
        f"{request.method} {request.url.path} does not exist here yet", remedy="docs/api.md lists the calls that do."
    )


routes = [
    *(Route(path, not_built, methods=methods) for path, methods in CALLS),
    *(Route(f"/{name}", not_built, methods=METHODS) for name in RESOURCES),
    *(Route(f"/{name}/{{rest:path}}", not_built, methods=METHODS) for name in RESOURCES),
]

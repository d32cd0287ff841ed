"""/v1/moderations: refused. An answer that says "nothing was flagged" where nobody looked would do harm."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from nanosmith.server.http.errors import NotBuilt


async def create(_request: Request) -> Response:
    raise NotBuilt(
        "no moderation model is installed here, so nothing can be said about this input",
        remedy="Fine-tune a classifier on your own categories and call it through chat completions or decisions.",
        code="no_moderation_model",
    )


routes = [Route("/moderations", create, methods=["POST"])]

"""All routes of the app, for tests that hold for every one of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route

from nanosmith.server.missing import not_built

PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")


class Call(NamedTuple):
    """A method and the template of a path, such as "/v1/files/{id}"; `built` is false for what only answers 501."""

    method: str
    template: str
    built: bool

    def path(self, value: str = "x") -> str:
        """With the same value for each parameter."""
        return PARAMETER.sub(value, self.template)

    def prefixes(self) -> list[str]:
        """The template up to each of its parameters: "/v1/a/{id}/b/{other}" gives itself and "/v1/a/{id}"."""
        return [self.template[: found.end()] for found in PARAMETER.finditer(self.template)]


def calls(app: Starlette) -> list[Call]:
    return sorted({call for route, prefix in _routes(app.routes) for call in _calls(route, prefix)})


def _calls(route: Route, prefix: str) -> Iterator[Call]:
    for method in route.methods or ():
        yield Call(method, prefix + route.path, route.endpoint is not not_built)


def _routes(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[Route, str]]:
    for route in routes:
        if isinstance(route, Mount):
            yield from _routes(route.routes, prefix + route.path)
        else:
            assert isinstance(route, Route)
            yield route, prefix

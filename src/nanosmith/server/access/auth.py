"""Who may ask: the key, its project and scopes, and its limits."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from nanosmith.core.errors import NanosmithError
from nanosmith.server.access.keys import Caller, KeyRing, caller_by
from nanosmith.server.access.limits import Limiter, admit
from nanosmith.server.access.scopes import needed_scopes, opens
from nanosmith.server.http.errors import Forbidden, Unauthorized
from nanosmith.server.http.handlers import error_response
from nanosmith.server.services import PROJECT
from nanosmith.server.watch.tally import tally_of

OPEN_PATHS = ("/health",)
METRICS_PATH = "/metrics"


class Gate:
    """Where keys exist: only requests that bring one, within its scopes and limits; the request then belongs to the
    key's project. Where none exists: only requests that a program on this machine made.

    Without a key the server listens on loopback alone, but a web page in a browser of this machine could still reach
    it, from its own origin or by a name that it lets point to 127.0.0.1; both are refused.
    """

    def __init__(self, app: ASGIApp, keys: KeyRing, limiter: Limiter) -> None:
        self._app = app
        self._keys = keys
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            try:
                self._enter(scope, await self._caller(scope))
            except NanosmithError as error:
                await error_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _caller(self, scope: Scope) -> Caller:
        """Raises Unauthorized or Forbidden."""
        known, headers = await self._keys.known(), Headers(scope=scope)
        if known.asked:
            return caller_by(_bearer(headers), known)
        _refuse_foreigners(scope, headers)
        return known.anyone

    def _enter(self, scope: Scope, caller: Caller) -> None:
        """Raises Forbidden or RateLimited."""
        tally = tally_of(scope)
        scope[PROJECT] = tally.project = caller.project
        tally.key = caller.key
        _check_scopes(caller, needed_scopes(scope["method"], scope["path"]))
        if scope["path"] != METRICS_PATH:
            tally.meters = self._limiter.meters(caller.limits)
            admit(tally.meters)


def _check_scopes(caller: Caller, needed: tuple[str, ...]) -> None:
    """Raises Forbidden."""
    for name in needed:
        if not opens(caller.scopes, name):
            raise Forbidden(
                f"the API key lacks the scope {name}, which this call needs",
                got=", ".join(sorted(caller.scopes)), code="missing_scope",
            )  # fmt: skip


def _bearer(headers: Headers) -> bytes:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthorized("no API key was given", allowed="the header Authorization: Bearer KEY")
    return key.strip().encode("latin-1")


def _refuse_foreigners(scope: Scope, headers: Headers) -> None:
    """Raises Forbidden unless this machine sent the request, and no web page of another origin caused it."""
    client, host, origin = scope.get("client"), headers.get("host", "localhost"), headers.get("origin")
    if _is_from_here(client and client[0], host, origin):
        return
    raise Forbidden(
        "a server without a key answers programs on its own machine alone",
        got=f"client {client and client[0]}, host {host[:80]!r}, origin {origin and origin[:80]!r}",
        remedy="Make a key with `nanosmith keys add`, or set NANOSMITH_API_KEY where the server is started.",
    )


@lru_cache(256)
def _is_from_here(client: str | None, host: str, origin: str | None) -> bool:
    from_here = client is None or is_local(client)
    return from_here and is_local(_host_of(f"//{host}")) and (origin is None or is_local(_host_of(origin)))


def is_local(host: str | None) -> bool:
    """A loopback address, localhost, or a name without a dot, which the public DNS cannot hold."""
    if not host:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return "." not in host or host.endswith(".localhost")


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:  # such as "//[", which no program of good will sends
        return None

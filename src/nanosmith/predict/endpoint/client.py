"""One remote model over HTTP, from plain functions: tries, waits, timeouts and a deadline.

The waits are exponential with full jitter (Brooker 2015, "Exponential Backoff and Jitter"); a `retry-after` is kept.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import random
import time
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import msgspec

from nanosmith.core import registry
from nanosmith.core.errors import MissingExtra
from nanosmith.core.money import Usage
from nanosmith.predict.endpoint.catalogue import Remote
from nanosmith.predict.endpoint.dialects.dialect import Dialect, garbage, used
from nanosmith.predict.endpoint.failure import WRONG_ANSWER, EndpointError

if TYPE_CHECKING:
    import httpx

MAX_REPLY_BYTES = 16 * 1024**2
FIRST_WAIT_S, MAX_WAIT_S = 0.5, 20.0
MAX_WRONG = 2  # tries that end with an answer, but a wrong one: each is paid
UNPAID = ("rate_limited", "unavailable", "refused")
"""Failures for which no provider sends a bill."""


class Patience(msgspec.Struct, frozen=True):
    """`timeout_s` bounds one try, `deadline_s` all tries and the waits between them; `retries` come after the first."""

    timeout_s: float = 60.0
    deadline_s: float = 180.0
    retries: int = 3


class Meter(Protocol):
    """Who counts what is asked, and may say no."""

    def before(self) -> None:
        """Called before each try; may wait, or raise."""

    def after(self, usage: Usage | None) -> None:
        """Called after each try that may have cost something; None: nobody knows how much."""


class NoMeter:
    """Counts nothing."""

    def before(self) -> None: ...

    def after(self, usage: Usage | None) -> None: ...


class Client:
    """Asks one remote model; may be used by several threads. A slow reply may overrun the time by one timeout at most:
    the time between two pieces of it is bounded, and the whole is looked at with each piece."""

    def __init__(self, remote: Remote, key: str | None, patience: Patience, *, seed: int | None = None) -> None:
        self.remote = remote
        self._key = key
        self._patience = patience
        self._dialect: Dialect = registry.load("dialects", remote.provider.dialect)()
        self._random = random.Random(seed)  # noqa: S311  # jitter, no secret
        self._http = _http_client(remote.provider.base_url)
        weakref.finalize(self, self._http.close)  # as predictors have no end that anybody tells

    def ask(
        self, body: Mapping[str, Any], meter: Meter, check: Callable[[dict[str, Any]], None] | None = None
    ) -> dict[str, Any]:
        """The chat.completion object for a body of OpenAI's chat completions. `check` raises EndpointError for an
        answer that is worth another try. Raises EndpointError (that of the last try), InputError."""
        ends, wrong = time.monotonic() + self._patience.deadline_s, 0
        for attempt in itertools.count():
            try:
                return self._once(body, meter, check, ends)
            except EndpointError as error:
                wrong += error.code == WRONG_ANSWER
                wait_s = self._wait_s(error, attempt)
                is_last = attempt >= self._patience.retries or wrong >= MAX_WRONG
                if not error.may_pass or is_last or time.monotonic() + wait_s >= ends:
                    raise
                time.sleep(wait_s)
        raise AssertionError("the last try returns or raises")

    def _once(
        self, body: Mapping[str, Any], meter: Meter, check: Callable[[dict[str, Any]], None] | None, ends: float
    ) -> dict[str, Any]:
        call = self._dialect.call(self.remote, body, self._key)
        meter.before()
        try:
            answer = self._dialect.answer(self.remote, self._send(call, ends))
        except EndpointError as error:
            if error.kind not in UNPAID:
                meter.after(None)
            raise
        meter.after(used(answer.get("usage")))
        if check is not None:
            check(answer)
        return answer

    def _send(self, call: Any, ends: float) -> Any:
        """The decoded reply. Raises EndpointError."""
        import httpx

        limit_s = min(self._patience.timeout_s, max(0.01, ends - time.monotonic()))
        url = self.remote.provider.base_url + call.path
        try:
            # json.dumps: half a surrogate pair, which some texts have, is no UTF-8
            sent, headers = json.dumps(call.body).encode(), {"content-type": "application/json", **call.headers}
            with self._http.stream(call.method, url, content=sent, headers=headers, timeout=limit_s) as response:
                content = self._content(response, time.monotonic() + limit_s)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise EndpointError("unavailable", f"{self.remote.name} cannot be reached: {_reason(error)}") from None
        except httpx.TimeoutException:
            raise EndpointError("timeout", f"{self.remote.name} did not answer within {limit_s:.3g} s") from None
        except httpx.HTTPError as error:
            raise EndpointError("broken_stream", f"{self.remote.name} broke off: {_reason(error)}") from None
        if response.status_code != 200:
            headers = {name.lower(): value for name, value in response.headers.items()}
            raise self._dialect.failure(self.remote, response.status_code, headers, content)
        try:
            return json.loads(content)
        except (ValueError, RecursionError):
            raise garbage(self.remote, f"it is not JSON, {content[:60]!r}") from None

    def _content(self, response: httpx.Response, ends: float) -> bytes:
        """Raises EndpointError."""
        content = bytearray()
        for piece in response.iter_bytes():
            content += piece
            if time.monotonic() > ends:
                raise EndpointError("timeout", f"{self.remote.name} did not finish its answer in time")
            if len(content) > MAX_REPLY_BYTES:
                raise garbage(self.remote, "it is endless")
        return bytes(content)

    def _wait_s(self, error: EndpointError, attempt: int) -> float:
        jitter: float = self._random.uniform(0, min(MAX_WAIT_S, FIRST_WAIT_S * 2**attempt))
        return jitter if error.retry_after_s is None else error.retry_after_s + min(jitter, 1.0)


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


def _http_client(url: str) -> httpx.Client:
    """Follows no redirects: a key must not travel to another host. A proxy of the environment does not stand between
    this machine and itself."""
    try:
        import httpx
    except ImportError:
        raise MissingExtra("httpx", "remote") from None
    return httpx.Client(
        follow_redirects=False, trust_env=not _is_loopback(urlsplit(url).hostname or ""),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=100),
    )  # fmt: skip


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

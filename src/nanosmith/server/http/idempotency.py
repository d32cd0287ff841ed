"""Requests that create something: what a client sends twice is made once.

OpenAI's client repeats a request whose answer it did not see, without an Idempotency-Key but with a retry count. A
repetition is known by its key; without one by an equal request to the same path a short time ago. What was made is
written down in the transaction that makes it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request

from nanosmith.core.errors import InputError
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import IDEMPOTENCY, Document

Row = TypeVar("Row")
RETRY_COUNT = "x-stainless-retry-count"
RETRIED_WITHIN_S = 600
REMEMBERED_S = 24 * 3600
MAX_KEY_CHARS = 255


class Once(msgspec.Struct, frozen=True):
    """One request to create something; `digest` is of its path and body."""

    digest: str
    key: str | None
    is_retry: bool

    def made_before(self, ledger: Ledger) -> str | None:
        """The id of what an earlier sending of this request made. Raises InputError when its key came with another
        request."""
        if self.key is not None:
            known = ledger.document(IDEMPOTENCY, self.key)
            if known is not None and known.parent != self.digest:
                raise InputError(
                    "this Idempotency-Key came with another request before",
                    got=repr(self.key[:80]), code="idempotency_key_reused",
                )  # fmt: skip
            return None if known is None else str(known.body["made"])
        if not self.is_retry:
            return None
        since = time.time() - RETRIED_WITHIN_S
        recent = ledger.documents(IDEMPOTENCY, parent=self.digest, limit=1)
        return next((str(one.body["made"]) for one in recent if one.created_at >= since), None)

    def earlier(self, ledger: Ledger, find: Callable[[str], Row | None]) -> Row | None:
        """What an earlier sending of this request made, as `find` gives it by its id. Raises InputError when its key
        came with another request, or when what it made was deleted since."""
        made = self.made_before(ledger)
        row = None if made is None else find(made)
        if row is None and made is not None and self.key is not None:
            raise InputError(
                "what this Idempotency-Key made was deleted", got=repr(self.key[:80]), remedy="Send another key.",
                code="idempotency_key_reused",
            )  # fmt: skip
        return row

    def record(self, made: str) -> Document:
        """To be added together with what has the id `made`."""
        now = int(time.time())
        id, until = self.key or f"made:{made}", now + REMEMBERED_S
        return Document(IDEMPOTENCY, id, now, {"made": made}, parent=self.digest, expires_at=until)


def once(request: Request, content: Any) -> Once:
    """Raises InputError when the Idempotency-Key is too long."""
    key = request.headers.get("idempotency-key") or None
    if key is not None and len(key) > MAX_KEY_CHARS:
        raise InputError("the Idempotency-Key is too long", got=f"{len(key)} characters", allowed=MAX_KEY_CHARS)
    body = msgspec.json.encode([request.method, request.url.path, content], order="sorted")
    is_retry = request.headers.get(RETRY_COUNT, "0") not in ("", "0")
    return Once(hashlib.sha256(body).hexdigest(), key, is_retry)

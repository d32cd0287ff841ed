"""API keys: made here, kept as their SHA-256, and looked up without asking the ledger for every request."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping

import msgspec

from nanosmith.core.limits import ProjectLimits
from nanosmith.server.access.scopes import ALL, NAMED
from nanosmith.server.http.errors import Unauthorized
from nanosmith.store.home import DEFAULT_PROJECT
from nanosmith.store.ledger import ALPHABET, Ledger
from nanosmith.store.records import KeyRow

PREFIX = "nsk-"
RANDOM_CHARS = 43  # of 62: 256 bits
FRESH_S = 2.0
"""How long what the ledger said of keys and limits is believed: a new key, a revocation or another limit takes effect
within this time, plus that of one look-up."""
FROM_ENVIRONMENT = "environment"
"""The id, in logs, of the key that NANOSMITH_API_KEY holds."""
NO_LIMITS = ProjectLimits()


class Caller(msgspec.Struct, frozen=True):
    """Who asks: a project, and by which key; `limits` by whose they are ("project:ID", and "key:ID" if it has some)."""

    project: str
    key: str | None
    scopes: frozenset[str]
    expires_at: int | None = None
    limits: tuple[tuple[str, ProjectLimits], ...] = ()


class Known(msgspec.Struct, frozen=True):
    """What the ledger said at `read_at` (monotonic seconds). `callers` by the SHA-256 of their keys; `anyone` is who
    asks where no key is `asked` for."""

    read_at: float
    asked: bool
    anyone: Caller
    callers: Mapping[str, Caller] = {}


def new_key() -> str:
    return PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_CHARS))


def digest(key: bytes) -> str:
    """What is kept of a key: its SHA-256, in hex.

    A slow, salted hash protects secrets that people choose, which can be guessed. A key has 256 random bits: nobody can
    try them all, however fast the hash, and no two keys are equal, so that a salt would hide nothing. A look-up by the
    digest also tells nothing by its time, as who guesses keys cannot choose their digests.
    """
    return hashlib.sha256(key).hexdigest()


class KeyRing:
    """All keys, as the ledger and NANOSMITH_API_KEY have them.

    Once a key was there it is asked for until the process ends: a server that was reachable because it had a key must
    not open up when the last one is revoked.
    """

    def __init__(self, ledger: Ledger, api_key: str | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._own = digest(api_key.encode()) if api_key else None
        self._clock = clock
        self._known: Known | None = None
        self._reading: asyncio.Task[Known] | None = None

    async def known(self) -> Known:
        """At most FRESH_S old. It is read anew beside the requests when it is half as old, so that a busy server
        never waits for it."""
        known, now = self._known, self._clock()
        if known is not None and now - known.read_at < FRESH_S / 2:
            return known
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(asyncio.to_thread(self._read))
            self._reading.add_done_callback(_seen)
        if known is not None and now - known.read_at < FRESH_S:
            return known
        return await asyncio.shield(self._reading)

    def _read(self) -> Known:
        now = self._clock()
        limits = {row.id: msgspec.convert(row.limits, ProjectLimits) for row in self._ledger.projects()}

        def of_project(id: str) -> tuple[str, ProjectLimits]:
            return f"project:{id}", limits.get(id, NO_LIMITS)

        rows = self._ledger.keys()
        callers = {row.sha256: _caller(row, of_project(row.project)) for row in rows}
        rights, own = frozenset((ALL, *NAMED)), (of_project(DEFAULT_PROJECT),)
        if self._own is not None:
            callers[self._own] = Caller(DEFAULT_PROJECT, FROM_ENVIRONMENT, rights, limits=own)
        asked = bool(callers) or (self._known is not None and self._known.asked)
        self._known = Known(now, asked, Caller(DEFAULT_PROJECT, None, rights, limits=own), callers)
        return self._known


def caller_by(key: bytes, known: Known) -> Caller:
    """Raises Unauthorized."""
    caller = known.callers.get(digest(key))
    if caller is None:
        raise Unauthorized(
            "the API key is wrong", remedy="Use one made by `nanosmith keys add`, or the value of NANOSMITH_API_KEY."
        )
    if caller.expires_at is not None and caller.expires_at <= time.time():
        raise Unauthorized("the API key has expired", remedy="Make another with `nanosmith keys add`.")
    return caller


def _caller(row: KeyRow, of_project: tuple[str, ProjectLimits]) -> Caller:
    limits = [of_project]
    if row.limits:
        limits.append((f"key:{row.id}", msgspec.convert(row.limits, ProjectLimits)))
    return Caller(row.project, row.id, frozenset(row.scopes), row.expires_at, tuple(limits))


def _seen(reading: asyncio.Task[Known]) -> None:
    """A failure beside the requests is not reported: the next request that needs an answer meets it itself."""
    if not reading.cancelled():
        reading.exception()

"""Every error a user can meet.

    NanosmithError            base; exit code 1, HTTP 500
    ├── InputError            the input is wrong: exit code 2, HTTP 400
    │   ├── NotFound          a named thing does not exist: HTTP 404
    │   └── TooLong           an input exceeds the context limit: HTTP 400, context_length_exceeded
    ├── Damaged               a stored file is not what its manifest says
    ├── GateRefused           a finished model did not pass a gate
    ├── MissingExtra          an optional package is not installed; the message holds the pip line
    ├── StorageFull           the disk is full: HTTP 507
    ├── Unavailable           something that we need is away for a moment: HTTP 503
    ├── Misconfigured         a setting of this installation cannot work: HTTP 500
    ├── OverBudget            a budget of money does not allow a call: HTTP 429
    └── Cancelled             somebody asked to stop

A message always says what, where, got versus allowed, and the remedy; `explain` is the one place that formats it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def explain(
    what: str, *, where: str | None = None, got: object = None, allowed: object = None, remedy: str | None = None
) -> str:
    """Join the parts of a message: `where: what (got X, allowed Y). Remedy.` Parts that are None are left out."""
    facts = [f"{name} {value}" for name, value in (("got", got), ("allowed", allowed)) if value is not None]
    text = f"{where}: {what}" if where else what
    if facts:
        text += f" ({'; '.join(facts)})"
    return f"{text}. {remedy}" if remedy else text


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A remedy sentence for a name that is not known, or None when nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=3)
    return f"Did you mean {' or '.join(near)}?" if near else None


class NanosmithError(Exception):
    """Base of all errors that are shown to a user without a traceback."""

    exit_code = 1
    http_status = 500
    code: str | None = None

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        got: object = None,
        allowed: object = None,
        remedy: str | None = None,
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(explain(what, where=where, got=got, allowed=allowed, remedy=remedy))
        self.code = code or type(self).code
        self.param = param


class InputError(NanosmithError):
    exit_code = 2
    http_status = 400
    code = "invalid_value"


class NotFound(InputError):
    http_status = 404
    code = "not_found"


class TooLong(InputError):
    code = "context_length_exceeded"


class Damaged(NanosmithError):
    code = "damaged_bundle"


class GateRefused(NanosmithError):
    code = "gate_refused"


class StorageFull(NanosmithError):
    http_status = 507
    code = "insufficient_storage"


class Unavailable(NanosmithError):
    http_status = 503
    code = "unavailable"


class Misconfigured(NanosmithError):
    code = "misconfigured"


class OverBudget(NanosmithError):
    """`may_pass`: there is money, but calls under way hold it, and may give some back."""

    http_status = 429
    code = "insufficient_quota"
    may_pass = False


class Cancelled(NanosmithError):
    code = "cancelled"


class MissingExtra(NanosmithError):
    """An optional dependency is absent. Raised before any work starts."""

    http_status = 501
    code = "missing_extra"

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(
            f"this needs the Python package '{module}', which is not installed",
            remedy=f"Run: pip install 'nanosmith[{extra}]'",
        )

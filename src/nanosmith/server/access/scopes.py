"""Which scope opens which route: a resource group, or `GROUP:read` for what only reads.

`all` (`all:read`) opens every resource of the key's project but what is NAMED: `metrics` shows figures of the whole
server, and who has `webhooks` chooses addresses that the server calls.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from nanosmith.core.errors import InputError, did_you_mean

ALL = "all"
METRICS = "metrics"
WEBHOOKS = "webhooks"
NAMED = (METRICS, WEBHOOKS)
"""What no key has unless it is named."""
READ = ":read"
READING = ("GET", "HEAD", "OPTIONS")
GROUPS = {
    "batches": "batches",
    "chat": "inference",
    "decisions": "inference",
    "embeddings": "inference",
    "evals": "evals",
    "files": "files",
    "fine_tuning": "fine_tuning",
    "models": "models",
    "moderations": "inference",
    "responses": "inference",
    "routes": "models",
    "uploads": "files",
    "webhook_endpoints": WEBHOOKS,
    "webhook_event_types": WEBHOOKS,
}
"""The group of each resource, by the path after /v1/. What is not here, `all` alone opens."""
ALSO = {"files/from_completions": "inference:read"}
"""What a single call needs beside the scope of its group, as it hands out what belongs to another one."""
NAMES = (*(name + end for name in (ALL, *sorted({*GROUPS.values()})) for end in ("", READ)), METRICS)
"""Every scope that a key can have."""


def needed_scopes(method: str, path: str) -> tuple[str, ...]:
    """The scopes that a request needs, such as ("files:read",)."""
    root, _, below = path[1:].partition("/")
    if root != "v1":
        return (METRICS,)
    group = GROUPS.get(below.partition("/")[0], ALL)
    needed = group + READ if method in READING else group
    return (needed, ALSO[below]) if below in ALSO else (needed,)


def opens(scopes: Container[str], needed: str) -> bool:
    if needed in scopes:
        return True
    group = needed.removesuffix(READ)
    if group in NAMED:
        return group in scopes
    return group in scopes or ALL in scopes or (group != needed and ALL + READ in scopes)


def check_scopes(given: Iterable[str]) -> tuple[str, ...]:
    """Raises InputError for a scope that does not exist."""
    scopes = tuple(dict.fromkeys(given))
    for name in scopes:
        if name not in NAMES:
            raise InputError(
                "no such scope", got=repr(name), allowed=", ".join(NAMES), param="scope",
                remedy=did_you_mean(name, NAMES),
            )  # fmt: skip
    return scopes

"""Routes: ordered steps, each a model, of which the first whose answer is sure enough answers.

They are read from `[route.NAME]` of nanosmith.toml; docs/routes.md has the table of all keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from nanosmith.core.errors import InputError, did_you_mean
from nanosmith.core.settings import parse_duration
from nanosmith.core.structs import to_struct

Privacy: TypeAlias = Literal["off", "detect", "always"]
Accept: TypeAlias = float | Literal["certified"]
Capturing: TypeAlias = Literal["masked"] | bool
DEFAULT_DEADLINE_S = 120.0
DEFAULT_TIMEOUT_S = 60.0
DEFAULT_AUDIT = 0.05
MAX_RETRIES = 10
MAX_WEIGHT = 1_000_000
MAX_NAME_CHARS = 100
DAY_S = 86_400.0
DURATION = 'a duration above 0 and up to 24 hours, such as "800ms", "10s" or "2m"'
SHARE = Meta(ge=0, le=1)
NAME = re.compile(rf"[!-.0-~]([ !-.0-~]{{,{MAX_NAME_CHARS - 2}}}[!-.0-~])?")
"""A route's name goes into headers."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One model of a route: a local one by its name, a remote one as `provider/model`.

    An answer is accepted from the confidence `accept` on (None: always; "certified": the threshold of the route's
    newest certificate), never one that is out of scope. A text's confidence is the `quantile` of its tokens'
    probabilities. Steps of one `tier` share the load by `weight`. A try may take `timeout_s`, and is repeated `retries`
    times; `hedge_after_s` without an answer the next step is asked beside it. `cooldown_s` is how long a model that
    failed `breaker_failures` times in a row is left alone. A step is passed over by requests in other `languages`, by
    shorter and longer ones than `min_chars` and `max_chars`, and of other `projects` (empty: any).

    `task`: "auto" asks a remote model for the labels of the route's first local model that has any; "off" sends the
    body as it came. `trusted`: private requests may be sent to this remote model, too, as it is the user's own.
    """

    model: str
    tier: int
    accept: Accept | None = None
    weight: float = 1.0
    timeout_s: float = DEFAULT_TIMEOUT_S
    retries: int = 1
    hedge_after_s: float | None = None
    cooldown_s: float = 30.0
    breaker_failures: int = 5
    quantile: float = 0.1
    task: Literal["auto", "off"] = "auto"
    languages: tuple[str, ...] = ()
    min_chars: int = 0
    max_chars: int | None = None
    projects: tuple[str, ...] = ()
    trusted: bool = False


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """`deadline_s` bounds a whole answer. `privacy`: whether requests with personal data ("detect") or all requests
    ("always") never leave the machine; a request whose header says so never does. `capture`: requests may be kept
    as training data ("masked": without personal data). `autopilot`: what it made of them answers first. `budget`:
    texts such as "20 USD / month". `otherwise`: where no step can answer any more, an error, or the "best" answer
    that was not sure enough. `audit`: the share of certified answers that is put to the teacher, too. `projects`
    that may call it (empty: any)."""

    name: str
    steps: tuple[Step, ...]
    deadline_s: float = DEFAULT_DEADLINE_S
    privacy: Privacy = "off"
    capture: Capturing = False
    autopilot: bool = False
    budget: tuple[str, ...] = ()
    otherwise: Literal["error", "best"] = "error"
    audit: float = DEFAULT_AUDIT
    projects: tuple[str, ...] = ()

    @property
    def tiers(self) -> tuple[tuple[Step, ...], ...]:
        """In the order in which they are asked."""
        return tuple(tuple(steps) for _, steps in groupby(self.steps, key=lambda step: step.tier))


Duration: TypeAlias = str | float
Languages: TypeAlias = Annotated[list[Annotated[str, Meta(pattern="^[a-z]{2}$")]], Meta(min_length=1)]
Projects: TypeAlias = Annotated[list[str], Meta(min_length=1)]
Count: TypeAlias = Annotated[int, Meta(ge=0)]


class _StepTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[[route.NAME.steps]]` as it is written."""

    model: Annotated[str, Meta(pattern=r"^\S(.*\S)?$")]
    accept: Annotated[float, SHARE] | str | None = None
    tier: Count | None = None
    weight: Annotated[float, Meta(gt=0, le=MAX_WEIGHT)] = 1.0
    timeout: Duration = DEFAULT_TIMEOUT_S
    retries: Annotated[int, Meta(ge=0, le=MAX_RETRIES)] = 1
    hedge_after: Duration | None = None
    cooldown: Duration = 30.0
    breaker_failures: Annotated[int, Meta(ge=1)] = 5
    quantile: Annotated[float, SHARE] = 0.1
    task: Literal["auto", "off"] = "auto"
    languages: Languages | None = None
    min_chars: Count = 0
    max_chars: Count | None = None
    projects: Projects | None = None
    trusted: bool = False


class _RouteTable(msgspec.Struct, forbid_unknown_fields=True):
    """`[route.NAME]` as it is written."""

    steps: Annotated[list[_StepTable], Meta(min_length=1)]
    deadline: Duration = DEFAULT_DEADLINE_S
    privacy: Privacy = "off"
    capture: Capturing = False
    autopilot: bool = False
    budget: str | list[str] = []
    otherwise: Literal["error", "best"] = "error"
    audit: Annotated[float, SHARE] = DEFAULT_AUDIT
    projects: Projects | None = None


ALLOWED = {
    "accept": 'a number from 0 to 1, or "certified"', "weight": f"a number above 0, {MAX_WEIGHT:,} at most",
    "retries": f"0 to {MAX_RETRIES}", "quantile": "a number from 0 to 1", "audit": "a number from 0 to 1",
    "privacy": '"off", "detect" or "always"',
    "otherwise": '"error" or "best"', "task": '"auto" or "off"', "timeout": DURATION, "deadline": DURATION,
    "hedge_after": DURATION, "cooldown": DURATION, "steps": "at least one [[route.NAME.steps]]",
    "languages": 'codes of ISO 639-1, such as ["en", "de"]', "capture": 'true, false or "masked"',
    "autopilot": "true or false", "tier": "a whole number from 0 on",
    "breaker_failures": "1 or more", "projects": "a list of projects' ids", "budget": 'such as "20 USD / month"',
    "trusted": "true or false", "min_chars": "0 or more", "max_chars": "0 or more",
    "model": "the name of a local model, or provider/model",
}  # fmt: skip
"""Of each key, what its value may be."""


def parse_routes(tables: Mapping[str, Any], where: str) -> dict[str, Route]:
    """The routes by name, of the content of `[route]` in the file `where`. Raises InputError naming file, table, key,
    what it is and what it may be."""
    return {name: parse_route(name, table, where) for name, table in tables.items()}


def parse_route(name: str, table: Any, where: str) -> Route:
    """One `[route.NAME]`. Raises InputError."""
    place = f"{where}: [route.{name}]"
    if not NAME.fullmatch(name):
        shown = repr(name[: MAX_NAME_CHARS + 1])
        raise InputError("not a name of a route", where=f"{where}: [route.{shown}]", got=shown,
                         allowed=f"up to {MAX_NAME_CHARS} characters of ASCII without a slash")  # fmt: skip
    if not isinstance(table, dict):
        raise InputError("not a table", where=place, got=repr(table)[:80], allowed=f"[route.{name}]")
    _check_keys(table, place)
    try:
        return _route(name, to_struct(table, _RouteTable, ALLOWED))
    except InputError as error:
        if error.code != "missing_required_parameter":
            raise InputError(str(error), where=place) from error
        allowed = ALLOWED[(error.param or "").rpartition(".")[2]]
        raise InputError(str(error), where=f"{place}: {error.param}", allowed=allowed) from error


def _check_keys(table: Mapping[str, Any], place: str) -> None:
    """Raises InputError for a key that there is not."""
    _check_known(table, _RouteTable.__struct_fields__, place)
    steps = table.get("steps")
    for i, step in enumerate(steps if isinstance(steps, list) else ()):
        if isinstance(step, dict):
            _check_known(step, _StepTable.__struct_fields__, f"{place}: steps[{i}]")


def _check_known(table: Mapping[str, Any], known: Sequence[str], place: str) -> None:
    for key in table:
        if key not in known:
            raise InputError(
                "unknown key", where=place, got=key, allowed=", ".join(known), remedy=did_you_mean(key, known)
            )


def _route(name: str, table: _RouteTable) -> Route:
    steps = sorted((_step(i, one) for i, one in enumerate(table.steps)), key=lambda step: step.tier)
    _check_last(steps)
    if table.autopilot and not table.capture:
        raise InputError("an autopilot learns from what is captured", where="autopilot", got="capture = false",
                         allowed='capture = true, or "masked"')  # fmt: skip
    budgets = [table.budget] if isinstance(table.budget, str) else table.budget
    return Route(
        name=name, steps=tuple(steps), deadline_s=_seconds(table.deadline, "deadline"), privacy=table.privacy,
        capture=table.capture, autopilot=table.autopilot, budget=tuple(budgets), otherwise=table.otherwise,
        audit=table.audit, projects=tuple(table.projects or ()),
    )  # fmt: skip


def _step(index: int, table: _StepTable) -> Step:
    at = f"steps[{index}]"
    if isinstance(table.accept, str) and table.accept != "certified":
        raise InputError("not a threshold", where=f"{at}.accept", got=repr(table.accept), allowed=ALLOWED["accept"])
    if table.max_chars is not None and table.min_chars > table.max_chars:
        raise InputError("no request is so long and so short", where=f"{at}.min_chars", got=table.min_chars,
                         allowed=f"up to max_chars, {table.max_chars}")  # fmt: skip
    hedge_after = None if table.hedge_after is None else _seconds(table.hedge_after, f"{at}.hedge_after")
    return Step(
        model=table.model, tier=index if table.tier is None else table.tier,
        accept=table.accept,  # type: ignore[arg-type]  # checked above
        weight=table.weight, timeout_s=_seconds(table.timeout, f"{at}.timeout"), retries=table.retries,
        hedge_after_s=hedge_after, cooldown_s=_seconds(table.cooldown, f"{at}.cooldown"),
        breaker_failures=table.breaker_failures, quantile=table.quantile, task=table.task,
        languages=tuple(table.languages or ()), min_chars=table.min_chars, max_chars=table.max_chars,
        projects=tuple(table.projects or ()), trusted=table.trusted,
    )  # fmt: skip


def _check_last(steps: Sequence[Step]) -> None:
    """Raises InputError: nobody would answer where the last step is not sure enough."""
    for step in steps:
        if step.tier == steps[-1].tier and step.accept is not None:
            raise InputError(
                "a step of the last tier has a threshold, but there is no step that it could leave the answer to",
                where=f"the step {step.model}", got=f"accept = {step.accept!r}", allowed="no accept",
                remedy="Add a step below it, or leave accept out.",
            )  # fmt: skip


def _seconds(given: Duration, where: str) -> float:
    """Raises InputError."""
    try:
        found_s = parse_duration(str(given))
    except InputError:
        found_s = 0.0
    if not 0 < found_s <= DAY_S:
        raise InputError("not a duration", where=where, got=repr(given), allowed=DURATION)
    return found_s

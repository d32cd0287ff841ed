"""Walks over the API: each request may use what an earlier one was answered with."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any
from zlib import crc32

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Flaky
from schemathesis.config import ChecksConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from tests.openapi.document import document
from tests.openapi.world import World

CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance",
)  # fmt: skip


WALKS, STEPS = 10, 40
RARE = 4
"""What is refused, or finds nothing, stays in one of so many requests; in the others it would hide the rest."""
SELDOM = {
    "query": {"after", "starting_after"},
    "POST /chat/completions": {
        "tools", "tool_choice", "functions", "function_call", "audio", "modalities", "web_search_options", "moderation",
        "response_format", "stop",
    },
    "POST /responses": {
        "tools", "tool_choice", "background", "conversation", "prompt", "moderation", "previous_response_id", "text",
    },
    "POST /responses/input_tokens": {"tools", "tool_choice", "conversation", "previous_response_id", "text"},
    "POST /fine_tuning/jobs": {"integrations", "validation_file", "method"},
    "POST /files/from_completions": {"metadata", "after"},
}  # fmt: skip


class Seen:
    """What the requests of a walk were answered with."""

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self.failures: dict[tuple[str, str, str], str] = {}
        self.times: Counter[tuple[str, str, str]] = Counter()

    @property
    def requests(self) -> int:
        return self.answers.total()

    def succeeded(self) -> set[str]:
        """The operations that were answered with success at least once."""
        return {operation for operation, status in self.answers if status < 300}

    def operations(self) -> set[str]:
        return {operation for operation, _ in self.answers}

    def add(self, other: Seen) -> None:
        self.answers += other.answers
        self.times += other.times
        self.failures = other.failures | self.failures

    def told(self) -> str:
        """Every kind of failure, with how often it happened."""
        return "\n\n".join(f"{n} times {' '.join(kind)}\n{self.failures[kind]}" for kind, n in self.times.most_common())

    def note(self, case: Any, response: Any, error: Exception) -> None:
        """One failure of each kind is kept with all that is known about it."""
        kind = (case.operation.label, type(error).__name__, str(getattr(error, "schema_path", error))[:80])
        self.times[kind] += 1
        asked = f"{case.method} {case.formatted_path} {case.query} {str(case.body)[:800]}"
        self.failures.setdefault(kind, f"{asked}\n{response.status_code} {response.content[:800]!r}\n{error}")


def walk(around: World, *, least: int, seed: int) -> Seen:
    """At least so many requests, in walks of up to STEPS, each with what the ones before it in the walk made."""
    seen = Seen()
    with requests.Session() as session:
        machine = _machine(seen, around.known, {"base_url": around.url, "session": session, "timeout": 30})
        settings = hypothesis.settings(
            max_examples=WALKS, stateful_step_count=STEPS, phases=[Phase.generate], deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        while seen.requests < least:
            seed += 1
            with suppress(Flaky):  # the same choices lead elsewhere, as the server remembers the walks before
                hypothesis.seed(seed)(machine).run(settings=settings)
    return seen


def temper(case: Any, known: dict[str, str]) -> None:
    """Leave out, most of the time, what makes most requests fail, and ask for what is there from the beginning, some
    of the time; by the request, so that a walk can be repeated."""
    if isinstance(case.body, dict) and _draw(case.body):
        case.body = _whole(case.body)
    if case.method != "DELETE" and known.keys() >= case.path_parameters.keys() and not _draw(case.path_parameters):
        case.path_parameters |= {name: known[name] for name in case.path_parameters}
    for part, names in ((case.query, SELDOM["query"]), (case.body, SELDOM.get(case.operation.label, set()))):
        if isinstance(part, dict):
            for name in sorted(names & part.keys()):
                if _draw([name, part]):
                    del part[name]


def _draw(what: Any) -> int:
    """0, once in RARE times."""
    return crc32(repr(what).encode("utf-8", "replace")) % RARE


def _whole(node: Any) -> Any:
    """With 3 in place of 3.0, which JSON Schema takes for the same number and this server does not."""
    if isinstance(node, dict):
        return {name: _whole(value) for name, value in node.items()}
    if isinstance(node, list):
        return [_whole(one) for one in node]
    return int(node) if isinstance(node, float) and node.is_integer() else node


def _machine(seen: Seen, known: dict[str, str], options: dict[str, Any]) -> Any:
    schema = schemathesis.openapi.from_dict(document(), config=_config())
    base: Any = schema.as_state_machine()

    class Walk(base):  # type: ignore[misc]
        def before_call(self, case: Any) -> None:
            temper(case, known)

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return options

        def validate_response(self, response: Any, case: Any, additional_checks: Any = None, **kwargs: Any) -> None:
            seen.answers[case.operation.label, response.status_code] += 1
            try:
                super().validate_response(response, case, additional_checks, **kwargs)
            except FailureGroup as group:
                for error in group.exceptions:
                    seen.note(case, response, error)

    for name in [name for name in vars(base) if _is_idle(name)]:
        setattr(Walk, name, None)
    return Walk


def _is_idle(rule: str) -> bool:
    """Leads nowhere: to what is not there, or because all that is listed is deleted."""
    source = rule.partition("___20")[0]
    lacks_id = "link" not in rule and "run_id" in rule and "runs" not in source
    begins_nowhere = rule.startswith("RANDOM") and "id_" in rule
    clears = rule.startswith("GET") and "DELETE" in rule and "link" not in rule and "files" not in rule
    return begins_nowhere or clears or lacks_id


def _config() -> SchemathesisConfig:
    checks = ChecksConfig.from_dict({"enabled": False} | {name: {"enabled": True} for name in CHECKS})
    return SchemathesisConfig(projects=ProjectsConfig(default=ProjectConfig(checks=checks)))

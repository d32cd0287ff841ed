"""Which steps a request may go to: privacy, language, length, tenant."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from starlette.concurrency import run_in_threadpool

from nanosmith.core.errors import MissingExtra
from nanosmith.core.route import Route, Step
from nanosmith.data.audit.pii import find_pii
from nanosmith.server.routes.ask import Ask
from nanosmith.server.routes.errors import NoStep, NotAllowed, PrivateRequest

PRIVATE_HEADER = "x-nanosmith-private"
NO = ("", "0", "false", "no", "off")
READABLE = ("text", "input_text", "output_text", "refusal")
LONG_CHARS = 20_000
"""What is longer is searched on a thread."""
LANGUAGE_CHARS = 2_000  # of the last turn, which tell its language


def says_private(header: str | None) -> bool:
    """Whether the request's own header keeps it here."""
    return header is not None and header.strip().lower() not in NO


async def is_private(route: Route, body: Mapping[str, Any], header: str | None) -> bool:
    """Whether a request must not leave the machine. A picture, a sound or a file cannot be looked into, so with
    "detect" it stays here."""
    if says_private(header) or route.privacy == "always":
        return True
    if route.privacy == "off":
        return False
    if has_unreadable(body):
        return True
    text = "\n".join(_strings(body))
    return await run_in_threadpool(has_pii, text) if len(text) > LONG_CHARS else has_pii(text)


def has_pii(text: str) -> bool:
    """Also where digits are written in another script's form, or with invisible characters between them."""
    if not text.isascii():
        plain = unicodedata.normalize("NFKC", text)
        text = "".join(c for c in plain if unicodedata.category(c) != "Cf")
        text = "".join(str(unicodedata.digit(c, c)) if c.isdigit() and not c.isascii() else c for c in text)
    return bool(find_pii(text))


def has_unreadable(body: Mapping[str, Any]) -> bool:
    """Whether a message has a part that is not text."""
    contents = (m.get("content") for m in body.get("messages", ()) if isinstance(m, dict))
    parts = (part for content in contents if isinstance(content, list) for part in content)
    return any(not isinstance(part, dict) or part.get("type") not in READABLE for part in parts)


def _strings(content: Any) -> Iterator[str]:
    """All texts of a body, keys too: whatever is sent."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield key
            yield from _strings(value)
    elif isinstance(content, list):
        for one in content:
            yield from _strings(one)


def check_caller(route: Route, project: str) -> None:
    """Raises NotAllowed for a project that the route is not for."""
    if route.projects and project not in route.projects:
        raise NotAllowed(
            f"the route {route.name} is not for this project", got=project, allowed=", ".join(route.projects),
            param="model",
        )  # fmt: skip


def steps_for(ask: Ask, steps: Sequence[Step], is_remote: Callable[[str], bool]) -> list[Step]:
    """Those of the steps that the rules allow, in order. Raises PrivateRequest, NoStep."""
    text = last_text(ask.body)
    fitting = [step for step in steps if _fits(step, text, ask.project)]
    if not fitting:
        raise NoStep(
            f"no step of the route {ask.route.name} takes such a request", got=f"{len(text)} characters",
            remedy="Look at languages, min_chars, max_chars and projects of its steps.", param="messages",
        )  # fmt: skip
    if not ask.private:
        return fitting
    staying = [step for step in fitting if step.trusted or not is_remote(step.model)]
    if not staying:
        raise private_refused(ask.route)
    return staying


def private_refused(route: Route, tried: str | None = None) -> PrivateRequest:
    """`tried`: what became of the local models."""
    why = 'of privacy = "always"'
    if route.privacy != "always":
        why = f"it holds personal data, or what cannot be looked into, or the header {PRIVATE_HEADER} says so"
    return PrivateRequest(
        f"this request must not leave the machine, as {why}; the route {route.name} has only remote models left",
        got=tried, remedy="Add a local model to the route, or take the personal data out.", param="messages",
    )  # fmt: skip


def _fits(step: Step, text: str, project: str) -> bool:
    if len(text) < step.min_chars or (step.max_chars is not None and len(text) > step.max_chars):
        return False
    if step.projects and project not in step.projects:
        return False
    return not step.languages or language_of(text) in step.languages


def last_text(body: Mapping[str, Any]) -> str:
    """The text of the last user turn: what lengths and languages are of."""
    for message in reversed(body.get("messages", ())):
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, list):
                texts = [part.get("text") for part in content if isinstance(part, dict)]
                return "\n".join(text for text in texts if isinstance(text, str))
            return content if isinstance(content, str) else ""
    return ""


def language_of(text: str) -> str:
    """The code (ISO 639-1) of the likeliest of 97 languages (https://aclanthology.org/P12-3005/)."""
    try:
        from py3langid import classify
    except ModuleNotFoundError as error:
        raise MissingExtra("py3langid", "language") from error
    label: str = classify(text[:LANGUAGE_CHARS])[0]
    return label

"""Routes as nanosmith.toml writes them: what each key may be, and what an error says."""

from __future__ import annotations

from typing import Any

import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.route import Step, parse_route, parse_routes

LAST = {"model": "openai/gpt-5-mini"}


def table(**changes: Any) -> dict[str, Any]:
    """A route that works, changed."""
    return {"deadline": "20s", "steps": [{"model": "support-nano", "accept": 0.9}, LAST]} | changes


def wrong(**changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        parse_route("support", table(**changes), "nanosmith.toml")
    return str(caught.value)


def test_the_agreed_form() -> None:
    """Durations become seconds, a step without a tier is a tier of its own, all else has its default."""
    route = parse_routes({"support": table(privacy="detect", budget="20 USD / month", capture=True)}, "x")["support"]
    assert (route.name, route.deadline_s, route.privacy, route.budget) == (
        "support",
        20.0,
        "detect",
        ("20 USD / month",),
    )
    assert [(step.model, step.tier, step.accept) for step in route.steps] == [
        ("support-nano", 0, 0.9), ("openai/gpt-5-mini", 1, None),
    ]  # fmt: skip
    assert route.steps[1] == Step(model="openai/gpt-5-mini", tier=1)


def test_steps_of_one_tier_stand_together() -> None:
    """Tiers are asked by their numbers, whatever order the steps are written in."""
    steps = [{"model": "c", "tier": 5}, {"model": "a", "accept": 0.5, "tier": 1}, {"model": "d", "tier": 5}]
    route = parse_route("support", table(steps=steps), "x")
    assert [[step.model for step in tier] for tier in route.tiers] == [["a"], ["c", "d"]]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"deadline": "soon"}, "nanosmith.toml: [route.support]: deadline: not a duration (got 'soon'"),
        ({"privacy": "dtect"}, 'privacy: not a valid value (got "dtect"; allowed "off", "detect" or "always")'),
        ({"captur": True}, "unknown key (got captur; allowed steps, deadline, privacy, capture"),
        ({"steps": []}, "allowed at least one [[route.NAME.steps]]"),
        ({"steps": [{"accept": 0.5}, LAST]}, "steps[0].model: missing required field `model` (allowed the name of a"),
        ({"steps": [{"model": "a", "accept": 1.5}, LAST]}, 'steps[0].accept: not a valid value (got 1.5; allowed'),
        ({"steps": [{"model": "a", "accept": "sure"}, LAST]}, "steps[0].accept: not a threshold (got 'sure'"),
        ({"steps": [{"model": "a", "acept": 0.5}, LAST]}, "steps[0]: unknown key (got acept"),
        ({"steps": [{"model": "a", "timeout": "-1s"}]}, "steps[0].timeout: not a duration (got '-1s'"),
        ({"steps": [{"model": "a", "retries": 99}]}, "steps[0].retries: not a valid value (got 99; allowed 0 to 10)"),
        ({"steps": [{"model": "a", "weight": 0}]}, "steps[0].weight: not a valid value (got 0; allowed a number above"),
        ({"steps": [{"model": "a", "weight": float("inf")}]}, "allowed a number above 0, 1,000,000 at most"),
        ({"steps": [{"model": "a", "tier": -1}]}, "allowed a whole number from 0 on"),
        ({"steps": [{"model": " "}]}, 'steps[0].model: not a valid value (got " "; allowed the name of'),
        ({"steps": [{"model": "a", "timeout": 0}]}, "steps[0].timeout: not a duration (got 0.0; allowed a"),
        ({"deadline": "1000h"}, "deadline: not a duration (got '1000h'; allowed a duration above 0 and up to 24 hours"),
        ({"steps": [{"model": "a", "min_chars": 9, "max_chars": 5}]}, "no request is so long and so short (got 9; all"),
        ({"autopilot": True}, "autopilot: an autopilot learns from what is captured (got capture = false; allowed"),
        ({"steps": [{"model": "a", "accept": 0.5}]}, "the step a: a step of the last tier has a threshold"),
    ],
)  # fmt: skip
def test_an_error_names_the_place_and_what_is_allowed(changes: dict[str, Any], said: str) -> None:
    """File, table, key, what it is and what it may be."""
    message = wrong(**changes)
    assert message.startswith("nanosmith.toml: [route.support]: ")
    assert said in message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a/b", {}),
        ("", {}),
        (" ", {}),
        ("a\nb", {}),
        ("日本", {}),
        ("a" * 101, {}),
        ("support", [1]),
        ("support", "text"),
    ],
)
def test_what_is_no_route_at_all(name: str, content: Any) -> None:
    """A name with a slash could be a remote model's, others could not stand in a header; a table is a table."""
    with pytest.raises(InputError, match=r"nanosmith.toml: \[route\."):
        parse_route(name, content, "nanosmith.toml")

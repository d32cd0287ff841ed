"""Every fault of the fake provider, in three of ten requests: no answer is cut off silently, none takes longer than the
deadline, every error is one of those that docs/routes.md names, and no money is lost sight of."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from openai import OpenAI
from tests.server.routes.conftest import TEXT, Routed

from nanosmith.store.ledger.costs import CostRows

FAULTS = (
    "429=0.3:0.1", "429-bare=0.3", "500=0.3", "503=0.3", "reset=0.3", "half=0.3", "garbage=0.3", "wrong=0.3",
    "drip=0.3:0.02", "drip=0.3:0.5", "hang=0.3", "latency=0.3:0.1", "429=0.1:0.1,500=0.1,half=0.1,reset=0.1,hang=0.05",
)  # fmt: skip
DEADLINE_S = 3.0  # of the route `text`
SLACK_S = 2.0  # a test's machine may be busy
POLICY = {429: "rate_limit_exceeded", 502: "route_failed", 504: "deadline_exceeded"}


def outcome(client: OpenAI, stream: bool) -> tuple[str, float]:
    """ "whole", the text of an answer that is not, or the error; and the seconds that it took."""
    began = time.monotonic()
    try:
        messages = [{"role": "user", "content": "count"}]
        answer = client.chat.completions.create(model="text", messages=messages, stream=stream)  # type: ignore[call-overload]
        if stream:
            said = "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
        else:
            said = answer.choices[0].message.content
        found = "whole" if said == TEXT else said
    except openai.APIStatusError as error:
        found = "refused" if POLICY.get(error.status_code) == error.code else repr(error)
    except openai.APIError as error:
        found = "told" if error.code in ("endpoint_error", "deadline_exceeded") else repr(error)
    return found, time.monotonic() - began


def outcomes(client: OpenAI, routed: Routed, fault: str, n: int) -> Iterator[tuple[str, float]]:
    for provider in (routed.first, routed.second):
        provider.set_faults(fault)
    with ThreadPoolExecutor(8) as threads:
        for stream in (False, True):
            yield from threads.map(lambda _: outcome(client, stream), range(n))  # noqa: B023  # awaited here


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(client: OpenAI, routed: Routed, fault: str) -> None:
    """A few requests of each."""
    check(client, routed, fault, 8)


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_many_faults(client: OpenAI, routed: Routed, fault: str) -> None:
    """Hundreds of requests of each."""
    check(client, routed, fault, 300)


def check(client: OpenAI, routed: Routed, fault: str, n: int) -> None:
    before, began = spent(routed), time.monotonic()
    found = list(outcomes(client, routed, fault, n))
    answers = ("whole", *(["I would rather not say."] if "wrong" in fault else []))
    assert {said for said, _ in found} <= {*answers, "refused", "told"}
    assert max(seconds for _, seconds in found) < DEADLINE_S + SLACK_S
    assert sum(said in answers for said, _ in found) > len(found) / 3
    while (time.monotonic() - began) < 30 and spent(routed) - before < billed(routed):
        time.sleep(0.05)  # what clients left is settled when its connection is closed
    assert spent(routed) - before >= billed(routed)


def billed(routed: Routed) -> int:
    """What the providers would ask for, in nano-dollars, at a dollar per million tokens read and two per million
    written."""
    tokens = [provider.seen()["tokens"] for provider in (routed.first, routed.second)]
    return sum(one.get("input", 0) * 1000 + one.get("output", 0) * 2000 for one in tokens)


def spent(routed: Routed) -> int:
    """What the ledger has, in nano-dollars."""
    services = routed.served.services
    services.shared.purse.own.flush()
    rows = CostRows(services.ledger.database)
    return sum(group.sums.cost for group in rows.groups("provider"))

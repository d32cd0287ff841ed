"""A route's traffic is captured, becomes a model, and that model answers in the teacher's place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from openai import OpenAI
from tests.server.conftest import running

from nanosmith.core.settings import TuneSettings
from nanosmith.flows.autopilot import Autopilot, Goals
from nanosmith.store.captures import Capture, read_captures
from nanosmith.store.config import FILE_NAME
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, open_ledger
from nanosmith.testing import topic_rows
from nanosmith.testing.provider import FakeProvider

ROWS = topic_rows(900)
ROUTE = """
[route.support]
capture = {capture}
autopilot = true
[[route.support.steps]]
model = "{model}"
"""


@pytest.fixture
def teacher() -> Iterator[FakeProvider]:
    with FakeProvider(table=dict(ROWS)) as provider:
        yield provider


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    with closing(open_ledger(home)) as opened:
        yield opened


def write_route(home: Home, teacher: FakeProvider, capture: str = "true") -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    (home.root / FILE_NAME).write_text(ROUTE.format(capture=capture, model=teacher.remote()))


def ask(client: OpenAI, start: int, stop: int) -> list[str]:
    """Which step answered each of these rows; every answer is the teacher's."""
    steps = []
    for text, label in ROWS[start:stop]:
        raw = client.chat.completions.with_raw_response.create(
            model="support", messages=[{"role": "user", "content": text}]
        )
        assert raw.parse().choices[0].message.content == label
        steps.append(raw.headers["x-nanosmith-step"])
    return steps


def captured(ledger: Ledger, n: int) -> list[Capture]:
    """All captures, newest first, once there are `n`: they are written some time after the answer."""
    until = time.monotonic() + 10
    while len(found := list(read_captures(ledger, "support"))) < n and time.monotonic() < until:
        time.sleep(0.05)
    assert len(found) == n
    return found


def test_a_model_takes_over(home: Home, teacher: FakeProvider, ledger: Ledger, base_folder: Path) -> None:
    """The teacher answers until a model was made of its answers; then it is asked by lot, and whenever the model is not
    sure. Withdrawn, the model answers no more."""
    write_route(home, teacher)
    goals = Goals(agreement=0.9, confidence=0.9, least=60, canary=30,
                  tuning=TuneSettings(base=str(base_folder), recipe="static/1"))  # fmt: skip
    pilot = Autopilot("support", home, ledger, goals)
    with running(home) as served:
        client = served.client()
        assert set(ask(client, 0, 150)) == {teacher.remote()}
        time.sleep(1.1)  # the certificate's sample is of later seconds
        ask(client, 150, 300)
        captured(ledger, 300)
        assert pilot.step().phase == "canary", pilot.step()
        time.sleep(1.1)
        asked_in_canary = ask(client, 300, 400)
        assert 0 < asked_in_canary.count("support-1") < 50
        captured(ledger, 400)
        assert pilot.step().phase == "serve"
        time.sleep(1.1)
        answered = ask(client, 400, 600)
        assert answered.count("support-1") > 150
        assert teacher.remote() in answered
        pilot.retreat("enough")
        time.sleep(1.1)
        assert set(ask(client, 600, 620)) == {teacher.remote()}


def test_corrections_count(home: Home, teacher: FakeProvider, ledger: Ledger) -> None:
    """What a client says of a stored answer is found in its capture; private requests are not captured."""
    write_route(home, teacher)
    with running(home) as served:
        client = served.client()
        said = [{"role": "user", "content": ROWS[0][0]}]
        answer = client.chat.completions.create(model="support", messages=said, store=True)
        (one,) = captured(ledger, 1)
        assert (one.answer, one.by, one.is_last, one.by_lot) == (ROWS[0][1], teacher.remote(), True, True)
        client.chat.completions.update(answer.id, metadata={"correction": "login"})
        assert captured(ledger, 1)[0].correction == "login"


def test_masked(home: Home, teacher: FakeProvider, ledger: Ledger) -> None:
    """With "masked", personal data is replaced before anything is stored."""
    write_route(home, teacher, capture='"masked"')
    with running(home) as served:
        served.client().chat.completions.create(
            model="support", messages=[{"role": "user", "content": "Write to jane.doe@example.com, please"}]
        )
        (one,) = captured(ledger, 1)
    assert one.messages[0].content == "Write to [email], please"

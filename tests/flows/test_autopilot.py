"""The flywheel of a route, step by step, on traffic whose teacher is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nanosmith.core.example import Message
from nanosmith.core.settings import TuneSettings
from nanosmith.flows.autopilot import Autopilot, Goals, held_out
from nanosmith.jobs.webhooks.webhooks import DELIVERY, announce_autopilot, new_endpoint
from nanosmith.store import certificates
from nanosmith.store.autopilots import State, read_state
from nanosmith.store.captures import Capture, as_document
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, open_ledger
from nanosmith.testing import topic_rows

ROUTE = "support"
ROWS = topic_rows(3_000)


class Traffic:
    """Requests that reach the route one after the other, one each second."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self.sent = ledger, 0

    def pass_through(self, n: int, answer: Callable[[str], str] = str) -> None:
        """`n` requests that the teacher answers."""
        rows = []
        for text, label in ROWS[self.sent : self.sent + n]:
            self.sent += 1
            rows.append(as_document(ROUTE, Capture(f"c-{self.sent}", (Message("user", text),), answer(label), "big",
                                                   self.sent, is_last=True, by_lot=True)))  # fmt: skip
        self._ledger.add(*rows)

    def now(self) -> float:
        return float(self.sent)


@pytest.fixture
def ledger(home: Home) -> Iterator[Ledger]:
    opened = open_ledger(home)
    yield opened
    opened.close()


@pytest.fixture
def traffic(ledger: Ledger) -> Traffic:
    return Traffic(ledger)


@pytest.fixture
def pilot(home: Home, ledger: Ledger, traffic: Traffic, base_folder: Path) -> Autopilot:
    tuning = TuneSettings(base=str(base_folder), recipe="static/1")
    goals = Goals(agreement=0.9, confidence=0.9, least=60, canary=30, tuning=tuning)
    return Autopilot(ROUTE, home, ledger, goals, now=traffic.now, announce=announce_autopilot)


def deliveries(ledger: Ledger) -> list[tuple[str, str]]:
    """Of each event that webhooks are to be told its type and the phase, oldest first."""
    events = [row.body["event"] for row in ledger.documents(DELIVERY, newest_first=False)]
    return [(event["type"], event["data"]["phase"]) for event in events]


def test_around_the_wheel(pilot: Autopilot, traffic: Traffic, ledger: Ledger, home: Home) -> None:
    """It waits, trains, tries the model in the shadow and as a canary, lets it serve, and withdraws it once the teacher
    says something else; then it learns anew. Every decision is in the trail."""
    traffic.pass_through(40)
    assert pilot.step() == State()
    traffic.pass_through(160)
    canary = pilot.step()
    assert (canary.phase, canary.tried) == ("canary", 1)
    assert canary.candidate is not None
    assert (canary.candidate.model, canary.serving) == ("support-1", None)
    assert ledger.model("support-1") is not None
    assert canary.candidate.certificate is not None
    signed = certificates.read(Path(canary.candidate.certificate), home)
    assert (signed.model, signed.teacher, signed.threshold) == ("support-1", "big", canary.candidate.threshold)
    assert pilot.step() == canary
    traffic.pass_through(31)
    serving = pilot.step()
    assert (serving.phase, serving.candidate) == ("serve", None)
    assert serving.serving is not None
    assert serving.serving.model == "support-1"
    traffic.pass_through(60)
    assert pilot.step() == serving
    traffic.pass_through(60, lambda label: "login")
    withdrawn = pilot.step()
    assert (withdrawn.phase, withdrawn.serving) == ("observe", None)
    assert "withdrawn" in withdrawn.why
    assert 288 <= withdrawn.learn_from <= 296  # the teacher changed its mind at 292
    assert [row.body["phase"] for row in pilot.trail()] == ["observe", "serve", "canary"]


def test_what_is_learnt_after_a_withdrawal(pilot: Autopilot, traffic: Traffic, ledger: Ledger) -> None:
    """A model that is withdrawn is followed by one that learns from, and is certified on, what came since the teacher
    changed its mind alone; webhooks are told of each decision."""
    turned = {"delivery": "login", "login": "refund", "refund": "delivery"}
    ledger.add(new_endpoint("https://hooks.example/in"))
    traffic.pass_through(200)
    pilot.step()
    traffic.pass_through(31)
    assert pilot.step().phase == "serve"
    traffic.pass_through(40, turned.__getitem__)
    withdrawn = pilot.step()
    assert (withdrawn.phase, withdrawn.lessons) == ("observe", 0)
    assert pilot.step() == withdrawn  # too little was captured since
    traffic.pass_through(160, turned.__getitem__)
    canary = pilot.step()
    assert (canary.phase, canary.tried) == ("canary", 2)
    assert canary.lessons < 200
    told = [f"route.autopilot.{one}" for one in ("stepped", "stepped", "withdrawn", "stepped")]
    assert deliveries(ledger) == list(zip(told, ["canary", "serve", "observe", "canary"], strict=True))


def test_a_model_that_does_not_agree_is_not_used(pilot: Autopilot, traffic: Traffic) -> None:
    """A teacher that nobody could learn from: the shadow refuses the model, and waits for more before another try."""
    traffic.pass_through(200, lambda label: ("refund", "login", "delivery")[traffic.sent * 7919 % 1_000 % 3])
    refused = pilot.step()
    assert (refused.phase, refused.candidate, refused.tried) == ("observe", None, 1)
    assert "not used" in refused.why
    assert pilot.step() == refused


def test_a_broken_canary_goes_back(pilot: Autopilot, traffic: Traffic) -> None:
    """Where the traffic changes while the canary sings, nothing is served."""
    traffic.pass_through(200)
    assert pilot.step().phase == "canary"
    traffic.pass_through(60, lambda label: "login")
    after = pilot.step()
    assert (after.phase, after.candidate) == ("observe", None)


def test_by_hand(pilot: Autopilot, traffic: Traffic, ledger: Ledger) -> None:
    """A person can withdraw what serves."""
    traffic.pass_through(200)
    pilot.step()
    assert pilot.retreat("enough").why == "enough"
    assert read_state(ledger, ROUTE).candidate is None


def test_what_is_held_out() -> None:
    """The newest of the fair sample; what came beside them is learnt from unless it is the same text."""
    rows = [
        Capture(f"c{i}", (Message("user", f"text {i % 8}"),), "x", "big", i, is_last=True, by_lot=i % 2 == 0)
        for i in range(20)
    ]
    cut, held = held_out(rows)
    assert [one.at for one in held] == [12, 14, 16, 18]
    assert cut == 11

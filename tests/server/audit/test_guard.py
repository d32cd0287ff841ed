"""When a certificate is believed no longer, and when again."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from nanosmith.core.certificate import Certificate
from nanosmith.score.certificate import Chosen, choose
from nanosmith.score.drift import Sight, reference
from nanosmith.server.audit.guard import Alarm, Guard, State

NAMES = [f"label {i}" for i in range(20)]
Request = tuple[float, str, bool]
Draw = Callable[[np.random.Generator], Request]
SHARE = 0.1


def usual(draw: np.random.Generator) -> Request:
    """Confidences whose answers agree more often the higher they are, over all labels alike."""
    sure = float(draw.random())
    return sure, NAMES[draw.integers(20)], bool(draw.random() < 1 - 0.5 * (1 - sure) ** 3)


def better(draw: np.random.Generator) -> Request:
    """The same confidences, and agreement nearly everywhere."""
    sure, label, _ = usual(draw)
    return sure, label, bool(draw.random() < 1 - 0.1 * (1 - sure) ** 3)


def other_labels(draw: np.random.Generator) -> Request:
    """Three in four requests have one of four labels, and agree less."""
    sure, label, agrees = usual(draw)
    return (
        (sure, NAMES[draw.integers(4)], bool(draw.random() < 0.85)) if draw.random() < 0.75 else (sure, label, agrees)
    )


def other_texts(draw: np.random.Generator) -> Request:
    """Confidences are lower, and agreement is too."""
    sure, label, _ = usual(draw)
    return sure**1.7, label, bool(draw.random() < 0.8)


def wrong_but_alike(draw: np.random.Generator) -> Request:
    """Nothing is to be seen from here, but the teacher says otherwise more often."""
    sure, label, _ = usual(draw)
    return sure, label, bool(draw.random() < 0.85)


def sight_of(one: Request) -> Sight:
    return Sight(one[0], one[1], 40.0, 4.0)


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    draw = np.random.default_rng(0)
    rows = [usual(draw) for _ in range(2_000)]
    sure, agrees = np.array([row[0] for row in rows]), np.array([row[2] for row in rows])
    found = choose(sure, agrees, 0.97, 0.95)
    assert isinstance(found, Chosen)
    return Certificate(
        route="r", model="m", model_digest="", teacher="t", teacher_digests={}, target=0.97, confidence=0.95,
        method="exact", threshold=found.threshold, bound=found.bound, n=2_000, answered=found.answered,
        agreed=found.agreed, cost_share=0.5, sample="0", source="", created_at=0, nanosmith="0",
        reference=reference([sight_of(row) for row in rows]),
    )  # fmt: skip


def run(guard: Guard, traffic: Draw, n: int, seed: int = 0) -> list[Alarm]:
    """Alarms while so many requests come."""
    draw, found = np.random.default_rng(seed), []
    for _ in range(n):
        one = traffic(draw)
        found.append(guard.saw(sight_of(one)))
        if guard.wants(one[0], SHARE, draw.random):
            found.append(guard.heard(sight_of(one), one[2]))
    return [alarm for alarm in found if alarm is not None]


def test_calm(certificate: Certificate) -> None:
    """Traffic like the sample gives no alarm; a share of what is answered is audited, and the bound grows."""
    guard = Guard(certificate)
    assert run(guard, usual, 4_000) == []
    assert guard.threshold == certificate.threshold
    expected = SHARE * 4_000 * certificate.coverage
    assert 0.75 * expected < guard.state.audited < 2 * expected
    assert 0.9 < guard.bound < guard.state.agreed / guard.state.audited


@pytest.mark.parametrize(
    ("traffic", "kinds"),
    [(other_labels, {"labels", "agreement"}), (other_texts, {"input", "agreement"}), (wrong_but_alike, {"agreement"})],
)
def test_alarm(certificate: Certificate, traffic: Draw, kinds: set[str]) -> None:
    """Other labels, other confidences, and broken agreement are noticed; then nothing is accepted."""
    guard = Guard(certificate)
    assert run(guard, usual, 600) == []
    alarms = run(guard, traffic, 1_500, seed=1)
    assert alarms[0].kind in kinds
    assert alarms[0].seen <= (1_000 if kinds != {"agreement"} else 1_700)
    assert guard.state.alarms[0] == alarms[0]


def test_retreat_and_return(certificate: Certificate) -> None:
    """After an alarm nothing is accepted and everything is compared; when that shows the promise, local answers are
    accepted again, never more loosely, and compared with the new traffic."""
    guard = Guard(certificate)
    run(guard, other_labels, 200)
    assert guard.threshold == math.inf
    assert guard.wants(0.0, 0.0, lambda: 1.0)
    assert run(guard, better, 1_000, seed=2) == []
    assert certificate.threshold <= guard.threshold < 1
    assert guard.state.reference != certificate.reference


def test_no_return_while_broken(certificate: Certificate) -> None:
    """As long as the teacher says otherwise, nothing is accepted, and what is kept stays bounded."""
    guard = Guard(certificate)
    run(guard, other_labels, 200)
    run(guard, other_texts, 1_500, seed=3)
    assert guard.threshold == math.inf
    assert len(guard.state.sample) <= 99 * 3 * 2**5
    assert len(guard.state.recent) <= 2_000


def test_state_is_kept(certificate: Certificate) -> None:
    """A guard goes on from a state that was written and read; one of another certificate is forgotten."""
    guard = Guard(certificate)
    run(guard, usual, 450)
    run(guard, wrong_but_alike, 300, seed=4)
    kept = msgspec.json.decode(msgspec.json.encode(guard.state), type=State)
    again = Guard(certificate, kept)
    assert again.state == guard.state
    assert run(again, wrong_but_alike, 1_000, seed=5) == run(guard, wrong_but_alike, 1_000, seed=5)
    fresh = Guard(msgspec.structs.replace(certificate, sample="1"), kept)
    assert fresh.state.seen == 0
    assert fresh.state.certificate != kept.certificate


@pytest.mark.parametrize("traffic", [other_labels, other_texts, wrong_but_alike])
def test_running_agreement(certificate: Certificate, traffic: Draw) -> None:
    """The agreement of the last 500 local answers is never two points below the promise for 500 requests."""
    for seed in range(1):
        guard, draw, recent, below = Guard(certificate), np.random.default_rng(seed), [], 0
        for at in range(2_500):
            one = (usual if at < 1_000 else traffic)(draw)
            if one[0] >= guard.threshold:
                recent = [*recent[-499:], one[2]]
            below = below + 1 if guard.state.believed and len(recent) == 500 and np.mean(recent) < 0.95 else 0
            assert below < 500
            guard.saw(sight_of(one))
            if guard.wants(one[0], SHARE, draw.random):
                guard.heard(sight_of(one), one[2])

"""From a route, a teacher and texts to a certificate."""

from __future__ import annotations

from pathlib import Path

import pytest

from nanosmith.core.errors import InputError, NotFound, OverBudget
from nanosmith.core.example import Message
from nanosmith.core.money import nano_of
from nanosmith.core.prediction import Prediction
from nanosmith.core.task import Task
from nanosmith.core.watch import Level, Watch
from nanosmith.flows.certify import Outcome, Promise, captured, certify, find_local
from nanosmith.score.agreement import same, sureness
from nanosmith.store import certificates
from nanosmith.store.captures import Capture, as_document
from nanosmith.store.config import FILE_NAME
from nanosmith.store.home import Home, open_home
from nanosmith.store.ledger import Ledger, open_ledger
from nanosmith.store.records import ModelRow
from nanosmith.testing import tiny_bundle
from nanosmith.testing.provider import FakeProvider
from nanosmith.testing.tiny import tiny_scope

LABELS = ("delivery", "login", "refund")
TEXTS = [f"{LABELS[i % 3]} {i}" for i in range(150)]
ROUTE = """
[route.support]
[[route.support.steps]]
model = "tiny"
accept = "certified"
[[route.support.steps]]
model = "large"
[route.remote]
[[route.remote.steps]]
model = "openai/gpt-5-mini"
[route.twice]
[[route.twice.steps]]
model = "tiny"
accept = "certified"
[[route.twice.steps]]
model = "large"
accept = "certified"
[[route.twice.steps]]
model = "openai/gpt-5-mini"
"""


class Told(Watch):
    def __init__(self) -> None:
        self.said: list[str] = []

    def message(self, text: str, level: Level = "info") -> None:
        self.said.append(text)


@pytest.fixture
def home(own_home: Path) -> Home:
    """A data folder with the models tiny and large, and routes."""
    home = open_home()
    ledger = Ledger(home.ledger)
    for name in ("tiny", "large"):
        bundle = tiny_bundle(home.bundles / name, name=name)
        ledger.add_model(ModelRow(name, 0, name, bundle.digest, "x"))
    ledger.close()
    (home.root / FILE_NAME).write_text(ROUTE)
    return home


def run(
    home: Home, texts: list[str], promise: Promise | None = None, teacher: str = "large", watch: Watch | None = None
) -> Outcome:
    return certify(find_local("support", home), teacher, texts, promise or Promise(), home, source="x", watch=watch)


def test_certified(home: Home) -> None:
    """A certificate names both models and what was counted, and is the route's newest."""
    outcome = run(home, TEXTS, Promise(classes=True))
    one = outcome.certificate
    assert one is not None
    assert (one.route, one.model, one.teacher, one.n, one.answered, one.agreed) == (
        "support", "tiny", "large", 150, 150, 150,
    )  # fmt: skip
    assert list(one.teacher_digests) == ["large"]
    assert one.bound >= one.target == 0.97
    assert {(row.label, row.answered, row.agreed) for row in one.classes} == {(label, 50, 50) for label in LABELS}
    assert one.reference.labels == {"delivery": 50, "login": 50, "refund": 50}
    assert certificates.newest(home, "support") == one


def test_what_makes_a_certificate_worth_little(home: Home) -> None:
    """A teacher with the model's own weights, and one with answers of no use, are told of."""
    told = Told()
    run(home, TEXTS, watch=told)
    assert "the model itself" in told.said[0]
    told = Told()
    with FakeProvider(table=dict.fromkeys(TEXTS, "no label")) as provider:
        outcome = run(home, TEXTS, teacher=provider.remote(), watch=told)
    assert outcome.left_out == len(TEXTS)
    assert "wrong_answer 150" in told.said[-1]


def test_threshold_leaves_out_what_disagrees(home: Home) -> None:
    """Where the teacher differs on what the local model is not sure of, these are not answered here."""
    odd = [f"something else {i}" for i in range(60)]
    table = {text: text.split()[0] for text in TEXTS} | dict.fromkeys(odd, "refund")
    with FakeProvider(table=table) as provider:
        outcome = run(home, TEXTS + odd, teacher=provider.remote())
    one = outcome.certificate
    assert one is not None
    assert one.threshold > 1 / 3  # which the odd ones have for each label
    assert (one.n, one.answered, one.agreed) == (210, 150, 150)
    assert 0 < one.cost_share < 0.5


def test_too_few(home: Home) -> None:
    """Too few texts are refused before anybody is asked."""
    outcome = run(home, TEXTS[:40], teacher="nobody/knows")
    assert outcome.certificate is None
    assert outcome.refusal is not None
    assert outcome.refusal.more == 59


def test_infeasible(home: Home) -> None:
    """A teacher that always says otherwise cannot be agreed with, and nothing is kept."""
    with FakeProvider(default="refund") as provider:
        outcome = run(home, TEXTS, teacher=provider.remote())
    assert outcome.refusal is not None
    assert outcome.refusal.more is None
    assert certificates.certificates(home, "support") == []


def test_paid_teacher(home: Home) -> None:
    """Costs are told before and after, a budget stops, and what was answered is not paid twice."""
    with FakeProvider(table={text: text.split()[0] for text in TEXTS}, price=(1.0, 2.0)) as provider:
        (home.root / FILE_NAME).write_text(
            f'{ROUTE}\n[provider.fake]\nbase_url = "{provider.url}"\n[provider.fake.models.big]\ninput_usd = 1\n'
            'output_usd = 2\noutput_tokens = 100\n'
        )  # fmt: skip
        with pytest.raises(OverBudget):
            run(home, TEXTS, Promise(budget=nano_of(0.005)), "fake/big")
        some = provider.seen()["requests"]
        watch = Told()
        first, second = (run(home, TEXTS, teacher="fake/big", watch=watch) for _ in range(2))
        assert 0 < some < 150
        assert provider.seen()["requests"] == 150
    assert first.cost is not None
    assert first.cost > 0
    assert second.cost == 0
    assert "150 texts" in watch.said[0]
    assert "USD" in watch.said[0]
    assert "cost" in watch.said[1]


def test_teacher_without_answers(home: Home) -> None:
    """Texts that the teacher gives no answer for are left out, and counted."""
    table = {text: text.split()[0] for text in TEXTS[:120]}
    with FakeProvider(table=table, default="no label of these") as provider:
        outcome = run(home, TEXTS, teacher=provider.remote())
    assert (outcome.n, outcome.left_out) == (120, 30)


def test_find_local(home: Home, tmp_path: Path) -> None:
    """A route's certified step, a model's name, and a bundle's folder can be certified."""
    assert find_local("support", home).model == "tiny"
    assert find_local("large", home).model == "large"
    folder = str(tiny_bundle(tmp_path / "other").path)
    assert find_local(folder, home).model == folder


@pytest.mark.parametrize(
    ("route", "why"), [("remote", "no local model"), ("twice", "several steps"), ("suport", "Did you mean support")]
)
def test_nothing_to_certify(home: Home, route: str, why: str) -> None:
    """A route without a local model, with two certified steps, or that is not there, is an error that says so."""
    with pytest.raises(InputError, match=why):
        find_local(route, home)


@pytest.mark.parametrize("promise", [Promise(agreement=1.0), Promise(agreement=0.0), Promise(confidence=1.5)])
def test_impossible_promise(home: Home, promise: Promise) -> None:
    """Shares of 0, 1 and beyond cannot be promised."""
    with pytest.raises(InputError, match="cannot be promised"):
        run(home, TEXTS, promise)


def test_teacher_of_another_task(home: Home, tmp_path: Path) -> None:
    """A teacher without a common label is refused before it is asked."""
    folder = str(tiny_bundle(tmp_path / "other", ["a", "b"]).path)
    with pytest.raises(InputError, match="answers something else"):
        run(home, TEXTS, teacher=folder)


def test_captured(home: Home) -> None:
    """Captured requests of the route are the sample; without any that is an error."""
    with pytest.raises(NotFound, match="no captured traffic"):
        captured("support", home)
    ledger = open_ledger(home)
    for i, text in enumerate(TEXTS[:5]):
        one = Capture(f"c{i}", (Message("user", text),), "login", "large", 1_700_000_000)
        ledger.add(as_document("support", one))
    ledger.close()
    assert [turns[0].content for turns in captured("support", home, 3)] == TEXTS[4:1:-1]  # type: ignore[union-attr]


def test_never_given(tmp_path: Path) -> None:
    """What is out of scope, and what has no confidence, is never above a threshold."""
    from nanosmith.predict.open import open_predictor

    predictor = open_predictor(tiny_bundle(tmp_path / "scoped", scope=tiny_scope()))
    far, near = predictor.predict(["nothing of these", "my refund"])
    assert far.refused
    assert sureness(far) == -1.0
    assert 0 < sureness(near) <= near.confidence
    assert sureness(Prediction("a", None, ("a",), (1.0,), "x")) == -1.0


def test_same_record() -> None:
    """Records are the same whatever the order of their fields."""
    task = Task("record")
    assert same(task, '{"a": 1, "b": 2}', '{"b": 2.0, "a": 1}')
    assert not same(task, '{"a": 1}', '{"a": 2}')
    assert not same(task, '{"a": 1}', None)

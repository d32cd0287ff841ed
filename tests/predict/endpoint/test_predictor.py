"""Remote models as predictors, beside a provider that misbehaves."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from nanosmith.core.errors import OverBudget
from nanosmith.core.example import Message
from nanosmith.core.money import Usage
from nanosmith.core.prediction import Predictor
from nanosmith.core.record import RecordForm
from nanosmith.core.task import Task
from nanosmith.predict.endpoint.catalogue import Capability, open_catalogue
from nanosmith.predict.endpoint.client import Patience
from nanosmith.predict.endpoint.failure import WRONG_ANSWER, EndpointError
from nanosmith.predict.endpoint.predictor import EndpointPredictor
from nanosmith.testing.provider import FakeProvider

ROWS = {f"text {i}": label for i, label in enumerate(["refund", "login", "card", "arrival"] * 5)}
TASK = Task("choice", tuple(sorted(set(ROWS.values()))))
QUICK = Patience(timeout_s=0.4, deadline_s=3.0, retries=0)


@pytest.fixture(scope="module")
def provider() -> Iterator[FakeProvider]:
    with FakeProvider(table=ROWS) as running:
        yield running


@pytest.fixture(autouse=True)
def no_faults(provider: FakeProvider) -> None:
    provider.set_faults("")
    provider.clear()


def opened(provider: FakeProvider, patience: Patience = QUICK, task: Task = TASK) -> EndpointPredictor:
    return EndpointPredictor(open_catalogue().find(provider.remote()), task, patience=patience, seed=1)


class Counted:
    """A meter that remembers; `most` tries are allowed."""

    def __init__(self, most: int = 100) -> None:
        self.tries = 0
        self.usages: list[Usage | None] = []
        self._most = most

    def before(self) -> None:
        if self.tries == self._most:
            raise OverBudget("no more")
        self.tries += 1

    def after(self, usage: Usage | None) -> None:
        self.usages.append(usage)


def test_it_is_a_predictor(provider: FakeProvider) -> None:
    """One prediction per input, in order, with the tokens' probabilities and no confidence; conversations too."""
    endpoint = opened(provider)
    assert isinstance(endpoint, Predictor)
    assert endpoint.predict([]) == []
    texts = list(ROWS)
    found = endpoint.predict([texts[1], (Message("assistant", "Yes?"), Message("user", texts[2]))])
    assert [one.value for one in found] == ["login", "card"]
    for one in found:
        assert one.labels == TASK.labels
        assert sum(one.probabilities) == pytest.approx(1)
        assert dict(one.top(1)) == {one.value: pytest.approx(0.9, abs=0.01)}
        assert (one.confidence, one.by) == (None, provider.remote())


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("429=1:0.2", "rate_limited"), ("429-bare", "rate_limited"), ("503", "unavailable"), ("reset", "broken_stream"),
     ("half", "broken_stream"), ("garbage", "garbage"), ("wrong", "garbage"), ("hang=1:9", "timeout"),
     ("drip=1:0.3", "timeout")],
)  # fmt: skip
def test_each_fault_is_told(provider: FakeProvider, fault: str, kind: str) -> None:
    """Whatever goes wrong is an EndpointError of its kind, within the time that was given."""
    provider.set_faults(fault)
    began = time.monotonic()
    with pytest.raises(EndpointError) as caught:
        opened(provider).ask("text 0")
    assert caught.value.kind == kind
    assert (caught.value.code == WRONG_ANSWER) == (fault == "wrong")
    assert time.monotonic() - began < 2.5
    assert caught.value.retry_after_s == (0.2 if fault.startswith("429=") else None)


def test_nobody_there() -> None:
    """A port that nobody listens on is unavailable, at once."""
    with pytest.raises(EndpointError, match="cannot be reached") as caught:
        EndpointPredictor(open_catalogue().find("http://127.0.0.1:9/v1#m"), TASK, patience=QUICK).ask("x")
    assert caught.value.kind == "unavailable"


def test_retries_help(provider: FakeProvider) -> None:
    """With faults in a third of the tries, enough of them lead to the right answers."""
    provider.set_faults("503=0.1,reset=0.1,half=0.1,garbage=0.05")
    endpoint = opened(provider, Patience(1.0, 60.0, 8))
    texts = list(ROWS)[:8]
    assert [one.value for one in endpoint.predict(texts)] == [ROWS[text] for text in texts]
    assert provider.seen()["faults"]


def test_retry_after_is_kept(provider: FakeProvider) -> None:
    """The next try comes no sooner than asked for, and not at all where that is behind the deadline."""
    provider.set_faults("429=1:0.3")
    began = time.monotonic()
    with pytest.raises(EndpointError):
        opened(provider, Patience(1.0, 10.0, 1)).ask("text 0")
    assert time.monotonic() - began >= 0.3
    provider.set_faults("429=1:60")
    began = time.monotonic()
    with pytest.raises(EndpointError):
        opened(provider, Patience(1.0, 10.0, 5)).ask("text 0")
    assert time.monotonic() - began < 2
    assert provider.seen()["requests"] == 3


def test_refused_is_not_tried_again() -> None:
    """A wrong key is told after one try, with the provider's words and without the key."""
    with FakeProvider(table=ROWS, key="right") as own:
        remote = open_catalogue().find(own.remote())
        with pytest.raises(EndpointError, match="Incorrect API key") as caught:
            EndpointPredictor(remote, TASK, key="wrong-key", patience=Patience()).ask("text 0")
        assert (caught.value.kind, caught.value.status) == ("refused", 401)
        assert "wrong-key" not in str(caught.value)
        assert own.seen()["requests"] == 1
        assert EndpointPredictor(remote, TASK, key="right").ask("text 0").value == "refund"


def test_wrong_answers_are_paid_twice_at_most(provider: FakeProvider) -> None:
    """A wrong label is asked for once more, whatever the number of retries."""
    provider.set_faults("wrong")
    meter = Counted()
    with pytest.raises(EndpointError, match="none of the labels"):
        opened(provider, Patience(1.0, 60.0, 9)).ask("text 0", meter)
    assert meter.tries == 2
    assert all(usage is not None and usage.input > 0 for usage in meter.usages)


@pytest.mark.parametrize(
    ("fault", "costs"),
    [("503", []), ("429-bare", []), ("half", [None]), ("garbage", [None]), ("hang=1:9", [None]), ("reset", [None])],
)
def test_what_may_have_cost_is_metered(provider: FakeProvider, fault: str, costs: list[None]) -> None:
    """Tries that broke off may be on the bill, those that were refused are not."""
    provider.set_faults(fault)
    meter = Counted()
    with pytest.raises(EndpointError):
        opened(provider).ask("text 0", meter)
    assert meter.usages == costs


def test_meter_may_say_no(provider: FakeProvider) -> None:
    """What a meter raises before a try comes through, and nothing is sent."""
    with pytest.raises(OverBudget):
        opened(provider).ask("text 0", Counted(most=0))
    assert provider.seen()["requests"] == 0


def test_labels_records_and_texts() -> None:
    """The other kinds of tasks are asked for and read, too."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    table = {"many": '["b", "a"]', "record": '{"n": 3}', "bad": '{"n": "x"}', "text": "Hello there."}
    with FakeProvider(table=table) as own:
        labels = opened(own, task=Task("labels", ("a", "b", "c"), "json_list"))
        assert labels.ask("many").value == ("a", "b")
        record = opened(own, task=Task("record", record=RecordForm(schema=schema)))
        assert record.ask("record").value == '{"n":3}'
        assert record.body("record")["response_format"]["json_schema"]["schema"] == schema
        with pytest.raises(EndpointError, match="does not fit"):
            record.ask("bad")
        assert EndpointPredictor(open_catalogue().find(own.remote())).ask("text").value == "Hello there."


def test_only_what_the_model_can_do_is_asked_for() -> None:
    """Temperature and log-probabilities go to models that take them, or of which nobody knows."""

    def asked(*capabilities: Capability) -> set[str]:
        table = {"base_url": "http://127.0.0.1:9/v1", "models": {"m": {"capabilities": list(capabilities)}}}
        return set(EndpointPredictor(open_catalogue({"p": table}).find("p/m"), TASK).body("x"))

    assert asked() == {"messages", "max_tokens"}
    assert asked("temperature", "logprobs") - asked() == {"temperature", "logprobs", "top_logprobs"}
    unknown = EndpointPredictor(open_catalogue().find("http://127.0.0.1:9/v1#m"), TASK).body("x")
    assert set(unknown) == asked("temperature", "logprobs")


def test_unknown_provider_may_refuse_a_field(monkeypatch: pytest.MonkeyPatch, provider: FakeProvider) -> None:
    """A provider of which nobody knows is asked again without what it may not take, and not bothered with it again."""
    endpoint = opened(provider)
    sent: list[set[str]] = []
    ask = endpoint._client.ask

    def picky(body: dict, *rest: object) -> object:  # type: ignore[type-arg]
        sent.append(set(body))
        if "logprobs" in body:
            raise EndpointError("refused", "unknown field logprobs", status=400)
        return ask(body, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(endpoint._client, "ask", picky)
    assert endpoint.ask("text 0").value == "refund"
    assert endpoint.ask("text 1").value == "login"
    assert ["logprobs" in fields for fields in sent] == [True, False, False]


def test_half_a_character_is_sent(provider: FakeProvider) -> None:
    """A text with half a surrogate pair is asked about like any other."""
    assert opened(provider, task=Task("choice", ("unknown", "other"))).ask("a \ud800 b").value == "unknown"

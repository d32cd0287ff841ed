"""Webhooks: what is written down, sent, signed, and sent again; against a real HTTP receiver."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI
from tests.webhook_receiver import Receiver

from nanosmith.core.errors import InputError
from nanosmith.jobs import run
from nanosmith.jobs.batches import ending as batch_ending
from nanosmith.jobs.control import cancel
from nanosmith.jobs.supervisor import Supervisor
from nanosmith.jobs.webhooks import courier
from nanosmith.jobs.webhooks import post as webhook_post
from nanosmith.jobs.webhooks.courier import GIVE_UP_S, MOST_S, Courier, claim, deliver, pause_s, sweep
from nanosmith.jobs.webhooks.webhooks import (
    CERTIFICATE_SUSPENDED,
    DELIVERY,
    ENDPOINT,
    ENDS,
    EVENTS,
    FORMER_S,
    MAX_FORMER,
    Endpoint,
    announce,
    change_endpoint,
    check_url,
    find_endpoint,
    live_secrets,
    new_endpoint,
    new_secret,
    signed_headers,
    with_secret,
)
from nanosmith.store.home import Home
from nanosmith.store.ledger import LeaseLost, Ledger
from nanosmith.store.records import Document

CLIENT = OpenAI(api_key="any", base_url="http://localhost:1/v1")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def endpoint(ledger: Ledger, receiver: Receiver) -> Document:
    """Told of everything."""
    row = new_endpoint(receiver.url)
    ledger.add(row)
    return row


@pytest.fixture
def start_courier(home: Home) -> Iterator[Callable[[], Courier]]:
    started: list[Courier] = []

    def start() -> Courier:
        started.append(Courier(home, poll_s=0.05))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.stop()


def wait_until(true: Callable[[], Any], within_s: float = 30) -> None:
    until = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.02)


def deliveries(ledger: Ledger) -> list[Document]:
    """Oldest first."""
    return list(ledger.documents(DELIVERY, limit=1000, newest_first=False))


def types(ledger: Ledger) -> list[tuple[str, str]]:
    """Of each delivery the event and the object that it tells of."""
    return [(row.body["event"]["type"], row.body["event"]["data"]["id"]) for row in deliveries(ledger)]


def statuses(ledger: Ledger) -> list[str | None]:
    return [row.status for row in deliveries(ledger)]


def make_due(ledger: Ledger) -> Document:
    """The one delivery, as if its pause were over."""
    changed = ledger.update_document(DELIVERY, deliveries(ledger)[0].id, expires_at=int(time.time()) - 1)
    assert changed is not None
    return changed


def try_once(ledger: Ledger) -> Document:
    """One attempt of the one delivery, and what became of it."""
    claimed = claim(ledger, make_due(ledger))
    assert claimed is not None
    deliver(ledger, claimed)
    return deliveries(ledger)[0]


@pytest.mark.parametrize("type", ENDS)
def test_the_client_unwraps_it(ledger: Ledger, receiver: Receiver, endpoint: Document, type: str) -> None:
    """OpenAI's client verifies the signature and knows every event; a changed body or another secret is refused."""
    ledger.add(*announce(ledger, type, "id_1"))
    assert try_once(ledger).status == "delivered"
    headers, body = receiver.got[0]
    event: Any = CLIENT.webhooks.unwrap(body, headers, secret=endpoint.body["secret"])
    assert (event.type, event.data.id, event.object) == (type, "id_1", "event")
    assert event.id.startswith("evt_")
    assert type_of(event) == type
    for wrong_body, secret in ((body + b" ", endpoint.body["secret"]), (body, new_secret())):
        with pytest.raises(openai.InvalidWebhookSignatureError):
            CLIENT.webhooks.unwrap(wrong_body, headers, secret=secret)


def test_an_event_of_ours(ledger: Ledger, receiver: Receiver, endpoint: Document) -> None:
    """OpenAI's client also verifies and reads an event that it does not know, with what it tells."""
    ledger.add(*announce(ledger, CERTIFICATE_SUSPENDED, "support", reason="labels"))
    assert try_once(ledger).status == "delivered"
    headers, body = receiver.got[0]
    event: Any = CLIENT.webhooks.unwrap(body, headers, secret=endpoint.body["secret"])
    assert (event.type, event.data.id, event.data.reason) == ("route.certificate.suspended", "support", "labels")


def type_of(event: Any) -> str:
    """The type that the client's class of this event stands for."""
    return str(event.__class__.model_fields["type"].annotation.__args__[0])


@given(body=st.binary(max_size=200).filter(lambda raw: raw.isascii()), now=st.integers(0, 2**32))
def test_signatures(body: bytes, now: int) -> None:
    """Each message has one; it depends on id, time and body."""
    secret = "whsec_" + "A" * 43 + "="
    signed = signed_headers("wh_1", body, [secret], now=now)
    others = [("wh_2", body, now), ("wh_1", body + b"x", now), ("wh_1", body, now + 1)]
    made = {signed_headers(id, text, [secret], now=at)["webhook-signature"] for id, text, at in others}
    assert signed["webhook-signature"].startswith("v1,")
    assert len(made | {signed["webhook-signature"]}) == 4


def test_a_job_tells_how_it_ended(
    home: Home, ledger: Ledger, create: Any, upload: Any, endpoint: Document, wait_for: Any
) -> None:
    """Succeeded, failed, cancelled while it waited or was paused or ran: one event each, there when the job has
    ended."""
    good, bad, waiting = create(), create(training_file=upload(b"{}\n")), create()
    run.main(good.id, home, tune="nanosmith.testing:slow_tune")
    run.main(bad.id, home)
    cancel(ledger, waiting.id)
    running = create(hyperparameters={"n_epochs": 50})
    ledger.ask_to_stop(running.id, "cancel")
    run.main(running.id, home, tune="nanosmith.testing:slow_tune")
    assert types(ledger) == [
        ("fine_tuning.job.succeeded", good.id), ("fine_tuning.job.failed", bad.id),
        ("fine_tuning.job.cancelled", waiting.id), ("fine_tuning.job.cancelled", running.id),
    ]  # fmt: skip
    with pytest.raises(InputError):
        cancel(ledger, good.id)
    assert len(deliveries(ledger)) == 4


def test_no_end_no_event(home: Home, ledger: Ledger, create: Any, endpoint: Document) -> None:
    """A process that lost its job announces nothing; neither does a job that is only asked to stop."""
    job = create()
    lease = ledger.claim(job.id, "other:1")
    assert lease is not None
    cancel(ledger, job.id)
    assert deliveries(ledger) == []
    ledger.claim(job.id, "another:1", instead_of="other:1")
    fenced = ledger.under(lease)
    with pytest.raises(LeaseLost):
        fenced.update_job(job.id, also=announce(fenced, "fine_tuning.job.failed", job.id), status="failed", end=True)
    assert deliveries(ledger) == []


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "expired"])
def test_a_batch_tells_how_it_ended(home: Home, ledger: Ledger, endpoint: Document, status: str) -> None:
    """Each end has its event."""
    state = "finalizing" if status == "completed" else "in_progress"
    body = {"input_file_id": "file-none", "request_counts": {"total": 0}}
    ledger.add(Document("batch", "batch_1", 1, body, status=state))
    batch_ending.finish(ledger, home, "batch_1", status)
    assert types(ledger) == [(f"batch.{status}", "batch_1")]


def test_only_who_asked_is_told(ledger: Ledger) -> None:
    """Endpoints have their events; those of another project are told nothing."""
    ledger.add(new_endpoint("https://a.example/x", ["batch.failed"]))
    ledger.add(new_endpoint("https://b.example/x", ["batch.completed", "batch.failed"]))
    ledger.of("proj_b").add(new_endpoint("https://c.example/x"))
    assert len(announce(ledger, "batch.failed", "batch_1")) == 2
    assert len(announce(ledger, "batch.completed", "batch_1")) == 1
    assert announce(ledger, "batch.expired", "batch_1") == []
    events = announce(ledger, "batch.failed", "batch_1")
    assert events[0].body["event"] == events[1].body["event"]
    assert events[0].id != events[1].id


def test_refusals_are_repeated_until_it_is_taken(
    ledger: Ledger, receiver: Receiver, endpoint: Document, start_courier: Any
) -> None:
    """Any status but 2xx, a redirect too, is tried again later, with the same id; what was taken never comes again."""
    receiver.statuses = [500, 302, 404, 204]
    ledger.add(*announce(ledger, "batch.completed", "batch_1"))
    for attempt, said in enumerate(("status 500", "status 302", "status 404"), start=1):
        row = try_once(ledger)
        assert (row.status, row.body["attempts"], row.body["problem"]) == ("waiting", attempt, said)
        assert row.expires_at is not None
        assert row.expires_at > time.time()
    assert try_once(ledger).status == "delivered"
    assert len({(headers["webhook-id"], body) for headers, body in receiver.got}) == 1
    make_due(ledger)
    start_courier()
    time.sleep(0.5)
    assert len(receiver.got) == 4


def test_nobody_is_there(ledger: Ledger, receiver: Receiver, endpoint: Document) -> None:
    """A connection that is refused waits for the next attempt, and the row says why."""
    receiver.close()
    ledger.add(*announce(ledger, "batch.completed", "batch_1"))
    row = try_once(ledger)
    assert row.status == "waiting"
    assert "ConnectionRefusedError" in row.body["problem"]


def test_an_answer_that_does_not_come(
    ledger: Ledger, receiver: Receiver, endpoint: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt ends after its time limit."""
    monkeypatch.setattr(webhook_post, "TIMEOUT_S", 0.2)
    receiver.hold.clear()
    ledger.add(*announce(ledger, "batch.completed", "batch_1"))
    assert "timed out" in try_once(ledger).body["problem"]


def test_given_up(ledger: Ledger, receiver: Receiver, endpoint: Document) -> None:
    """After three days of refusals it is failed, and tried no more."""
    receiver.statuses = [500, 500]
    row = announce(ledger, "batch.completed", "batch_1")[0]
    ledger.add(msgspec.structs.replace(row, created_at=row.created_at - GIVE_UP_S - 1))
    tried = try_once(ledger)
    assert (tried.status, tried.body["problem"]) == ("failed", "status 500")
    assert claim(ledger, tried) is None


@given(attempts=st.integers(1, 10_000))
def test_pauses(attempts: int) -> None:
    """They grow from seconds to hours, and stop growing."""
    pause = pause_s(attempts)
    assert 1 <= pause <= MOST_S * courier.JITTER[1]
    assert pause <= courier.FIRST_S * courier.FACTOR ** min(attempts, 20)
    assert attempts < 10 or pause >= MOST_S * courier.JITTER[0] - 1


def test_several_couriers(ledger: Ledger, receiver: Receiver, endpoint: Document, start_courier: Any) -> None:
    """Of several on one ledger each delivery is sent by one."""
    for i in range(20):
        ledger.add(*announce(ledger, "batch.completed", f"batch_{i}"))
    for _ in range(3):
        start_courier()
    wait_until(lambda: set(statuses(ledger)) == {"delivered"})
    assert sorted(json.loads(body)["data"]["id"] for _, body in receiver.got) == sorted(f"batch_{i}" for i in range(20))


def test_a_courier_that_died(ledger: Ledger, endpoint: Document) -> None:
    """Its claim keeps others away for a while, then runs out."""
    ledger.add(*announce(ledger, "batch.completed", "batch_1"))
    row = deliveries(ledger)[0]
    claimed = claim(ledger, row)
    assert claimed is not None
    assert claim(ledger, row) is None
    now = int(time.time())
    assert ledger.due_documents(DELIVERY, now, status="waiting") == []
    assert [one.id for one in ledger.due_documents(DELIVERY, now + courier.CLAIM_S + 1, status="waiting")] == [row.id]
    assert claim(ledger, claimed) is not None


def test_a_slow_endpoint_keeps_no_other_waiting(
    ledger: Ledger, receiver: Receiver, endpoint: Document, start_courier: Any
) -> None:
    """While one endpoint holds its first message, another one gets all of its own, also of another project."""
    receiver.hold.clear()
    other = Receiver()
    ledger.of("proj_b").add(new_endpoint(other.url))
    for i in range(150):
        ledger.add(*announce(ledger, "batch.completed", f"batch_{i}"))
    for i in range(3):
        ledger.of("proj_b").add(*announce(ledger.of("proj_b"), "batch.completed", f"batch_{i}"))
    start_courier()
    try:
        wait_until(lambda: len(other.got) == 3)
        assert receiver.got == []
    finally:
        other.close()
        receiver.hold.set()


def test_a_removed_endpoint(ledger: Ledger, receiver: Receiver, endpoint: Document) -> None:
    """What waits for it is forgotten."""
    ledger.add(*announce(ledger, "batch.completed", "batch_1"))
    ledger.delete_document(ENDPOINT, endpoint.id)
    claimed = claim(ledger, make_due(ledger))
    assert claimed is not None
    deliver(ledger, claimed)
    assert (deliveries(ledger), receiver.got) == ([], [])


def test_old_deliveries_are_forgotten(ledger: Ledger, receiver: Receiver, endpoint: Document) -> None:
    """What was taken long ago goes; what waits stays."""
    ledger.add(*announce(ledger, "batch.completed", "batch_1"))
    try_once(ledger)
    ledger.add(*announce(ledger, "batch.completed", "batch_2"))
    sweep(ledger)
    assert statuses(ledger) == ["delivered", "waiting"]
    make_due(ledger)
    sweep(ledger)
    assert statuses(ledger) == ["waiting"]


def test_the_supervisor_has_a_courier(
    home: Home, ledger: Ledger, create: Any, receiver: Receiver, endpoint: Document
) -> None:
    """A job that is cancelled while `serve` or `worker` runs is told within seconds."""
    supervisor = Supervisor(home, poll_s=0.05)
    supervisor.start()
    try:
        job = create()
        cancel(ledger, job.id)
        wait_until(lambda: receiver.got)
    finally:
        supervisor.stop()
    assert json.loads(receiver.got[0][1])["data"] == {"id": job.id}


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com", "https://example.com:8443/a?b=c", "http://localhost:9/x", "http://127.0.0.1/",
        "http://[::1]:80/", "https://10.0.0.1/",
    ],
)  # fmt: skip
def test_good_addresses(url: str) -> None:
    """https anywhere, http on this machine."""
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "ftp://example.com", "file:///etc/passwd", "https://", "https://user:pw@example.com",
        "http://example.com", "http://10.0.0.1/", "https://a b", "https://a/\r\nx: y", "https://a/\u00e9", "https://[::1",
        "https://a:99999/", "https://" + "a" * 3000,
    ],
)  # fmt: skip
def test_refused_addresses(url: str) -> None:
    """Anything else is refused with the field's name."""
    with pytest.raises(InputError) as refused:
        check_url(url)
    assert refused.value.param == "url"


def test_changes_that_meet(ledger: Ledger, endpoint: Document) -> None:
    """Each of two changes at the same time is made, on what the other one left; one that changes nothing leaves
    everything as it was."""
    tries = []

    def slowly(was: Endpoint) -> Endpoint:
        tries.append(was.name)
        if len(tries) == 1:
            change_endpoint(ledger, endpoint.id, lambda one: msgspec.structs.replace(one, name="quick"))
        return msgspec.structs.replace(was, events=("batch.failed",))

    ledger.update_document(ENDPOINT, endpoint.id, body=endpoint.body | {"updated_at": 7})
    changed = msgspec.convert(change_endpoint(ledger, endpoint.id, slowly).body, Endpoint)
    assert tries == ["", "quick"]
    assert (changed.name, changed.events) == ("quick", ("batch.failed",))
    assert (changed.updated_at or 0) > 7
    kept = find_endpoint(ledger, endpoint.id)
    assert msgspec.convert(kept.body, Endpoint) == changed
    assert change_endpoint(ledger, endpoint.id, lambda was: was) == kept == find_endpoint(ledger, endpoint.id)


@given(kept=st.lists(st.booleans(), max_size=8))
def test_secrets_that_are_replaced(kept: list[bool]) -> None:
    """Those sign that were kept since one was replaced at once; there is a limit to them."""
    made = Endpoint("https://a.example", EVENTS, new_secret())
    live = [made.secret]
    for keep in kept:
        secret = new_secret()
        if keep and len(live) > MAX_FORMER:
            with pytest.raises(InputError, match="without keeping"):
                with_secret(made, secret, keep=True)
            continue
        made, live = with_secret(made, secret, keep=keep), [secret, *(live if keep else [])]
        assert live_secrets(made, int(time.time())) == live
        assert live_secrets(made, int(time.time()) + FORMER_S + 1) == [secret]


def test_http_where_it_is_allowed() -> None:
    """An operator may allow it; an event that does not exist is refused in any case."""
    check_url("http://hooks.internal/x", allow_http=True)
    with pytest.raises(InputError, match=r"batch\.completed"):
        new_endpoint("https://a.example", ["batch.complete"])

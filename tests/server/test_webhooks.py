"""/v1/webhook_endpoints: who may name which addresses, and what becomes of secrets."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import openai
import pytest
from openai import OpenAI
from tests.server.access.test_auth import add_key, bearer
from tests.server.conftest import Served, running
from tests.webhook_receiver import Names, Receiver

from nanosmith.jobs.webhooks import post as webhook_post
from nanosmith.jobs.webhooks.courier import claim, deliver
from nanosmith.jobs.webhooks.hosts import PRIVATE_VARIABLE
from nanosmith.jobs.webhooks.webhooks import (
    DELIVERY,
    ENDPOINT,
    EVENTS,
    FORMER_S,
    MAX_ENDPOINTS,
    Endpoint,
    announce,
    new_endpoint,
)
from nanosmith.server import webhooks
from nanosmith.store.home import Home

PUBLIC = "https://8.8.8.8/hook"
FAILED, DONE = "batch.failed", "batch.completed"
PATH = "/v1/webhook_endpoints"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def open_served(home: Home) -> Iterator[Served]:
    """A server without keys."""
    with running(home) as served:
        yield served


@pytest.fixture
def served(home: Home) -> Iterator[Served]:
    """A server with a key."""
    with running(home, "sk-own") as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[OpenAI]:
    with served.client("sk-own") as client:
        yield client


def body_of(served: Served, id: str) -> Endpoint:
    row = served.services.ledger.document(ENDPOINT, id)
    assert row is not None
    return msgspec.convert(row.body, Endpoint)


def test_a_key_needs_the_scope(served: Served) -> None:
    """`all` is not enough; the key of the environment has it, `webhooks:read` reads."""
    wanted = {"all": (403, 403, 403), "all:read": (403, 403, 403), "webhooks:read": (200, 200, 403)}
    wanted["webhooks"] = (200, 200, 400)
    made = {scope: add_key(served.services.ledger, scope)[0] for scope in wanted}
    wanted["the environment's"], made["the environment's"] = (200, 200, 400), "sk-own"
    with httpx.Client(base_url=served.url) as http:
        for scope, key in made.items():
            answers = (
                http.get(PATH, headers=bearer(key)), http.get("/v1/webhook_event_types", headers=bearer(key)),
                http.post(PATH, json={}, headers=bearer(key)),
            )  # fmt: skip
            assert tuple(answer.status_code for answer in answers) == wanted[scope], scope


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x", "http://127.0.0.1:9/x", "http://localhost/x", "https://10.0.0.1/x", "https://[fd00::1]/",
        "https://169.254.169.254/latest/meta-data", "https://2130706433/", "https://inner.example/x",
        "https://none.example/x", "http://8.8.8.8/x", "ftp://8.8.8.8/x", "https://user@8.8.8.8/x", "",
    ],
)  # fmt: skip
def test_addresses_that_a_key_cannot_name(
    served: Served, client: OpenAI, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """https to the public Internet alone, when an endpoint is made and when its address is changed."""
    Names(monkeypatch).known = {"inner.example": ["8.8.8.8", "10.0.0.1"], "none.example": []}
    made = client.webhooks.create(name="mine", url=PUBLIC, event_types=[FAILED])
    for ask in (
        lambda: client.webhooks.create(name="mine", url=url, event_types=[FAILED]),
        lambda: client.webhooks.update(made.id, url=url),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            ask()
        assert refused.value.param == "url"
    assert [one.url for one in client.webhooks.list()] == [PUBLIC]


def test_what_the_operator_allows(client: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable set private addresses are open, but neither metadata nor plain http beyond this machine."""
    monkeypatch.setenv(PRIVATE_VARIABLE, "1")
    for url in ("https://10.0.0.1/x", "http://127.0.0.1:9/x"):
        assert client.webhooks.create(name="mine", url=url, event_types=[FAILED]).url == url
    for url in ("https://169.254.169.254/x", "http://10.0.0.1/x"):
        with pytest.raises(openai.BadRequestError):
            client.webhooks.create(name="mine", url=url, event_types=[FAILED])


def test_a_server_without_keys(open_served: Served, receiver: Receiver) -> None:
    """Who asks from this machine may name this machine, and is told; another private address stays closed."""
    with open_served.client() as client:
        made = client.webhooks.create(name="mine", url=receiver.url, event_types=[FAILED])
        assert client.webhooks.test(made.id, event_type=DONE).status_code == 200
        with pytest.raises(openai.BadRequestError):
            client.webhooks.create(name="mine", url="https://10.0.0.1/x", event_types=[FAILED])


def test_a_name_that_points_here_later(served: Served, client: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was public when it was made gets nothing once it is private: neither tests nor deliveries connect."""
    receiver, names = Receiver(), Names(monkeypatch)
    names.known = {"hooks.example": ["8.8.8.8"]}
    made = client.webhooks.create(name="mine", url=f"https://hooks.example:{receiver.port}", event_types=[FAILED])
    names.known = {"hooks.example": ["127.0.0.1"]}
    with pytest.raises(openai.BadRequestError, match="public") as refused:
        client.webhooks.test(made.id, event_type=FAILED)
    assert refused.value.code == "endpoint_unreachable"
    ledger = served.services.ledger
    ledger.add(*announce(ledger, FAILED, "batch_1"))
    (waiting,) = ledger.documents(DELIVERY)
    claimed = claim(ledger, waiting)
    assert claimed is not None
    deliver(ledger, claimed)
    assert "public" in ledger.documents(DELIVERY)[0].body["problem"]
    receiver.close()
    assert receiver.got == []


def test_an_operators_endpoint(served: Served, client: OpenAI, receiver: Receiver) -> None:
    """It is in the list, can be tried, and keeps where it may be until it gets another address."""
    row = new_endpoint(receiver.url, [FAILED], name="the operator's")
    served.services.ledger.add(row)
    assert [(one.id, one.name) for one in client.webhooks.list()] == [(row.id, "the operator's")]
    client.webhooks.update(row.id, event_types=[DONE], url=receiver.url)
    assert body_of(served, row.id).reach == "any"
    receiver.statuses = [302]
    assert client.webhooks.test(row.id, event_type=FAILED).status_code == 302
    assert client.webhooks.update(row.id, url=PUBLIC).event_types == [DONE]
    assert body_of(served, row.id).reach == "public"
    with pytest.raises(openai.BadRequestError):
        client.webhooks.update(row.id, url=receiver.url)


def test_a_test(served: Served, client: OpenAI, receiver: Receiver) -> None:
    """It is one signed event of the kind that was asked for, of no object; it is not kept, and not sent again."""
    row = new_endpoint(receiver.url, [DONE])
    served.services.ledger.add(row)
    receiver.statuses = [500]
    result = client.webhooks.test(row.id, event_type="eval.run.failed")
    assert (result.status_code, result.webhook_endpoint_id) == (500, row.id)
    ((headers, body),) = receiver.got
    event: Any = client.webhooks.unwrap(body, headers, secret=row.body["secret"])
    assert (event.type, event.data.id[:5]) == ("eval.run.failed", "test_")
    assert served.services.ledger.documents(DELIVERY) == []
    receiver.close()
    with pytest.raises(openai.BadRequestError, match="ConnectionRefusedError"):
        client.webhooks.test(row.id, event_type=DONE)


def test_secrets(served: Served, client: OpenAI) -> None:
    """One is shown when it is made, and never again; the hint tells which one it is."""
    made = client.webhooks.create(name="mine", url=PUBLIC, event_types=[FAILED])
    turned = client.webhooks.rotate_secret(made.id, keep_old_secret_active_for_24_hours=True)
    assert made.signing_secret != turned.signing_secret
    (former,) = body_of(served, made.id).former
    assert former.secret == made.signing_secret
    assert 0 <= time.time() + FORMER_S - former.until < 60
    with httpx.Client(base_url=served.url, headers=bearer("sk-own")) as http:
        shown = http.get(PATH).text + http.get(f"{PATH}/{made.id}").text
        shown += http.post(f"{PATH}/{made.id}", json={"name": "new"}).text
    for secret in (made.signing_secret, turned.signing_secret):
        assert secret not in shown
    found = client.webhooks.retrieve(made.id)
    assert found.signing_secret_hint == turned.signing_secret_hint != made.signing_secret_hint
    assert found.signing_secret_hint is not None
    assert turned.signing_secret.rstrip("=").endswith(found.signing_secret_hint[-webhooks.HINT_CHARS :])
    client.webhooks.rotate_secret(made.id)
    assert body_of(served, made.id).former == ()


@pytest.mark.parametrize("headers", [{"idempotency-key": "one"}, {"x-stainless-retry-count": "1"}])
def test_what_is_sent_twice_is_done_once(client: OpenAI, headers: dict[str, str]) -> None:
    """A creation and a rotation whose answer was not seen give the same secret again, as long as it is the one that
    signs."""

    def create(**options: Any) -> Any:
        return client.webhooks.create(name="mine", url=PUBLIC, event_types=[FAILED], **options)

    first = create(extra_headers=headers | {"x-stainless-retry-count": "0"})
    again = create(extra_headers=headers)
    assert (again.id, again.signing_secret) == (first.id, first.signing_secret)
    headers = {name: value + "0" for name, value in headers.items()}
    turned, same = (
        client.webhooks.rotate_secret(first.id, extra_headers=headers | more)
        for more in ({"x-stainless-retry-count": "0"}, {})
    )
    assert first.signing_secret != turned.signing_secret == same.signing_secret
    client.webhooks.rotate_secret(first.id)
    if "idempotency-key" in headers:
        with pytest.raises(openai.BadRequestError, match="replaced since"):
            client.webhooks.rotate_secret(first.id, extra_headers=headers)


def test_what_a_key_made_can_be_deleted(client: OpenAI) -> None:
    """As for the other resources, the same Idempotency-Key is then refused, and makes no second endpoint."""
    given: Any = {"name": "mine", "url": PUBLIC, "event_types": [FAILED], "extra_headers": {"idempotency-key": "gone"}}
    client.webhooks.delete(client.webhooks.create(**given).id)
    with pytest.raises(openai.BadRequestError, match="was deleted"):
        client.webhooks.create(**given)
    assert list(client.webhooks.list()) == []


def test_changes(client: OpenAI) -> None:
    """An update that changes nothing leaves `updated_at`; events are kept once, in their order."""
    made = client.webhooks.create(name="mine", url=PUBLIC, event_types=[DONE, FAILED, DONE])
    assert made.event_types == [DONE, FAILED]
    assert made.updated_at == made.created_at
    time.sleep(1.01)
    same = client.webhooks.update(made.id, name="mine", url=PUBLIC, event_types=[DONE, FAILED])
    assert same.updated_at == made.updated_at
    other = client.webhooks.update(made.id, name="other")
    assert other.updated_at is not None
    assert made.updated_at is not None
    assert other.updated_at > made.updated_at
    assert (other.url, other.event_types) == (PUBLIC, [DONE, FAILED])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"url": PUBLIC, "event_types": [FAILED]}, "name"), ({"name": "a", "event_types": [FAILED]}, "url"),
        ({"name": "a", "url": PUBLIC}, "event_types"), ({"name": "", "url": PUBLIC, "event_types": [FAILED]}, "name"),
        ({"name": "a", "url": PUBLIC, "event_types": []}, "event_types"),
        ({"name": "a", "url": PUBLIC, "event_types": ["response.completed"]}, "event_types"),
        ({"name": "a" * 257, "url": PUBLIC, "event_types": [FAILED]}, "name"),
    ],
)  # fmt: skip
def test_wrong_fields(served: Served, body: dict[str, Any], param: str) -> None:
    """Each is a 400 that names the field; an event that is never sent here is refused, not accepted in silence."""
    answer = httpx.post(f"{served.url}{PATH}", json=body, headers=bearer("sk-own"))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_there_is_a_limit(served: Served, client: OpenAI) -> None:
    """A project has so many endpoints, those of its operator among them."""
    served.services.ledger.add(*(new_endpoint(PUBLIC) for _ in range(MAX_ENDPOINTS)))
    with pytest.raises(openai.BadRequestError, match="too many"):
        client.webhooks.create(name="one more", url=PUBLIC, event_types=list(EVENTS))  # type: ignore[arg-type]


def test_slow_hosts_hold_nobody_up(
    served: Served, client: OpenAI, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While as many tests wait as may, another one is a 429, and everything else is answered."""
    monkeypatch.setattr(webhook_post, "TIMEOUT_S", 120)
    row = new_endpoint(receiver.url)
    served.services.ledger.add(row)
    receiver.hold.clear()
    url, ask, answers = f"{served.url}{PATH}/{row.id}/test", {"event_type": FAILED}, queue.Queue[int]()

    def test() -> None:
        answers.put(httpx.post(url, json=ask, headers=bearer("sk-own"), timeout=150).status_code)

    senders = [threading.Thread(target=test) for _ in range(webhooks.MAX_OUTWARD + 1)]
    for one in senders:
        one.start()
    assert answers.get(timeout=100) == 429
    assert client.webhooks.retrieve(row.id).id == row.id
    receiver.hold.set()
    for one in senders:
        one.join()
    assert {answers.get() for _ in range(webhooks.MAX_OUTWARD)} == {200}


def test_a_deleted_endpoint(served: Served, client: OpenAI) -> None:
    """It goes with what waits for it, and is not there a second time."""
    made = client.webhooks.create(name="mine", url=PUBLIC, event_types=[FAILED])
    ledger = served.services.ledger
    ledger.add(*announce(ledger, FAILED, "batch_1"))
    assert client.webhooks.delete(made.id).deleted
    assert ledger.documents(DELIVERY) == []
    for call in (client.webhooks.delete, client.webhooks.retrieve, client.webhooks.rotate_secret):
        with pytest.raises(openai.NotFoundError):
            call(made.id)


def test_deliveries_of_an_endpoint_made_over_http(open_served: Served, receiver: Receiver) -> None:
    """An event that its endpoint asked for reaches it, signed with the secret that was shown."""
    with open_served.client() as client:
        made = client.webhooks.create(name="mine", url=receiver.url, event_types=[FAILED])
        ledger = open_served.services.ledger
        ledger.add(*announce(ledger, DONE, "batch_1"), *announce(ledger, FAILED, "batch_2"))
        (waiting,) = ledger.documents(DELIVERY)
        claimed = claim(ledger, waiting)
        assert claimed is not None
        deliver(ledger, claimed)
        ((headers, body),) = receiver.got
        client.webhooks.verify_signature(body, headers, secret=made.signing_secret)
        assert json.loads(body)["data"] == {"id": "batch_2"}

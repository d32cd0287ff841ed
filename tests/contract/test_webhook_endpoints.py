"""client.webhooks of the newest client: endpoints over HTTP. The server of these tests allows private addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.contract.conftest import needs, refused
from tests.webhook_receiver import Receiver

from nanosmith.jobs.webhooks.webhooks import ENDS

EVENTS = ["batch.completed", "eval.run.failed"]
NONE = {"webhook_endpoint_id": "we_none"}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def made(client: OpenAI, receiver: Receiver) -> Iterator[Any]:
    """An endpoint of this test, with its secret."""
    endpoint = needs(client, "webhooks.create")(name="own", url=receiver.url, event_types=EVENTS)
    yield endpoint
    if endpoint.id in [one.id for one in client.webhooks.list()]:
        client.webhooks.delete(endpoint.id)


def signs(client: OpenAI, sent: tuple[dict[str, str], bytes], secret: str) -> bool:
    try:
        client.webhooks.verify_signature(sent[1], sent[0], secret=secret)
    except openai.InvalidWebhookSignatureError:
        return False
    return True


def test_create_and_retrieve(client: OpenAI, made: Any, receiver: Receiver) -> None:
    """What is made is there, without its secret; an address of plain http beyond this machine is refused."""
    assert (made.name, made.url, made.event_types) == ("own", receiver.url, EVENTS)
    assert made.signing_secret.startswith("whsec_")
    found = client.webhooks.retrieve(made.id)
    assert found.model_dump() == {k: v for k, v in made.model_dump().items() if k != "signing_secret"}
    with refused(param="url"):
        client.webhooks.create(name="own", url="http://hooks.example/in", event_types=["batch.completed"])
    with refused(param="event_types"):
        client.webhooks.create(name="own", url=receiver.url, event_types=["video.completed"])
    with refused(openai.NotFoundError, "not_found"):
        client.webhooks.retrieve(**NONE)


def test_list(client: OpenAI, made: Any, receiver: Receiver) -> None:
    """Newest first, page by page."""
    second = client.webhooks.create(name="second", url=receiver.url, event_types=["batch.failed"])
    ids = [one.id for one in client.webhooks.list(limit=1)]
    client.webhooks.delete(second.id)
    assert ids[:2] == [second.id, made.id]
    with refused(param="after"):
        client.webhooks.list(after="we_none")


def test_update(client: OpenAI, made: Any) -> None:
    """What is given is changed, the rest stays."""
    changed = client.webhooks.update(made.id, name="other", event_types=["batch.failed"])
    assert (changed.name, changed.url, changed.event_types) == ("other", made.url, ["batch.failed"])
    assert client.webhooks.retrieve(made.id) == changed
    with refused(openai.NotFoundError, "not_found"):
        client.webhooks.update(**NONE, name="other")


def test_rotate_secret(client: OpenAI, made: Any, receiver: Receiver) -> None:
    """The old secret goes on to sign when it is kept; else the new one alone signs."""
    kept = client.webhooks.rotate_secret(made.id, keep_old_secret_active_for_24_hours=True)
    secrets = [made.signing_secret, kept.signing_secret]
    client.webhooks.test(made.id, event_type="batch.completed")
    assert [signs(client, receiver.got[-1], secret) for secret in secrets] == [True, True]
    secrets.append(client.webhooks.rotate_secret(made.id).signing_secret)
    client.webhooks.test(made.id, event_type="batch.completed")
    assert [signs(client, receiver.got[-1], secret) for secret in secrets] == [False, False, True]
    with refused(openai.NotFoundError, "not_found"):
        client.webhooks.rotate_secret(**NONE)


def test_test(client: OpenAI, made: Any, receiver: Receiver) -> None:
    """Each event type arrives as that event, those of OpenAI as the client knows them; the status of the answer is
    told, whatever it is."""
    for kind in client.webhooks.event_types.list().data:
        receiver.statuses = [418]
        result = client.webhooks.test(made.id, event_type=kind)  # type: ignore[arg-type]
        assert (result.event_type, result.status_code, result.webhook_endpoint_id) == (kind, 418, made.id)
        headers, body = receiver.got[-1]
        event: Any = client.webhooks.unwrap(body, headers, secret=made.signing_secret)
        assert event.type == kind
        if kind in ENDS:
            type(event).model_validate_json(body, strict=True)
    with refused(param="event_type"):
        client.webhooks.test(made.id, event_type="video.completed")
    client.webhooks.update(made.id, url="https://127.0.0.1:1/nobody")
    with refused(code="endpoint_unreachable"):
        client.webhooks.test(made.id, event_type="batch.completed")


def test_event_types(client: OpenAI, stranger: OpenAI) -> None:
    """Those that are sent here, those of OpenAI among them."""
    needs(client, "webhooks.event_types")
    assert set(EVENTS) < set(client.webhooks.event_types.list().data)
    with refused(openai.AuthenticationError):
        stranger.webhooks.event_types.list()


def test_delete(client: OpenAI, made: Any) -> None:
    """It is gone, and cannot be deleted again."""
    deleted = client.webhooks.delete(made.id)
    assert (deleted.id, deleted.deleted) == (made.id, True)
    for _ in range(2):
        with refused(openai.NotFoundError, "not_found"):
            client.webhooks.delete(made.id)

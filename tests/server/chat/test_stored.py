"""Stored completions with the official client: stored once, whole and durably; listed, shown, changed and deleted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from tests.server.chat.test_completions import ask, eventually, open_stream
from tests.server.conftest import Served, running

from nanosmith.core.errors import StorageFull
from nanosmith.core.limits import MAX_STORED_BYTES
from nanosmith.data.completions import KIND
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, open_ledger

STRICT = {"x-nanosmith-strict": "true"}
TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.fixture(scope="module")
def keeper(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of this module; every test finds it without completions."""
    root = tmp_path_factory.mktemp("keeper")
    shutil.copytree(models, root, dirs_exist_ok=True)
    with running(Home(root)) as server:
        yield server


@pytest.fixture
def client(keeper: Served) -> Iterator[OpenAI]:
    for row in kept(keeper):
        keeper.services.ledger.delete_document(KIND, row.id)
    with keeper.client() as client:
        yield client


def kept(served: Served) -> list[Any]:
    """What another process would find in the ledger."""
    with closing(open_ledger(served.home)) as ledger:
        return list(ledger.documents(KIND, limit=1000))


def test_a_completion_is_stored_when_it_is_answered(keeper: Served, client: OpenAI) -> None:
    """With store the answer is the stored object, metadata included; without, nothing is kept."""
    done = ask(client, store=True, metadata={"team": "a"}, logprobs=True, n=2)
    assert [row.id for row in kept(keeper)] == [done.id]
    found = client.chat.completions.retrieve(done.id)
    shown = found.model_dump()
    assert {name: shown[name] for name in done.model_dump()} == done.model_dump()
    assert found.metadata == {"team": "a"}
    ask(client)
    ask(client, store=False)
    assert len(kept(keeper)) == 1


def test_a_stored_completion_echoes_its_request(client: OpenAI) -> None:
    """The object has the parameters of the request beside the answer; those that were not given are null."""
    raw = client.chat.completions.with_raw_response.create(
        model="tiny", messages=[{"role": "user", "content": "refund"}], store=True, seed=7, temperature=0.5,
        tools=[TOOL], tool_choice="none", user="me", response_format={"type": "text"},
    )  # type: ignore[call-overload] # fmt: skip
    shown = client.chat.completions.retrieve(raw.parse().id).model_dump()
    assert (shown["request_id"], shown["seed"], shown["temperature"]) == (raw.headers["x-request-id"], 7, 0.5)
    assert (shown["tools"], shown["tool_choice"], shown["input_user"]) == ([TOOL], "none", "me")
    assert (shown["response_format"], shown["top_p"], shown["metadata"]) == ({"type": "text"}, None, {})


def test_a_stream_is_stored_once_and_whole(keeper: Served, client: OpenAI) -> None:
    """A streamed completion is kept as the same object as one that is not streamed, under the id of its chunks."""
    chunks = list(ask(client, store=True, metadata={"a": "b"}, stream=True))
    (row,) = kept(keeper)
    assert {chunk.id for chunk in chunks} == {row.id}
    found = client.chat.completions.retrieve(row.id)
    assert (found.choices[0].message.content, found.metadata) == ("refund", {"a": "b"})
    assert found.usage is not None
    assert found.usage.total_tokens == 4


def test_a_stream_that_is_cut_is_stored_whole(keeper: Served, client: OpenAI) -> None:
    """A client that goes away after the first bytes leaves one whole completion, never a part of one."""
    with open_stream(keeper, store=True) as cut:
        assert b"200" in cut.recv(100)
    eventually(lambda: len(kept(keeper)) == 1)
    (found,) = client.chat.completions.list()
    assert (found.choices[0].message.content, found.choices[0].finish_reason) == ("refund", "stop")


@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_stored_is_not_answered(client: OpenAI, monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    """When the disk is full the answer is a 507, also to a stream, and nothing is kept."""

    def full(*_rows: Any) -> None:
        raise StorageFull("the disk is full")

    monkeypatch.setattr(Ledger, "add", full)
    with pytest.raises(openai.InternalServerError) as caught:
        ask(client, store=True, stream=stream)
    assert caught.value.status_code == 507
    assert list(client.chat.completions.list()) == []


def test_what_is_too_large_to_store_is_refused(client: OpenAI) -> None:
    """A completion with a request over the limit is a 400 at store, with got and allowed; without store it is fine."""
    tools = [TOOL | {"filler": "x" * MAX_STORED_BYTES}]
    assert ask(client, tools=tools, tool_choice="none").choices[0].message.content == "refund"
    with pytest.raises(openai.BadRequestError, match=str(MAX_STORED_BYTES)) as caught:
        ask(client, tools=tools, tool_choice="none", store=True)
    assert caught.value.param == "store"


def test_a_repeated_request_is_stored_once(keeper: Served, client: OpenAI) -> None:
    """A retry of the client gets the completion that was stored, and so does an Idempotency-Key; another request with
    that key is refused; an equal request that is no retry is stored anew."""
    first = ask(client, store=True)
    assert ask(client, store=True, extra_headers={"x-stainless-retry-count": "1"}).id == first.id
    chunks = ask(client, store=True, stream=True, extra_headers={"idempotency-key": "k"})
    keyed = {chunk.id for chunk in chunks}
    chunks = ask(client, store=True, stream=True, extra_headers={"idempotency-key": "k"})
    assert {chunk.id for chunk in chunks} == keyed
    with pytest.raises(openai.BadRequestError):
        ask(client, "another", store=True, extra_headers={"idempotency-key": "k"})
    assert len(kept(keeper)) == 2
    assert ask(client, store=True).id != first.id
    assert len(kept(keeper)) == 3


def test_a_deleted_completion_is_not_stored_again_by_a_retry(keeper: Served, client: OpenAI) -> None:
    """A repetition that comes after the completion was deleted is answered with its id, and stores nothing."""
    key = {"idempotency-key": "deleted"}
    done = ask(client, store=True, extra_headers=key)
    client.chat.completions.delete(done.id)
    assert ask(client, store=True, extra_headers=key).id == done.id
    assert kept(keeper) == []


def test_lists_are_filtered_and_paged(client: OpenAI) -> None:
    """Oldest first by default, in pages, by model and by all pairs of metadata."""
    made = [
        ask(client, model=model, store=True, metadata={"i": str(i % 2), "odd key]": "ä"}).id
        for i, model in enumerate(["tiny", "tags", "tiny", "tiny", "field"])
    ]
    stored = client.chat.completions
    assert [one.id for one in stored.list(limit=2)] == made
    page = stored.list(limit=2)
    assert ([one.id for one in page.data], page.has_more) == (made[:2], True)
    assert [one.id for one in stored.list(order="desc", limit=3)] == made[::-1]
    assert [one.id for one in stored.list(model="tiny", limit=1)] == [made[0], made[2], made[3]]
    assert [one.id for one in stored.list(metadata={"i": "1", "odd key]": "ä"})] == [made[1], made[3]]
    assert [one.id for one in stored.list(metadata={"i": "1"}, model="tags")] == [made[1]]
    assert list(stored.list(metadata={"i": "2"})) == []
    assert list(stored.list(after=made[-1])) == []


def test_a_page_has_twenty_by_default(keeper: Served, client: OpenAI) -> None:
    """Without a limit a page has 20, at most 100; the list's object has the first and the last id."""
    made = [ask(client, store=True).id for _ in range(21)]
    with httpx.Client(base_url=keeper.url) as plain:
        page = plain.get("/v1/chat/completions").json()
        refused = plain.get("/v1/chat/completions", params={"limit": 101}).json()
    assert [one["id"] for one in page["data"]] == made[:20]
    assert (page["object"], page["first_id"], page["last_id"], page["has_more"]) == ("list", made[0], made[19], True)
    assert refused["error"]["param"] == "limit"


def test_metadata_is_replaced(keeper: Served, client: OpenAI) -> None:
    """An update replaces the metadata as a whole and nothing else; null removes it; filters see the new pairs."""
    done = ask(client, store=True, metadata={"a": "1", "b": "2"})
    changed = client.chat.completions.update(done.id, metadata={"c": "3"})
    assert changed.metadata == {"c": "3"}
    assert changed.choices == done.choices
    assert [one.id for one in client.chat.completions.list(metadata={"c": "3"})] == [done.id]
    assert list(client.chat.completions.list(metadata={"a": "1"})) == []
    assert client.chat.completions.update(done.id, metadata=None).metadata == {}
    assert client.chat.completions.retrieve(done.id).metadata == {}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "metadata"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"metadata": {}, "model": "x"}, None),
        ({"model": 1}, None),
    ],
)
def test_only_metadata_can_be_changed(client: OpenAI, body: dict[str, Any], param: str | None) -> None:
    """Another field, or metadata that OpenAI would not take, is a 400, and nothing changes."""
    done = ask(client, store=True, metadata={"a": "b"})
    with pytest.raises(openai.BadRequestError) as caught:
        client.post(f"/chat/completions/{done.id}", body=body, cast_to=object)
    assert param is None or (caught.value.param or "").startswith(param)
    assert client.chat.completions.retrieve(done.id).metadata == {"a": "b"}


def test_a_deleted_completion_is_gone(client: OpenAI) -> None:
    """Deleting answers with the id; afterwards every call about it is a 404."""
    done, stays = ask(client, store=True), ask(client, store=True)
    gone = client.chat.completions.delete(done.id)
    assert (gone.id, gone.deleted, gone.object) == (done.id, True, "chat.completion.deleted")
    for call in (
        client.chat.completions.retrieve, client.chat.completions.delete, client.chat.completions.messages.list,
        lambda id: client.chat.completions.update(id, metadata={}),
    ):  # fmt: skip
        with pytest.raises(openai.NotFoundError) as caught:
            call(done.id)
        assert caught.value.param == "completion_id"
    assert [one.id for one in client.chat.completions.list()] == [stays.id]


CONVERSATION: Any = [
    {"role": "developer", "content": "be brief"},
    {"role": "user", "name": "jo", "content": [{"type": "text", "text": "my"}, {"type": "text", "text": "refund"}]},
    {"role": "assistant", "content": None, "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "c", "content": "done"},
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "refusal": "no"},
    {"role": "user", "content": "refund"},
]  # fmt: skip


def test_messages_are_those_of_the_request(keeper: Served, client: OpenAI) -> None:
    """The messages come back in order, with an id each, their roles, and their parts where they came in parts."""
    done = client.chat.completions.create(model="tiny", messages=CONVERSATION, store=True)
    with OpenAI(base_url=f"{keeper.url}/v1", api_key="any") as loose:
        found = list(loose.chat.completions.messages.list(done.id))
    assert [message.id for message in found] == [f"{done.id}-{i}" for i in range(6)]
    assert [message.role for message in found] == [message["role"] for message in CONVERSATION]
    assert [message.content for message in found] == ["be brief", "my\nrefund", None, "done", "no", "refund"]
    assert found[1].content_parts is not None
    assert [part.text for part in found[1].content_parts] == ["my", "refund"]  # type: ignore[union-attr]
    assert (found[0].content_parts, found[4].content_parts, found[4].refusal) == (None, [], "no")
    assert found[2].tool_calls is not None
    assert (found[2].tool_calls[0].id, found[3].model_dump()["tool_call_id"]) == ("c", "c")
    assert found[1].model_dump()["name"] == "jo"


def test_messages_in_the_types_that_are_published(client: OpenAI) -> None:
    """OpenAI's types know assistant messages only: with a header a client that checks them gets that, and the true
    role beside it."""
    done = client.chat.completions.create(model="tiny", messages=CONVERSATION, store=True)
    found = list(client.chat.completions.messages.list(done.id, extra_headers=STRICT))
    assert {message.role for message in found} == {"assistant"}
    true = [message.model_dump()["nanosmith"]["role"] for message in found]
    assert true == [message["role"] for message in CONVERSATION]


def test_messages_are_paged(client: OpenAI) -> None:
    """Pages in both orders; an unknown cursor is a 400."""
    done = client.chat.completions.create(model="tiny", messages=CONVERSATION, store=True)
    messages = client.chat.completions.messages
    ids = [f"{done.id}-{i}" for i in range(6)]
    assert [one.id for one in messages.list(done.id, limit=4, extra_headers=STRICT)] == ids
    assert [one.id for one in messages.list(done.id, limit=1, order="desc", extra_headers=STRICT)] == ids[::-1]
    page = messages.list(done.id, limit=2, after=ids[3], extra_headers=STRICT)
    assert ([one.id for one in page.data], page.has_more) == (ids[4:], False)
    with pytest.raises(openai.BadRequestError):
        messages.list(done.id, after="x")
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.list(after="x")


def test_another_project_sees_nothing(keeper: Served, client: OpenAI) -> None:
    """A stored completion belongs to the project that made it."""
    done = ask(client, store=True)
    other = keeper.services.of("other").ledger
    assert other.document(KIND, done.id) is None
    assert list(other.documents(KIND)) == []
    assert not other.delete_document(KIND, done.id)

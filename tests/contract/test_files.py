"""client.files"""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.contract.conftest import refused

LINES = b'{"a": 1}\n{"a": 2}\n'
PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")


@pytest.fixture(scope="module")
def file(client: OpenAI) -> Any:
    return client.files.create(file=("lines.jsonl", LINES), purpose="user_data")


def test_create(file: Any) -> None:
    """The object has every field of the type."""
    assert file.id.startswith("file-")
    assert (file.object, file.bytes, file.filename, file.purpose) == ("file", len(LINES), "lines.jsonl", "user_data")
    assert (file.status, file.expires_at) == ("processed", None)
    assert file._request_id


@pytest.mark.parametrize("purpose", PURPOSES)
def test_create_for_each_purpose(client: OpenAI, purpose: Any) -> None:
    """Every purpose of a request is taken, and shown as one that the types know."""
    expires: Any = {"anchor": "created_at", "seconds": 3600}
    made = client.files.create(file=("a.jsonl", LINES), purpose=purpose, extra_body={"expires_after": expires})
    assert made.purpose == {"evals": "user_data"}.get(purpose, purpose)


def test_create_refused(client: OpenAI) -> None:
    """A wrong purpose, an empty file and a lifetime that is too short are 400s."""
    with refused(param="purpose"):
        client.files.create(file=("a.jsonl", LINES), purpose="unheard-of")  # type: ignore[arg-type]
    with refused(code="empty_file"):
        client.files.create(file=("a.jsonl", b""), purpose="batch")
    with refused():
        client.files.create(file=("a.jsonl", LINES), purpose="batch", extra_body={"expires_after": {"seconds": 1}})


def test_retrieve(client: OpenAI, file: Any) -> None:
    """The same object again; another id is a 404."""
    assert client.files.retrieve(file.id) == file
    with refused(openai.NotFoundError):
        client.files.retrieve("file-none")


def test_list(client: OpenAI, file: Any) -> None:
    """All files, page by page, newest first; by purpose; a wrong limit is a 400."""
    other = client.files.create(file=("other.jsonl", LINES), purpose="user_data")
    ids = [one.id for one in client.files.list(limit=1)]
    assert ids.index(other.id) < ids.index(file.id)
    assert file.id not in [one.id for one in client.files.list(purpose="vision", order="asc")]
    with refused(param="limit"):
        client.files.list(limit=0)


def test_content(client: OpenAI, file: Any) -> None:
    """The bytes as they were sent; another id is a 404."""
    assert client.files.content(file.id).content == LINES
    with refused(openai.NotFoundError):
        client.files.content("file-none")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_retrieve_content(client: OpenAI, file: Any) -> None:
    """The older call for the content gives it as text."""
    assert client.files.retrieve_content(file.id) == LINES.decode()
    with refused(openai.NotFoundError):
        client.files.retrieve_content("file-none")


def test_wait_for_processing(client: OpenAI, file: Any) -> None:
    """A file is processed at once."""
    assert client.files.wait_for_processing(file.id, max_wait_seconds=1).status == "processed"
    with refused(openai.NotFoundError):
        client.files.wait_for_processing("file-none")


def test_delete(client: OpenAI) -> None:
    """What is deleted is gone."""
    made = client.files.create(file=("a.jsonl", LINES), purpose="batch")
    assert client.files.delete(made.id).deleted is True
    with refused(openai.NotFoundError):
        client.files.delete(made.id)

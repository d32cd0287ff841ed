"""Stored completions become a training file, which the official client and the data checks take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.server.chat.test_completions import ask
from tests.server.conftest import LABELS

from nanosmith.data.completions import KIND
from nanosmith.data.load import inspect
from nanosmith.server.chat import export as completion_export
from nanosmith.store.ledger import Ledger, UnknownCursor


def export(client: OpenAI, **asked: Any) -> dict[str, Any]:
    return client.post("/files/from_completions", body=asked, cast_to=dict[str, Any])  # type: ignore[no-any-return]


def lines(client: OpenAI, file: dict[str, Any]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in client.files.content(file["id"]).text.splitlines()]


def test_an_exported_file_is_a_training_file(fresh: Any, tmp_path: Path) -> None:
    """The file is listed like an upload and its lines are the requests' messages with the answers; the checks find
    nothing wrong with it, and a fine-tuning job takes it."""
    with fresh.client() as client:
        for i in range(12):
            ask(client, f"number {i} is about my {LABELS[i % 3]}", store=True)
        file = export(client)
        shown = client.files.retrieve(file["id"])
        assert (shown.purpose, shown.filename, shown.bytes) == ("fine-tune", "completions.jsonl", file["bytes"])
        last = client.chat.completions.list(order="desc", limit=1).data[0].id
        assert file["nanosmith"] == {"lines": 12, "skipped": {}, "last_id": last}
        assert lines(client, file)[1] == {"messages": [
            {"role": "user", "content": "number 1 is about my login"}, {"role": "assistant", "content": "login"},
        ]}  # fmt: skip
        path = tmp_path / "export.jsonl"
        path.write_bytes(client.files.content(file["id"]).content)
        found = inspect(path)
        assert (found.errors, found.format, found.kind) == ((), "chat", "choice")
        job = client.fine_tuning.jobs.create(training_file=file["id"], model="nanosmith-nano")
        assert job.training_file == file["id"]


def test_filters_and_going_on(fresh: Any) -> None:
    """An export takes the filters of the list; with the last id a later one goes on where it ended."""
    with fresh.client() as client:
        for i, model in enumerate(["tiny", "tags", "tiny", "tiny"]):
            ask(client, f"{i} refund", model=model, store=True, metadata={"i": str(i)})
        first = export(client, model="tiny", limit=2)
        assert [line["messages"][0]["content"] for line in lines(client, first)] == ["0 refund", "2 refund"]
        rest = export(client, model="tiny", after=first["nanosmith"]["last_id"])
        assert [line["messages"][0]["content"] for line in lines(client, rest)] == ["3 refund"]
        (one,) = lines(client, export(client, metadata={"i": "1"}))
        assert json.loads(one["messages"][1]["content"]) == ["refund"]


def test_what_cannot_be_learnt_is_left_out_and_counted(fresh: Any) -> None:
    """Completions without a user's text make no line; the answer says how many of which problem. Where no line is
    left, and for wrong parameters, it is a 400 and no file is kept."""
    with fresh.client() as client:
        with pytest.raises(openai.BadRequestError, match="none that fits"):
            export(client)
        ask(client, " ", store=True)
        client.chat.completions.create(model="tiny", messages=[{"role": "system", "content": "hi"}], store=True)
        with pytest.raises(openai.BadRequestError, match="empty_text, no_user") as caught:
            export(client)
        assert caught.value.code == "empty_file"
        for wrong in ({"after": "x"}, {"limit": 0}, {"metadata": {"a": 1}}, {"purpose": "batch"}):
            with pytest.raises(openai.BadRequestError):
                export(client, **wrong)
        assert list(client.files.list()) == []
        assert [path for path in fresh.home.blobs.rglob("*") if path.is_file()] == []
        ask(client, store=True)
        assert export(client)["nanosmith"]["skipped"] == {"empty_text": 1, "no_user": 1}


def test_a_file_that_would_be_too_large_is_refused(fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit of a file the answer is a 400 that says how to go on, and nothing is kept."""
    monkeypatch.setattr(completion_export, "MAX_FILE_BYTES", 100)
    with fresh.client() as client:
        ask(client, store=True)
        ask(client, store=True)
        with pytest.raises(openai.BadRequestError, match="go on with after") as caught:
            export(client)
        assert caught.value.param == "limit"
        assert list(client.files.list()) == []
        assert export(client, limit=1)["nanosmith"]["lines"] == 1


def test_a_completion_that_goes_in_between_means_again(fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the completion at which the next page begins is deleted meanwhile, the client is told to try again."""
    real = Ledger.documents

    def deleted(ledger: Ledger, kind: str, *, after: str | None = None, **options: Any) -> Any:
        if after is not None and kind == KIND:
            raise UnknownCursor(after)
        return real(ledger, kind, after=after, **options)

    monkeypatch.setattr(Ledger, "documents", deleted)
    monkeypatch.setattr("nanosmith.data.completions.PAGE", 1)
    with fresh.client() as client:
        ask(client, store=True)
        ask(client, store=True)
        with pytest.raises(openai.InternalServerError) as caught:
            export(client)
        assert (caught.value.status_code, caught.value.code) == (503, "try_again")
        assert list(client.files.list()) == []

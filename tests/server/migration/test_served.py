"""An export, imported with the command line, seen and used with the official client."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import openai
import pytest
from openai import OpenAI
from tests.server.conftest import running
from tests.server.migration import exports
from tests.server.migration.exports import COMPLETION, OLD_MODEL
from typer.testing import CliRunner

from nanosmith.cli.main import app
from nanosmith.jobs.supervisor import Supervisor
from nanosmith.store.home import Home

DOCS = Path(__file__).parents[3] / "docs" / "migration.md"
TUNE = "nanosmith.testing:slow_tune"
WITHIN_S = 60


def wait_for_the_job(client: OpenAI) -> str:
    """The name of the model that the only job makes."""
    until = time.monotonic() + WITHIN_S
    while time.monotonic() < until:
        (job,) = client.fine_tuning.jobs.list()
        if job.status == "succeeded":
            return str(job.fine_tuned_model)
        assert job.status not in ("failed", "cancelled"), job.error
        time.sleep(0.05)
    raise AssertionError("the job takes too long")


def test_import_and_use(home: Home, tmp_path: Path) -> None:
    """Files, the job with its events, stored completions with their messages and the eval are shown; the job works;
    calls with the old model's name are answered by the new model."""
    export = exports.save_all(tmp_path / "export")
    done = CliRunner().invoke(app, ["import", str(export), "--apply"])
    assert done.exit_code == 0, done.output
    supervisor = Supervisor(home, poll_s=0.05, tune=TUNE)
    with running(home, supervisor=supervisor) as served, served.client() as client:
        assert sorted(file.filename for file in client.files.list()) == [
            "completions.jsonl", "train.jsonl", "valid.jsonl",
        ]  # fmt: skip
        (job,) = client.fine_tuning.jobs.list(metadata={"imported_from": "ftjob-abc123"})
        said = [event.message for event in client.fine_tuning.jobs.list_events(job.id)]
        assert any(text.startswith("gpt-4.1-nano-2025-04-14 is a model of OpenAI") for text in said)
        stored = list(client.chat.completions.list(metadata={"usecase": "support"}))
        assert [one.id for one in stored] == [f"{COMPLETION}{i}" for i in range(3)]
        asked = list(client.chat.completions.messages.list(stored[1].id, extra_headers={"x-nanosmith-strict": "true"}))
        assert [message.content for message in asked] == ["Name the topic.", "question 1"]
        assert client.evals.retrieve("eval_67abd54d9b0081909a86353f6fb9317a").name == "External Data Eval"
        question = [{"role": "user", "content": "please refund my order"}]
        with pytest.raises(openai.NotFoundError, match="has not succeeded"):
            client.chat.completions.create(model=OLD_MODEL, messages=question)  # type: ignore[arg-type]
        supervisor.start()
        try:
            name = wait_for_the_job(client)
        finally:
            supervisor.stop()
        answer = client.chat.completions.create(model=OLD_MODEL, messages=question)  # type: ignore[arg-type]
        assert (answer.model, answer.choices[0].message.content) == (name, "refund")
        assert client.models.retrieve(OLD_MODEL).id == name
        listed = json.loads(CliRunner().invoke(app, ["ls", "--json"]).stdout)
        assert name in [model["name"] for model in listed]


def test_documented_export(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the script in the documentation saves, here from our own server, can be imported with nothing in the way."""
    export = exports.save_all(tmp_path / "export")
    assert CliRunner().invoke(app, ["import", str(export), "--apply"]).exit_code == 0
    (page,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), flags=re.S)
    for path in export.glob("*.json*"):
        if path.name not in ("train.jsonl", "valid.jsonl"):
            path.unlink()
    monkeypatch.chdir(tmp_path)
    with running(home) as served:
        client = OpenAI(base_url=f"{served.url}/v1", api_key="any")
        exec(page.replace("OpenAI()", "client"), {"client": client})
    done = CliRunner().invoke(app, ["import", "export", "--home", str(tmp_path / "other"), "--apply", "--json"])
    assert done.exit_code == 0, done.output
    made = {item["kind"]: item["becomes"] for item in json.loads(done.stdout)["items"] if item["state"] == "done"}
    assert sorted(made) == ["completions", "eval", "file", "job"]
    assert made["completions"] == "stored completions, and a file with 3 training examples"

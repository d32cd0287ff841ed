"""The main job, as a user does it: his file, the official client, a real server process, real data, real weights."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI
from openai.types.fine_tuning import FineTuningJob

DATA = Path(__file__).parents[2] / "data" / "banking77"
LABELS = ("card_arrival", "lost_or_stolen_card", "exchange_rate", "change_pin", "age_limit", "terminate_account")
TRAIN_PER_LABEL, TEST_PER_LABEL = 30, 15


def lines_of(file: str, per_label: int) -> list[str]:
    """Lines of BANKING77, in the chat format, of six of its intents."""
    left = dict.fromkeys(LABELS, per_label)
    kept = []
    for line in (DATA / file).read_text(encoding="utf-8").splitlines():
        label = json.loads(line)["messages"][-1]["content"]
        if left.get(label, 0):
            left[label] -= 1
            kept.append(line)
    return kept


@pytest.fixture(scope="module")
def training_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "my.jsonl"
    path.write_text("\n".join(lines_of("train.jsonl", TRAIN_PER_LABEL)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    """The official client in strict mode, at a server process of its own."""
    home = tmp_path_factory.mktemp("home")
    command = [sys.executable, "-m", "nanosmith", "serve", "--port", "0", "--home", str(home)]
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=dict(os.environ)
    )
    assert server.stdout is not None
    found = re.search(r"http://\S+", server.stdout.readline())
    assert found
    try:
        yield OpenAI(base_url=found[0], api_key="any", _strict_response_validation=True)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)
        server.stdout.close()


@pytest.fixture(scope="module")
def job(client: OpenAI, training_file: Path) -> FineTuningJob:
    """A job that has succeeded."""
    with training_file.open("rb") as file:
        uploaded = client.files.create(file=file, purpose="fine-tune")
    started = client.fine_tuning.jobs.create(
        training_file=uploaded.id, model="gpt-4.1-nano", suffix="support", seed=1, hyperparameters={"n_epochs": 3},
        extra_body={"nanosmith": {"recipe": "tune_encoder/1"}},
    )  # fmt: skip
    deadline = time.monotonic() + 280
    while (now := client.fine_tuning.jobs.retrieve(started.id)).status not in ("succeeded", "failed", "cancelled"):
        assert time.monotonic() < deadline, now
        time.sleep(0.5)
    assert now.status == "succeeded", now.error
    return now


def ask(client: OpenAI, model: str, text: str) -> str | None:
    """The content of the answer, with the training file's system prompt."""
    prompt = json.loads(lines_of("train.jsonl", 1)[0])["messages"][0]
    answer = client.chat.completions.create(model=model, messages=[prompt, {"role": "user", "content": text}])
    return answer.choices[0].message.content


def test_job_tells_what_happened(client: OpenAI, job: FineTuningJob) -> None:
    """The job has a model named after the suffix, resolved hyperparameters, and the events that users match on."""
    assert job.fine_tuned_model is not None
    assert re.fullmatch(r"ft:[^:]+:[^:]+:support:\w{8}", job.fine_tuned_model)
    assert (job.hyperparameters.n_epochs, job.hyperparameters.batch_size) == (3, 16)
    assert job.trained_tokens
    said = [event.message for event in client.fine_tuning.jobs.list_events(job.id)]
    for expected in (
        f"Created fine-tuning job: {job.id}", f"Validating training file: {job.training_file}",
        "Fine-tuning job started", f"New fine-tuned model created: {job.fine_tuned_model}",
        "The job has successfully completed",
    ):  # fmt: skip
        assert expected in said
    assert any(re.match(r"Step \d+/\d+: training loss=\d", message) for message in said)
    results = client.files.content(job.result_files[0]).text.splitlines()
    assert results[0] == "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy"
    assert len(results) > 10


def test_answers_are_right(client: OpenAI, job: FineTuningJob) -> None:
    """At least 90 % of queries that the model never saw are answered right."""
    examples = [json.loads(line)["messages"] for line in lines_of("test.jsonl", TEST_PER_LABEL)]
    right = [ask(client, str(job.fine_tuned_model), text["content"]) == label["content"] for _, text, label in examples]
    assert len(right) == len(LABELS) * TEST_PER_LABEL
    assert sum(right) >= 0.9 * len(right)


def test_logprobs_are_calibrated_probabilities(client: OpenAI, job: FineTuningJob) -> None:
    """The answer is one token whose probability, with those of the other labels, sums to one."""
    answer = client.chat.completions.create(
        model=str(job.fine_tuned_model), messages=[{"role": "user", "content": "I want to close my account"}],
        logprobs=True, top_logprobs=len(LABELS),
    )  # fmt: skip
    logprobs = answer.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert answer.choices[0].message.content == logprobs.content[0].token == "terminate_account"
    assert {other.token for other in logprobs.content[0].top_logprobs} == set(LABELS)
    assert sum(math.exp(other.logprob) for other in logprobs.content[0].top_logprobs) == pytest.approx(1, abs=1e-4)


def test_streamed_answer_is_the_same(client: OpenAI, job: FineTuningJob) -> None:
    """The pieces of a stream make up the answer that is given without a stream."""
    text = "Somebody stole my card"
    stream = client.chat.completions.create(
        model=str(job.fine_tuned_model), messages=[{"role": "user", "content": text}], stream=True
    )
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert "".join(pieces) == ask(client, str(job.fine_tuned_model), text) == "lost_or_stolen_card"


def test_decisions(client: OpenAI, job: FineTuningJob) -> None:
    """Typed answers with probabilities, for a choice among labels and for a yes or no."""
    decided = client.decisions.create(
        model=str(job.fine_tuned_model), input="My card has still not arrived",
        questions=[
            {"type": "choice", "instructions": "Which intent?", "choices": [{"value": label} for label in LABELS[:3]]},
            {"type": "predicate", "name": "card_arrival", "instructions": "card_arrival"},
        ],
    )  # fmt: skip
    choice, predicate = decided.answers
    assert choice.type == "choice"
    assert choice.choice == "card_arrival"
    assert sum(option.probability for option in choice.probabilities) == pytest.approx(1, abs=1e-4)
    assert predicate.type == "predicate"
    assert predicate.probability > 0.5


def test_checkpoints_answer(client: OpenAI, job: FineTuningJob) -> None:
    """Each epoch's checkpoint is a model that can be called."""
    checkpoints = list(client.fine_tuning.jobs.checkpoints.list(job.id))
    assert len(checkpoints) == 3
    for checkpoint in checkpoints:
        assert ask(client, checkpoint.fine_tuned_model_checkpoint, "How do I change my PIN?") in LABELS


def test_model_is_listed_and_deleted(client: OpenAI, job: FineTuningJob) -> None:
    """The model is listed until it is deleted; then it is not found. Runs last: it ends the model."""
    name = str(job.fine_tuned_model)
    assert name in [model.id for model in client.models.list()]
    assert client.models.delete(name).deleted
    assert name not in [model.id for model in client.models.list()]

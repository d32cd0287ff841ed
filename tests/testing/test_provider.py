"""The fake provider: a real HTTP server whose faults happen as they were told."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from nanosmith.core.errors import InputError
from nanosmith.testing import tiny_bundle
from nanosmith.testing.provider import FakeProvider, parse_faults
from nanosmith.testing.provider.faults import Faults

TABLE = {"where is my money?": "refund", "let me in": "login"}


def client(url: str, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key="any", max_retries=0, timeout=2, **options)


def ask(url: str, text: str = "let me in", **options: Any) -> Any:
    turns = [{"role": "user", "content": text}]
    return client(url).chat.completions.create(model="big", messages=turns, **options)  # type: ignore[call-overload]


def test_official_client_reads_answers_and_streams() -> None:
    """Answers, log-probabilities, streams with their tokens at the end, and the list of models."""
    with FakeProvider(table=TABLE) as provider:
        answer = ask(provider.url, logprobs=True, top_logprobs=2)
        assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("login", "stop")
        assert answer.choices[0].logprobs.content[0].top_logprobs[0].token == "logi"
        chunks = list(ask(provider.url, stream=True, stream_options={"include_usage": True}))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "login"
        assert chunks[-1].usage.completion_tokens == 2
        assert [model.id for model in client(provider.url).models.list()] == ["fake"]


def test_what_came_in_is_counted() -> None:
    """Requests and bytes by path, answers by text, tokens and their price; our own look is not counted."""
    with FakeProvider(table=TABLE, price=(1e6, 2e6)) as provider:
        assert provider.seen()["bytes"] == 0
        ask(provider.url)
        ask(provider.url)
        seen = provider.seen()
        assert seen["paths"]["/v1/chat/completions"]["requests"] == seen["requests"] == 2
        assert seen["bytes"] > 2 * 50
        assert seen["texts"] == {"let me in": 2}
        assert seen["cost_usd"] == 2 * (3 + 2 * 2)
        provider.clear()
        assert provider.seen()["requests"] == 0


def test_bundle_answers(tmp_path: Path) -> None:
    """A bundle's labels and probabilities are what the provider says."""
    with FakeProvider(bundle=tiny_bundle(tmp_path / "tiny").path) as provider:
        assert ask(provider.url, "a refund please").choices[0].message.content == "refund"


@pytest.mark.parametrize(
    ("fault", "error"),
    [("429=1:3", openai.RateLimitError), ("429-bare", openai.RateLimitError), ("502", openai.InternalServerError),
     ("reset", openai.APIConnectionError), ("half", openai.APIConnectionError), ("hang=1:9", openai.APITimeoutError)],
)  # fmt: skip
def test_faults_reach_the_client(fault: str, error: type[Exception]) -> None:
    """Each fault is what the official client takes it for."""
    with FakeProvider(table=TABLE, faults=fault) as provider:
        with pytest.raises(error) as caught:
            ask(provider.url) if fault != "hang=1:9" else client(provider.url).with_options(
                timeout=0.3
            ).chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
        if isinstance(caught.value, openai.RateLimitError):
            assert caught.value.response.headers.get("retry-after") == ("3" if "=" in fault else None)


def test_half_a_stream_ends_like_a_whole_one() -> None:
    """The connection ends in order, so that only the missing [DONE] tells."""
    with FakeProvider(table=TABLE, faults="half") as provider:
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "where is my money?"}]}
        text = httpx.post(f"{provider.url}/chat/completions", json=body).text
        assert "refu" in text
        assert "[DONE]" not in text


def test_garbage_and_wrong_answers() -> None:
    """Garbage is no JSON; a wrong answer is a good one, of none of the labels."""
    with FakeProvider(table=TABLE, faults="garbage") as provider:
        body = {"model": "m", "messages": [{"role": "user", "content": "let me in"}]}
        with pytest.raises(ValueError, match="Expecting value"):
            httpx.post(f"{provider.url}/chat/completions", json=body).json()
        provider.set_faults("wrong")
        assert ask(provider.url).choices[0].message.content not in TABLE.values()


def test_rates_and_seeds() -> None:
    """Faults come at their rates, the same for the same seed and others for another."""
    told = parse_faults("429=0.3,half=0.2,latency=0.5:0.01")
    drawn = [Faults(told, seed=3).draw(i) for i in range(4_000)]
    kinds = Counter(one.fault.kind if one.fault else None for one in drawn)
    assert kinds["429"] / 4_000 == pytest.approx(0.3, abs=0.04)
    assert kinds["half"] / 4_000 == pytest.approx(0.2, abs=0.04)
    assert sum(one.latency_s > 0 for one in drawn) / 4_000 == pytest.approx(0.5, abs=0.04)
    assert drawn == [Faults(told, seed=3).draw(i) for i in range(4_000)]
    assert drawn != [Faults(told, seed=4).draw(i) for i in range(4_000)]


@pytest.mark.parametrize("text", ["429=2", "nonsense=0.1", "half=x", "429=0.6,half=0.6", "499=0.1", "drip=0.1:-1"])
def test_wrong_faults(text: str) -> None:
    """Unknown kinds, and rates that cannot be, are refused."""
    with pytest.raises(InputError):
        parse_faults(text)


def test_program(tmp_path: Path) -> None:
    """By itself it prints its URL, asks for its key, and says what is wrong with its options."""
    table = tmp_path / "table.jsonl"
    table.write_text('{"text": "let me in", "label": "login"}\n')
    command = [sys.executable, "-m", "nanosmith.testing.provider", "--table", str(table), "--key", "k"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with pytest.raises(openai.AuthenticationError):
            ask(url)
        assert openai.OpenAI(base_url=url, api_key="k").models.list().data
    finally:
        process.terminate()
        process.communicate()
    wrong = subprocess.run([*command, "--faults", "429=7"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "not a fault" in wrong.stderr

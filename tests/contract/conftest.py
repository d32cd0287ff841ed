"""The official client, whichever release of it is installed, against a server that is a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import openai
import pytest
from openai import OpenAI
from tests.contract.surface import Calls, methods

from nanosmith.jobs.webhooks.hosts import PRIVATE_VARIABLE
from nanosmith.store.home import BLOBS_VARIABLE, DATABASE_VARIABLE, VARIABLE
from nanosmith.testing import topic_rows, write_chat

ROOT = Path(__file__).parents[2]
KEY = "sk-contract"
CLIENT_VARIABLE = "NANOSMITH_TEST_CLIENT"
"""Has the version of the client, where it is not the one of this environment."""
NOT_THE_SERVERS = ("PYTHONPATH", VARIABLE, BLOBS_VARIABLE, DATABASE_VARIABLE)
ENDED = ("succeeded", "completed", "failed", "cancelled", "canceled", "expired")
STRICT = {"x-nanosmith-strict": "true"}
"""Asks for what the client's types allow, where OpenAI's own server answers otherwise than they say."""


def plain_environment() -> dict[str, str]:
    """That of a process that uses neither the tested client nor a data folder of its own."""
    return {name: value for name, value in os.environ.items() if name not in NOT_THE_SERVERS}


@pytest.fixture(scope="session")
def server() -> Iterator[tuple[str, str]]:
    """The address of the server, which ends with the pipe to it, and its data folder."""
    command = [sys.executable, "-m", "tests.contract.server", KEY]
    environment = plain_environment() | {PRIVATE_VARIABLE: "1"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        url, folder = process.stdout.readline().split()
        yield url, folder
        process.communicate(timeout=30)


@pytest.fixture(scope="session")
def url(server: tuple[str, str]) -> str:
    return server[0]


@pytest.fixture(scope="session", autouse=True)
def calls() -> Iterator[Calls]:
    """Notes the outcome of every call of the client, which is the one that this run is about."""
    assert openai.__version__ == os.environ.get(CLIENT_VARIABLE, openai.__version__)
    calls = Calls()
    with pytest.MonkeyPatch.context() as patch:
        for path, (owner, name) in methods().items():
            patch.setattr(owner, name, calls.noted(path, getattr(owner, name)))
        yield calls


@pytest.fixture(scope="session")
def client(url: str) -> Iterator[OpenAI]:
    """The client that refuses every answer which does not fit its types."""
    with OpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=30, _strict_response_validation=True) as client:
        yield client


@pytest.fixture(scope="session")
def loose(url: str) -> Iterator[OpenAI]:
    """The client as users have it, for the few answers of OpenAI's own that its strict types refuse."""
    with OpenAI(base_url=url, api_key=KEY, max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def stranger(url: str) -> Iterator[OpenAI]:
    """A client with a wrong key."""
    with OpenAI(base_url=url, api_key="sk-wrong", max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def training_file(client: OpenAI, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a file of 30 examples over three topics."""
    path = write_chat(tmp_path_factory.mktemp("data") / "train.jsonl", topic_rows())
    return client.files.create(file=path, purpose="fine-tune").id


@pytest.fixture(scope="session")
def tuned(client: OpenAI, training_file: str) -> Any:
    """A fine-tuning job that has succeeded."""
    job = client.fine_tuning.jobs.create(
        model="gpt-4.1-nano",
        training_file=training_file,
        suffix="contract",
        seed=7,
        metadata={"made": "by hand"},
        method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 4}}},
    )
    return until(lambda: client.fine_tuning.jobs.retrieve(job.id), "succeeded")


def needs(client: OpenAI, path: str) -> Any:
    """What the client has at this path, such as "decisions" or "responses.compact"; an older one skips the test."""
    found: Any = client
    for name in path.split("."):
        if not hasattr(found, name):
            pytest.skip(f"openai {openai.__version__} has no {path}")
        found = getattr(found, name)
    return found


def until(read: Callable[[], Any], status: str, limit_s: float = 60) -> Any:
    """What `read` gives, once it has this status."""
    end = time.monotonic() + limit_s
    while (found := read()).status != status:
        assert found.status not in ENDED, found
        assert time.monotonic() < end, found
        time.sleep(0.1)
    return found


@contextmanager
def refused(
    kind: type[openai.APIStatusError] = openai.BadRequestError, code: str | None = None, param: str | None = None
) -> Iterator[None]:
    """The block is answered with an error of this class, in OpenAI's form."""
    with pytest.raises(kind) as caught:
        yield
    error, body = caught.value, cast("dict[str, Any]", caught.value.body)
    assert type(error) is kind
    assert set(body) == {"message", "type", "param", "code"}
    assert error.message
    assert error.request_id
    assert error.type == ("invalid_request_error" if error.status_code < 500 else "server_error")
    assert code is None or error.code == code
    assert param is None or error.param == param

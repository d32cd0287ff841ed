"""`nanosmith serve` as its own process: what it loads, how it starts, is refused, is killed and stops."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import psutil
import pytest
from openai import OpenAI

from nanosmith.cli.serve import check_exposure
from nanosmith.core.errors import InputError
from nanosmith.store.home import Home

SERVE = "import sys; from nanosmith.cli.main import main; sys.argv[1:1] = ['serve']; main()"
PROBE = """
import sys, threading, time, json, urllib.request
from pathlib import Path
from nanosmith.cli.serve import listener, make_server
from nanosmith.server.app import create_app
from nanosmith.store.home import open_home

def ask(port):
    body = {"model": "tiny", "messages": [{"role": "user", "content": "refund"}]}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode(),
                                     {"content-type": "application/json"})
    print(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"])
    server.should_exit = True

with listener("127.0.0.1", 0) as sock:
    server = make_server(create_app(open_home()))
    threading.Thread(target=ask, args=(sock.getsockname()[1],)).start()
    server.run(sockets=[sock])
print(" ".join(sys.modules))
"""


class Process:
    """A server process and its address."""

    def __init__(self, *options: str, **environment: str) -> None:
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVE, "--port", "0", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()
        found = re.search(r"http://\S+", self.first_line)
        assert found, self.process.communicate()[1]
        self.url = found[0]
        self.log: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.log.extend(self.process.stderr)

    def client(self, api_key: str = "any") -> OpenAI:
        return OpenAI(base_url=self.url, api_key=api_key, max_retries=5, _strict_response_validation=True)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(10)
        self._reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return code


@pytest.fixture
def launch(stocked: Home) -> Iterator[Callable[..., Process]]:
    """Starts servers over one folder, and ends those that still run."""
    started: list[Process] = []

    def launch(*options: str, **environment: str) -> Process:
        started.append(Process(*options, **environment))
        return started[-1]

    yield launch
    for server in started:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)


def run(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SERVE, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=os.environ | environment)


def test_serving_loads_nothing_heavy(stocked: Home) -> None:
    """One chat request is answered without torch, transformers, scikit-learn, and without what tunes, loads data sets
    or scores models; of `data` and `score` only light parts are there (lines of JSON, graders)."""
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=60)
    label, modules = done.stdout.splitlines()
    assert label == "refund", done.stderr
    loaded = set(modules.split())
    assert {"starlette", "numpy", "nanosmith.predict.static"} <= loaded
    heavy = ("torch", "transformers", "sklearn", "onnxruntime", "rich", "pydantic", "matplotlib", "nltk", "alembic")
    ours = ("nanosmith.recipes", "nanosmith.flows", "nanosmith.data.load", "nanosmith.score.evaluate")
    assert [name for name in (*heavy, *ours) if name in loaded] == []


def test_an_acknowledged_upload_survives_a_kill(launch: Callable[..., Process]) -> None:
    """After kill -9 and a restart an uploaded file and a created job are there."""
    first = launch()
    with first.client() as client:
        file = client.files.create(file=("a.jsonl", b"content\n"), purpose="user_data")
    first.end(signal.SIGKILL)
    second = launch()
    with second.client() as client:
        assert client.files.retrieve(file.id) == file
        assert client.files.content(file.id).content == b"content\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_cleanly(launch: Callable[..., Process], number: int) -> None:
    """SIGTERM and Ctrl-C end the server within two seconds with exit code 0, an open connection or not."""
    server = launch()
    with httpx.Client() as plain:
        assert plain.get(server.url.replace("/v1", "/health")).status_code == 200
        began = time.monotonic()
        assert server.end(number) == 0
    assert time.monotonic() - began < 4  # 2 s on an idle machine
    assert "Traceback" not in "".join(server.log)


def test_first_answer_and_memory(launch: Callable[..., Process]) -> None:
    """The first chat request is answered soon after the start, and a serving process stays small."""
    server = launch()
    with server.client() as client:
        messages: Any = [{"role": "user", "content": "refund"}]
        assert client.chat.completions.create(model="tiny", messages=messages).choices[0].message.content == "refund"
    assert time.monotonic() - server.began < 6  # 1.5 s on an idle machine
    assert psutil.Process(server.process.pid).memory_info().rss < 250 * 1024**2


def test_a_port_in_use(home: Home) -> None:
    """A clear error and exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "the port is in use" in done.stderr
    assert "Traceback" not in done.stderr


def test_another_address_needs_a_key(home: Home) -> None:
    """Without a key the server binds to loopback alone: exit code 2 and the way out."""
    done = run("--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 2
    assert "NANOSMITH_API_KEY" in done.stderr
    for host in ("127.0.0.1", "localhost", "::1"):
        check_exposure(host, lambda: False)
    for host in ("0.0.0.0", "::", "192.168.1.5", "example.org"):
        check_exposure(host, lambda: True)
        with pytest.raises(InputError):
            check_exposure(host, lambda: False)


def test_the_key_of_the_environment(launch: Callable[..., Process]) -> None:
    """With NANOSMITH_API_KEY every request must bring it; the key is in no line of the log."""
    server = launch("--host", "0.0.0.0", NANOSMITH_API_KEY="sk-of-this-test")
    url = server.url.replace("0.0.0.0", "127.0.0.1")
    assert httpx.get(f"{url}/models").status_code == 401
    assert httpx.get(f"{url}/models", headers={"authorization": "Bearer sk-of-this-test"}).status_code == 200
    server.end()
    log = "".join(server.log)
    assert log.count('"path":"/v1/models"') == 2
    assert "sk-of-this-test" not in log

"""A real server on a free port, with tiny models, and the real client in strict mode."""

from __future__ import annotations

import hashlib
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import openai
import pytest
import uvicorn
from openai import OpenAI

from nanosmith.core.manifest import MANIFEST_NAME, Calibration
from nanosmith.jobs.supervisor import Supervisor
from nanosmith.predict.static import StaticPredictor
from nanosmith.server.app import create_app
from nanosmith.server.http.protocol import Protocol
from nanosmith.server.services import Services
from nanosmith.store.bundles import Bundle, open_bundle
from nanosmith.store.home import Home, open_home
from nanosmith.store.ledger import open_ledger
from nanosmith.store.records import ModelRow
from nanosmith.testing import scripted_bundle, tiny_bundle

TUNED = "ft:nanosmith-nano:local:support:abcd1234"
CHECKPOINT = f"{TUNED}:ckpt-step-20"
NAMES = ("tiny", TUNED, CHECKPOINT, "org/model:v1")
LABELS = ("delivery", "login", "refund")
"""Of the tiny models."""


class Served:
    """A running server: its address, its folder and what its endpoints share."""

    def __init__(self, url: str, home: Home, services: Services) -> None:
        self.url = url
        self.home = home
        self.services = services

    def client(self, api_key: str = "any", **options: object) -> OpenAI:
        """The official client, which refuses every answer that does not fit its types."""
        given = {"max_retries": 0, "timeout": 20} | options
        return OpenAI(base_url=f"{self.url}/v1", api_key=api_key, _strict_response_validation=True, **given)  # type: ignore[arg-type]


def refused(call: Callable[..., object], *given: Any, **options: Any) -> openai.BadRequestError:
    """The error with which a call of the client is answered."""
    with pytest.raises(openai.BadRequestError) as caught:
        call(*given, **options)
    return caught.value


@contextmanager
def running(home: Home, api_key: str | None = None, supervisor: Supervisor | None = None) -> Iterator[Served]:
    """A server in a thread; whoever gives a supervisor starts and stops it."""
    app = create_app(home, supervisor=supervisor, api_key=api_key)
    # Not create_server: its sockets wait for the client's acknowledgement, 40 ms, before they send a response's body.
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.bind(("127.0.0.1", 0))
    sock.listen(128)
    server = uvicorn.Server(
        uvicorn.Config(app, http=Protocol, log_level="critical", access_log=False, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{sock.getsockname()[1]}", home, app.state.services)
    finally:
        server.should_exit = True
        thread.join()
        sock.close()


def changed(bundle: Bundle, **changes: object) -> Bundle:
    """The same bundle with other values in its manifest."""
    manifest = msgspec.structs.replace(bundle.manifest, **changes)
    (bundle.path / MANIFEST_NAME).write_bytes(msgspec.json.encode(manifest))
    return open_bundle(bundle.path)


def add_models(home: Home) -> None:
    """tiny, under four names, and stars, truth: choices; tags: sets of labels; field: a JSON object; raw: not
    calibrated."""
    home.bundles.mkdir()
    tiny = tiny_bundle(home.bundles / "tiny")
    field = tiny_bundle(home.bundles / "field", name="field")
    task = msgspec.structs.replace(field.manifest.task, form="json_field", field="intent")
    raw = tiny_bundle(home.bundles / "raw", name="raw")
    bundles = {
        **dict.fromkeys(NAMES, tiny),
        "tags": tiny_bundle(home.bundles / "tags", name="tags", kind="labels"),
        "field": changed(field, task=task),
        "raw": changed(raw, calibration=Calibration(examples=0)),
        "stars": tiny_bundle(home.bundles / "stars", ["bad", "good", "fair"], name="stars"),
        "truth": tiny_bundle(home.bundles / "truth", ["true", "false"], name="truth"),
    }
    with closing(open_ledger(home)) as ledger:
        for name, bundle in bundles.items():
            ledger.add_model(ModelRow(name, 1_700_000_000, bundle.path.name, bundle.digest, "nanosmith-nano"))


def add_writer(home: Home, name: str, *script: str, **options: Any) -> None:
    """A text model that writes what it is told; see nanosmith.testing.scripted."""
    folder = f"writer-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    bundle = scripted_bundle(home.bundles / folder, *script, name=name, **options)
    with closing(open_ledger(home)) as ledger:
        ledger.add_model(ModelRow(name, 1_700_000_000, folder, bundle.digest, "nanosmith-nano"))


def add_writers(home: Home) -> None:
    """writer: at once; slow: a word in 5 ms, hundreds of them."""
    home.bundles.mkdir(exist_ok=True)
    add_writer(home, "writer")
    add_writer(home, "slow", " ".join(f"w{i}" for i in range(400)), pause_ms=5.0, max_tokens=1024)


@pytest.fixture(scope="session")
def writing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of text models alone."""
    home = open_home(tmp_path_factory.mktemp("writing"))
    add_writers(home)
    with running(home) as served:
        yield served


@pytest.fixture(scope="session")
def writers(writing: Served) -> Iterator[OpenAI]:
    """The official client of that server."""
    with writing.client() as client:
        yield client


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the models and nothing else, to be copied."""
    home = open_home(tmp_path_factory.mktemp("models"))
    add_models(home)
    return home.root


@pytest.fixture(scope="session")
def served(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests that do not change its models."""
    root = tmp_path_factory.mktemp("served")
    shutil.copytree(models, root, dirs_exist_ok=True)
    with running(Home(root)) as server:
        yield server


@pytest.fixture(scope="session")
def client(served: Served) -> Iterator[OpenAI]:
    with served.client() as client:
        yield client


@pytest.fixture
def stocked(home: Home, models: Path) -> Home:
    """The data folder of this test, with the models in it."""
    shutil.copytree(models, home.root, dirs_exist_ok=True)
    return home


@pytest.fixture
def fresh(stocked: Home) -> Iterator[Served]:
    """A server of this test alone, with the same models."""
    with running(stocked) as server:
        yield server


@pytest.fixture(scope="session")
def http(served: Served) -> Iterator[httpx.Client]:
    """Plain HTTP, for what the client would not send."""
    with httpx.Client(base_url=served.url, timeout=20) as plain:
        yield plain


@pytest.fixture
def queueing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny models are asked on their threads, as models that take milliseconds are."""
    monkeypatch.setattr(StaticPredictor, "is_quick", False)


@pytest.fixture(scope="session")
def start() -> Callable[..., object]:
    """`with start(home, api_key=None) as served`: a server over a folder of the test's own."""
    return running

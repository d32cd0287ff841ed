"""Embeddings with the official client: both formats, limits, what is refused, and base models made on demand.

The client's types say that a vector is a list of floats, so in strict mode it refuses its own default format, base64,
whoever sends it: those calls are made as users make them, without strict mode.
"""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI
from tests.predict.conftest import tiny_encoder
from tests.server.conftest import refused

from nanosmith.core.limits import MAX_EMBEDDED_TEXTS, MAX_INPUT_CHARS
from nanosmith.flows import assemble
from nanosmith.flows.embedder import make
from nanosmith.jobs import models as local_models
from nanosmith.server.embeddings import embedders, embeddings
from nanosmith.server.embeddings.embedders import ALIASES
from nanosmith.store.home import Home
from nanosmith.store.ledger import open_ledger
from nanosmith.store.records import ModelRow

WORDS = ("refund", "login", "delivery", "word")
BASES = local_models.base_models()


def vectors(made: Any) -> np.ndarray:
    return np.array([row.embedding for row in made.data], dtype=np.float32)


def embed(client: OpenAI, input: Any, model: str = "tiny", **options: Any) -> Any:
    return client.embeddings.create(model=model, input=input, **({"encoding_format": "float"} | options))


def bases_from(folder: str) -> Callable[[], dict[str, Any]]:
    """models.toml, with another place for the weights."""
    table = {name: msgspec.structs.replace(model, base=folder) for name, model in BASES.items()}
    return lambda: table


@pytest.fixture
def tiny_bases(base_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The base models start from the tiny base instead of the weights of the catalogue."""
    monkeypatch.setattr(local_models, "base_models", bases_from(str(base_folder)))


@pytest.fixture(scope="module")
def loose(served: Any) -> Iterator[OpenAI]:
    """The client as users have it."""
    with OpenAI(base_url=f"{served.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def test_one_text(client: OpenAI) -> None:
    """One vector of length 1, the tokens that were read, and the model that answered."""
    made = embed(client, "refund and login")
    assert (made.object, made.model, len(made.data)) == ("list", "tiny", 1)
    assert (made.data[0].object, made.data[0].index) == ("embedding", 0)
    assert np.linalg.norm(made.data[0].embedding) == pytest.approx(1)
    assert (made.usage.prompt_tokens, made.usage.total_tokens) == (3, 3)


def test_order_is_kept(client: OpenAI) -> None:
    """Vectors come in the order of the texts, each the same as when asked for alone; usage counts all."""
    texts = [" ".join(WORDS[i % 4 :]) + " word" * (i % 7) for i in range(50)]
    made = embed(client, texts)
    assert [row.index for row in made.data] == list(range(50))
    for i in (0, 9, 49):
        assert made.data[i].embedding == embed(client, texts[i]).data[0].embedding
    assert made.usage.prompt_tokens == sum(len(text.split()) for text in texts)


def test_base64_is_the_default_of_the_client(loose: OpenAI, http: httpx.Client) -> None:
    """Asked as users ask, the client gets base64 and shows floats; on the wire it is little-endian float32."""
    texts = ["refund login", "delivery"]
    plain = loose.embeddings.create(model="tiny", input=texts)
    assert np.array_equal(vectors(plain), vectors(embed(loose, texts)))
    body = {"model": "tiny", "input": texts, "encoding_format": "base64"}
    sent = http.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]
    assert np.frombuffer(base64.b64decode(sent), dtype="<f4") == pytest.approx([0, 0, np.sqrt(0.5), np.sqrt(0.5)])
    del body["encoding_format"]
    assert isinstance(http.post("/v1/embeddings", json=body).json()["data"][0]["embedding"], list)


@settings(max_examples=20, deadline=None)
@given(
    texts=st.lists(st.lists(st.sampled_from([*WORDS, "ß", "語"]), min_size=1, max_size=5).map(" ".join), min_size=1),
    dimensions=st.one_of(st.none(), st.just(4)),
)
def test_both_formats_agree(loose: OpenAI, texts: list[str], dimensions: int | None) -> None:
    """base64 and float have the very same float32 numbers, all finite."""
    more = {} if dimensions is None else {"dimensions": dimensions}
    as_float = vectors(embed(loose, texts, **more))
    assert np.array_equal(as_float, vectors(loose.embeddings.create(model="tiny", input=texts, **more)))
    assert np.isfinite(as_float).all()
    assert np.linalg.norm(as_float, axis=1) == pytest.approx(1)


@pytest.mark.parametrize(
    "text", ["👩‍👩‍👧‍👦 refund", "e\u0301", "\u202erefund", "привет", "\ufffd\u200b", "a" * 5000, "\0"]
)
def test_odd_texts(client: OpenAI, text: str) -> None:
    """Whatever the text, a vector of finite numbers with length 1."""
    assert np.linalg.norm(embed(client, ["login", text]).data[1].embedding) == pytest.approx(1)


def test_dimensions(client: OpenAI) -> None:
    """The first numbers of the vector, at length 1 again; at most as many as the model has."""
    text = "refund delivery"  # axes 3 and 1
    assert embed(client, text, dimensions=2).data[0].embedding == pytest.approx([0, 1])
    assert embed(client, text, dimensions=4).data == embed(client, text).data
    error = refused(embed, client, text, dimensions=5)
    assert (error.param, "1 to 4" in error.message) == ("dimensions", True)
    assert refused(embed, client, text, dimensions=0).param == "dimensions"


@pytest.mark.parametrize(
    ("input", "param"),
    [
        ("", "input"),
        ([], "input"),
        (["refund", ""], "input[1]"),
        ([1212, 318], "input"),
        ([[1212], [318]], "input"),
        (["refund", 5], "input[1]"),
        (["refund", None], "input[1]"),
        (7, "input"),
        (["refund", "   "], "input[1]"),
        (["refund"] * (MAX_EMBEDDED_TEXTS + 1), "input"),
        (["refund", "a" * (MAX_INPUT_CHARS + 1)], "input[1]"),
    ],
    ids=range(11),
)
def test_wrong_input(client: OpenAI, input: Any, param: str) -> None:
    """Nothing to embed, token ids, other types, too many and too long texts are a 400 that names the place."""
    error = refused(embed, client, input)
    assert error.param == param
    if isinstance(input, list) and input and not isinstance(input[0], str):
        assert "check_embedding_ctx_length=False" in error.message


def test_a_vector_without_direction_is_refused(client: OpenAI) -> None:
    """Where the first dimensions are all zero there is nothing to bring to length 1."""
    assert refused(embed, client, ["delivery", "refund"], dimensions=2).param == "input[1]"


def test_most_texts(client: OpenAI) -> None:
    """2,048 texts are allowed."""
    assert len(embed(client, ["refund"] * MAX_EMBEDDED_TEXTS).data) == MAX_EMBEDDED_TEXTS


def test_most_tokens(client: OpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read of all texts together has a limit; what a text's own limit cuts off does not count."""
    monkeypatch.setattr(embeddings, "MAX_EMBEDDED_TOKENS", 128)
    assert embed(client, ["word " * 100] * 2).usage.prompt_tokens == 128
    error = refused(embed, client, ["word " * 100] * 2 + ["word"])
    assert (error.param, "129" in error.message) == ("input", True)


def test_long_texts_are_cut_and_said_to_be(client: OpenAI) -> None:
    """The header tells how much was read of which texts; without a cut there is none."""
    texts = ["word " * 100, "word", "refund " * 70]
    raw = client.embeddings.with_raw_response.create(model="tiny", input=texts, encoding_format="float")
    assert raw.headers["x-nanosmith-truncated"] == "read 128 of about 170 tokens of input 0, 2"
    many = client.embeddings.with_raw_response.create(model="tiny", input=texts[:1] * 30, encoding_format="float")
    assert many.headers["x-nanosmith-truncated"].endswith("18, 19, ...")
    whole = client.embeddings.with_raw_response.create(model="tiny", input="word", encoding_format="float")
    assert "x-nanosmith-truncated" not in whole.headers


def test_ignored_parameters_are_listed(client: OpenAI) -> None:
    """`user` and what we do not know change nothing and are named."""
    raw = client.embeddings.with_raw_response.create(
        model="tiny", input="x", encoding_format="float", user="u1", extra_body={"truncate": True}
    )
    assert raw.headers["x-nanosmith-ignored"] == "user, truncate"


def test_wrong_format_and_model(client: OpenAI) -> None:
    """Unknown formats are a 400, unknown models a 404."""
    assert refused(embed, client, "x", encoding_format="int8").param == "encoding_format"
    with pytest.raises(openai.NotFoundError):
        embed(client, "x", model="text-embedding-none")


def test_models_of_before_do_not_embed(fresh: Any) -> None:
    """An encoder that was made without the output is refused with the remedy, and still chats."""
    old = tiny_encoder(fresh.home.bundles / "old")
    with closing(open_ledger(fresh.home)) as ledger:
        ledger.add_model(ModelRow("old", 1_700_000_000, "old", old.digest, "nanosmith-nano"))
    with fresh.client() as client:
        error = refused(embed, client, "refund", model="old")
        assert (error.param, error.code) == ("model", "unsupported_model")
        assert "Fine-tune it again" in error.message
        done = client.chat.completions.create(model="old", messages=[{"role": "user", "content": "refund"}])
        assert done.choices[0].message.content == "refund"


@pytest.mark.usefixtures("tiny_bases")
def test_base_models_embed(fresh: Any) -> None:
    """The first requests for a base have its bundle made, once, by another process; vendors' names mean nano, and the
    answer says so. Afterwards a process in which torch cannot be imported serves the same vectors."""
    with fresh.client(timeout=120) as client, ThreadPoolExecutor(4) as pool:
        names = ["nanosmith-nano", *ALIASES]
        made = list(pool.map(lambda name: embed(client, ["refund the order", "sign in"], model=name), names))
    assert {one.model for one in made} == {"nanosmith-nano"}
    assert all(np.array_equal(vectors(one), vectors(made[0])) for one in made)
    assert len(made[0].data[0].embedding) == 64
    kept = list((fresh.home.cache / "embedders").iterdir())
    assert len(kept) == 1
    assert "torch" not in served_elsewhere(fresh.home, kept[0], vectors(made[0]))


def served_elsewhere(home: Home, bundle: Path, wanted: np.ndarray) -> str:
    """Ask a server in a process that cannot import torch, with the bundle at the place of the catalogue's base; returns
    the names of the torch-like modules that are loaded there in the end."""
    program = """
import json, sys
sys.modules.update(dict.fromkeys(("torch", "transformers", "onnx")))  # importing them is an error
from pathlib import Path
from starlette.testclient import TestClient
from nanosmith.flows.embedder import folder_of
from nanosmith.server.app import create_app
from nanosmith.store.home import Home
home = Home(Path(sys.argv[1]))
Path(sys.argv[2]).rename(folder_of(home, "nano", "minilm-l6"))
with TestClient(create_app(home), base_url="http://localhost") as client:
    body = {"model": "text-embedding-3-small", "input": ["refund the order", "sign in"]}
    print(json.dumps([row["embedding"] for row in client.post("/v1/embeddings", json=body).json()["data"]]))
print([name for name, module in sys.modules.items() if name.startswith(("torch", "transformers")) and module])
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(home.root), str(bundle)], capture_output=True, text=True, check=True
    )
    found, modules = done.stdout.splitlines()
    assert np.array_equal(np.array(json.loads(found), dtype=np.float32), wanted)
    return modules


@pytest.mark.usefixtures("tiny_bases")
def test_pico_is_static(fresh: Any, base_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The smallest base embeds with token vectors; a bundle that is there already is not made again."""
    kept = make(fresh.home, "pico", str(base_folder))
    monkeypatch.setattr(embedders, "_make", None)
    with fresh.client() as client:
        made = embed(client, "refund the order", model="nanosmith-pico")
    assert made.model == "nanosmith-pico"
    assert kept.manifest.predictor == "static/1"


def test_a_base_still_does_not_chat(client: OpenAI) -> None:
    """What embeds has no answers: chat says that the base must be fine-tuned first."""
    with pytest.raises(openai.NotFoundError, match="Fine-tune it"):
        client.chat.completions.create(model="nanosmith-nano", messages=[{"role": "user", "content": "x"}])


def test_an_own_model_may_have_a_vendors_name(fresh: Any) -> None:
    """A local model that was given OpenAI's name answers to it."""
    with closing(open_ledger(fresh.home)) as ledger:
        tiny = ledger.model("tiny")
        assert tiny is not None
        ledger.add_model(msgspec.structs.replace(tiny, name="text-embedding-3-small"))
    with fresh.client() as client:
        made = embed(client, "refund", model="text-embedding-3-small")
    assert (made.model, len(made.data[0].embedding)) == ("text-embedding-3-small", 4)


def failed(fresh: Any, monkeypatch: pytest.MonkeyPatch, base: str) -> openai.APIStatusError:
    monkeypatch.setattr(local_models, "base_models", bases_from(base))
    with fresh.client(timeout=120) as client, pytest.raises(openai.APIStatusError) as caught:
        embed(client, "x", model="nanosmith-nano")
    assert caught.value.response.headers["x-should-retry"] == "false"
    return caught.value


def test_without_weights(fresh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Base weights that are nowhere are a 501 that names them."""
    error = failed(fresh, monkeypatch, "minilm-l7")
    assert (error.status_code, error.code) == (501, "missing_weights")
    assert "Did you mean minilm-l6" in error.message


def test_without_the_train_extra(fresh: Any, monkeypatch: pytest.MonkeyPatch, base_folder: Path) -> None:
    """A missing package is a 501 with its pip line."""
    monkeypatch.setattr(assemble, "TRAIN_MODULES", ("no_such_module",))
    error = failed(fresh, monkeypatch, str(base_folder))
    assert (error.status_code, error.code) == (501, "missing_extra")
    assert "pip install 'nanosmith[train]'" in error.message


def test_a_process_that_dies_or_hangs(fresh: Any, monkeypatch: pytest.MonkeyPatch, base_folder: Path) -> None:
    """Making that ends without a word, or does not end, is a 500, and nothing hangs."""
    monkeypatch.setattr(embedders, "MAKE_LIMIT_S", 0.05)
    error = failed(fresh, monkeypatch, str(base_folder))
    assert (error.status_code, error.code) == (500, "embedder_failed")
    assert "too long" in error.message
    monkeypatch.setattr(embedders, "MAKE_LIMIT_S", 60)
    monkeypatch.setattr(embedders.sys, "executable", shutil.which("false"))
    assert "server's log" in failed(fresh, monkeypatch, str(base_folder)).message


def test_a_client_that_leaves_stops_the_work(fresh: Any) -> None:
    """When the connection is cut, no more texts are embedded than a few."""
    with fresh.client() as client:
        embed(client, "warm up")
    (model,) = fresh.services.shared.opened.by_key.values()
    counted, real, begun = [], model.predictor.vector, threading.Event()

    def slow(ids: list[int]) -> Any:
        counted.append(ids)
        begun.set()
        time.sleep(0.01)
        return real(ids)

    model.predictor.vector = slow
    body = json.dumps({"model": "tiny", "input": ["refund"] * 2000}).encode()
    lines = ["POST /v1/embeddings HTTP/1.1", "Host: localhost", "Content-Type: application/json",
             f"Content-Length: {len(body)}", "", ""]  # fmt: skip
    host, port = fresh.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as sock:
        sock.sendall("\r\n".join(lines).encode() + body)
        assert begun.wait(10)
    ends = time.monotonic() + 10
    while fresh.services.shared.opened.waiting and time.monotonic() < ends:
        time.sleep(0.02)
    assert len(counted) < 1000

"""A server with routes to tiny models and to two fake providers, which misbehave as a test tells them."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI
from tests.server.conftest import Served, add_models, add_writers, running

from nanosmith.store.config import FILE_NAME
from nanosmith.store.home import open_home
from nanosmith.testing.provider import FakeProvider

TEXT = "one two three four five six seven eight nine ten"
"""What both providers answer to "count"."""
LONG = " ".join(["my refund"] * 90)
"""More than the local models read."""
TABLE = {LONG: "refund", "count": TEXT, "where is my parcel": "delivery", "odd": "no label at all"}
PROVIDER = """
    [provider.{name}]
    base_url = "{url}"
    any_model = true
    [provider.{name}.models.big]
    input_usd = 1.0
    output_usd = 2.0
    capabilities = ["logprobs", "temperature"]
"""
ROUTES = """
    remote = ["first/direct-*"]

    [route.sure]                        # the local model is always sure enough
    deadline = "10s"
    [[route.sure.steps]]
    model = "tiny"
    accept = 0.01
    [[route.sure.steps]]
    model = "first/big"

    [route.unsure]                      # and here never
    privacy = "detect"
    deadline = "10s"
    [[route.unsure.steps]]
    model = "tiny"
    accept = 1.0
    [[route.unsure.steps]]
    model = "first/big"

    [route.best]
    otherwise = "best"
    privacy = "detect"
    [[route.best.steps]]
    model = "tiny"
    accept = 1.0
    [[route.best.steps]]
    model = "first/big"

    [route.text]
    privacy = "detect"
    deadline = "3s"
    [[route.text.steps]]
    model = "first/big"
    timeout = "1s"
    cooldown = "200ms"
    [[route.text.steps]]
    model = "second/big"
    timeout = "1s"
    cooldown = "200ms"

    [route.one]
    deadline = "1500ms"
    [[route.one.steps]]
    model = "first/big"
    timeout = "1s"
    retries = 0
    breaker_failures = 1000

    [route.judged]                      # a text must be sure enough, too
    [[route.judged.steps]]
    model = "writer"
    accept = 0.7
    [[route.judged.steps]]
    model = "second/big"

    [route.hedged]
    [[route.hedged.steps]]
    model = "first/big"
    hedge_after = "100ms"
    retries = 0
    [[route.hedged.steps]]
    model = "second/big"

    [route.tools]                       # a classifier calls no tools
    [[route.tools.steps]]
    model = "tiny"
    accept = 0.5
    [[route.tools.steps]]
    model = "first/big"
    task = "off"

    [route.shared]
    [[route.shared.steps]]
    model = "first/big"
    tier = 1
    weight = 3
    [[route.shared.steps]]
    model = "second/big"
    tier = 1

    [route.other]
    projects = ["proj_other"]
    [[route.other.steps]]
    model = "tiny"

    [route.wrong]                       # a step is a model
    [[route.wrong.steps]]
    model = "sure"

    [route.long]
    [[route.long.steps]]
    model = "tiny"
    max_chars = 20
    accept = 0.0
    [[route.long.steps]]
    model = "writer"
    min_chars = 10
"""


class Routed:
    """The server, its file of routes, and the two providers."""

    def __init__(self, served: Served, first: FakeProvider, second: FakeProvider) -> None:
        self.served = served
        self.first = first
        self.second = second
        self.file = served.home.root / FILE_NAME

    @property
    def bytes_out(self) -> int:
        """That both providers received."""
        return sum(provider.seen()["bytes"] + provider.seen()["connections"] for provider in (self.first, self.second))

    def heal(self) -> None:
        """No faults, nothing seen, nobody left alone."""
        for provider in (self.first, self.second):
            provider.set_faults("")
            provider.clear()
        self.served.services.shared.routing.health._by_model.clear()


def write_routes(path: Path, text: str) -> None:
    path.write_text(textwrap.dedent(text))
    stamp = path.stat().st_mtime_ns + 1_000_000  # a clock may tick more slowly than a test
    os.utime(path, ns=(stamp, stamp))


@pytest.fixture(scope="session")
def _routed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routed]:
    home = open_home(tmp_path_factory.mktemp("routed"))
    add_models(home)
    add_writers(home)
    with FakeProvider(table=TABLE, seed=1) as first, FakeProvider(table=TABLE, seed=2) as second:
        providers = PROVIDER.format(name="first", url=first.url) + PROVIDER.format(name="second", url=second.url)
        top, _, rest = textwrap.dedent(ROUTES).partition("\n\n")
        write_routes(home.root / FILE_NAME, f"{top}\n{textwrap.dedent(providers)}\n{rest}")
        with running(home) as served:
            yield Routed(served, first, second)


@pytest.fixture
def routed(_routed: Routed) -> Routed:
    """Without the faults of earlier tests."""
    _routed.heal()
    return _routed


@pytest.fixture
def client(routed: Routed) -> Iterator[OpenAI]:
    """The official client, strict, without retries of its own."""
    with routed.served.client() as client:
        yield client

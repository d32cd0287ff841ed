"""A route to one remote model beside the bare upstream, a bare reverse proxy and LiteLLM's proxy, in one run.

    python -m bench.gateway [--seconds 3] [--concurrency 1 4 16 64] [--litellm VENV/bin/litellm]

Needs wrk (Debian: apt install wrk). The upstream is the fake provider of nanosmith.testing; the bare proxy is Starlette
with aiohttp, in the server that ours runs in; ours has its log on, a price, and a budget on the route. LiteLLM is left
out, with a line that says so, where its command is not given or not there:

    python -m venv litellm && litellm/bin/pip install 'litellm[proxy]'

All share the machine's cores with the load. Each contender has its turn at each concurrency; "added" is the p50 or p99
less that of the bare upstream, "processor" the time that a request takes of its processes, whatever else the machine
does, "memory" the resident size of all its processes at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
from bench.serving import LUA, free_port

PROXY = """
import sys
from aiohttp import ClientSession, TCPConnector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from nanosmith.cli.serve import listener, make_server, spare_garbage_collector

session = None

async def passed(request: Request) -> Response:
    global session
    session = session or ClientSession(connector=TCPConnector(limit=0))
    headers = {"content-type": "application/json"}
    async with session.post(sys.argv[2] + "/chat/completions", data=await request.body(), headers=headers) as answer:
        return Response(await answer.read(), answer.status, media_type="application/json")

app = Starlette(routes=[Route("/v1/chat/completions", passed, methods=["POST"])])
with listener("127.0.0.1", int(sys.argv[1])) as sock:
    spare_garbage_collector()
    make_server(app).run(sockets=[sock])
"""
CONFIG = """
[provider.fake]
base_url = "{url}"
[provider.fake.models.big]
input_usd = 0.25
output_usd = 2.0
output_tokens = 1000

[route.big]
budget = "100000 USD / month"
deadline = "30s"
[[route.big.steps]]
model = "fake/big"
"""
LITELLM = """
model_list:
  - model_name: big
    litellm_params: {{model: openai/big, api_base: "{url}", api_key: any}}
"""
OPEN_LITELLM = {
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    "LITELLM_LOCAL_MODEL_COST_MAP": "true",
}
"""As ours, it asks for no key, and looks for nothing outside."""
TEXTS = ("where is my parcel", "i want my money back", "how do i change my pin", "which currencies do you support")


class Contender(NamedTuple):
    name: str
    port: int
    process: psutil.Process

    @property
    def memory_mb(self) -> float:
        return sum(one.memory_info().rss for one in self._family) / 1e6

    @property
    def busy_s(self) -> float:
        return sum(times.user + times.system for one in self._family for times in [one.cpu_times()])

    @property
    def _family(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


class Load(NamedTuple):
    """What wrk saw: requests, how many per second, and times in ms."""

    n: int
    rps: float
    p50: float
    p99: float
    errors: int


def main() -> None:
    given = _options()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        contenders = [running.enter_context(one) for one in _contenders(Path(folder), given.litellm)]
        for one in contenders:
            load(one.port, 4, 1)
        for concurrency in given.concurrency:
            print(f"concurrency {concurrency}")
            bare = None
            for one in contenders:
                before_s, found = one.busy_s, load(one.port, concurrency, given.seconds)
                bare = bare or found
                print(_line(one.name, found, bare, (one.busy_s - before_s) / found.n * 1e6), flush=True)
        for one in contenders:
            print(f"memory of {one.name}: {one.memory_mb:.0f} MB")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--litellm", type=Path, help="the litellm command of a virtual environment of its own")
    return parser.parse_args()


def _contenders(folder: Path, litellm: Path | None) -> Iterator[AbstractContextManager[Contender]]:
    """Each as a context; the upstream first."""
    upstream, proxy, ours, theirs = (free_port() for _ in range(4))
    url = f"http://127.0.0.1:{upstream}/v1"
    (folder / "nanosmith.toml").write_text(CONFIG.format(url=url))
    (folder / "litellm.yaml").write_text(LITELLM.format(url=url))
    python = [sys.executable]
    yield started("upstream", upstream, [*python, "-m", "nanosmith.testing.provider", "--port", str(upstream)], folder)
    yield started("bare proxy", proxy, [*python, "-c", PROXY, str(proxy), url], folder)
    serve = ["-m", "nanosmith", "serve", "--port", str(ours), "--home", str(folder)]
    yield started("nanosmith", ours, [*python, *serve], folder)
    if litellm is None or not litellm.is_file():
        print("LiteLLM's proxy is left out: --litellm names no command; see the top of this file for how to install it")
        return
    command = [str(litellm.absolute()), "--config", str(folder / "litellm.yaml"), "--port", str(theirs)]
    yield started("LiteLLM", theirs, command, folder)


@contextmanager
def started(name: str, port: int, command: list[str], folder: Path) -> Iterator[Contender]:
    """A server, once it answers a chat completion."""
    env = os.environ | OPEN_LITELLM | {"NANOSMITH_CONFIG": str(folder / "nanosmith.toml"), "OMP_NUM_THREADS": "1"}
    with (folder / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 90
        while not _answers(port):
            if time.monotonic() > until or process.poll() is not None:
                raise SystemExit(f"{name} does not answer:\n{(folder / f'{port}.log').read_text()[-2000:]}")
            time.sleep(0.2)
        yield Contender(name, port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions", _body(TEXTS[0]).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return "choices" in json.load(answer)
    except OSError:
        return False


def _body(text: str) -> str:
    return json.dumps({"model": "big", "messages": [{"role": "user", "content": text}]})


def load(port: int, concurrency: int, seconds: int) -> Load:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA % ", ".join(f"[==[{_body(text)}]==]" for text in TEXTS))
        script.flush()
        url = f"http://127.0.0.1:{port}/"
        command = ["wrk", "-t1", f"-c{concurrency}", f"-d{seconds}s", "--timeout", "30s", "-s", script.name, url]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
    assert found, done.stdout
    count, micros, p50, p99, errors = map(int, found.groups())
    return Load(count, count / micros * 1e6, p50 / 1000, p99 / 1000, errors)


def _line(name: str, found: Load, bare: Load, cpu_us: float) -> str:
    return (
        f"  {name:12} {found.rps:7.0f} requests/s  {found.rps / bare.rps:6.1%} of the upstream's  "
        f"p50 {found.p50:8.3f} ms (added {found.p50 - bare.p50:7.3f})  "
        f"p99 {found.p99:8.3f} ms (added {found.p99 - bare.p99:7.3f})  "
        f"processor {cpu_us:5.0f} µs  errors {found.errors}"
    )


if __name__ == "__main__":
    main()

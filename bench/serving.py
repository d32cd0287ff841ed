"""Chat completions over HTTP beside a bare Starlette app that echoes the body, in one run.

    python bench/serving.py MODEL [MODEL …] --home DIR [--seconds 5] [--rounds 3] [--requests 100000]

Needs wrk (Debian: apt install wrk). All servers run the same uvicorn with the same options, each in one process on the
first core; the load comes from the second. The echo reads the body as JSON and answers with it. The contenders
take turns, round by round; the figure is the median round, and each ratio is that of two rounds next to each other.
"Added" is the p50 at concurrency 1 less the p50 of the same predictions in this process. `--requests` drives so many
requests at the first model and shows the server's memory on the way; 0 leaves that out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import psutil
from openai import OpenAI

ECHO = """
import sys
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from nanosmith.cli.serve import listener, make_server, spare_garbage_collector

async def echo(request: Request) -> JSONResponse:
    return JSONResponse(await request.json())

app = Starlette(routes=[Route("/v1/chat/completions", echo, methods=["POST"])])
with listener("127.0.0.1", int(sys.argv[1])) as sock:
    spare_garbage_collector()
    make_server(app).run(sockets=[sock])
"""
LUA = """
local bodies = {%s}
local i = 0
request = function()
  i = i %% #bodies + 1
  return wrk.format("POST", "/v1/chat/completions", {["Content-Type"] = "application/json"}, bodies[i])
end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.status + e.connect + e.read + e.write + e.timeout))
end
"""
TEXTS = (
    "why has the transfer that i made to my new account last week not arrived yet",
    "i want my money back for order",
    "how do i change the pin of my card",
    "please tell me which currencies you support now",
)
CLIENT_CALLS = 300


@contextmanager
def started(command: list[str], port: int, home: Path) -> Iterator[psutil.Process]:
    """A server on the first core, once it answers."""
    env = os.environ | {"NANOSMITH_HOME": str(home), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        ["taskset", "-c", "0", *command], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > until:
                    raise SystemExit(f"no server: {' '.join(command)}") from None
                time.sleep(0.1)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def load(port: int, model: str, concurrency: int, seconds: int, server: psutil.Process) -> dict[str, float]:
    """wrk's view: requests per second, p50 and p99 in ms; and the server's processor time per request in µs."""
    before = busy_s(server)
    bodies = [json.dumps({"model": model, "messages": [{"role": "user", "content": text}]}) for text in TEXTS]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(LUA % ", ".join(f"[==[{body}]==]" for body in bodies))
        script.flush()
        command = ["wrk", "-t1", f"-c{concurrency}", f"-d{seconds}s", "-s", script.name, f"http://127.0.0.1:{port}/"]
        done = subprocess.run(["taskset", "-c", "1", *command], capture_output=True, text=True, check=True)
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", done.stdout)
    assert found, done.stdout
    count, micros, p50, p99, errors = map(int, found.groups())
    assert not errors, f"{errors} requests failed"
    cpu_us = (busy_s(server) - before) / count * 1e6
    return {"n": count, "rps": count / micros * 1e6, "p50": p50 / 1000, "p99": p99 / 1000, "cpu_us": cpu_us}


def busy_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def in_process_ms(model: str, home: Path) -> float:
    """p50 of one prediction without HTTP, in a process on the first core, as the server has it."""
    code = f"""
import time, statistics
from nanosmith.cli.resolve import bundle_path
from nanosmith.predict.open import open_predictor
p = open_predictor(bundle_path({model!r})); times = []
for i in range(2000):
    began = time.perf_counter(); p.predict([{TEXTS!r}[i % {len(TEXTS)}]]); times.append(time.perf_counter() - began)
print(statistics.median(times[200:]) * 1000)
"""
    env = os.environ | {"NANOSMITH_HOME": str(home), "OMP_NUM_THREADS": "1"}
    command = ["taskset", "-c", "0", sys.executable, "-c", code]
    return float(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout)


def by_client(port: int, model: str) -> dict[str, float]:
    """One official client, one call after the other."""
    times = []
    with OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="any") as client:
        for i in range(CLIENT_CALLS + 20):
            began = time.perf_counter()
            client.chat.completions.create(model=model, messages=[{"role": "user", "content": TEXTS[i % len(TEXTS)]}])
            times.append(time.perf_counter() - began)
    kept = times[20:]
    return {"rps": len(kept) / sum(kept), "p50": statistics.median(kept) * 1000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=100_000)
    given = parser.parse_args()
    echo_port, our_port = free_port(), free_port()
    serve = [sys.executable, "-m", "nanosmith", "serve", "--port", str(our_port)]
    with ExitStack() as servers:
        echo = servers.enter_context(started([sys.executable, "-c", ECHO, str(echo_port)], echo_port, given.home))
        ours = servers.enter_context(started(serve, our_port, given.home))
        for model in given.models:
            load(our_port, model, 1, 5, ours)  # opens the model
        compare(given, (echo_port, echo), (our_port, ours))
        if given.requests:
            watch_memory(given, our_port, ours)


Server: TypeAlias = tuple[int, psutil.Process]


def compare(given: Any, echo: Server, ours: Server) -> None:
    for concurrency in (1, 16, 64):
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in ("echo", *given.models)}
        for _ in range(given.rounds):
            rounds["echo"].append(load(echo[0], "echo", concurrency, given.seconds, echo[1]))
            for model in given.models:
                rounds[model].append(load(ours[0], model, concurrency, given.seconds, ours[1]))
        print(f"concurrency {concurrency} (wrk)")
        for name, found in rounds.items():
            rps, p50, p99 = (statistics.median(one[key] for one in found) for key in ("rps", "p50", "p99"))
            cpu_us = statistics.median(one["cpu_us"] for one in found)
            ratio = statistics.median(a["rps"] / b["rps"] for a, b in zip(found, rounds["echo"], strict=True))
            print(
                f"  {name:24} {rps:8.0f} requests/s  {ratio:6.1%} of echo  "
                f"p50 {p50:7.3f} ms  p99 {p99:7.3f} ms  processor {cpu_us:6.0f} µs per request"
            )
    for model in given.models:
        bare, served = in_process_ms(model, given.home), load(ours[0], model, 1, given.seconds, ours[1])["p50"]
        print(f"{model}: in process p50 {bare:.3f} ms, served {served:.3f} ms, added {served - bare:.3f} ms")
        client, bare_client = by_client(ours[0], model), by_client(echo[0], model)
        share = client["rps"] / bare_client["rps"]
        print(f"{model}: official client p50 {client['p50']:.2f} ms, {share:.1%} of its requests/s at the echo")


def watch_memory(given: Any, port: int, server: psutil.Process) -> None:
    done, marks = 0.0, [given.requests // 10, given.requests // 2, given.requests]
    for mark in marks:
        while done < mark:
            done += load(port, given.models[0], 16, 2, server)["n"]
        print(f"memory after {done:,.0f} requests: {server.memory_info().rss / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

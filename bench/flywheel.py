"""What the flywheel saves: requests through a paid teacher, until a model of one's own answers most of them.

    python bench/flywheel.py --data FOLDER [--requests 20000] [--rate 25] [--budget 3m] [--out FILE.json]

FOLDER holds train.jsonl and test.jsonl with {"text", "label"}. A fake provider answers as they say, at a price. The
server and `nanosmith autopilot` run beside; the client sends `--rate` requests a second, drawn from all texts with
repetition, as traffic repeats itself. Costs are those that the server booked; agreement is counted on every answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

WINDOW = 1_000  # requests of one row of the table
CONFIG = """
[provider.paid]
base_url = "{url}"
[provider.paid.models.teacher]
input_usd = 2.0
output_usd = 8.0
[route.support]
capture = true
autopilot = true
[[route.support.steps]]
model = "paid/teacher"
"""
SAID = "Answer with the intent of the customer's message, and with nothing else."
Row = tuple[str, str]


def main() -> None:
    given = _options()
    rows = [(row["text"], row["label"]) for name in ("train", "test") for row in _read(given.data / f"{name}.jsonl")]
    traffic = random.Random(given.seed).choices(rows, k=given.requests)
    with tempfile.TemporaryDirectory() as folder, _all_running(Path(folder), rows, given) as url:
        found = asyncio.run(_replay(url, traffic, given.rate))
        trail = _trail(Path(folder))
    _show(found, trail)
    if given.out:
        given.out.write_text(json.dumps({"windows": found, "trail": trail}, indent=1), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=25.0)
    parser.add_argument("--budget", default="3m")
    parser.add_argument("--least", type=int, default=1_500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


async def _replay(url: str, traffic: list[Row], rate: float) -> list[dict[str, Any]]:
    """Figures of each window of requests."""
    limit, answers = asyncio.Semaphore(32), []
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:

        async def one(text: str, label: str) -> None:
            async with limit:
                messages = [{"role": "system", "content": SAID}, {"role": "user", "content": text}]
                reply = await client.post("/chat/completions", json={"model": "support", "messages": messages})
                reply.raise_for_status()
                right = reply.json()["choices"][0]["message"]["content"] == label
                is_local = "/" not in reply.headers["x-nanosmith-step"]
                answers.append((is_local, right, float(reply.headers["x-nanosmith-cost"])))

        began, tasks = time.perf_counter(), []
        for i, row in enumerate(traffic):
            await asyncio.sleep(max(0.0, began + i / rate - time.perf_counter()))
            tasks.append(asyncio.create_task(one(*row)))
            if i % WINDOW == WINDOW - 1:
                print(f"{i + 1:,} requests", file=sys.stderr, flush=True)
        await asyncio.gather(*tasks)
    return [_window(answers[i : i + WINDOW]) for i in range(0, len(answers), WINDOW)]


def _window(answers: list[tuple[bool, bool, float]]) -> dict[str, Any]:
    here = [right for is_local, right, _ in answers if is_local]
    return {
        "requests": len(answers), "local": len(here), "agreed": sum(here), "cost": sum(cost for *_, cost in answers),
    }  # fmt: skip


def _show(found: list[dict[str, Any]], trail: list[dict[str, Any]]) -> None:
    for i, row in enumerate(found):
        agreed = f"{row['agreed'] / row['local']:.1%} agreed" if row["local"] else ""
        print(f"{(i + 1) * WINDOW:7,}  {row['cost']:8.4f} USD  {row['local'] / row['requests']:6.1%} local  {agreed}")
    whole, first, last = sum(row["cost"] for row in found), found[0]["cost"], found[-1]["cost"]
    print(f"first {first:.4f}, last {last:.4f}: {1 - last / first:.1%} less")
    print(f"all {whole:.4f}, by the teacher alone {first * len(found):.4f}")
    for row in reversed(trail):
        print(time.strftime("%H:%M:%S", time.gmtime(row["at"])), row["phase"], row["why"])


@contextmanager
def _all_running(folder: Path, rows: list[Row], given: argparse.Namespace) -> Iterator[str]:
    """Provider, server and autopilot; gives the address of the server's API."""
    table = folder / "table.jsonl"
    table.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    run, port = [sys.executable, "-m"], _free_port()
    provider = subprocess.Popen([*run, "nanosmith.testing.provider", "--table", str(table)], stdout=subprocess.PIPE,
                                text=True)  # fmt: skip
    assert provider.stdout is not None
    (folder / "nanosmith.toml").write_text(CONFIG.format(url=provider.stdout.readline().strip()))
    environment = os.environ | {"NANOSMITH_CONFIG": str(folder / "nanosmith.toml"), "PAID_API_KEY": "any"}
    verb = [*run, "nanosmith"]
    server = subprocess.Popen([*verb, "serve", "--home", str(folder), "--port", str(port)], env=environment,
                              stdout=subprocess.DEVNULL)  # fmt: skip
    pilot = subprocess.Popen([*verb, "autopilot", "support", "--home", str(folder), "--every", "5s", "--budget",
                              given.budget, "--least", str(given.least)], env=environment)  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(f"{url}/health")
        yield f"{url}/v1"
    finally:
        for process in (pilot, server, provider):
            process.terminate()
        for process in (pilot, server, provider):
            process.wait()


def _trail(folder: Path) -> list[dict[str, Any]]:
    asked = [sys.executable, "-m", "nanosmith", "autopilot", "support", "--home", str(folder), "--status", "--json"]
    found: list[dict[str, Any]] = json.loads(subprocess.check_output(asked))
    return found


def _wait(url: str) -> None:
    for _ in range(300):
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()

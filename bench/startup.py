"""Seconds from starting `nanosmith serve` to its first answer, and its resident memory after 200 answers.

    python bench/startup.py MODEL --home DIR [--starts 5]

MODEL is a model's name in the data folder DIR.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request

import psutil


def ask(port: int, model: str) -> float:
    """Ask until there is an answer; returns when it came."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "where is my card?"}]}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/chat/completions", body, {"content-type": "application/json"}
    )
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                json.load(answer)
                return time.monotonic()
        except urllib.error.HTTPError as error:
            raise SystemExit(error.read().decode()) from error
        except OSError:
            time.sleep(0.005)


def once(model: str, home: str, port: int) -> tuple[float, float]:
    """Seconds to the first answer, and MB of resident memory after 200 more."""
    began = time.monotonic()
    server = subprocess.Popen(
        [sys.executable, "-m", "nanosmith", "serve", "--port", str(port), "--home", home],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        first_s = ask(port, model) - began
        for _ in range(200):
            ask(port, model)
        return first_s, psutil.Process(server.pid).memory_info().rss / 1e6
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--home", required=True)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--port", type=int, default=8765)
    given = parser.parse_args()
    runs = [once(given.model, given.home, given.port + i) for i in range(given.starts)]
    starts = [run[0] for run in runs]
    print(json.dumps({"first_answer_s": {"median": round(statistics.median(starts), 2), "max": round(max(starts), 2)},
                      "rss_mb": round(max(run[1] for run in runs))}))  # fmt: skip


if __name__ == "__main__":
    main()

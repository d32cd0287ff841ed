"""One contender in a process of its own: loads it, then answers as it is told, and tells how long each call took.

    python -m bench.speed.worker NAME OPTIONS

OPTIONS and what comes on stdin are JSON, one object per line; so is each answer. It imports nothing that its contender
does not, so that the process's memory is the contender's, and runs with any Python that has the contender's packages.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.speed.contenders import CONTENDERS

Answer = Callable[[Sequence[str]], list[str]]


def calls(answer: Answer, texts: Sequence[str], asked: dict[str, Any]) -> list[float]:
    """Milliseconds of each call: `clients` threads ask `batch` texts at a time, for `seconds`, each at least once."""
    took: list[float] = []
    batches = in_batches(texts, asked["batch"], asked["offset"])
    turn, until = threading.Lock(), time.perf_counter() + asked["seconds"]

    def ask() -> None:
        while True:
            with turn:
                batch = next(batches)
            began = time.perf_counter_ns()
            answer(batch)
            took.append((time.perf_counter_ns() - began) / 1e6)
            if time.perf_counter() > until:
                return

    if asked["clients"] == 1:
        ask()
        return took
    threads = [threading.Thread(target=ask) for _ in range(asked["clients"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took


def in_batches(texts: Sequence[str], size: int, offset: int) -> Iterator[list[str]]:
    """Without an end; `offset` says where to begin."""
    place = offset
    while True:
        yield [texts[(place + i) % len(texts)] for i in range(size)]
        place += size


def timed(answer: Answer, texts: Sequence[str], asked: dict[str, Any]) -> dict[str, Any]:
    began, cpu = time.perf_counter(), time.process_time()
    took = calls(answer, texts, asked)
    wall_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    return {"ms": took, "wall_s": wall_s, "cpu_s": cpu_s, "texts": len(took) * asked["batch"]}


def answers(answer: Answer, texts: Sequence[str], batch: int) -> list[str]:
    """To all texts, so many at a time; none at all with 0."""
    starts = range(0, len(texts), batch) if batch else ()
    return [one for start in starts for one in answer(texts[start : start + batch])]


def peak_bytes() -> int:
    """Of resident memory. ru_maxrss counts what the starting process had, too, so Linux is asked otherwise."""
    status = Path("/proc/self/status")
    if status.is_file():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def main() -> None:
    name, options = sys.argv[1], json.loads(sys.argv[2])
    told = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is no answer
    began = time.perf_counter()
    answer = CONTENDERS[name](**options)
    answer(["hello"])
    print(json.dumps({"opened_s": time.perf_counter() - began}), file=told, flush=True)
    texts: list[str] = []
    for line in sys.stdin:
        asked = json.loads(line)
        texts = asked.get("load", texts)
        if "load" in asked:
            found: dict[str, Any] = {"answers": answers(answer, texts, asked["answer"])}
        else:
            found = timed(answer, texts, asked)
        print(json.dumps(found | {"peak_bytes": peak_bytes()}), file=told, flush=True)


if __name__ == "__main__":
    main()

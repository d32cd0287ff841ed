"""Does a certificate keep its promise, what does it cost in coverage, and is drift noticed in time?

    python -m bench.certificate --data FOLDER --models HOME --out bench/certificate.jsonl --plots docs

FOLDER holds clinc150, banking77 and it_tickets with train.jsonl and test.jsonl (and valid.jsonl where there is one).
HOME is a data folder; a student and a teacher of each set that it lacks are tuned into it first (`nanosmith tune`, some
minutes). Both answer test and validation texts once, and what they say is kept in HOME/certificate; all else is
arithmetic on these answers, which stand for the traffic: a calibration draws --n of them with replacement.

Promises: of --runs calibrations, the share whose true agreement above the chosen threshold is below the target, and the
mean coverage beside that of the best threshold in hindsight.

Drift: CALM requests like the calibration, then SHIFTED others: "labels", where MIX of the requests come from the fifth
of the answered labels on which accepted answers agree least; "input", where RATE of the words have a typo; "teacher",
where the teacher says something else to a share of what it agreed on (TURNED), and nothing else is to be seen. Told is
how many requests passed until the route accepted nothing, and the longest stretch of requests in which the running
agreement (of the last WINDOW accepted answers) was two points and more below the promise, until then; and what was
audited before the shift, as a share of what was accepted.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from nanosmith.core.certificate import Certificate
from nanosmith.data.augment.noise import Typos
from nanosmith.flows.certify import sight_of
from nanosmith.predict.open import open_predictor
from nanosmith.score.certificate import Chosen, choose
from nanosmith.score.drift import Sight, reference
from nanosmith.score.render.promise import figure
from nanosmith.server.audit.guard import Guard
from nanosmith.store.home import open_home
from nanosmith.store.named import model_bundles

PAIRS = {
    "clinc150": ("clinc", "static", "frozen_linear"),
    "banking77": ("banking", "static", "frozen_linear"),
    "it_tickets": ("tickets", "static", "tfidf_linear"),
}  # fmt: skip
"""Of each set the name that its models begin with, and the recipes of student and teacher."""
SUFFIX = {"static": "static", "frozen_linear": "frozen", "tfidf_linear": "tfidf"}
SCOPE = {"clinc150": ["--oos-label", "oos"]}
CALM, SHIFTED, WINDOW = 1_000, 4_000, 500
MIX, RATE, POINTS = 0.6, 0.4, 0.02
TURNED = {"teacher 2%": 0.02, "teacher 5%": 0.05, "teacher 10%": 0.1, "teacher 20%": 0.2}
KINDS = ("labels", "input", *TURNED)
DRIFT_RUNS = 20


class Answers:
    """Of N texts: what they look like, how sure the student is, what it answers, and whether that is the teacher's."""

    def __init__(self, rows: list[tuple[bool, Sight]]) -> None:
        self.sights = [sight for _, sight in rows]
        self.agrees = np.array([agrees for agrees, _ in rows])
        self.sure = np.array([sight.confidence for sight in self.sights])
        self.labels = np.array([sight.label for sight in self.sights])


class Stretch(NamedTuple):
    """Requests after the shift until nothing was accepted (None: never), the longest stretch below the promise until
    then, the agreement of all that was answered locally after the shift, without a guard and with it, and the share of
    the accepted answers that was audited before it."""

    noticed: int | None
    below: int
    unguarded: float
    guarded: float
    alarm: str
    audited: float


def tuned(data: Path, home: Path, name: str) -> tuple[Path, Path]:
    """The bundles of student and teacher, tuned where they are missing."""
    prefix, *recipes = PAIRS[name]
    found = []
    for recipe in recipes:
        model = f"{prefix}-{SUFFIX[recipe]}"
        if model not in model_bundles(open_home(home)):
            command = [sys.executable, "-m", "nanosmith", "tune", str(data / name / "train.jsonl"), "--recipe", recipe]
            command += ["--name", model, "--home", str(home), "--no-keep-examples", *SCOPE.get(name, [])]
            subprocess.run(command, check=True)
        found.append(model_bundles(open_home(home))[model])
    return found[0], found[1]


def answers(data: Path, home: Path, name: str, typos: bool) -> Answers:
    """What both say about the held-out texts, as they are or with typos; kept for the next time."""
    kept = home / "certificate" / f"{name}{'-typos' if typos else ''}.json"
    if not kept.is_file():
        files = [path for path in (data / name / "test.jsonl", data / name / "valid.jsonl") if path.is_file()]
        texts = [json.loads(line)["text"] for path in files for line in path.read_text("utf-8").splitlines()]
        if typos:
            source, chance = Typos(held_out=True), random.Random(0)
            texts = [source.share(text, chance, rate=RATE) for text in texts]
        student, teacher = map(open_predictor, tuned(data, home, name))
        both = zip(texts, student.predict(texts), teacher.predict(texts), strict=True)
        rows = [(ours.answer == theirs.answer, sight_of(student.task, text, ours)) for text, ours, theirs in both]
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(msgspec.json.encode(rows))
    return Answers(msgspec.json.decode(kept.read_bytes(), type=list[tuple[bool, Sight]]))


def hindsight(pool: Answers, target: float) -> float:
    """The coverage of the best threshold, when the agreement at each is known."""
    order = np.argsort(-pool.sure, kind="stable")
    order = order[pool.sure[order] >= 0]
    shares = np.cumsum(pool.agrees[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(shares >= target)
    return float((good[-1] + 1) / len(pool.sure)) if len(good) else 0.0


def promises(pool: Answers, n: int, runs: int, target: float, confidence: float) -> dict[str, object]:
    """What becomes of so many certificates."""
    draw = np.random.default_rng(0)
    true, coverage = [], []
    for _ in range(runs):
        drawn = draw.integers(0, len(pool.sure), n)
        found = choose(pool.sure[drawn], pool.agrees[drawn], target, confidence)
        above = pool.sure >= found.threshold if isinstance(found, Chosen) else np.zeros(len(pool.sure), bool)
        coverage.append(float(above.mean()))
        true.append(float(pool.agrees[above].mean()) if above.any() else 1.0)
    return {
        "n": n, "runs": runs, "target": target, "confidence": confidence, "short": sum(one < target for one in true),
        "refused": coverage.count(0.0), "coverage": float(np.mean(coverage)), "hindsight": hindsight(pool, target),
        "true": true, "coverages": coverage,
    }  # fmt: skip


def certified(pool: Answers, n: int, target: float, confidence: float, draw: np.random.Generator) -> Certificate:
    while True:
        drawn = draw.integers(0, len(pool.sure), n)
        found = choose(pool.sure[drawn], pool.agrees[drawn], target, confidence)
        if isinstance(found, Chosen):
            break
    return Certificate(
        route="bench", model="student", model_digest="", teacher="teacher", teacher_digests={}, target=target,
        confidence=confidence, method="exact", threshold=found.threshold, bound=found.bound, n=n,
        answered=found.answered, agreed=found.agreed, cost_share=0.0, sample="bench", source="bench",
        reference=reference([pool.sights[i] for i in drawn]), created_at=0, nanosmith="",
    )  # fmt: skip


def traffic(
    pool: Answers, noisy: Answers, kind: str, threshold: float, draw: np.random.Generator
) -> Iterator[tuple[bool, Sight]]:
    """CALM requests of the pool, then SHIFTED others; each as whether both agree, and what it looks like."""
    for i in draw.integers(0, len(pool.sure), CALM):
        yield bool(pool.agrees[i]), pool.sights[i]
    after = noisy if kind == "input" else pool
    accepted = pool.sure >= threshold
    names = np.unique(pool.labels[accepted])
    shares = {str(name): pool.agrees[accepted & (pool.labels == name)].mean() for name in names}
    worst = sorted(shares, key=lambda name: shares[name])[: max(1, len(names) // 5)]
    among = np.flatnonzero(np.isin(pool.labels, worst))
    for _ in range(SHIFTED):
        i = draw.choice(among) if kind == "labels" and draw.random() < MIX else draw.integers(0, len(after.sure))
        yield bool(after.agrees[i]) and draw.random() >= TURNED.get(kind, 0.0), after.sights[i]


def drifted(certificate: Certificate, requests: Iterator[tuple[bool, Sight]], share: float, seed: int) -> Stretch:
    """What a guard makes of the traffic."""
    guard, chance = Guard(certificate), random.Random(seed)
    recent: deque[bool] = deque(maxlen=WINDOW)
    calm, audited = 0, 0
    unguarded: list[bool] = []
    guarded: list[bool] = []
    noticed, longest, below, alarm = None, 0, 0, ""
    for at, (agrees, sight) in enumerate(requests):
        sure = sight.confidence
        if sure >= guard.threshold:
            recent.append(agrees)
            if at >= CALM:
                guarded.append(agrees)
            calm += at < CALM
        if at >= CALM and sure >= certificate.threshold:
            unguarded.append(agrees)
        short = len(recent) == WINDOW and sum(recent) < WINDOW * (certificate.target - POINTS)
        below = below + 1 if short and noticed is None else 0
        longest = max(longest, below)
        told = guard.saw(sight)
        if guard.wants(sure, share, chance.random):
            audited += at < CALM
            told = guard.heard(sight, agrees) or told
        if told is not None and at >= CALM and noticed is None:
            noticed, alarm = at - CALM, told.kind
    return Stretch(noticed, longest, float(np.mean(unguarded)), float(np.mean(guarded or [1.0])), alarm,
                   audited / calm)  # fmt: skip


def drift(pool: Answers, noisy: Answers, kind: str, args: argparse.Namespace) -> dict[str, object]:
    found = []
    for seed in range(DRIFT_RUNS):
        draw = np.random.default_rng(seed)
        one = certified(pool, args.n, args.target, args.confidence, draw)
        found.append(drifted(one, traffic(pool, noisy, kind, one.threshold, draw), args.audit, seed))
    noticed = [one.noticed for one in found if one.noticed is not None]
    below = [one.below for one in found]
    return {
        "drift": kind, "runs": DRIFT_RUNS, "noticed": len(noticed), "requests_median": float(np.median(noticed or [0])),
        "requests_most": max(noticed, default=None), "below_median": float(np.median(below)),
        "below_longest": max(below), "below_500": sum(one >= 500 for one in below),
        "audited": float(np.mean([one.audited for one in found])),
        "unguarded": float(np.mean([one.unguarded for one in found])),
        "guarded": float(np.mean([one.guarded for one in found])), "alarms": sorted({one.alarm for one in found}),
    }  # fmt: skip


def plot(rows: dict[str, dict[str, object]]) -> str:
    """Of every calibration the true agreement over its coverage, with the promise and the best in hindsight."""

    def panel(name: str, row: dict[str, object]):  # a function of matplotlib axes
        def draw(axes: object) -> None:
            coverages, true = np.array(row["coverages"]), np.array(row["true"])
            made = coverages > 0
            axes.scatter(100 * coverages[made], 100 * true[made], s=9, color="#2563a8", alpha=0.6, linewidths=0)
            axes.axhline(100 * row["target"], color="#8a9099", linewidth=1)
            axes.axvline(100 * row["hindsight"], color="#b4531f", linewidth=1)
            axes.set(xlabel="answered here, %", ylabel="true agreement, %",
                     title=f"{name}: {row['short']} of {row['runs']} below")  # fmt: skip

        return draw

    return figure([panel(name, row) for name, row in rows.items()], across=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=PAIRS, default=list(PAIRS))
    parser.add_argument("--parts", nargs="+", choices=("promises", "drift"), default=["promises", "drift"])
    parser.add_argument("--n", type=int, default=2_000)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--target", type=float, default=0.97)
    parser.add_argument("--confidence", type=float, default=0.95)
    parser.add_argument("--audit", type=float, default=0.05)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plots", type=Path)
    args = parser.parse_args()
    rows = {}
    for name in args.sets:
        pool, noisy = (answers(args.data, args.models, name, typos) for typos in (False, True))
        figures = []
        if "promises" in args.parts:
            rows[name] = promises(pool, args.n, args.runs, args.target, args.confidence)
            figures = [{key: value for key, value in rows[name].items() if key not in ("true", "coverages")}]
        shifts = (drift(pool, noisy, kind, args) for kind in KINDS if "drift" in args.parts)
        for line in ({"set": name, **more} for more in chain(figures, shifts)):
            print(json.dumps(line), flush=True)
            if args.out:
                with args.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
    if args.plots and rows:
        (args.plots / "certificates.svg").write_text(plot(rows), encoding="utf-8")


if __name__ == "__main__":
    main()

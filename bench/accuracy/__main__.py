"""Accuracy on public sets, of Nanosmith and of what people use today, in one run.

    python -m bench.accuracy --data FOLDER [--sets banking77 …] [--shots full 10 5] [--contenders nanosmith …]

FOLDER holds one folder per source with train.jsonl and test.jsonl. Every contender is trained on the same rows and
asked the same texts. Each result is appended to docs/accuracy.jsonl at once; started again, a run goes on with what is
missing there. At the end, and with --table alone, docs/accuracy.md and docs/accuracy.svg are written from it.
The peers need `pip install -r bench/requirements.txt`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0))))

from bench.accuracy import results
from bench.accuracy.contender import Contender, Setup
from bench.accuracy.contenders import contenders
from bench.accuracy.measure import figures, found_flips
from bench.accuracy.page import write_page
from bench.accuracy.results import Key, Result
from bench.accuracy.sets import FILES, SETS, Trial

from nanosmith.recipes.base_folder import find_base
from nanosmith.score.machine import cpu

DOCS = Path(__file__).resolve().parents[2] / "docs"


def main() -> None:
    given = arguments()
    known = contenders(given.setfit_python)
    failed = 0
    if not given.table:
        with tempfile.TemporaryDirectory() as folder:
            failed = sum(not run(key, known[key.contender], given, Path(folder)) for key in wanted(given, known))
    write_page(given.out, known)
    sys.exit(1 if failed else 0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of the sets")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--shots", nargs="+", choices=FILES, default=list(FILES), help="rows per label")
    names = list(contenders(sys.executable))
    parser.add_argument("--contenders", nargs="+", choices=names, default=names)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--budget", help="of Nanosmith's runs, such as 20m; none: no bound")
    parser.add_argument("--version", help="instead of the commit, for Nanosmith's results")
    parser.add_argument("--base", default="minilm-l6", help="of Nanosmith, SetFit, Trainer and the static vectors")
    parser.add_argument("--setfit-python", default=sys.executable, help="the interpreter that has SetFit")
    parser.add_argument("--setfit-steps", type=int, default=2_500, help="bounds SetFit's pairs on large sets")
    parser.add_argument("--kept", type=Path, help="folder for what further runs may use, such as token vectors")
    parser.add_argument("--out", type=Path, default=DOCS / "accuracy.jsonl", help="the page goes beside it")
    parser.add_argument("--table", action="store_true", help="run nothing, write the page from the results")
    given = parser.parse_args()
    if not given.data and not given.table:
        parser.error("--data is needed, or --table")
    return given


def wanted(given: argparse.Namespace, known: dict[str, Contender]) -> list[Key]:
    """What is asked for and not there yet. Seeds are the outer loop, so that an early stop leaves something of all."""
    there = {Key.of(result) for result in results.read(given.out)}
    keys = [
        _key(given, known, name, shots, contender, seed)
        for seed in given.seeds
        for name in given.sets
        for shots in given.shots if shots in SETS[name].shots
        for contender in given.contenders
        if known[contender].seeded or seed == given.seeds[0] or name.endswith("_flipped")
    ]  # fmt: skip
    return [key for key in dict.fromkeys(keys) if key not in there]


def _key(
    given: argparse.Namespace, known: dict[str, Contender], name: str, shots: str, contender: str, seed: int
) -> Key:
    is_ours = contender.startswith("nanosmith")
    version = given.version if is_ours and given.version else known[contender].version()
    return Key(name, shots, contender, seed, version, given.budget if is_ours else None)


def run(key: Key, contender: Contender, given: argparse.Namespace, folder: Path) -> bool:
    """Train, measure and append one result; tells whether it went well."""
    kept = given.kept or folder / "kept"
    kept.mkdir(parents=True, exist_ok=True)
    setup = Setup(
        key.seed, folder, kept, find_base(given.base).path, key.budget, given.setfit_python, given.setfit_steps
    )
    print(f"{time.strftime('%H:%M:%S')} {key.set} {key.shots} {key.contender} seed {key.seed}", flush=True)
    try:
        trial = SETS[key.set].make(given.data, key.shots, key.seed)
        result = measured(key, trial, contender, setup)
    except Exception:  # the other contenders go on
        traceback.print_exc()
        return False
    results.append(given.out, result)
    print(f"         {result['figures']} in {result['seconds']:.0f} s", flush=True)
    return True


def measured(key: Key, trial: Trial, contender: Contender, setup: Setup) -> Result:
    fitted = contender.fit(trial, setup)
    try:
        found, counts = figures(trial, fitted.predictor)
    finally:
        fitted.close()
    if trial.flipped and contender.suspects:
        found |= found_flips(trial.flipped, contender.suspects(trial, setup))
    return {
        **key._asdict(), "rows": len(trial.train), "labels": len(trial.labels), "figures": found, "counts": counts,
        "seconds": round(fitted.seconds, 1), "cpu_seconds": round(fitted.cpu_seconds, 1), "bytes": fitted.bytes,
        "notes": fitted.notes, "cpu": cpu().name, "threads": os.environ["OMP_NUM_THREADS"],
    }  # fmt: skip


if __name__ == "__main__":
    main()

"""How well a model that was trained on single queries answers queries that combine two of them.

    python bench/combined.py --data FOLDER [--sets clinc150 snips] [--budget 20m] [--seed 0]

FOLDER holds one folder per set with train.jsonl and test.jsonl. Two models are tuned on each set, with `nanosmith tune`
and with `nanosmith tune --combined`; what is not an option of this script goes to both. The sealed bundles answer the
test queries one by one, then joined in ways that no training shows: each test query with another one of another
`domain`, or of another label where the rows have no domain. `mixsnips` (train: snips) is answered as published.
One line per set goes to --out; the table is printed.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

OUT_OF_SCOPE = "oos"
TRAINED_ON = {"mixsnips": "snips"}
# (before, between, after), none of them in nanosmith.data.augment.patterns
WORDS = [
    ("", "; additionally, ", ""), ("", " and apart from that ", ""), ("", ". on a different note, ", ""),
    ("", ". while i have you, ", ""), ("", ", and on top of that, ", ""), ("", ". before i forget: ", ""),
    ("", " and separately ", ""), ("", ". additionally ", ""), ("", " meanwhile ", ""), ("", ". moreover ", ""),
    ("", ", furthermore ", ""), ("", ". another thing, ", ""), ("", " and lastly ", ""), ("", ", after which ", ""),
    ("quick one: ", ". and now for something else: ", ""), ("i would like two things, ", ", as well as: ", ""),
    ("", " and then one more thing, ", ""), ("", ", when that is done ", ""),
    ("", " and just after that ", " if you can"),
]  # fmt: skip
SIGNS = [("", sign, "") for sign in (" ~ ", ".. ", " -> ", " – ", ".\n", " // ", " * ", ",, ")]
NOTHING = [("", " ", "")]
KINDS = {"words": WORDS, "signs": SIGNS, "nothing": NOTHING}
Row = dict[str, Any]


def read(file: Path) -> list[Row]:
    """The rows of a file, without those that are out of scope."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [row for row in rows if row.get("label") != OUT_OF_SCOPE]


def write(file: Path, rows: list[Row]) -> Path:
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file


def joined(rows: list[Row], kind: str, seed: int) -> list[Row]:
    """Each row with a random other one of another domain (or label); the answer is the set of both labels."""
    chance = random.Random(f"{kind} {seed}")
    made = []
    for first in rows:
        second = chance.choice(rows)
        while any(first.get(key) == second.get(key) is not None for key in ("domain", "label")):
            second = chance.choice(rows)
        before, between, after = chance.choice(KINDS[kind])
        text = f"{before}{first['text']}{between}{second['text']}{after}"
        made.append({"text": text, "labels": sorted([first["label"], second["label"]])})
    return made


def run(*arguments: str) -> Row:
    """A verb of the command line; its last line of JSON."""
    command = [sys.executable, "-m", "nanosmith", *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: Row = json.loads(done.stdout.splitlines()[-1])
    return result


def percent(report: Row) -> float:
    return round(100 * report["accuracy"], 2)


def labelled(rows: list[Row]) -> list[Row]:
    return [{"text": row["text"], "label": row["label"]} for row in rows]


def joined_files(data: Path, name: str, singles: list[Row], seed: int, folder: Path) -> dict[str, Path]:
    """The joined queries, by the kind of join."""
    if name in TRAINED_ON:
        rows = [{"text": row["text"], "labels": row["labels"]} for row in read(data / name / "test.jsonl")]
        return {name: write(folder / f"{name}.jsonl", rows)}
    return {kind: write(folder / f"{kind}.jsonl", joined(singles, kind, seed)) for kind in KINDS}


def measure(data: Path, name: str, seed: int, single: bool, extra: list[str]) -> Row:
    """Tune both models and answer the singles and the joins."""
    folder = data / TRAINED_ON.get(name, name)
    singles = read(folder / "test.jsonl")
    row: Row = {"set": name, "seed": seed, "options": extra}
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)
        train = write(home / "train.jsonl", labelled(read(folder / "train.jsonl")))
        test = write(home / "single.jsonl", labelled(singles))
        joins = joined_files(data, name, singles, seed, home)
        tune = ["tune", str(train), "--test", str(test), "--home", made, "--seed", str(seed), *extra]
        if single:
            row["single_label"] = percent(run(*tune)["report"])
        began = time.monotonic()
        tuned = run(*tune, "--combined")
        row["seconds"] = round(time.monotonic() - began)
        reports = {kind: run("eval", tuned["bundle"], str(file)) for kind, file in joins.items()}
    report = tuned["report"]
    row["recipe"], row["single_combined"], row["single_ece"] = tuned["recipe"], percent(report), report["ece"]
    row["p50_ms"] = round(report["latency_ms"]["p50"], 3)
    row["joined"] = {kind: percent(found) for kind, found in reports.items()}
    row["joined_micro_f1"] = {kind: round(100 * found["micro_f1"], 2) for kind, found in reports.items()}
    row["joined_ece"] = {kind: found["ece"] for kind, found in reports.items()}
    return row


def table(rows: list[Row]) -> str:
    """Markdown: exact sets in %."""
    lines = ["| set | single, without --combined | single, with | joined | joined, ECE | seconds |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for row in rows:
        joins = ", ".join(f"{kind} {value}" for kind, value in row["joined"].items())
        errors = ", ".join(f"{100 * value:.1f}" for value in row["joined_ece"].values() if value is not None)
        cells = [row["set"], row.get("single_label", "–"), row["single_combined"], joins, errors, row["seconds"]]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["clinc150", "mixsnips"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-single", action="store_true", help="do not tune the model of single labels")
    parser.add_argument("--out", type=Path, default=Path("combined.jsonl"))
    known, extra = parser.parse_known_args()  # the rest goes to nanosmith tune
    rows = []
    for name in known.sets:
        rows.append(measure(known.data, name, known.seed, not known.no_single, extra))
        with known.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rows[-1]) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()

"""How well tuned record models extract, on public sets of slots, entities and receipts; and how fast they answer.

    python bench/records.py --data FOLDER [--sets sgd_slots sroie] [--seed 0] [--out records.jsonl]

FOLDER holds one folder per set with train.jsonl and test.jsonl; `restaurant8k/train_shard5` names another training
file. Each set is tuned with `nanosmith tune`; the figures are of the sealed bundle, through the runtime that serves.
Time per answer is that of texts of 16 tokens, beside a bare ONNX Runtime session on the same graph, in turns, on one
core. `wnut17` is compared with `--spacy PYTHON`, an interpreter that has spaCy: a blank English pipeline, trained on
the same rows.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from nanosmith.core.json_schema import fits
from nanosmith.data.load import load
from nanosmith.predict.graph_names import CODE_INPUT, GRAPH_FILE, INPUT
from nanosmith.predict.graph_session import open_session
from nanosmith.predict.open import open_predictor
from nanosmith.predict.record import RecordPredictor
from nanosmith.store.bundles import open_bundle

SETS = ("sgd_slots", "restaurant8k", "restaurant8k/train_shard5", "snips", "ncbi_disease", "wnut17", "sroie")
SENTENCE = "book a table for four people at noon on friday in the new italian place please tell me now if you can "
ROUNDS = 25
Row = dict[str, Any]

SPACY = """
import json, random, sys
import spacy
from spacy.training import Example
from spacy.util import filter_spans, fix_random_seed, minibatch
fix_random_seed(int(sys.argv[3]))
rows = [[json.loads(line) for line in open(path)] for path in sys.argv[1:3]]
pipeline = spacy.blank("en")
pipeline.add_pipe("ner")
def wanted(row):
    document = pipeline.make_doc(row["text"])
    spans = [document.char_span(e["start"], e["end"], e["label"], alignment_mode="expand") for e in row["entities"]]
    document.ents = filter_spans([span for span in spans if span])
    return document
train = [Example(pipeline.make_doc(row["text"]), wanted(row)) for row in rows[0]]
optimizer = pipeline.initialize(lambda: train)
for _ in range(30):
    random.shuffle(train)
    for batch in minibatch(train, 32):
        pipeline.update(batch, sgd=optimizer, drop=0.2)
both = found = gold = 0
for row in rows[1]:
    got = {(e.label_, e.start_char, e.end_char) for e in pipeline(row["text"]).ents}
    want = {(e["label"], e["start"], e["end"]) for e in row["entities"]}
    both, found, gold = both + len(got & want), found + len(got), gold + len(want)
print(json.dumps({"spacy": spacy.__version__, "spacy_f1": round(200 * both / max(1, found + gold), 2)}))
"""


def tuned(train: Path, test: Path, home: Path, seed: int) -> tuple[Row, float]:
    """The report of a run, and its seconds."""
    began = time.monotonic()
    command = [sys.executable, "-m", "nanosmith", "tune", str(train), "--test", str(test), "--home", str(home),
               "--name", "records", "--seed", str(seed), "--json"]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: Row = json.loads(done.stdout.splitlines()[-1])
    return {**result["report"], "bundle": result["bundle"]}, time.monotonic() - began


def valid_share(predictor: RecordPredictor, test: Path) -> float:
    """The share of answers to the test texts that obey the schema."""
    form = predictor.task.record
    assert form is not None
    inputs = [example.messages for example in load(test, task=predictor.task).examples]
    answers = [json.loads(str(answer.value)) for answer in predictor.stream(inputs)]
    return float(np.mean([fits(answer, form.schema, dict(form.schema)) for answer in answers]))


def speed(bundle: Path) -> Row:
    """Milliseconds of an answer to 16 tokens, and its ratio to a bare session."""
    predictor = open_predictor(bundle)
    assert isinstance(predictor, RecordPredictor)
    session = open_session(str(open_bundle(bundle).file(GRAPH_FILE)))
    texts = [" ".join((SENTENCE * 2).split()[start : start + 14]) for start in range(20)]
    ids = [np.array([[101, *predictor.token_ids(text)[0], 102]], dtype=np.int64) for text in texts]
    given = [{INPUT: one, CODE_INPUT: np.zeros_like(one)} for one in ids]
    times: dict[str, list[float]] = {"bare": [], "record": []}
    for number in range(ROUNDS + 2):
        for name, call in (
            ("bare", lambda i: session.run(None, given[i])), ("record", lambda i: predictor.predict([texts[i]])),
        ):  # fmt: skip
            for i in range(len(texts)):
                began = time.perf_counter_ns()
                call(i)
                if number >= 2:
                    times[name].append((time.perf_counter_ns() - began) / 1e6)
    p50 = {name: float(np.median(values)) for name, values in times.items()}
    return {"tokens": float(np.mean([one.size for one in ids])), "p50_ms": round(p50["record"], 3),
            "to_bare": round(p50["record"] / p50["bare"], 2)}  # fmt: skip


def measured(data: Path, name: str, seed: int, spacy: str | None) -> Row:
    folder, _, train = name.partition("/")
    files = data / folder / f"{train or 'train'}.jsonl", data / folder / "test.jsonl"
    with tempfile.TemporaryDirectory() as home:
        report, seconds = tuned(*files, Path(home), seed)
        bundle = Path(report["bundle"])
        predictor = open_predictor(bundle)
        assert isinstance(predictor, RecordPredictor)
        row = {"set": name, "record_match": round(100 * report["record_match"], 2),
               "span_f1": report["span_f1"] and round(100 * report["span_f1"], 2), "ece": report.get("ece"),
               "fields": {field["name"]: round(100 * field["accuracy"], 2) for field in report["fields"]
                          if field["type"] != "entity"},
               "valid": valid_share(predictor, files[1]), "seconds": round(seconds), **speed(bundle)}  # fmt: skip
    if spacy and folder == "wnut17":
        done = subprocess.run([spacy, "-c", SPACY, *map(str, files), str(seed)], stdout=subprocess.PIPE, check=True)
        row |= json.loads(done.stdout)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--spacy")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    for name in given.sets:
        row = json.dumps(measured(given.data, name, given.seed, given.spacy))
        print(row, flush=True)
        if given.out:
            with given.out.open("a", encoding="utf-8") as file:
                file.write(row + "\n")


if __name__ == "__main__":
    main()

"""What compression costs in accuracy, on the test split of each set, and the plot docs/compress.svg.

    python bench/compress.py --home HOME --sets data/banking77 DATA/clinc150 --oos-label oos --plot docs/compress.svg

For each set a teacher is tuned from train.jsonl, unless HOME has one of the set's name, and compressed for the GOALS.
All students that these left in HOME are then asked test.jsonl, one text per call: bytes of the folder, p50, accuracy,
points lost against the teacher on the same texts, with their 95 % interval. The last rows tell which students were
chosen, and what 50, 70 and 90 % of zeros leave of the encoders. Called again, it goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.cli.progress import RichWatch
from nanosmith.core.goal import Goal
from nanosmith.core.manifest import MANIFEST_NAME
from nanosmith.core.settings import TuneSettings
from nanosmith.data.as_labels import load_test
from nanosmith.data.dataset import Dataset
from nanosmith.data.scope import apart, knowing
from nanosmith.flows.compress import compress
from nanosmith.flows.lesson import answered
from nanosmith.flows.student_search import folder_bytes
from nanosmith.flows.tune import tune
from nanosmith.predict.open import open_predictor
from nanosmith.score.front import Point, loss, with_front
from nanosmith.score.latency import measure
from nanosmith.score.render.front import plot
from nanosmith.store.bundles import Bundle, open_bundle
from nanosmith.store.home import Home, open_home
from nanosmith.store.named import model_bundles

GOALS = {
    "8 MB": Goal(bytes=8_000_000, loss_points=0.5),
    "2 MB, 50 µs": Goal(bytes=2_000_000, latency_ms=0.05, loss_points=4.0),
}
TIMED = 300  # calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--sets", type=Path, nargs="+", required=True)
    parser.add_argument("--oos-label", help="of the sets that have it")
    parser.add_argument("--plot", type=Path)
    asked = parser.parse_args()
    home, panels = open_home(asked.home), {}
    for folder in asked.sets:
        with RichWatch() as watch:
            teacher = _teacher(folder, home, asked.oos_label, watch)
            sparsity = dict(_compressed(folder, teacher, goal, home, watch) for goal in GOALS.items())
            panels[folder.name] = _measured(folder, teacher, home, watch)
        for point in (panels[folder.name][0], *panels[folder.name][1]):
            print(json.dumps({"set": folder.name, **msgspec.to_builtins(point)}), flush=True)
        print(json.dumps({"set": folder.name, "chosen": sparsity}), flush=True)
    if asked.plot:
        asked.plot.write_text(plot(panels), encoding="utf-8")


def _teacher(folder: Path, home: Home, oos_label: str | None, watch: RichWatch) -> Bundle:
    if folder.name not in model_bundles(home):
        has_it = oos_label is not None and f'"{oos_label}"' in (folder / "train.jsonl").read_text(encoding="utf-8")
        settings = TuneSettings(name=folder.name, recipe="tune_encoder", oos_label=oos_label if has_it else None)
        tune(folder / "train.jsonl", test=folder / "test.jsonl", settings=settings, home=home, watch=watch)
    return open_bundle(model_bundles(home)[folder.name])


def _compressed(
    folder: Path, teacher: Bundle, goal: tuple[str, Goal], home: Home, watch: RichWatch
) -> tuple[str, dict[str, Any]]:
    """What was chosen for a goal, and what zeros leave of the encoders that were trained for it."""
    made = compress(str(teacher.path), folder / "train.jsonl", goal=goal[1], home=home, watch=watch)
    sparse = {point.name: point.sparsity for point in made.front if point.sparsity}
    return goal[0], {"chosen": made.chosen.name if made.chosen else None, "sparsity": sparse}


def _measured(folder: Path, teacher: Bundle, home: Home, watch: RichWatch) -> tuple[Point, list[Point]]:
    """The teacher and all of its students on the test split."""
    scope = teacher.manifest.scope
    none = scope.label if scope else None
    test, _ = apart(load_test(folder / "test.jsonl", knowing(teacher.manifest.task, none)), none)
    right = answered(open_predictor(teacher), test, watch, "test the teacher")
    found = []
    for place in sorted((home.cache / "compress").glob(f"*/*/{MANIFEST_NAME}")):
        bundle = open_bundle(place.parent)
        if bundle.manifest.base.sha256 == teacher.manifest.model_digest:
            of_student = answered(open_predictor(bundle), test, watch, f"test {place.parent.name}")
            found.append(_point(place.parent.name, bundle, test, loss(right, of_student)))
    return _point(folder.name, teacher, test, loss(right, right)), with_front(found)


def _point(name: str, bundle: Bundle, test: Dataset, found: Any) -> Point:
    latency = measure(open_predictor(bundle), [example.messages for example in test.examples[:TIMED]])
    return Point(name, bundle.manifest.recipe, folder_bytes(bundle), latency.p50, found)


if __name__ == "__main__":
    main()

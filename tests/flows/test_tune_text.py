from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from nanosmith.core.errors import InputError
from nanosmith.core.settings import TuneSettings
from nanosmith.flows.tune import tune
from nanosmith.flows.tune_text import evenly, report_s
from nanosmith.predict.open import open_predictor
from nanosmith.store.home import Home
from nanosmith.testing import topic_rows, write_chat
from nanosmith.testing.tiny_decoder import save_tiny_decoder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_decoder(tmp_path_factory.mktemp("decoder") / "base")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def rows(n: int = 24) -> list[dict[str, object]]:
    return [{"text": f"number {i}", "output": f"It is {i}, you see."} for i in range(n)]


def test_texts_from_file_to_answers(base: Path, home: Home, tmp_path: Path) -> None:
    """A file of texts becomes a sealed model of the kind text on a base of its own, with held-out losses in its
    manifest and the text figures in its report, and a second model shares the base."""
    file = write(tmp_path / "train.jsonl", rows())
    settings = TuneSettings(base=str(base), epochs=2)
    tuned = tune(file, settings=settings, home=home)
    manifest = tuned.bundle.manifest
    assert (manifest.task.kind, manifest.recipe, manifest.predictor) == ("text", "tune_decoder/1", "decoder/1")
    assert len(manifest.notes["held_out"]["passes"]) == 2
    assert tuned.report.text is not None
    assert open_predictor(tuned.bundle).predict(["number 3"])[0].by == "train"
    general = str(write(tmp_path / "general.jsonl", rows(40)))
    again = tune(file, settings=msgspec.structs.replace(settings, general=general), home=home)
    assert again.trained_tokens > tuned.trained_tokens  # of a quarter of general examples
    assert len(list(home.bundles.glob("base-*"))) == 1
    assert again.model_name == "train-2"


def test_preferences_from_file_to_answers(base: Path, home: Home, tmp_path: Path) -> None:
    """A file in the preference format is learnt with dpo, from the base's loss of ln 2 on."""
    lines: list[dict[str, object]] = [
        {
            "input": {"messages": [{"role": "user", "content": f"shall we {i}"}]},
            "preferred_output": [{"role": "assistant", "content": "yes please"}],
            "non_preferred_output": [{"role": "assistant", "content": "no way"}],
        }
        for i in range(16)
    ]
    file = write(tmp_path / "preferences.jsonl", lines)
    manifest = tune(file, settings=TuneSettings(base=str(base), epochs=1, beta=0.3), home=home).bundle.manifest
    assert (manifest.settings["method"], manifest.settings["beta"]) == ("dpo", 0.3)
    assert manifest.notes["held_out"]["before"] == pytest.approx(0.6931, abs=1e-3)
    with pytest.raises(InputError, match="not those of this method"):
        tune(file, settings=TuneSettings(base=str(base), method="supervised"), home=home)
    with pytest.raises(InputError, match="answers alone"):
        tune(file, settings=TuneSettings(base=str(base), general=str(file)), home=home)


def test_a_domains_text_is_learnt(base: Path, home: Home, tmp_path: Path) -> None:
    """Paragraphs of a text file are learnt with --method domain, and the report asks to go on with held-out ones."""
    file = tmp_path / "manual.txt"
    file.write_text("\n\n".join(f"Paragraph {i} is about the part of number {i}." for i in range(12)))
    tuned = tune(file, settings=TuneSettings(base=str(base), epochs=1, method="domain"), home=home)
    assert tuned.bundle.manifest.settings["method"] == "domain"
    assert tuned.report.text is not None


def test_labels_are_written_where_that_is_asked_for(base: Path, home: Home, tmp_path: Path) -> None:
    """With the size mini a decoder learns to write single labels; sets of labels are refused."""
    file = tmp_path / "topics.jsonl"
    write_chat(file, topic_rows(30))
    tuned = tune(file, settings=TuneSettings(base=str(base), size="mini", epochs=2), home=home)
    answer = open_predictor(tuned.bundle).predict(["where is the parcel number 3"])[0]
    assert answer.value in tuned.bundle.manifest.task.labels
    assert sum(answer.probabilities) == pytest.approx(1)
    sets = write(tmp_path / "sets.jsonl", [{"text": f"number {i}", "labels": ["a", "b"][: i % 3]} for i in range(12)])
    with pytest.raises(InputError, match="sets of labels"):
        tune(sets, settings=TuneSettings(base=str(base), size="mini"), home=home)


def test_a_bundle_elsewhere_needs_nothing_beside_it(base: Path, home: Home, tmp_path: Path) -> None:
    """Outside of the home a bundle holds its base."""
    file = write(tmp_path / "train.jsonl", rows(12))
    tuned = tune(file, settings=TuneSettings(base=str(base), epochs=1), home=home, out=tmp_path / "away" / "model")
    assert (tuned.bundle.path / "base" / "manifest.json").is_file()
    assert open_predictor(tuned.bundle).predict(["number 3"])[0].tokens > 0


def test_encoders_write_nothing(base_folder: Path, tmp_path: Path) -> None:
    """An encoder as the base of texts is refused, saying what is needed."""
    file = write(tmp_path / "train.jsonl", rows(12))
    with pytest.raises(InputError, match="no decoder"):
        tune(file, settings=TuneSettings(base=str(base_folder)), home=Home(tmp_path / "home"))


def test_settings_of_labels_are_refused(base: Path, tmp_path: Path) -> None:
    """What only labels have is refused before any training."""
    file = write(tmp_path / "train.jsonl", rows(12))
    with pytest.raises(InputError, match="size"):
        tune(file, settings=TuneSettings(base=str(base), size="nano"), home=Home(tmp_path / "home"))


def test_report_examples_are_evenly_chosen() -> None:
    """As many as there is time for, from the whole file."""
    assert evenly(10, 4) == [0, 2, 5, 7]
    assert evenly(3, 20) == [0, 1, 2]


@pytest.mark.parametrize(("budget_s", "seconds"), [(None, 120.0), (100.0, 20.0), (3600.0, 120.0)])
def test_a_budget_bounds_the_report_too(budget_s: float | None, seconds: float) -> None:
    """At most a fifth of the budget goes into writing for the report."""
    assert report_s(TuneSettings(budget_s=budget_s)) == seconds

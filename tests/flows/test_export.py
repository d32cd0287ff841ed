"""The export flow: bundles in the formats of other runtimes, run and compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
from tests.recipes.conftest import CHOICE, LABELS, topic_samples
from tests.recipes.conftest import base as base  # a fixture
from tests.recipes.conftest import work as work  # a fixture
from tests.recipes.test_contract import opened
from tests.recipes.test_tune_segments import single_topics

from nanosmith.core.errors import InputError, MissingExtra, NotFound
from nanosmith.core.task import Task
from nanosmith.flows.export import CHECKED, export
from nanosmith.flows.export_texts import sample_inputs
from nanosmith.predict.native.library import VARIABLE
from nanosmith.recipes.work import Work
from nanosmith.store.bundles import open_bundle
from nanosmith.testing import tiny_bundle
from nanosmith.testing.tiny import tiny_scope

CONVERTERS = [("openvino", "openvino"), ("coreml", "coremltools"), ("litert", "litert_torch")]


@pytest.fixture(autouse=True)
def same_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundle answers in ONNX Runtime too, so that answers are equal and not only alike."""
    monkeypatch.setenv(VARIABLE, "0")


@pytest.mark.parametrize("task", [CHOICE, LABELS], ids=["choice", "labels"])
@pytest.mark.parametrize("recipe", ["static/1", "frozen_linear/1", "tfidf_linear/1"])
def test_onnx_answers_as_the_bundle(recipe: str, task: Task, work: Callable[..., Work], tmp_path: Path) -> None:
    """Whatever the runtime, the example in the folder gives the bundle's answers and probabilities."""
    opened(work(task), recipe, tmp_path)
    exported = export(tmp_path / "bundle", "onnx", tmp_path / "out")
    python, *in_node = exported.checks
    assert python.ran
    assert python.same_answer == python.texts > 50
    assert python.max_probability_difference is not None
    assert python.max_probability_difference < 1e-4
    assert exported.operators["ai.onnx"] == 18
    assert {"model.onnx", "model.json", "example.py", "example.mjs", "index.html", "README.md"} <= exported.files.keys()
    assert [check.ran for check in in_node] == [False, False]


def test_joined_queries(work: Callable[..., Work], tmp_path: Path) -> None:
    """A bundle that takes queries apart does so in the example too."""
    options = {"n_epochs": 2, "batch_size": 4, "learning_rate_multiplier": 10.0}
    singles = work(LABELS, train=single_topics(30), tune=single_topics(12), options=options)
    opened(singles, "tune_segments/1", tmp_path)
    rows = topic_samples(CHOICE, 30).texts
    texts = [*rows, *(f"{a} and {b}" for a, b in pairwise(rows)), "", "refund"]
    (python, *_) = export(tmp_path / "bundle", "onnx", tmp_path / "out", inputs=texts).checks
    assert python.same_answer == python.texts == len(texts)
    assert (python.max_probability_difference or 0) < 1e-3


def test_standard_operators_alone(work: Callable[..., Work], tmp_path: Path) -> None:
    """--portable has no operators of ONNX Runtime; its scales per token move probabilities a little."""
    opened(work(), "frozen_linear/1", tmp_path)
    exported = export(tmp_path / "bundle", "onnx", tmp_path / "out", portable=True)
    assert exported.operators == {"ai.onnx": 18}
    assert exported.checks[0].same_answer >= 0.9 * exported.checks[0].texts
    assert (exported.checks[0].max_probability_difference or 0) < 0.2


def test_as_the_kernel_answers(work: Callable[..., Work], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel serves, the graph has its scales per token."""
    monkeypatch.delenv(VARIABLE)
    predictor, _ = opened(work(), "frozen_linear/1", tmp_path)
    if getattr(predictor, "engine", "onnxruntime") == "onnxruntime":
        pytest.skip("the kernel does not serve this graph here")
    exported = export(tmp_path / "bundle", "onnx", tmp_path / "out")
    assert exported.operators == {"ai.onnx": 18}
    assert exported.checks[0].same_answer == exported.checks[0].texts
    assert (exported.checks[0].max_probability_difference or 0) < 0.03


def test_what_is_out_of_scope(tmp_path: Path) -> None:
    """The example refuses what the bundle refuses, with the bundle's label for it."""
    tiny_bundle(tmp_path / "tiny", scope=tiny_scope("none"))
    export(tmp_path / "tiny", "onnx", tmp_path / "out", inputs=["my refund", "nothing of it"])
    rows = [json.loads(line) for line in (tmp_path / "out" / "check.jsonl").read_text().splitlines()]
    assert [row["answer"] for row in rows] == ["refund", "none"]
    assert "2 of 2 answers are the bundle's" in (tmp_path / "out" / "README.md").read_text()


def test_long_inputs_are_limited(tmp_path: Path) -> None:
    """Only the first texts of many are compared."""
    tiny_bundle(tmp_path / "tiny")
    exported = export(tmp_path / "tiny", "onnx", tmp_path / "out", inputs=["refund"] * (CHECKED + 5))
    assert exported.checks[0].texts == CHECKED


def test_targets_of_a_bundle(tmp_path: Path) -> None:
    """A target that there is not, or that the bundle cannot become, is refused with those that it can."""
    tiny_bundle(tmp_path / "tiny")
    with pytest.raises(InputError, match=r"no such target.*onnx, openvino, coreml, litert"):
        export(tmp_path / "tiny", "tflite", tmp_path / "out")
    with pytest.raises(InputError, match=r"cannot be exported so.*onnx, openvino, coreml, litert"):
        export(tmp_path / "tiny", "gguf", tmp_path / "out")
    with pytest.raises(InputError, match="only ONNX"):
        export(tmp_path / "tiny", "openvino", tmp_path / "out", portable=True)
    with pytest.raises(NotFound):
        export(tmp_path / "none", "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("target", "module"), [("openvino", "openvino"), ("coreml", "coremltools"), ("litert", "litert_torch")]
)
def test_converters_that_are_not_installed(target: str, module: str, tmp_path: Path) -> None:
    """The pip line is told before any work starts."""
    if find_spec(module):
        pytest.skip(f"{module} is installed")
    tiny_bundle(tmp_path / "tiny")
    with pytest.raises(MissingExtra, match=rf"pip install 'nanosmith\[{target}\]'"):
        export(tmp_path / "tiny", target, tmp_path / "out")


@pytest.mark.long
@pytest.mark.parametrize(
    ("target", "module"), [("openvino", "openvino"), ("coreml", "coremltools"), ("litert", "litert_torch")]
)
@pytest.mark.parametrize("recipe", ["static/1", "frozen_linear/1"])
def test_converters(target: str, module: str, recipe: str, work: Callable[..., Work], tmp_path: Path) -> None:
    """What was converted and can be run here gives the bundle's answers; Core ML says that it was not run."""
    pytest.importorskip(module)
    opened(work(), recipe, tmp_path)
    (check,) = export(tmp_path / "bundle", target, tmp_path / "out").checks
    assert check.ran == (target != "coreml")
    assert check.same_answer >= 0.95 * check.texts


def test_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    """Nothing that is there is overwritten; an empty folder is taken, and nothing else stays behind."""
    tiny_bundle(tmp_path / "tiny")
    out = tmp_path / "there" / "out"
    out.mkdir(parents=True)
    (out / "mine").touch()
    with pytest.raises(InputError, match="something already"):
        export(tmp_path / "tiny", "onnx", out)
    (out / "mine").unlink()
    export(tmp_path / "tiny", "onnx", out)
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_texts_of_a_bundle_are_always_the_same(tmp_path: Path) -> None:
    """Texts made of a bundle's own words have its labels, and one that is longer than what is read."""
    bundle = tiny_bundle(tmp_path / "tiny")
    texts = sample_inputs(bundle)
    assert texts == sample_inputs(open_bundle(bundle.path))
    assert {"refund", "login", "delivery", ""} <= set(texts)  # type: ignore[arg-type]
    assert max(len(str(text).split()) for text in texts) > bundle.manifest.max_tokens

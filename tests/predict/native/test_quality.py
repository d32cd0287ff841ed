from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nanosmith.predict.graph_session import GraphSession, OnnxSession
from nanosmith.predict.native.encoder import open_native
from nanosmith.recipes.base_folder import find_base
from nanosmith.recipes.parts.base import Base
from nanosmith.recipes.parts.graph import Mode, build, linear_names
from nanosmith.recipes.parts.ranges import activation_ranges

DATA = Path(__file__).parents[3] / "data/banking77"
TEXTS = 500


def rows_of(file: str, count: int) -> tuple[list[str], list[str]]:
    """Texts and labels of `count` examples, spread over the file."""
    examples = [json.loads(line)["messages"] for line in (DATA / file).read_text().splitlines()]
    examples = examples[:: len(examples) // count][:count]
    return [one[-2]["content"] for one in examples], [one[-1]["content"] for one in examples]


def vectors(session: GraphSession, rows: list[list[int]]) -> np.ndarray:
    return np.stack([found[0] for found in session.run(["embedding"], rows)])


@pytest.mark.long
@pytest.mark.usefixtures("kernel_library")
def test_is_nearer_to_float32_than_onnx_runtime(tmp_path: Path) -> None:
    """Of the real base, with the nearest mean of a class as answer: with a scale per token the kernel's vectors are
    nearer to those of float32 than ONNX Runtime's with one per text, and no fewer answers are right."""
    base = Base(find_base("minilm-l6"))
    encoder = base.new_encoder().eval()
    train, train_labels = rows_of("train.jsonl", 2 * TEXTS)
    test, labels = rows_of("test.jsonl", TEXTS)
    weights = {name: tensor.numpy() for name, tensor in encoder.state_dict().items()}
    ranges = activation_ranges(base, encoder, base.token_ids(train[::8]))

    def written(mode: Mode) -> Path:
        modes = dict.fromkeys(linear_names(int(base.config["num_hidden_layers"])), mode)
        model = build(weights, None, base.config, pooling=base.pooling, max_tokens=base.max_tokens, modes=modes,
                      ranges=ranges)  # fmt: skip
        (tmp_path / mode).write_bytes(model.SerializeToString())
        return tmp_path / mode

    exact, native = OnnxSession(written("float32")), open_native(written("int8"))
    if native is None:
        pytest.skip("this machine has no kernel")
    classes = sorted(set(train_labels))
    seen = vectors(exact, base.token_ids(train))
    means = np.stack([seen[np.array(train_labels) == label].mean(axis=0) for label in classes])
    rows = base.token_ids(test)
    wanted = vectors(exact, rows)
    found = {"native": vectors(native, rows), "onnxruntime": vectors(OnnxSession(tmp_path / "int8"), rows)}
    error = {name: float(np.linalg.norm(each - wanted, axis=1).mean()) for name, each in found.items()}
    answers = {name: (each @ means.T).argmax(axis=1) for name, each in (*found.items(), ("float32", wanted))}
    right = {name: [classes[i] for i in each] for name, each in answers.items()}
    accuracy = {name: float(np.mean([a == b for a, b in zip(each, labels)])) for name, each in right.items()}
    print(json.dumps({"error": error, "accuracy": accuracy}))
    assert error["native"] < error["onnxruntime"]
    assert accuracy["native"] >= accuracy["onnxruntime"] - 0.005

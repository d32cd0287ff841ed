from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from tests.predict.native.conftest import Write

from nanosmith.predict.native.encoder import open_native
from nanosmith.predict.native.onnx_file import read_graph


@pytest.mark.parametrize(("mode", "kind"), [("int8", "record"), ("int8", "segments"), ("block8", "choice")])
def test_reads_what_onnx_reads(mode: str, kind: str, write: Write) -> None:
    """Nodes, their numeric attributes, constants, inputs and outputs are those that the onnx package finds."""
    found, wanted = read_graph(write(mode=mode, kind=kind)), onnx.load(write(mode=mode, kind=kind)).graph
    assert found.inputs == [value.name for value in wanted.input]
    assert found.outputs == [value.name for value in wanted.output]
    for ours, node in zip(found.nodes, wanted.node, strict=True):
        assert ours.op == ".".join(filter(None, (node.domain, node.op_type)))
        assert (list(ours.inputs), list(ours.outputs)) == (list(node.input), list(node.output))
        assert ours.attributes == {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    assert list(found.constants) == [tensor.name for tensor in wanted.initializer]
    for tensor in wanted.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        assert found.constants[tensor.name].dtype == array.dtype
        assert np.array_equal(found.constants[tensor.name], array)


def test_damaged_files_are_value_errors(write: Write, tmp_path: Path) -> None:
    """Whatever bytes are changed or missing, reading ends with a graph or with ValueError, and opening with an encoder
    or without one."""
    whole = write().read_bytes()
    random = np.random.default_rng(2)
    path = tmp_path / "m.onnx"
    for _ in range(150):
        content = bytearray(whole[: int(random.integers(1, len(whole)))] if random.random() < 0.3 else whole)
        for place in random.integers(0, min(len(content), 400 if random.random() < 0.5 else len(content)), size=3):
            content[place] = random.integers(256)
        path.write_bytes(content)
        try:
            read_graph(path)
        except ValueError:
            assert open_native(path) is None
        else:
            open_native(path)


def test_an_empty_file_is_no_graph(tmp_path: Path) -> None:
    """There is nothing to map."""
    (tmp_path / "m.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match="empty"):
        read_graph(tmp_path / "m.onnx")


def saved_apart(folder: Path) -> Path:
    """A graph with one constant of six floats in another file."""
    constant = onnx.numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(2, 3), "c")
    node = onnx.helper.make_node("Add", ["x", "c"], ["y"])
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 3]) for name in "xy"]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", values[:1], values[1:], [constant]))
    path = folder / "m.onnx"
    onnx.save(model, path, save_as_external_data=True, location="m.data", size_threshold=0)
    return path


def test_constants_in_another_file(tmp_path: Path) -> None:
    """They are read from the file beside the graph."""
    assert read_graph(saved_apart(tmp_path)).constants["c"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_constants_outside_of_the_folder_or_the_file(tmp_path: Path) -> None:
    """A path out of the folder is not followed, and a file that is too short is a ValueError."""
    path = saved_apart(tmp_path)
    model = onnx.load(path, load_external_data=False)
    location = next(entry for entry in model.graph.initializer[0].external_data if entry.key == "location")
    location.value = "../m.data"
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match="outside"):
        read_graph(tmp_path / "inner/m.onnx")
    (tmp_path / "m.data").write_bytes(b"\0" * 20)
    with pytest.raises(ValueError, match="beyond"):
        read_graph(path)

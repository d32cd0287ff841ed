from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from tests.predict.native import reference
from tests.predict.native.conftest import CODES, NATIVE, TOKENS, Write, kernels

from nanosmith.core.errors import Damaged
from nanosmith.predict.graph_session import OnnxSession, open_graph
from nanosmith.predict.native import encoder as module
from nanosmith.predict.native import library
from nanosmith.predict.native.encoder import NativeEncoder, open_native
from nanosmith.predict.native.onnx_file import read_graph
from nanosmith.predict.native.plan import plan_of
from nanosmith.recipes.parts.graph import Mode

KINDS = [("mean", "choice"), ("cls", "choice"), ("mean", "record"), ("mean", "segments"), ("cls", "embedder")]
pytestmark = pytest.mark.usefixtures("kernel_library")


def rows_of_all_lengths() -> list[list[int]]:
    random = np.random.default_rng(1)
    return [random.integers(0, 40, size=1 + (37 * i) % TOKENS).tolist() for i in range(TOKENS)]


def codes_for(rows: list[list[int]], kind: str) -> list[list[int]] | None:
    return [[i % CODES for i in row] for row in rows] if kind == "record" else None


def opened(path: Path, kernel: str) -> NativeEncoder:
    return NativeEncoder(plan_of(read_graph(path)), kernel)


def test_the_inside_holds_under_the_sanitizers(native_build: object, tmp_path: Path) -> None:
    """GELU and exp are right to float32, all kernels' products are exact, a row is the same in any company bit for bit,
    and wrong requests and encoders are refused; with no memory error and no undefined behaviour on the way."""
    flags = ["-O1", "-g", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined",
             "-fno-sanitize-recover=undefined", f"-I{NATIVE}"]  # fmt: skip
    sources = (*native_build.EVERYWHERE, *native_build.X86, ("check.c", ("-mavx2", "-mfma")), ("check_decoder.c", ()))  # type: ignore[attr-defined]
    if not library._runs("avx2"):
        pytest.skip("the check itself is compiled for AVX2")
    for number, (source, own) in enumerate(sources):
        path = NATIVE / source if (NATIVE / source).exists() else Path(__file__).with_name(source)
        subprocess.run(["cc", *flags, *own, "-c", path, "-o", tmp_path / f"{number}.o"], check=True)
    subprocess.run(["cc", *flags, *tmp_path.glob("*.o"), "-o", tmp_path / "check", "-lm", "-pthread"], check=True)
    done = subprocess.run(
        [tmp_path / "check"], capture_output=True, text=True, check=False, env={"ASAN_OPTIONS": "detect_leaks=0"}
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 failures\n", "")


@pytest.mark.parametrize(("pooling", "kind"), KINDS)
def test_is_the_reference(pooling: str, kind: str, write: Write) -> None:
    """Every kernel gives what numpy computes with the same quantisation, at every length; a rounding may fall the other
    way now and then."""
    path, rows = write(pooling, kind=kind), rows_of_all_lengths()
    plan, codes = plan_of(read_graph(path)), codes_for(rows, kind)
    for kernel in kernels():
        native = opened(path, kernel)
        found = native.run(list(native.outputs), rows, codes)
        apart: dict[str, list[float]] = {name: [] for name in native.outputs}
        for i, row in enumerate(rows):
            wanted = reference.outputs(plan, row, codes[i] if codes else None)
            for name, given in zip(native.outputs, found[i]):
                assert given.shape == wanted[name].shape
                apart[name].append(float(np.abs(given - wanted[name]).mean() / wanted[name].std()))
        assert all(np.median(each) < 1e-4 and max(each) < 0.05 for each in apart.values()), (kernel, apart)


def test_kernels_agree(write: Write) -> None:
    """AVX2 and AVX-512 VNNI give the same bits."""
    rows = rows_of_all_lengths()
    found = [opened(write(), name).run(["logits"], rows) for name in ("avx2", "avx512vnni") if name in kernels()]
    if len(found) < 2:
        pytest.skip("this machine runs only one of them")
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(*found))


@pytest.mark.parametrize("mode", ["int8", "int4"])
@pytest.mark.parametrize(("pooling", "kind"), KINDS)
def test_is_near_onnx_runtime(pooling: str, kind: str, mode: Mode, write: Write) -> None:
    """What ONNX Runtime computes is the same within the noise of int8, whose weights may be four bits in the file."""
    path, rows = write(pooling, mode, kind), rows_of_all_lengths()
    native, other, codes = open_native(path), OnnxSession(path), codes_for(rows, kind)
    assert native is not None
    assert native.outputs == other.outputs
    pairs = zip(zip(*native.run(list(native.outputs), rows, codes)), zip(*other.run(list(native.outputs), rows, codes)))
    for ours, theirs in pairs:
        a, b = (np.concatenate([each.ravel() for each in one]) for one in (ours, theirs))
        assert 0 < np.abs(a - b).mean() < 0.1 * b.std()


def test_rows_are_the_same_alone(write: Write) -> None:
    """A row's answer is the same bits alone, in any batch, and while other threads answer."""
    native, rows = open_graph(write("cls")), rows_of_all_lengths()
    alone = [native.run(["logits", "embedding"], [row])[0] for row in rows]
    wrong: list[int] = []

    def again(start: int) -> None:
        turned = native.run(["logits", "embedding"], rows[start:] + rows[:start])
        pairs = zip(turned, alone[start:] + alone[:start])
        wrong.extend(start for a, b in pairs if not all(np.array_equal(x, y) for x, y in zip(a, b)))

    threads = [threading.Thread(target=again, args=(start,)) for start in range(0, TOKENS, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_wrong_rows_are_refused(write: Write) -> None:
    """Ids that there are not, empty rows, rows that are too long, and codes that do not fit raise Damaged."""
    native, record = opened(write(), "portable"), opened(write(kind="record"), "portable")
    for row in ([-1], [10**6], [2**31], [-(2**40)], [], [1] * (TOKENS + 1)):
        with pytest.raises(Damaged):
            native.run(["logits"], [[1], row])
    for codes in (None, [[0]], [[0, CODES]], [[0, -1]]):
        with pytest.raises(Damaged):
            record.run(["tags"], [[1, 2]], codes)


def test_no_rows_no_answers(write: Write) -> None:
    """Nothing is asked, nothing is answered."""
    assert opened(write(), "portable").run(["logits"], []) == []


@pytest.mark.parametrize("mode", ["block8", "float32"])
def test_other_graphs_run_in_onnx_runtime(mode: str, write: Write) -> None:
    """A graph with layers that the kernel does not know, and more than one thread, are left to ONNX Runtime."""
    assert open_graph(write(mode=mode)).engine == "onnxruntime"
    assert open_graph(write(), threads=2).engine == "onnxruntime"
    assert open_graph(write()).engine == f"native/{library.kernel_name()}"


def test_weights_beyond_seven_bits_are_not_packed(write: Write) -> None:
    """A weight above 64 could overflow 16 bits, so such a graph is left to ONNX Runtime."""
    plan = plan_of(read_graph(write()))
    weight = plan.layers[0].up.weight.copy()
    weight[3, 5] = 65
    layer = plan.layers[0]._replace(up=plan.layers[0].up._replace(weight=weight))
    with pytest.raises(module.UnknownGraph):
        NativeEncoder(plan._replace(layers=[layer, *plan.layers[1:]]), "portable")

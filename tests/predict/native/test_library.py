from __future__ import annotations

from pathlib import Path

import pytest
from tests.predict.native.conftest import Write

from nanosmith.core.errors import Misconfigured
from nanosmith.predict.graph_session import open_graph
from nanosmith.predict.native import library


@pytest.mark.usefixtures("kernel_library")
def test_the_variable_chooses(monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    """NANOSMITH_NATIVE=0 means ONNX Runtime, a kernel's name that kernel, 1 the best; other names are refused."""
    best = library.kernel_name()
    for value, kernel in (("0", None), ("off", None), ("portable", "portable"), ("1", best), ("", best)):
        monkeypatch.setenv(library.VARIABLE, value)
        assert library.kernel_name() == kernel
        assert open_graph(write()).engine == (f"native/{kernel}" if kernel else "onnxruntime")
    monkeypatch.setenv(library.VARIABLE, "avx3")
    with pytest.raises(Misconfigured, match="portable"):
        open_graph(write())


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write: Write) -> None:
    """Where it was not built, ONNX Runtime answers; to insist on a kernel is an error that says what to do."""
    monkeypatch.setattr(library, "LIBRARY", tmp_path / "libencoder.so")
    library.library.cache_clear()
    assert open_graph(write()).engine == "onnxruntime"
    monkeypatch.setenv(library.VARIABLE, "avx2")
    with pytest.raises(Misconfigured, match="NANOSMITH_NATIVE"):
        library.kernel_name()
    library.library.cache_clear()


def test_a_file_that_is_no_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A broken library counts as none."""
    monkeypatch.setattr(library, "LIBRARY", tmp_path / "libencoder.so")
    (tmp_path / "libencoder.so").write_bytes(b"\x7fELF nothing")
    library.library.cache_clear()
    assert library.kernel_name() is None
    library.library.cache_clear()


def test_without_a_compiler(native_build: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Building says why it cannot, and leaves nothing behind."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(native_build.CannotBuild, match=r"no C compiler|no kernel"):  # type: ignore[attr-defined]
        native_build.build(tmp_path / "libencoder.so")  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []

"""Nothing heavy is loaded before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numpy", "torch", "sqlalchemy", "onnxruntime", "starlette", "tokenizers", "transformers", "rich", "typer")


def loaded_after(statement: str) -> set[str]:
    """Which heavy modules a fresh interpreter has loaded after a statement."""
    program = f"{statement}\nimport sys\nprint(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_package_loads_nothing_heavy() -> None:
    """`import nanosmith`, all of core, and the job request's neighbours in core load none of them."""
    modules = ("errors", "example", "limits", "manifest", "prediction", "registry", "settings", "task", "watch")
    assert loaded_after("import nanosmith\n" + "\n".join(f"import nanosmith.core.{name}" for name in modules)) == set()


def test_serving_loads_no_torch() -> None:
    """What answers knows neither torch nor transformers, and a static bundle not even onnxruntime's neighbours."""
    assert not loaded_after("import nanosmith.predict.open, nanosmith.predict.static, nanosmith.predict.encoder") & {
        "torch", "transformers", "sqlalchemy", "starlette", "typer", "rich",
    }  # fmt: skip


def test_names_are_loaded_on_use() -> None:
    """The public names are listed without loading, and unknown ones are AttributeErrors."""
    import nanosmith

    assert {"open", "load", "tune", "evaluate"} <= set(dir(nanosmith))
    assert callable(nanosmith.open)
    with pytest.raises(AttributeError, match="opne"):
        _ = nanosmith.opne

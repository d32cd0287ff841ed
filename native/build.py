"""Compiles the kernel with the system's C compiler: `python native/build.py`.

Each file is compiled for the instructions that it is written for; which of them run is decided when a model is opened.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
LIBRARY = HERE.parent / "src/nanosmith/predict/native/libencoder.so"
FLAGS = ("-O3", "-std=gnu11", "-fPIC", "-fvisibility=hidden", "-ffp-contract=fast", "-Wall", "-Wextra")
EVERYWHERE = (
    ("encoder.c", ()), ("pack.c", ()), ("multiply_portable.c", ()), ("forward.c", ("-DFORWARD=forward_portable",)),
    ("decoder.c", ()), ("team.c", ()),
)  # fmt: skip
AVX2 = ("-mavx2", "-mfma")
VNNI = (*AVX2, "-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni")
X86 = (
    ("forward.c", ("-DFORWARD=forward_avx2", *AVX2)),
    ("multiply_avx2.c", AVX2),
    ("multiply_vnni.c", VNNI),
    ("decode.c", (*AVX2, "-mf16c")),
    ("dot_avx2.c", AVX2),
    ("dot_vnni.c", VNNI),
)


class CannotBuild(Exception):
    """There is no kernel for this platform, no compiler, or it failed."""


def build(out: Path = LIBRARY, extra: Sequence[str] = ()) -> Path:
    """Write the library at `out`, whole or not at all. Raises CannotBuild."""
    compiler = _compiler()
    with tempfile.TemporaryDirectory() as made:
        objects = []
        for number, (source, flags) in enumerate((*EVERYWHERE, *X86)):
            objects.append(f"{made}/{number}.o")
            _call(compiler, *FLAGS, *extra, *flags, "-c", str(HERE / source), "-o", objects[-1])
        linked = Path(made) / out.name
        _call(compiler, "-shared", *extra, "-o", str(linked), *objects, "-lm", "-pthread")
        staged = out.with_name(f"{out.name}.part")
        shutil.copyfile(linked, staged)
        staged.replace(out)
    return out


def _compiler() -> str:
    if os.name != "posix" or platform.machine().lower() not in ("x86_64", "amd64"):
        raise CannotBuild(f"there is no kernel for {platform.system()} on {platform.machine()}")
    wanted = (os.environ.get("CC", ""), "cc", "gcc", "clang")
    found = next((path for path in map(shutil.which, filter(None, wanted)) if path), None)
    if found is None:
        raise CannotBuild("there is no C compiler")
    return found


def _call(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise CannotBuild(f"{command[0]} failed: {done.stderr.strip()[:2000]}")


if __name__ == "__main__":
    try:
        print(build())  # noqa: T201
    except CannotBuild as error:
        sys.exit(str(error))

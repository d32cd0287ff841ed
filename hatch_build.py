"""Compiles the kernel while a wheel or an editable install is made. Where it cannot be compiled, the wheel is one for
all platforms, and ONNX Runtime answers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags

sys.path.insert(0, str(Path(__file__).parent / "native"))
from build import LIBRARY, CannotBuild, build


class Kernel(BuildHookInterface[Any]):
    """The library needs no Python, so one wheel of a platform is for all versions."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        try:
            build()
        except CannotBuild as error:
            LIBRARY.unlink(missing_ok=True)  # one of another time is not for this wheel
            self.app.display_warning(f"Without the kernel for encoders: {error}. ONNX Runtime will answer.")
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{_platform()}"


def _platform() -> str:
    """Of this machine alone; what makes a wheel for others (auditwheel, delocate) gives it its final tag."""
    platforms = (tag.platform for tag in sys_tags())
    return next(name for name in platforms if not name.startswith(("manylinux", "musllinux")))

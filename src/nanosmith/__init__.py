"""Small language models that you fine-tune, keep and run yourself.

Names are loaded on first use, so that `import nanosmith` costs milliseconds.
"""

from __future__ import annotations

import importlib
from typing import Any

from nanosmith.version import __version__

_LAZY = {
    "load": "nanosmith.data.load:load",
    "tune": "nanosmith.flows.tune:tune",
    "evaluate": "nanosmith.flows.evaluate:evaluate",
    "open": "nanosmith.predict.open:open_predictor",
    "route": "nanosmith.predict.route:route",
    "step": "nanosmith.predict.route:step",
    "endpoint": "nanosmith.predict.route:endpoint",
}

__all__ = ["__version__", *_LAZY]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'nanosmith' has no attribute {name!r}")
    module, _, attribute = _LAZY[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)

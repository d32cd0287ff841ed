"""The environment of processes under test."""

from __future__ import annotations

import os


def without_settings() -> dict[str, str]:
    """The environment, but for what it says about Nanosmith: a fault must not reach what somebody keeps."""
    return {name: value for name, value in os.environ.items() if not name.startswith("NANOSMITH_")}

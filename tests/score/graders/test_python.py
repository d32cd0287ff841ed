"""The python grader is refused."""

from __future__ import annotations

import pytest
from tests.score.graders.helpers import grade, grader

from nanosmith.core.errors import InputError
from nanosmith.score.graders.grade import Tools
from nanosmith.score.graders.run import validate


def test_code_is_never_run() -> None:
    """Running and validating both say that there is no sandbox."""
    made = grader("python", source="def grade(sample, item):\n    raise SystemExit(1)\n", image_tag="2025-05-08")
    with pytest.raises(InputError, match="no sandbox is configured") as caught:
        grade(made)
    assert (caught.value.code, caught.value.param) == ("unsupported_grader", "grader.type")
    with pytest.raises(InputError, match="no sandbox is configured"):
        validate(made, Tools())

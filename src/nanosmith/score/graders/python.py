"""python: code of the user. Refused, because nothing here keeps such code off this machine."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from nanosmith.core.errors import InputError
from nanosmith.core.limits import MAX_GRADER_SOURCE_CHARS
from nanosmith.score.graders.grade import BaseGrader, Context, Grade, Tools, unsupported


class PythonGrader(BaseGrader, frozen=True, tag="python"):
    source: Annotated[str, Meta(max_length=MAX_GRADER_SOURCE_CHARS)]
    image_tag: Annotated[str, Meta(max_length=256)] | None = None
    pass_threshold: float | None = None

    def refuse(self, where: str, tools: Tools) -> None:
        raise self._refused(where)

    def grade(self, context: Context) -> Grade:
        raise self._refused("grader")

    def _refused(self, where: str) -> InputError:
        return unsupported(
            "the python grader runs code, and no sandbox is configured", f"{where}.type",
            "Take string_check, text_similarity or a multi grader of them.",
        )  # fmt: skip

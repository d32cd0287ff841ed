"""text_similarity: how near a text is to its reference, by one of the metrics in `similarity.py`."""

from __future__ import annotations

from nanosmith.core.limits import MAX_FUZZY_CHARS, MAX_GRADED_CHARS
from nanosmith.score.graders import similarity
from nanosmith.score.graders.grade import BaseGrader, Context, Grade, GradingError, Template, Tools, unsupported
from nanosmith.score.graders.template import check_template, fill


class TextSimilarityGrader(BaseGrader, frozen=True, tag="text_similarity"):
    input: Template
    reference: Template
    evaluation_metric: similarity.Metric
    pass_threshold: float | None = None

    def refuse(self, where: str, tools: Tools) -> None:
        if self.evaluation_metric == "cosine":
            if tools.embed is None:
                raise unsupported(
                    "cosine needs a model that embeds texts, and there is none here", f"{where}.evaluation_metric",
                    "Take fuzzy_match, meteor or rouge_l.",
                )  # fmt: skip
        else:
            similarity.check_installed()

    def check(self, where: str) -> None:
        check_template(self.input, f"{where}.input")
        check_template(self.reference, f"{where}.reference")

    def grade(self, context: Context) -> Grade:
        """Raises GradingError for a text over the limit of its metric."""
        given, reference = fill(self.input, context), fill(self.reference, context)
        if self.evaluation_metric == "cosine":
            self.refuse("grader", context.tools)
            assert context.tools.embed is not None
            return Grade(similarity.cosine(*context.tools.embed([given, reference])))
        self._check_length(max(len(given), len(reference)))
        return Grade(similarity.similarity(self.evaluation_metric, given, reference))

    def _check_length(self, chars: int) -> None:
        allowed = MAX_FUZZY_CHARS if self.evaluation_metric == "fuzzy_match" else MAX_GRADED_CHARS
        if chars > allowed:
            raise GradingError(
                f"a text is too long for {self.evaluation_metric}",
                got=f"{chars} characters", allowed=f"{allowed} characters", flag="other_error",
            )  # fmt: skip

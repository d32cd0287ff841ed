"""The certificate of a route: how often its local answers agree with a teacher's, and for which traffic that holds."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

FORMAT = 1
Method: TypeAlias = Literal["exact", "betting"]


class ClassBound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of `answered` answers with this `label`, `agreed` were the teacher's; `bound` is the lower bound, on its own."""

    label: str
    answered: int
    agreed: int
    bound: float


class Tested(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One threshold that was tested: the share of the sample above it, and of these the share that agreed, with its
    lower bound."""

    coverage: float
    agreement: float
    bound: float


class Reference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the sample looked like, to tell when traffic is no longer like it: evenly spaced `quantiles`, lowest to
    highest, of each measure of score.drift, and how often each label was answered locally."""

    quantiles: dict[str, tuple[float, ...]]
    labels: dict[str, int]


class Certificate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Local answers whose confidence is at least `threshold` agree with the teacher's in a share of at least `target`,
    with this `confidence`, for traffic that is like the sample. Shares in [0, 1].

    `model` is the local one, `model_digest` names the files that answer; `teacher_digests` those of the teacher's
    bundles (empty for a remote one). `sample` is the SHA-256 of the `n` texts that both were asked. `answered` of these
    reach the threshold, and `agreed` of them agree: `bound` is the lower bound of `method` there. `cost_share` is what
    the rest costs at the teacher, beside asking it everything. `tested` are all thresholds that were looked at, in
    order; the last may be the one that failed. `source` says where the sample came from.
    """

    route: str
    model: str
    model_digest: str
    teacher: str
    teacher_digests: dict[str, str]
    target: float
    confidence: float
    method: Method
    threshold: float
    bound: float
    n: int
    answered: int
    agreed: int
    cost_share: float
    sample: str
    source: str
    reference: Reference
    created_at: int
    nanosmith: str
    tested: tuple[Tested, ...] = ()
    classes: tuple[ClassBound, ...] = ()
    format: int = FORMAT

    @property
    def coverage(self) -> float:
        """The share of the traffic that is answered locally."""
        return self.answered / self.n

    @property
    def agreement(self) -> float:
        """As it was counted in the sample."""
        return self.agreed / self.answered


def sentence(one: Certificate) -> str:
    """What a manager can sign."""
    return (
        f"Agreement of {one.model} with {one.teacher} is at least {_percent(one.target)}, with "
        f"{_percent(one.confidence)} confidence, for {_percent(one.coverage)} of the traffic of {one.route}, at "
        f"{_percent(one.cost_share)} of the cost of {one.teacher} alone."
    )


def _percent(share: float) -> str:
    """0.97 → "97 %", 0.8304 → "83.0 %"."""
    return f"{100 * share:.3g} %" if share >= 0.1 else f"{100 * share:.2g} %"

"""The gate of a retraining: what the old classes have lost, measured through the runtime that serves."""

from __future__ import annotations

from typing import Any

import msgspec

from nanosmith.core.errors import GateRefused
from nanosmith.core.watch import Watch
from nanosmith.data.dataset import Dataset
from nanosmith.data.union import is_old
from nanosmith.flows.retrain_data import Plan
from nanosmith.predict.open import open_predictor
from nanosmith.store.bundles import Bundle

MAX_LOSS = 0.01  # accuracy; on fewer than 100 examples one of them


class Forgetting(msgspec.Struct, frozen=True):
    """Accuracy on old examples that neither model was trained on, before and after, and on held-out examples of new
    labels; None where there are none."""

    earlier: str
    earlier_digest: str
    new_labels: list[str]
    new_examples: int
    replayed_examples: int
    old_examples_tested: int
    old_accuracy_before: float | None
    old_accuracy_after: float | None
    new_examples_tested: int
    new_accuracy: float | None

    @property
    def lost(self) -> float:
        """Accuracy, 0–1; below 0 when some was won."""
        if self.old_accuracy_before is None or self.old_accuracy_after is None:
            return 0.0
        return self.old_accuracy_before - self.old_accuracy_after


def measure(plan: Plan, bundle: Bundle, watch: Watch) -> Forgetting:
    """Answer old examples with both models, and what is held out of the new labels with the new one. Raises Cancelled.

    Those that the way was chosen on are among them: that flatters less than their absence would add noise.
    """
    old, known = plan.earlier.task, plan.guard
    added = [i for i, value in enumerate(plan.data.test.values) if not is_old(value, old)]
    new = plan.data.test.subset(added)
    return Forgetting(
        earlier=plan.earlier.name,
        earlier_digest=plan.earlier.bundle.manifest.model_digest,
        new_labels=sorted(set(plan.task.labels) - set(old.labels)),
        new_examples=len(plan.new),
        replayed_examples=len(plan.replay),
        old_examples_tested=len(known),
        old_accuracy_before=_accuracy(plan.earlier.bundle, known, watch, "ask the earlier model"),
        old_accuracy_after=_accuracy(bundle, known, watch, "ask the retrained model"),
        new_examples_tested=len(new),
        new_accuracy=_accuracy(bundle, new, watch, "ask the retrained model"),
    )


def require_memory(found: Forgetting, watch: Watch) -> None:
    """Tell what was measured. Raises GateRefused when the old classes have lost more than a point."""
    if found.old_accuracy_before is None or found.old_accuracy_after is None:
        watch.message("There is no held-out example of an old class: what they lost was not measured.", "warn")
        return
    watch.message(
        f"Old classes: {found.old_accuracy_before:.1%} → {found.old_accuracy_after:.1%} right on "
        f"{found.old_examples_tested:,} examples that neither model was trained on."
    )
    if found.lost > max(MAX_LOSS, 1 / found.old_examples_tested) + 1e-9:
        raise GateRefused(
            "the retrained model forgets too much of the old classes",
            got=f"{100 * found.lost:.1f} points lost on {found.old_examples_tested:,} examples of them",
            allowed=f"{100 * MAX_LOSS:.0f} point, or one example",
            remedy="Add old examples with --replay, add new ones where old and new labels are mistaken for each other, "
            "or tune a new model on all examples together.",
        )  # fmt: skip


def figures_of(found: Forgetting) -> dict[str, Any]:
    """For the manifest's notes and the report."""
    content: dict[str, Any] = msgspec.to_builtins(found)
    return content


def _accuracy(bundle: Bundle, data: Dataset, watch: Watch, stage: str) -> float | None:
    if not len(data):
        return None
    predictor = open_predictor(bundle)
    right = 0
    for i, (example, wanted) in enumerate(zip(data.examples, data.values), start=1):
        right += predictor.predict([example.messages])[0].value == wanted
        watch.check()
        watch.progress(stage, i, len(data))
    return right / len(data)

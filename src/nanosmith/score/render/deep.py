"""What `Report.robustness` and `Report.fairness` hold, as rows to show, the same in text and HTML."""

from __future__ import annotations

from typing import Any, NamedTuple

from nanosmith.score.fairness import AxisRow, Fairness
from nanosmith.score.intervals import Interval
from nanosmith.score.render import figures
from nanosmith.score.report import Report
from nanosmith.score.robustness import Attack, Loss, Robustness

LOSS_NAMES = ("typos", "texts", "accuracy", "points lost", "95 % interval")
AXIS_NAMES = ("swapped", "texts", "changed", "95 % interval", "gap", "95 % interval", "lowest")
KIND_NAMES = {
    "misspelling": "a common misspelling", "key": "a neighbouring key", "swap": "two letters swapped",
    "drop": "a letter left out", "double": "a letter doubled", "insert": "a letter too many",
    "split": "a blank inside", "join": "a blank missing", "chat": "chat spelling",
}  # fmt: skip


class LossRow(NamedTuple):
    """One row of the table of typos, under LOSS_NAMES."""

    typos: str
    texts: str
    accuracy: str
    lost: str
    interval: str


class SwapRow(NamedTuple):
    """One row of the table of swapped groups, under AXIS_NAMES."""

    swapped: str
    texts: str
    changed: str
    changed_interval: str
    gap: str
    gap_interval: str
    lowest: str


def parts(report: Report) -> dict[str, Any]:
    """What the page shows of both."""
    typos, groups = report.robustness, report.fairness
    return {
        "losses": losses(typos) if typos else [],
        "attack": attack_sentence(typos.attack) if typos and typos.attack else "",
        "swaps": swaps(groups) if groups else [],
        "loss_names": LOSS_NAMES,
        "axis_names": AXIS_NAMES,
    }


def losses(found: Robustness) -> list[LossRow]:
    """One typo, the curve, then each kind of typo."""
    rows = [_loss("one in each text", found.one_typo)]
    rows += [_loss(f"in {row.typos.removesuffix('%')} % of the words", row) for row in found.curve]
    return rows + [_loss(f"one: {KIND_NAMES.get(row.typos, row.typos)}", row) for row in found.kinds]


def attack_sentence(found: Attack) -> str:
    """What the attack left."""
    return (
        f"One changed character, the worst of up to {found.queries} tried on each of {found.n:,} texts: "
        f"{figures.percent(found.kept, 1)} of the right answers stay right "
        f"(95 % interval {figures.interval(found.kept_interval)}), "
        f"accuracy {figures.percent(found.accuracy, 1)} after {figures.percent(found.clean_accuracy, 1)}."
    )


def swaps(found: Fairness) -> list[SwapRow]:
    """One row per axis and way."""
    return [_swap(row) for row in found.axes]


def _loss(name: str, row: Loss) -> LossRow:
    lost = f"{100 * row.loss:.2f}".replace("-", "−")
    return LossRow(name, f"{row.n:,}", figures.percent(row.accuracy), lost, points(row.loss_interval))


def _swap(row: AxisRow) -> SwapRow:
    lowest = min(row.groups, key=lambda group: group.accuracy)
    return SwapRow(
        f"{row.axis}, {row.way}",
        f"{row.n:,}",
        figures.percent(row.flip_rate, 1),
        figures.interval(row.flip_interval),
        f"{100 * row.gap:.1f}",
        points(row.gap_interval),
        lowest.group if row.gap else figures.NONE,
    )


def points(bounds: Interval) -> str:
    """Percentage points, which may be negative: (-0.001, 0.023) → "−0.10 to 2.30"."""
    return f"{100 * bounds[0]:.2f} to {100 * bounds[1]:.2f}".replace("-", "−")

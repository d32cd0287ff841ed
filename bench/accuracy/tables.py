"""The results as Markdown tables: one row per set and figure, one column per contender."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import mean
from typing import NamedTuple, TypeAlias

from bench.accuracy.figures import summary
from bench.accuracy.results import Result

Groups: TypeAlias = Mapping[tuple[str, str, str], list[Result]]
NONE = "–"


class Line(NamedTuple):
    """One row of a table: `figure` of `set` with `shots`. `least`: the smallest is the best."""

    title: str
    set: str
    shots: str = "full"
    figure: str = "accuracy"
    least: bool = False


class Table(NamedTuple):
    """`title` is its heading, `about` the paragraph below that."""

    title: str
    about: str
    lines: Sequence[Line]


INTENTS = {"banking77": "BANKING77", "clinc150": "CLINC150, in scope", "hwu64": "HWU64"}
OTHERS = {"sgd_domain16": "SGD, 16 domains, with context", "it_tickets": "IT tickets, 8 topics"}
ACCURACY = Table(
    "Accuracy", "Percent of the test's rows that are answered rightly.",
    [*(Line(f"{title}, {shots}", name, key) for key, shots in
       (("full", "all rows"), ("10", "10 per label"), ("5", "5 per label")) for name, title in INTENTS.items()),
     *(Line(f"{title}, all rows", name) for name, title in OTHERS.items())],
)  # fmt: skip
TYPOS = Table(
    "Typos",
    "Accuracy after training on all rows, and the share of 200 rows' right answers that a greedy attack by one changed "
    "character leaves right.",
    [Line(f"{title}, {what}", name, figure=figure) for name, title in INTENTS.items() for figure, what in (
        ("accuracy", "clean"), ("one_typo", "one typo"), ("typos", "typos in 20 % of the words"),
        ("attack_kept", "kept under attack"))],
)  # fmt: skip
OUT_OF_SCOPE = Table(
    "Out of scope",
    "CLINC150 with its 1,000 test rows that fit no label; 100 such rows are among the training rows. A contender that "
    "says nothing about them is scored by its highest probability in scope.",
    [Line("AUROC", "clinc150_oos", figure="oos_auroc"),
     Line("refused, where 95 % of the rows in scope are not", "clinc150_oos", figure="oos_recall"),
     Line("accuracy in scope", "clinc150_oos")],
)  # fmt: skip
JOINED = Table(
    "Several queries as one",
    "Trained on single queries. An answer is right when it is the whole set of labels and nothing else. The peers are "
    "trained with one classifier per label, at a threshold of 0.5.",
    [Line("MixSNIPS test (1 to 3 queries)", "snips_joined", figure="joined"),
     Line("SNIPS test (single)", "snips_joined"),
     Line("CLINC150, two of different domains", "clinc150_joined", figure="joined"),
     Line("CLINC150 test (single)", "clinc150_joined")],
)  # fmt: skip
FLIPPED = Table(
    "Wrong labels in the training data",
    "A tenth of the training rows got another label. Recall and precision of the rows that are held for mislabelled: "
    "by `nanosmith check --deep`, and by cleanlab on the peer's probabilities of five folds.",
    [Line(f"{title}, {what}", f"{name}_flipped", figure=figure)
     for name, title in (("banking77", "BANKING77"), ("clinc150", "CLINC150"))
     for figure, what in (("flips_recall", "recall"), ("flips_precision", "precision"), ("accuracy", "accuracy"))],
)  # fmt: skip
CALIBRATION = Table(
    "Calibration error", "Expected calibration error (15 bins) in percent, after training on all rows; less is better.",
    [Line(title, name, figure="ece", least=True) for name, title in {**INTENTS, **OTHERS}.items()],
)  # fmt: skip
TABLES = (ACCURACY, TYPOS, OUT_OF_SCOPE, JOINED, FLIPPED, CALIBRATION)


def markdown(table: Table, groups: Groups, titles: Mapping[str, str]) -> str:
    """Heading, paragraph and table; nothing where nothing of it was measured."""
    return _table(table, groups, titles, _figure, best=True)


def training_times(groups: Groups, titles: Mapping[str, str]) -> str:
    """Mean seconds of the training, and of processor time."""
    times = Table(
        "Training time",
        "Mean seconds of one training (processor seconds in brackets): the whole command of Nanosmith, which also "
        "chooses, calibrates, seals and reports; of the peers the training alone. On a machine that does "
        "other work too, only the processor seconds tell something.", ACCURACY.lines,
    )  # fmt: skip
    return _table(times, groups, titles, lambda _, results: _seconds(results), best=False)


def _table(
    table: Table, groups: Groups, titles: Mapping[str, str],
    cell: Callable[[Line, list[Result]], tuple[float, str] | None], *, best: bool,
) -> str:  # fmt: skip
    found = {
        line: {name: made for name in titles if (made := cell(line, groups.get((line.set, line.shots, name), [])))}
        for line in table.lines
    }
    names = [name for name in titles if any(name in cells for cells in found.values())]
    if not names:
        return ""
    rows = [["", *(titles[name] for name in names)], ["---"] * (len(names) + 1)]
    for line, cells in found.items():
        if cells:
            value = (min if line.least else max)(number for number, _ in cells.values())
            rows.append([line.title, *(_cell(cells.get(name), value if best else None) for name in names)])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"## {table.title}", "", table.about, "", *lines, ""])


def _cell(made: tuple[float, str] | None, best: float | None) -> str:
    if made is None:
        return NONE
    return f"**{made[1]}**" if made[0] == best else made[1]


def _figure(line: Line, results: list[Result]) -> tuple[float, str] | None:
    found = summary(results, line.figure)
    if found is None:
        return None
    half = "" if found.half is None else f" ± {found.half:.2f}"
    return round(found.mean, 2), f"{found.mean:.2f}{half}"


def _seconds(results: list[Result]) -> tuple[float, str] | None:
    if not results:
        return None
    wall, busy = (mean(result[name] for result in results) for name in ("seconds", "cpu_seconds"))
    return wall, f"{wall:,.0f} ({busy:,.0f})"

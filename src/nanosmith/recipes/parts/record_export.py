"""From the weights of a record model to model.onnx, through the parity gate.

int8 is accepted when, on held-out examples, it loses at most MAX_LOSS_POINTS of wholly right records, and of the F1 of
their parts, against float32. If it loses more, the layers that move the tags most get finer scales.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nanosmith.predict.graph_names import GRAPH_FILE
from nanosmith.predict.record import Scorer, Scores
from nanosmith.predict.record_answer import Answerer
from nanosmith.recipes.parts.export import MAX_CHECKED, MAX_LOSS_POINTS, PROBED, EncoderGraph, finer
from nanosmith.recipes.parts.graph import Mode
from nanosmith.recipes.parts.record_figures import Figures, answers, figures
from nanosmith.recipes.parts.record_rows import RecordSamples
from nanosmith.recipes.parts.record_work import RecordWork


def export(
    graph: EncoderGraph, folder: Path, work: RecordWork, check: RecordSamples, reference: Sequence[Scores]
) -> dict[str, Any]:
    """Write folder/model.onnx and return the gate's figures. `reference` are the training graph's scores of `check`.

    With no examples to check on, int8 is written unchecked and the figures say so.
    """
    gate = _Gate(graph, folder / GRAPH_FILE, work, check.subset(range(min(MAX_CHECKED, len(check)))), reference)
    modes: dict[str, Mode] = dict.fromkeys(graph.names, "int8")
    found = gate.figures_with(modes)
    if not len(check):
        return {"checked": 0, "modes": dict(Counter(modes.values()))}
    if gate.loss_points(found) > MAX_LOSS_POINTS:
        work.watch.message(
            f"int8 loses {gate.loss_points(found):.2f} points; the most sensitive layers get finer scales"
        )
        for modes in finer(gate.by_sensitivity()):
            found = gate.figures_with(modes)
            if gate.loss_points(found) <= MAX_LOSS_POINTS:
                break
    return {
        "checked": len(gate.check), "float32_match": gate.wanted.match, "int8_match": found.match,
        "float32_f1": gate.wanted.f1, "int8_f1": found.f1, "modes": dict(Counter(modes.values())),
    }  # fmt: skip


class _Gate:
    """Compares written graphs with the training graph."""

    def __init__(
        self, graph: EncoderGraph, path: Path, work: RecordWork, check: RecordSamples, reference: Sequence[Scores]
    ) -> None:
        self._graph, self._path, self._work, self.check = graph, path, work, check
        self._reader, self._answerer = work.reader(), Answerer(work.form, work.layout)
        self._pieces = [self._reader.read(text, turn) for text, turn in zip(check.texts, check.turns)]
        self._reference = reference[: len(check)]
        self.wanted = self._figures(self._reference)

    def figures_with(self, modes: dict[str, Mode]) -> Figures:
        """Of the graph with these modes, which stays written."""
        self._graph.write(self._path, modes)
        return self._figures(self._run(len(self.check)))

    def loss_points(self, found: Figures) -> float:
        return 100 * max(self.wanted.match - found.match, self.wanted.f1 - found.f1)

    def by_sensitivity(self) -> list[str]:
        """Layers by how far the scores move when that layer alone is int8, furthest first."""
        moved = {}
        for name in self._graph.names:
            self._graph.write(self._path, {one: "int8" if one == name else "float32" for one in self._graph.names})
            moved[name] = float(np.mean([_distance(*pair) for pair in zip(self._run(PROBED), self._reference)]))
        return sorted(moved, key=lambda name: -moved[name])

    def _run(self, most: int) -> list[Scores]:
        scorer, found = Scorer(self._path, self._reader), []
        for done, pieces in enumerate(self._pieces[:most], start=1):
            found.append(scorer.scores(pieces)[0])
            self._work.watch.check()
            self._work.watch.progress("check int8 against float32", done, min(most, len(self._pieces)))
        return found

    def _figures(self, scores: Sequence[Scores]) -> Figures:
        given = answers(self._reader, self._answerer, self.check, scores)
        return figures(self._work.form, [answer.value for answer in given], self.check.values)


def _distance(one: Scores, other: Scores) -> float:
    """How far tags and choices are apart on average."""
    parts = [np.abs(a - b).mean() for a, b in zip(one, other) if a.size and a.shape == b.shape]
    return float(sum(parts))

"""From trained weights to model.onnx, through the parity gate.

int8 is accepted when, on held-out examples, it loses at most MAX_LOSS_POINTS of accuracy against float32. If it loses
more, the layers that move the logits most get finer scales (block8), more and more of them; in the end all are float32.
int4 is asked for where bytes count more than that: what it loses is told, and its bytes stay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray

from nanosmith.core.watch import Watch
from nanosmith.predict.embed import Floats1d
from nanosmith.predict.graph_names import GRAPH_FILE, OUTPUT
from nanosmith.predict.graph_session import GraphSession, open_graph
from nanosmith.recipes.parts.graph import Mode, Tagger, build, linear_names
from nanosmith.recipes.work import Floats2d, Targets
from nanosmith.score.parity import Parity, compare

MAX_LOSS_POINTS = 0.3
MAX_CHECKED = 1_000  # examples of the gate
PROBED = 100  # examples that rank the layers


Read: TypeAlias = Callable[[GraphSession, Sequence[int]], Floats1d]
"""The logits (L) of an opened graph and one row of ids."""


def plain(graph: GraphSession, row: Sequence[int]) -> Floats1d:
    """The graph's own logits."""
    return graph.run([OUTPUT], [row])[0][0]


class EncoderGraph(msgspec.Struct, frozen=True):
    """Trained weights, ready to be written: see `graph.build` for the fields. `read` is how the runtime makes logits of
    what the graph gives."""

    weights: dict[str, NDArray[np.float32]]
    head: tuple[NDArray[np.float32], NDArray[np.float32]] | None
    config: Mapping[str, Any]
    pooling: str
    max_tokens: int
    ranges: Mapping[str, NDArray[np.float32]]
    tagger: Tagger | None = None
    read: Read = plain
    mode: Mode = "int8"
    moments: Mapping[str, NDArray[np.float32]] = {}

    @property
    def names(self) -> list[str]:
        return linear_names(int(self.config["num_hidden_layers"]))

    def write(self, path: Path, modes: Mapping[str, Mode]) -> None:
        model = build(self.weights, self.head, self.config, pooling=self.pooling, max_tokens=self.max_tokens,
                      modes=modes, ranges=self.ranges, tagger=self.tagger, moments=self.moments)  # fmt: skip
        onnx.save(model, path)


def export(
    graph: EncoderGraph, folder: Path, ids: Sequence[Sequence[int]], reference: Floats2d, wanted: Targets, watch: Watch
) -> dict[str, Any]:
    """Write folder/model.onnx and return the gate's figures.

    `ids` (N rows of tokens), `reference` (N, L) float32 logits of the training graph for them, `wanted` targets.
    With no examples to check on, int8 is written unchecked and the figures say so.
    """
    path = folder / GRAPH_FILE
    ids, reference, wanted = ids[:MAX_CHECKED], reference[:MAX_CHECKED], wanted[:MAX_CHECKED]
    modes: dict[str, Mode] = dict.fromkeys(graph.names, graph.mode)
    graph.write(path, modes)
    if not ids:
        return {"checked": 0, "modes": dict(Counter(modes.values()))}
    parity = compare(reference, run(path, ids, watch, graph.read), wanted)
    if graph.mode == "int8" and parity.loss_points > MAX_LOSS_POINTS:
        watch.message(f"int8 loses {parity.loss_points:.2f} points; the most sensitive layers get finer scales")
        parity, modes = _fall_back(graph, path, ids, reference, wanted, watch)
    return _figures(parity, modes)


def run(path: Path, ids: Sequence[Sequence[int]], watch: Watch | None = None, read: Read = plain) -> Floats2d:
    """Logits (N, L) of a written graph, row by row as in serving."""
    graph = open_graph(path)
    rows = []
    for i, row in enumerate(ids):
        rows.append(read(graph, row))
        if watch:
            watch.check()
            watch.progress("check int8 against float32", i + 1, len(ids))
    return np.stack(rows)


def _fall_back(
    graph: EncoderGraph, path: Path, ids: Sequence[Sequence[int]], reference: Floats2d, wanted: Targets, watch: Watch
) -> tuple[Parity, dict[str, Mode]]:
    """Finer scales for 2, 4, 8, … of the most sensitive layers; float32 for all when even that loses too much."""
    ranked = _by_sensitivity(graph, path, ids[:PROBED], reference[:PROBED], watch)
    for modes in finer(ranked):
        graph.write(path, modes)
        parity = compare(reference, run(path, ids, watch, graph.read), wanted)
        if parity.loss_points <= MAX_LOSS_POINTS:
            break
    return parity, modes


def finer(ranked: Sequence[str]) -> Iterator[dict[str, Mode]]:
    """Modes of all layers, ever more of the most sensitive ones with finer scales; at last all in float32."""
    count = 2
    while count < 2 * len(ranked):
        yield {name: "block8" if name in ranked[:count] else "int8" for name in sorted(ranked)}
        count *= 2
    yield dict.fromkeys(sorted(ranked), "float32")


def _by_sensitivity(
    graph: EncoderGraph, path: Path, ids: Sequence[Sequence[int]], reference: Floats2d, watch: Watch
) -> list[str]:
    """Layers by how far the logits move when that layer alone is int8, furthest first."""
    moved = {}
    for name in graph.names:
        graph.write(path, {other: "int8" if other == name else "float32" for other in graph.names})
        moved[name] = float(np.abs(run(path, ids, read=graph.read) - reference).mean())
        watch.check()
    return sorted(graph.names, key=lambda name: -moved[name])


def _figures(parity: Parity, modes: Mapping[str, Mode]) -> dict[str, Any]:
    return {
        "checked": parity.n,
        "float32_accuracy": parity.reference_accuracy,
        "int8_accuracy": parity.candidate_accuracy,
        "loss_points": parity.loss_points,
        "same_answer": parity.agreement,
        "max_logit_difference": parity.max_abs,
        "modes": dict(Counter(modes.values())),
    }

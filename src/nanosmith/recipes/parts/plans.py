"""Which students are worth a look: a few shapes of encoders and a few static models, from large to small.

Letters: K pieces of a vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import Any

import msgspec

from nanosmith.recipes.parts.graph import BLOCK, Mode
from nanosmith.recipes.parts.shape import Shape, shape_of

ENCODER, STATIC = "tune_encoder/1", "static/1"
WHOLE = Fraction(1)
SHARES = tuple(
    (layers, inner) for layers in (WHOLE, Fraction(2, 3), Fraction(1, 2), Fraction(1, 3), Fraction(1, 6))
    for inner in (WHOLE, Fraction(2, 3))
)  # fmt: skip
"""Of the layers, and of the heads and FFN columns in each."""
WIDTHS = (256, 128, 64)  # of static models
PIECES = (32_000, 16_000, 12_000, 8_000, 6_000, 5_000, 4_000)  # of a vocabulary
USUAL = 8_000  # pieces, where bytes are not bounded


class Plan(msgspec.Struct, frozen=True):
    """One student: an encoder of a `shape`, its `weights` int8 or int4, or a static model of a `width`, with at most so
    many `pieces`."""

    recipe: str
    pieces: int
    shape: Shape | None = None
    width: int = 0
    weights: Mode = "int8"

    @property
    def name(self) -> str:
        if self.shape is None:
            return f"static-{self.width}-{self.pieces}"
        name = f"encoder-{self.shape.layers}-{self.shape.heads}-{self.shape.columns}-{self.pieces}"
        return name if self.weights == "int8" else f"{name}-{self.weights}"

    @property
    def details(self) -> dict[str, int | str]:
        """What it is made of, for tables."""
        if self.shape is None:
            return {"width": self.width, "pieces": self.pieces}
        return {**msgspec.structs.asdict(self.shape), "pieces": self.pieces, "weights": self.weights}


def plans(config: dict[str, Any], trims: bool) -> Iterator[Plan]:
    """Encoders, then static models, from large to small; `pieces` are USUAL, or all where they cannot be trimmed."""
    pieces = min(USUAL, config["vocab_size"]) if trims else config["vocab_size"]
    width = config["hidden_size"] // config["num_attention_heads"]
    for shape in sorted(set(_shapes(shape_of(config))), key=lambda shape: -_weights(shape, width)):
        yield Plan(ENCODER, pieces, shape)
    for width in WIDTHS:
        if width <= config["hidden_size"]:
            yield Plan(STATIC, pieces, width=width)


def _shapes(whole: Shape) -> Iterator[Shape]:
    for layers, inner in SHARES:
        columns = round(whole.columns * inner / BLOCK) * BLOCK or whole.columns
        yield Shape(max(1, round(whole.layers * layers)), max(1, round(whole.heads * inner)), columns)


def _weights(shape: Shape, head_width: int) -> int:
    """Of linear layers, by the width of the encoder."""
    return shape.layers * (4 * shape.heads * head_width + 2 * shape.columns)


def with_most_pieces(plan: Plan, known: int, fits: Callable[[Plan], bool]) -> Plan | None:
    """The plan with the largest vocabulary, of at most the `known` pieces, that fits; None where none does."""
    sizes: Iterable[int] = sorted({min(size, known) for size in PIECES}, reverse=True)
    tried = (msgspec.structs.replace(plan, pieces=size) for size in sizes)
    return next((one for one in tried if fits(one)), None)

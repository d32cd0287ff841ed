"""Who takes part, in the order of the tables."""

from __future__ import annotations

from bench.accuracy.contender import Contender
from bench.accuracy.fasttext_peer import FASTTEXT
from bench.accuracy.linear import LINEAR
from bench.accuracy.ours import OURS
from bench.accuracy.worker import TRAINER, setfit


def contenders(setfit_python: str) -> dict[str, Contender]:
    """By name; `setfit_python` is the interpreter that has SetFit, whose pins may not suit the others."""
    return {**LINEAR, "fasttext": FASTTEXT, "setfit": setfit(setfit_python), "trainer": TRAINER, **OURS}

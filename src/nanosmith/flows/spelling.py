"""The list of words that a bundle corrects misspellings by: made from the training texts, left out where it costs
accuracy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nanosmith.core.watch import Watch
from nanosmith.flows.assemble import TuneData
from nanosmith.flows.choose import NOISE_COSTS, Chosen, is_right
from nanosmith.predict.spelling import Speller
from nanosmith.store.atomic import disk_errors

if TYPE_CHECKING:
    from nanosmith.recipes.parts.base import Base


def add_spelling(folder: Path, chosen: Chosen, data: TuneData, base: Base, watch: Watch) -> None:
    """Write the list into the draft `folder`. Texts that are out of scope count: their words are right as they are.
    Raises StorageFull."""
    if costs_accuracy(chosen, data, base):
        watch.message("Correcting misspelled words costs accuracy here; the model reads them as they are.", "warn")
        return
    with disk_errors(folder):
        Speller.learn([*data.train.texts, *data.outside], base.tokenizer).write(folder)


def costs_accuracy(chosen: Chosen, data: TuneData, base: Base) -> bool:
    """Whether held-out texts are answered worse when they are corrected by the words of the others. One answer less may
    be chance."""
    check = chosen.check
    held_out = set(check.texts)
    speller = Speller.learn(
        (text for text in [*data.train.texts, *data.outside] if text not in held_out), base.tokenizer
    )
    read = [speller.read(text) for text in check.texts]
    rows = [i for i, text in enumerate(check.texts) if read[i] != text]
    if not rows:
        return False
    before, after = (
        int(is_right(data.train.task.kind, chosen.model.logits([texts[i] for i in rows]), check.targets[rows]).sum())
        for texts in (check.texts, read)
    )
    return before - after > max(1, NOISE_COSTS * len(check))

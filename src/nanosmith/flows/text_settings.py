"""When a decoder is tuned, and which settings go with it."""

from __future__ import annotations

from nanosmith.core.errors import InputError
from nanosmith.core.settings import TuneSettings
from nanosmith.core.task import Task

RECIPE = "tune_decoder/1"
SIZES = ("auto", "mini")


def by_decoder(task: Task, settings: TuneSettings) -> bool:
    """It alone writes texts, and it writes labels and records where that is asked for."""
    asked = settings.size == "mini" or settings.recipe in (RECIPE, RECIPE.partition("/")[0])
    return task.kind == "text" or asked


def check_text_settings(task: Task, settings: TuneSettings) -> None:
    """Raises InputError for what a decoder cannot be tuned with."""
    if task.kind == "labels":
        raise InputError("sets of labels are not written by a decoder", got=settings.size, allowed="auto, pico, nano",
                         remedy="Leave the size out.", param="size")  # fmt: skip
    if settings.beta is not None and settings.beta <= 0:
        raise InputError("beta is out of range", got=settings.beta, allowed="above 0", param="beta")
    if settings.size not in SIZES:
        raise InputError("texts are not written in this size", got=settings.size, allowed=", ".join(SIZES),
                         remedy="A decoder writes them: take mini, or leave the size out.", param="size")  # fmt: skip
    if settings.recipe not in (None, RECIPE, RECIPE.partition("/")[0]):
        raise InputError("this recipe writes no texts", got=settings.recipe, allowed=RECIPE, param="recipe",
                         remedy="Leave the recipe out.")  # fmt: skip
    for name, asked in (("combined", settings.combined), ("oos_label", settings.oos_label is not None),
                        ("label_errors", settings.label_errors != "keep"), ("noise", settings.noise)):  # fmt: skip
        if asked:
            raise InputError("a decoder is not tuned with this", got=name, allowed="sizes pico and nano, for labels",
                             remedy="Leave it out.", param=name)  # fmt: skip
